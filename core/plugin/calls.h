/* Calls and connections: what the core asks of plugins, and the handles that plugins hold. [loop] throughout.
 *
 * Exactly once: for each call that was accepted, `done` comes once, later, never from inside call_*; afterwards the plugin's drop
 * runs once, and the snapshot's reference goes last. */
#ifndef PLUGIN_CALLS_H
#define PLUGIN_CALLS_H

#include <sys/queue.h>

#include "plugin/plugins.h"

struct call;
struct conn;

/* `result` and `event` are borrowed. Texts have the user's secrets redacted. */
typedef void (*call_event_fn)(void *arg, const struct tda_event *event);
typedef void (*call_done_fn)(void *arg, const struct tda_result *result);

/* A question to the user: of the server, or of the host on the way to it. `json` as with TDA_CONN_ASK. The answer goes to
 * conn_answer with its number, until on_ask_over has come for it (also after an answer). on_ask returns false when the user cannot
 * be asked after all. */
struct question {
    uint64_t number; /* unique in the process */
    tda_str json;
    struct conn *conn;
    bool is_authorization; /* the host's: json = {"url", ...} */
};
typedef bool (*ask_fn)(void *arg, const struct question *q);
typedef void (*ask_over_fn)(void *arg, uint64_t number);
/* json: {"action": "accept" | "decline" | "cancel", "content": {...}}. NOT_FOUND: it is not asked any more. */
tda_status conn_answer(struct conn *c, uint64_t number, tda_str json);
const char *conn_server_name(const struct conn *c);

struct call_spec {
    struct plugins *plugins;
    struct loop *loop;
    struct snapshot *snapshot; /* a reference is taken */
    struct draft *draft;       /* OP_VALIDATE: where ctx_put goes; else NULL */
    const char *request_id;    /* for the log */
    int64_t deadline_ns;       /* enforced here: TIMEOUT, cancel, and drop even if the plugin never finishes */
    const char *deadline_from; /* the setting it comes from, for people to read; NULL: it is the request's own */
    int64_t latest_ns;         /* progress, and time in which the user is asked, move the deadline up to here; 0: they do not */
    call_event_fn on_event;    /* may be NULL */
    call_done_fn on_done;
    void *arg;
    ask_fn on_ask; /* NULL: there is nobody who could be asked */
    ask_over_fn on_ask_over;
    void *ask_arg;
};

/* Provider of the snapshot (by its provider field). A fault (unknown provider, no secret) is returned at once; nothing else comes
 * then. */
tda_status provider_call(const struct call_spec *spec, const struct tda_request *request, struct call **ret_call, struct error *e);
/* No event after this returns; done comes with CANCELLED, unless it was on its way. */
void call_cancel(struct call *c);
int64_t call_upstream_ns(const struct call *c); /* time in which at least one flow was open, for meta.overhead_us */

/* The connection to this snapshot's MCP server: the one there is, or a new one. `ready` comes once per conn_acquire, later: class
 * OK, or why not. While acquired, a connection is not closed for idleness; conn_release ends that.
 *
 * Whose it is: the configuration's of one user, and closed when that goes. With a `stateful` server, of one session of it:
 * `session` is its id, absent outside of one. With a `share`d one, of all users on this loop. */
typedef void (*conn_ready_fn)(void *arg, struct conn *c, const struct tda_result *result);
tda_status conn_acquire(const struct call_spec *spec, tda_str session, conn_ready_fn ready, void *arg, struct conn **ret_conn,
                        struct error *e);
/* `arg` as given to conn_acquire. Before ready: it will not come any more. */
void conn_release(struct conn *c, void *arg);
uint64_t conn_changes(const struct conn *c);    /* another number after each TOOLS_CHANGED; unique in the process */
tda_str conn_server_info(const struct conn *c); /* JSON from READY, or absent */
/* What a caller has made of it, as long as the connection lives, in place of what was kept. Shared with all who use it. */
void conn_keep(struct conn *c, void *object, live_drop drop); /* drop(NULL, object) */
void *conn_kept(const struct conn *c);                        /* NULL: nothing */
/* News of resources, for as long as the connection lives. `watcher` is the caller's, with the first part filled in, until
 * conn_unwatch or `ended`; `updated` comes from inside of the plugin's call and must not let the connection go. */
struct conn_watcher {
    tda_str uri;
    void (*updated)(struct conn_watcher *w, tda_str uri);
    void (*ended)(struct conn_watcher *w, const struct tda_result *why);

    struct conn *conn; /* NULL: it does not watch */
    LIST_ENTRY(conn_watcher) entry;
};
void conn_watch(struct conn *c, struct conn_watcher *w);
void conn_unwatch(struct conn_watcher *w); /* harmless when it does not */
bool conn_is_watched(const struct conn *c, tda_str uri);
tda_status adapter_call(struct conn *c, const struct call_spec *spec, const struct tda_adapter_request *request,
                        struct call **ret_call, struct error *e);

/* [any] figures */
struct call_stats {
    uint64_t started, finished, dropped, stale_uses, bugs, conns_open, conns_total;
};
void calls_stats(const struct plugins *ps, struct call_stats *ret);

#endif
