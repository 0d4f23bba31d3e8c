/* From one message to one reply: envelope -> who is calling -> which method -> its handler -> the reply. Knows no transport: the
 * front door hands messages in and gets replies out.
 *
 * Runs on the front door's threads and never waits there: what belongs to a user is posted to his loop. [any] throughout. */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "agent/agent.h"
#include "config/config.h"
#include "context/context.h"
#include "identity/identity.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "route/audit.h"

struct router;

/* What is at the other end. Who that is, core/identity says, for each request anew: a connection has no identity. */
struct caller {
    uint64_t connection;
    bool is_ipc;
    uint32_t uid; /* ipc only */
};

struct router_options {
    const struct config *config;
    struct identity *identity;
    struct audit *audit; /* NULL: none */
    struct contexts *contexts;
    struct plugins *plugins;
    struct agent *agent;
    struct jobs *jobs;
    struct loop **loops;
    unsigned n_loops;
    struct launcher *launcher;
    /* Exactly once for each route_request and route_oversize, on any thread, also from inside them. `text` is borrowed. */
    void (*reply)(void *token, tda_str text);
    /* Who sent this request is known: before its reply, at most once for each route_request. May be NULL. */
    void (*identified)(void *token);
    /* Members for host.stats and host.info from above (the front door). May be NULL. */
    void (*write_stats)(void *arg, struct jw *w);
    void (*write_info)(void *arg, struct jw *w);
    /* Members for config.reload's reply: what the job config_reload changed. */
    void (*write_reload)(void *arg, struct jw *w);
    void *write_arg;
};

tda_status router_new(const struct router_options *o, struct router **ret);
void router_free(struct router *r); /* nothing may be in flight */
/* Requests that begin from now on are served by this one, which lives until router_free. [any] */
void router_set_agent(struct router *r, struct agent *agent);

void route_request(struct router *r, void *token, const struct caller *caller, tda_str text);
void route_oversize(struct router *r, void *token, const struct caller *caller, uint64_t claimed);
/* The connection is gone: its requests without an idempotency key are cancelled, keyed ones go on. */
void route_gone(struct router *r, uint64_t connection);

/* From now on new requests are refused with "shutting_down". Waits until none is in flight; after grace_ns cancels what is left and
 * waits ten seconds for that. False: some does not end, and may still touch whatever it could. [main] */
bool router_drain(struct router *r, int64_t grace_ns);

/* The scheduled cleaning of stored replies: a job of core/jobs. */
tda_status router_clean(void *router, char *note, size_t note_size);
/* Likewise of ended tasks. */
tda_status router_clean_tasks(void *router, char *note, size_t note_size);
/* What is kept of a user here: replies and ended tasks, and with `running` those that run are cancelled and keep nothing. */
void router_forget(struct router *r, tda_str user, bool running);
/* His context was swept: the tasks of his that have ended go with it. */
void router_swept(struct router *r, tda_str user);

/* The reference of the protocol as Markdown, from the method table. */
void route_reference(struct buf *out);

#endif
