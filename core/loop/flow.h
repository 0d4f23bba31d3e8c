/* Flows: one exchange with the outside each, as events. [loop]
 *
 * After its last event (END, FAIL) a flow is gone when the callback returns. flow_abort: no further event; the HTTP connection is
 * closed, never pooled; a child is stopped (stdin closed, grace, TERM, grace, KILL of its process group) in the background. */
#ifndef LOOP_FLOW_H
#define LOOP_FLOW_H

#include "loop/loop.h"
#include "loop/sigv4.h"
#include "tda/flow.h"

struct flow;
typedef void (*flow_event_fn)(void *arg, struct flow *f, const struct tda_flow_event *event);

enum { HTTP_SECRETS_MAX = 20 };

struct http_spec {
    uint32_t lane;  /* loop_lane of the user, or 0 */
    tda_str method; /* absent: GET, or POST with a body */
    tda_str url;
    const tda_kv *headers;
    size_t n_headers;
    tda_str body; /* copied */
    uint32_t framing;
    const tda_kv *secrets;                 /* headers that hold secrets: copied into memory that is wiped when the flow ends */
    size_t n_secrets;                      /* at most HTTP_SECRETS_MAX */
    const struct sigv4_keys *sign;         /* instead of `secrets`: sign the request with these. NULL: do not */
    int64_t connect_ns, idle_ns, total_ns; /* 0: the configuration's (total: none); idle -1: none */
    bool endless;                          /* a stream that is listened to: max_bytes is for each event, not for all of them */
    uint64_t max_bytes;                    /* 0: the configuration's */
    /* Address came from a user: link-local is refused always, private, loopback and unique-local unless egress.allow_private. With
     * an address of the operator's, only link-local is. Judged after resolution (v4-mapped, NAT64, 6to4 unwrapped). */
    bool user_given;
};

/* E_INVALID: URL, scheme, a header with CR LF NUL. The first event comes later, never from inside. */
tda_status flow_open_http(struct loop *l, const struct http_spec *spec, flow_event_fn fn, void *arg, struct flow **ret_flow,
                          struct error *e);

struct proc_spec {
    uint32_t lane;     /* loop_lane of the user, or 0 */
    char *const *argv; /* argv[0] is looked up in the daemon's PATH when it has no slash */
    char *const *env;  /* the whole environment of the child: "K=V", NULL-terminated */
    const char *cwd;   /* NULL: / */
    const char *label; /* for the log */
    const char *owner; /* user id, for limits.children_per_user; NULL: nobody's in particular */
};

/* Framing LINES on stdout, STDERR events by line. E_LIMIT children; the failure of exec comes as FAIL (NOT_FOUND, PERMISSION). */
tda_status flow_open_proc(struct loop *l, const struct proc_spec *spec, flow_event_fn fn, void *arg, struct flow **ret_flow,
                          struct error *e);

/* Would a child of this owner's be refused for a limit just now? `e` says which. */
tda_status flow_may_open_proc(struct loop *l, const char *owner, struct error *e);

tda_status flow_send(struct flow *f, tda_str bytes); /* processes; all or nothing; AGAIN, then WRITABLE later */
tda_status flow_close_send(struct flow *f);
void flow_abort(struct flow *f);
/* Ask a child to go: close stdin, grace, TERM, grace, KILL. END comes when it has been reaped. */
void flow_stop(struct flow *f);
/* Back-pressure: stop reading; what is in hand still comes. */
void flow_pause(struct flow *f, bool paused);

/* ---- the launcher: a small process of its own that starts the children and outlives nobody ---- */

/* [any] Starts `tda-launcher` (path NULL: beside /proc/self/exe, or ../libexec/tda/). When the pipe to the host closes, for
 * whatever reason, it kills every descendant and ends. */
tda_status launcher_start(const char *path, struct launcher **ret_launcher, struct error *e);
void launcher_stop(struct launcher *l);          /* [any] after the loops; waits for it */
int launcher_children(const struct launcher *l); /* [any] alive now */

#endif
