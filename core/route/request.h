/* Inside of core/route: one request in flight, and the table of methods. */
#ifndef ROUTE_REQUEST_H
#define ROUTE_REQUEST_H

#include "agent/profile.h"
#include "base/meter.h"
#include "base/ref.h"
#include "route/envelope.h"
#include "route/idempotency.h"
#include "route/route.h"
#include "route/tasks.h"

struct request {
    struct ref ref; /* one until the reply, one while a cancel is on its way */
    struct router *router;
    void *token; /* NULL: submitted, nobody waits */
    struct caller caller;
    struct principal principal; /* who asks: the accessors want it */
    struct arena arena;
    struct envelope env;
    const struct method *method;
    char label[24]; /* for the log: "r17" */
    tda_str user;   /* NUL-terminated, in the arena; "" when none was given */
    int64_t began_ns;
    struct idem *idem;      /* NULL: no key */
    struct user_load *load; /* in the router's in-flight figures; NULL: not counted */
    bool answering;
    bool counted_task; /* in the user's limits */

    struct buf result; /* "result":{...} as it is written */
    struct jw out;

    struct task_entry *task;   /* what it is itself; its loop's */
    struct task_entry *about;  /* METHOD_OF_TASK: the one that it asks for */
    struct snapshot *snapshot; /* what serves it: the context's, or one derived from that */
    struct override override;
    struct loop *loop; /* NULL: answered on the front door's thread */
    struct work work;
    struct task begin, cancel;
    bool begun; /* its loop's */
    bool ended; /* its loop's */
    atomic_bool cancelled;
    void (*alone)(struct request *q); /* router_when_alone */
    struct request *prev, *next;      /* router's list of a connection's cancellable requests */
};

enum param_type {
    PARAM_TEXT,
    PARAM_NUMBER,
    PARAM_BOOL,
    PARAM_OBJECT,
    PARAM_LIST,
    PARAM_OBJECT_OR_NULL,
    PARAM_TEXT_OR_NULL,
    PARAM_LIST_OR_NULL
};

struct param {
    const char *name;
    enum param_type type;
    bool required;
    const char *help;
};

enum method_flags {
    METHOD_NO_USER = 1,  /* concerns no user: `user`, common to all, says nothing, but must be the token's */
    METHOD_NEW_USER = 2, /* works for a user who has no context yet */
    METHOD_OF_TASK = 8,  /* `start` runs on the loop of the task that `task` names, and needs no context */
    METHOD_PROFILE = 16, /* may run under a profile, the user's default one included */
    METHOD_OPERATOR = 32 /* concerns the whole host: for operators */
};

struct method {
    const char *name;
    const char *summary;
    unsigned flags;
    const struct param *params;        /* ends with name NULL; the common ones come on top */
    void (*handle)(struct request *q); /* on the front door's thread; ends with request_reply */
    void (*start)(struct work *w);     /* or: an operation on the user's loop */
};

const struct method *method_find(tda_str name);
tda_status unknown_method(tda_str name, struct error *e);
/* Checks names and types against the method's table. */
tda_status params_check(const struct method *m, struct json params, struct error *e);
size_t methods_count(void);
size_t method_index(const struct method *m);
const struct method *method_next(const struct method *m); /* of those that can be called; NULL begins, and is the end */
const struct param *params_common(void);
const char *param_type_name(enum param_type t);
void methods_write(struct jw *w); /* reference.c: the members of host.methods */

/* The end of a request: result (e NULL, members in q->out) or error. q is gone afterwards. */
void request_reply(struct request *q, const struct error *e);

/* Cancels what else this user has in flight, refuses what he begins, and calls `go` when q is all that is left of him: on this or
 * another thread. One at a time: q is answered BUSY else. */
void router_when_alone(struct request *q, void (*go)(struct request *q));

/* A request of its own, with nobody to answer, from what `outer` asks to be submitted. On OK it is a task, and request_post sends
 * it on its way. */
tda_status request_submit(struct request *outer, const struct method *m, tda_str params, struct request **ret, struct error *e);
void request_post(struct request *q);
void request_cancel(struct request *q); /* [its loop] once; harmless after its end */
struct request *request_of(struct work *w);

/* Without running: answered with `body`, or by another request (absent). q is gone. */
void request_drop(struct request *q, tda_str body);
/* claim.c. True: go on. False: it has been answered, or has joined another; q is gone. */
bool request_claim(struct request *q, tda_str key);
/* checks.c */
tda_status request_identify(struct request *q, struct error *e);  /* q->principal; before anything else is looked at */
tda_status request_authorise(struct request *q, struct error *e); /* may he ask for this method, for this user? q->user */
tda_status request_set_deadline(struct request *q, struct error *e);

struct json request_param(const struct request *q, const char *name);

/* Figures of the router for host.stats. */
struct route_stats {
    uint64_t requests, errors, refused, cancelled, in_flight, users_in_flight;
};
void router_stats(struct router *r, struct route_stats *ret);
const struct meter *router_meter(const struct router *r, const struct method *m);
const struct router_options *router_options(const struct router *r);
const struct config *router_config(const struct router *r); /* what counts now */
struct agent *router_agent(struct router *r);               /* likewise */
struct idempotency *router_idempotency(struct router *r);
struct tasks *router_tasks(struct router *r);
int64_t router_started_ns(const struct router *r);

/* Handlers, by file. */
void host_ping(struct request *q); /* host.c */
void host_info(struct request *q);
void host_stats(struct request *q);
void host_methods(struct request *q);
void host_explain(struct request *q);
void host_config_reload(struct request *q);
void host_plugins(struct request *q);
void host_plugin_load(struct request *q);
void host_jobs(struct request *q);
void host_job_run(struct request *q);
void token_create(struct request *q); /* tokens.c */
void token_list(struct request *q);
void token_revoke(struct request *q);
void tokens_not_saved(struct error *e, tda_status status, const char *note); /* the error for it */
void task_submit(struct request *q);                                         /* task_methods.c */
void task_list(struct request *q);
void task_poll(struct work *w); /* task_poll.c */
void task_cancel(struct work *w);
void task_respond(struct work *w);
void context_get(struct request *q); /* contexts.c */
void context_set(struct request *q);
void context_delete(struct request *q);
void context_list(struct request *q);
void context_status(struct request *q);
void session_create(struct request *q); /* sessions.c */
void session_list(struct request *q);
void session_get(struct request *q);
void session_export(struct request *q);
void session_rename(struct request *q);
void session_delete(struct request *q);
void usage_get(struct request *q);
void store_backup(struct request *q);
void user_delete(struct request *q);
void profile_list(struct request *q); /* profiles.c */
void profile_put(struct request *q);
void profile_delete(struct request *q);
void profile_default(struct request *q);
void tools_enable(struct request *q);
/* q->snapshot: the context's, or one derived under the profile that the request names; none for METHOD_NEW_USER of a new user. */
tda_status request_take_snapshot(struct request *q, struct error *e);

#endif
