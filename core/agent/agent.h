/* What the host does for a caller with a model and tools: chat, turns, tools, configure.
 *
 * Each operation is a state machine on the user's loop. It is begun with one of the functions below and ends with exactly one
 * `done`, at once or later; agent_cancel makes that soon. It holds no state outside its work. [loop] throughout. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <pthread.h>

#include "agent/limits.h"
#include "base/arena.h"
#include "base/meter.h"
#include "config/config.h"
#include "context/context.h"
#include "plugin/calls.h"
#include "session/sessions.h"
#include "json/json.h"

/* What all operations share; one per process. */
struct agent {
    const struct config *config;
    struct plugins *plugins;
    struct contexts *contexts;
    struct sessions *sessions; /* NULL: nothing is kept */
    struct limits *limits;     /* NULL: nobody is limited */
    struct configuring_users *configuring;
    struct meters *providers; /* attempts, by the provider's name: the service's time */
    struct meters *servers;   /* tool calls, by the MCP server's */
    struct kept_pins *pins;   /* pins.c's */
};

/* Users with a configure under way: one list for all agents that reloads make. */
struct configuring_users {
    pthread_mutex_t lock;
    struct configuring *first;
};

tda_status agent_init(struct agent *a, const struct config *c, struct plugins *ps, struct contexts *cs);
/* The same host under another configuration; `a` is to live as long as `before`. */
void agent_init_next(struct agent *a, const struct agent *before, const struct config *c);
void agent_fini(struct agent *a); /* of the first */

struct call_usage {
    struct call_usage *next;
    struct tda_usage usage;
};

/* Figures of an operation for the reply's meta. */
struct work_meta {
    uint32_t attempts;
    struct tda_usage usage; /* summed; TDA_UNKNOWN once one call did not say */
    bool has_usage;
    struct call_usage *calls, *last_call; /* each model call that ended well, in order; in the arena */
    bool written;                         /* the operation has put a meta of its own into the result */
    uint64_t tokens;                      /* input and output, as far as known: what a limit counts */
    double cost;                          /* likewise, by the operator's prices */
    bool has_cost;                        /* there is a price */
    bool cost_unknown;                    /* a call did not say what it used */
    int64_t upstream_ns;                  /* time spent waiting for models and tools */
};

/* One operation. The caller fills in the first part and keeps it, and all it points to, until done. */
struct work {
    struct agent *agent;
    struct loop *loop;
    struct snapshot *snapshot;         /* what serves it; NULL only for configure of a user who has no context yet */
    const struct principal *principal; /* who asks for it */
    tda_str user;
    const char *request_id;
    struct json params;
    struct json given; /* params as they came: before a profile took its tag out and put its own in */
    int64_t deadline_ns;
    struct arena *arena;                                 /* what lives until done */
    struct jw *out;                                      /* the members of the result object go here */
    void (*done)(struct work *w, const struct error *e); /* e NULL: success */

    tda_str idempotency_key; /* absent: params may have one */
    /* Of a turn in a session: what was said before, and, when `records`, what this turn adds, valid until done. */
    const struct json *past;
    uint32_t n_past;
    bool records;
    const struct tda_msg *const *record;
    uint32_t n_record;
    /* What happens, as JSON objects (agent/events.h); NULL: nobody listens. */
    void (*event)(struct work *w, tda_str json);

    struct work_meta meta;
    void (*cancel)(struct work *w); /* set by the operation while it can be cancelled */
    /* Set by an operation that has asked the user something with an event `ask {request, ...}`: his answer to that request. Not
     * found: it asked no such thing. */
    tda_status (*respond)(struct work *w, tda_str request, struct json answer, struct error *e);
    void *operation;
    void *account;       /* account.c's */
    struct asked *asked; /* questions.c's */
    uint32_t n_asked;
    struct work *outer; /* of a copy: the work that is asked, and heard of; else NULL */
};

void agent_chat(struct work *w);       /* chat.complete */
void agent_run(struct work *w);        /* agent.run: model and tools until it stops; in a session, when params name one */
void agent_tools_list(struct work *w); /* tools.list */
void agent_tools_call(struct work *w); /* tools.call */
void agent_tools_approve(struct work *w);
void agent_prompts_list(struct work *w); /* prompts.list */
void agent_prompts_get(struct work *w);
void agent_completions_get(struct work *w);
void agent_resources_list(struct work *w);
void agent_resources_templates(struct work *w);
void agent_resources_read(struct work *w);
void agent_resources_watch(struct work *w);
void agent_mcp_list(struct work *w); /* mcp.list */
void agent_mcp_logs(struct work *w);
void agent_mcp_restart(struct work *w);
void agent_mcp_probe(struct work *w);
void agent_configure(struct work *w); /* configure */
void agent_models(struct work *w);    /* models.list */
void agent_cancel(struct work *w);    /* harmless after done */

/* An error from how a call ended, for the one who asked. `who`: "provider OpenAI", "MCP server sales". */
tda_status error_from_result(struct error *e, const struct tda_result *result, const char *who);
bool class_is_retryable(uint32_t cls);
/* Whoever fails under a profile is told which: it may be one that he did not name. */
void error_in_profile(struct error *e, const struct snapshot *s);
const char *class_kind(uint32_t cls); /* "rate_limited" */

/* The call_spec that every call of this work starts from: it may take so long, as `setting` says; NULL: as long as the request. */
struct call_spec work_call_spec(struct work *w, int64_t span_ns, const char *setting);

#endif
