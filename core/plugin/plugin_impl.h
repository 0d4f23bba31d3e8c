/* Inside of core/plugin: the registry, what a loop holds, calls and connections. */
#ifndef PLUGIN_IMPL_H
#define PLUGIN_IMPL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "loop/flow.h"
#include "loop/url.h"
#include "loop/workers.h"
#include "oauth/oauth.h"
#include "plugin/calls.h"
#include "plugin/health.h"
#include "plugin/load.h"

enum { LOOPS_MAX = 64, TIMERS_MAX = 16 };

/* ---- registry (plugins.c, settings.c) ---- */

/* What a plugin has on one loop: touched there only. */
struct instance {
    void *provider, *adapter; /* self */
    bool is_open;
};

/* One generation of a plugin: a file that was loaded, or refused at the start. Lives until the process ends. */
struct plugin {
    struct loaded loaded;
    char *name;                       /* as in plugins.load */
    uint32_t generation;              /* 1: loaded at the start, or the first of its id */
    char reason[640];                 /* why it was refused; empty: it is loaded */
    char *env_values[NOTE_RULES_MAX]; /* of the note's variables, where set */
    _Atomic uint64_t calls, bugs, in_flight, conns;
    char label[48];
    struct instance on[LOOPS_MAX];
};

/* What there is at one time: immutable once published, swapped whole, kept until the end because calls hold entries of it. */
struct registry {
    struct registry *before;
    struct plugin **list; /* the newest generation of an id stands last */
    size_t n;
    struct provider_entry *entries;
    size_t n_entries;
};

struct plugins {
    const struct config *config;
    char *const *env;
    struct workers *workers;
    struct oauth *oauth;
    _Atomic(struct registry *) now;
    atomic_bool loading; /* a plugin.load is under way: one at a time */
    struct plugin_loop *loops[LOOPS_MAX];
    _Atomic uint64_t started, finished, dropped, stale, bugs, conns_open, conns_total;
    struct {
        struct task task;
        atomic_bool under_way; /* the rest is its search's */
        unsigned at, left;
    } room; /* the search for an idle connection on other loops: conn_make_room */
};

static inline const struct registry *registry_now(const struct plugins *ps) {
    return atomic_load_explicit(&ps->now, memory_order_acquire);
}
struct plugin *registry_find(const struct registry *r, const char *id); /* the newest generation that is loaded, or NULL */
/* `before`'s plugins and one more, which it takes; NULL: none. Entries come with registry_make_entries. */
tda_status registry_new(const struct registry *before, struct plugin *more, struct registry **ret);
/* Providers as users name them; what of the configuration does not fit the plugins' notes goes into the report. */
tda_status registry_make_entries(struct registry *r, const struct config *c, struct buf *report);
void registry_free(struct registry *r);                        /* not its plugins */
void registry_publish(struct plugins *ps, struct registry *r); /* one at a time: see `loading` */
/* Loads and judges `name` (as in plugins.load): all but its instances. */
tda_status plugin_new(const struct plugins *ps, const char *name, struct plugin **ret, struct error *e);
void plugin_free(struct plugin *p);
tda_status plugin_open_on(struct plugin *p, unsigned loop_index); /* [loop] */
void plugin_close_on(struct plugin *p, unsigned loop_index);      /* [loop] harmless when not open */

extern const struct tda_host host_table;
extern const struct tda_json_api json_table;

/* The operator's: environment, where this snapshot may use it, then the entry's. NULL: none. */
const char *operator_setting(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name);
/* A vendor's variable may say "host", "host:port" or ":port" (OLLAMA_HOST): what such an address lacks is the note's default's. A
 * copy, or NULL when memory is out. */
char *address_complete(const char *value, const char *usual);
const struct setting_rule *find_rule(const struct plugin *p, const char *name);
/* All that may be the operator's or the note's base_url, whoever asks: from --set or the entry, the environment, the note. */
enum { ADDRESS_SOURCES = 3 };
size_t operator_addresses(const struct provider_entry *p, const char *ret_urls[ADDRESS_SOURCES]);

/* ---- what is worked out once for an entry with a plugin (entry.c); immutable from then on ---- */

tda_status entry_make(struct provider_entry *p);
void entry_fini(struct provider_entry *p);
/* Is it one of the operator's hosts, or in their place of the note's? `patterns`: or of a name with a star. */
bool entry_has_host(const struct provider_entry *p, const char *origin, bool patterns);
/* As url_origin; at once for what operator_addresses gave. */
tda_status entry_origin(const struct provider_entry *p, tda_str url, char out[ORIGIN_SIZE]);

/* ---- handles (handles.c): generation in the upper half, loop and slot in the lower ---- */

enum handle_kind { HANDLE_NONE, HANDLE_CALL, HANDLE_CONN, HANDLE_FLOW };

struct slot {
    uint32_t generation;
    uint32_t next_free;
    enum handle_kind kind;
    void *object;
};

/* The connections among which a request looks for its own: those of one configuration of a user, in its box of live objects; or
 * the shared ones of a loop. */
struct conn_set {
    LIST_HEAD(conn_set_list, conn) conns;
};

/* What the plugins' instances of one loop share. */
struct plugin_loop {
    struct plugins *plugins;
    struct loop *loop;
    unsigned index;
    struct slot *slots;
    uint32_t n_slots, cap_slots, free_slot;
    unsigned late; /* calls that have been answered while a worker still runs them */
    LIST_HEAD(conn_list, conn) conns;
    struct conn_set shared;
    struct health_table health;
};

struct plugin_loop *plugin_loop_here(void);         /* the calling thread's, or NULL */
struct plugin_loop *plugin_loop_at(unsigned index); /* to compare with: it may go, unless it is the calling thread's own */
/* [any] The same, and it stays until plugin_loop_let_go, for the length of a post. NULL: it is gone, and nothing is to be let go.
 */
struct plugin_loop *plugin_loop_hold(unsigned index);
void plugin_loop_let_go(void);
void plugin_loop_bind(struct plugin_loop *pl); /* [loop] */
void plugin_loop_unbind(struct plugin_loop *pl);

tda_status handle_new(struct plugin_loop *pl, enum handle_kind kind, void *object, uint64_t *ret);
void handle_end(struct plugin_loop *pl, uint64_t handle);
/* NULL: ended, of another thread, or of another kind. Counts a stale use. */
void *handle_get(uint64_t handle, enum handle_kind kind);
unsigned handle_loop(uint64_t handle);

/* ---- what calls and connections have in common (owner.c) ---- */

struct plugin_flow;
struct plugin_timer;

struct owner {
    enum handle_kind kind;
    uint64_t handle;
    struct plugin_loop *pl;
    struct plugin *plugin;
    void *self;
    void *state;
    struct snapshot *snapshot;          /* of a call: a reference; of a connection: NULL */
    const struct provider_entry *entry; /* of a provider's call */
    LIST_HEAD(plugin_flow_list, plugin_flow) flows;
    LIST_HEAD(plugin_timer_list, plugin_timer) timers;
    unsigned n_timers, wakes;
    unsigned open_flows;
    int64_t flows_since_ns, upstream_ns;
    char user[129];
    uint32_t lane; /* his turns on the loop */
    char request_id[40];
};

tda_status owner_init(struct owner *o, enum handle_kind kind, struct plugin_loop *pl, struct plugin *p, void *self,
                      size_t state_size);
void owner_set_user(struct owner *o, const char *user); /* "": nobody's in particular */
/* Aborts flows, stops timers, ends the handle. */
void owner_quiet(struct owner *o);
void owner_fini(struct owner *o);
struct owner *owner_get(tda_handle h);       /* a call or a connection, alive and on this loop's thread */
struct owner *owner_or_worker(tda_handle h); /* that, or the call that this worker runs */
tda_status owner_timer(struct owner *o, uint64_t token, uint32_t ms);
tda_status owner_wake(tda_handle h, uint64_t token); /* [any] */
void owner_flow_opened(struct owner *o);
void owner_flow_closed(struct owner *o);
int64_t owner_upstream_ns(const struct owner *o);
/* Around every callback into a plugin. */
void plugin_enter(struct owner *o);
void plugin_leave(void);
/* Events into the plugin; implemented by call.c and conn.c. */
void call_flow_event(struct owner *o, const struct tda_flow_event *event);
void call_wake(struct owner *o, uint64_t token);
void conn_flow_event(struct owner *o, const struct tda_flow_event *event);
void conn_wake_event(struct owner *o, uint64_t token);

/* ---- whose secret a request carries (auth.c) ---- */

struct auth {
    struct buf text; /* a header's value */
    tda_kv header;
    struct sigv4_keys keys;
};

/* Fills spec->secrets or spec->sign, which point into `auth`; auth_fini wipes, also after a failure. NOT_FOUND: there is no such
 * secret; DENIED: there is, and it is not for this origin; INVALID, UNSUPPORTED: the plugin asks for what cannot be. */
tda_status auth_fill(struct owner *o, const struct tda_auth *a, const char *origin, struct http_spec *spec, struct auth *auth);
void auth_fini(struct auth *auth);
/* [worker] The secret `name`, for a plugin that may read it: as auth_fill finds it, for the plugin's own address. */
tda_status owner_secret(struct owner *o, tda_str name, tda_str *ret);
/* Whatever secret its plugin, its server or its upstream may have been given, the user's and the operator's, leaves this text: for
 * all that goes into a log, an error or a result. */
void owner_redact(const struct owner *o, struct buf *text);
bool plugin_may_read_secrets(const struct config *c, const struct note *n);

/* ---- flows (plugin_flow.c, server_flow.c) ---- */

struct plugin_flow {
    LIST_ENTRY(plugin_flow) entry;
    struct owner *owner;
    struct flow *flow; /* NULL: held back until an authorisation has ended */
    struct flow_auth *auth;
    uint64_t handle;
    uint32_t kind;
};

tda_status plugin_flow_open(struct owner *o, const struct tda_flow_request *r, tda_flow *ret);
tda_status plugin_flow_send(struct owner *o, tda_flow f, tda_str bytes);
tda_status plugin_flow_close_send(struct owner *o, tda_flow f);
tda_status plugin_flow_abort(struct owner *o, tda_flow f);
void plugin_flows_abort(struct owner *o);
void plugin_flows_stop(struct owner *o); /* server processes: ask them to go */
void plugin_flow_event(void *flow, struct flow *f, const struct tda_flow_event *event);
tda_status server_flow_open(struct owner *o, flow_event_fn fn, void *arg, struct flow **ret, struct error *e);

/* ---- TDA_AUTH_SERVER (server_auth.c) ---- */

/* Of a connection: the authorisation that its requests wait for. */
struct conn_auth {
    struct oauth_wait *wait; /* NULL: none */
    LIST_HEAD(held_list, flow_auth) held;
    bool asking;
    uint64_t question;
    char *url;        /* that the user is to visit, while he is asked */
    unsigned wrong;   /* answers that were none */
    struct error why; /* how the last one failed; no kind: it did not */
};

/* Sends the request, or holds it back until there is a token for it. */
tda_status server_auth_open(struct plugin_flow *pf, const struct http_spec *spec);
void server_auth_close(struct plugin_flow *pf); /* harmless without */
/* True: the event is an answer that an authorisation may change; the plugin hears of the next one. */
bool server_auth_takes(struct plugin_flow *pf, const struct tda_flow_event *event);
/* A failure of class AUTH whose reason the host knows better. */
void server_auth_explain(const struct conn *c, struct tda_result *r);

/* ---- calls (call.c) ---- */

/* One who can be asked: the call, or the waiter, of a piece of work. */
struct asker {
    ask_fn on_ask; /* NULL: cannot */
    ask_over_fn on_over;
    void *arg;
    struct call *call; /* NULL: a waiter's */
    unsigned open;     /* questions without an answer: no deadline runs */
};

struct call {
    struct owner owner;
    struct call_spec spec;
    struct draft *draft;
    struct conn *conn;         /* of an adapter's call: a reference */
    struct blocking *blocking; /* of a call that a worker runs */
    bool told, heard;          /* done came; run was begun */
    bool run_over;             /* no worker has the call (any more) */
    LIST_ENTRY(call) of_conn;
    struct timer deadline;
    int64_t span_ns; /* what it was given at first */
    struct asker asker;
    struct task step;
    bool queued, started, cancelled, timed_out, finished, bug, missing_secret;
    struct tda_result result; /* texts in `texts` */
    struct buf texts;
};

tda_status call_finish(struct call *c, const struct tda_result *result);
tda_status call_emit(struct call *c, const struct tda_event *event);
void call_fail(struct call *c, uint32_t cls, const char *text);
void call_waits_for_user(struct call *c);
void call_user_answered(struct call *c);
void call_run_returned(struct call *c, tda_status s); /* from blocking.c: nothing of the call is on a worker any more */

/* ---- calls on workers (blocking.c, request_copy.c) ---- */

/* [loop] Copies the request and hands the call to a worker. What it made goes with blocking_free, also after a failure. */
tda_status blocking_start(struct call *c, const struct tda_request *request, int64_t *ret_retry_ms);
/* [loop] From now on emit and finish of the worker are refused with `why`. True: run was begun. Sets c->run_over when the call was
 * still waiting. */
bool blocking_end(struct call *c, tda_status why);
void blocking_free(struct blocking *b); /* NULL is fine */
/* [worker] The call that this thread runs, when `h` is its handle; else NULL. */
struct call *blocking_call(tda_handle h);
tda_status blocking_emit(struct call *c, const struct tda_event *event);     /* [worker] waits for room */
tda_status blocking_finish(struct call *c, const struct tda_result *result); /* [worker] */
struct arena;
tda_status request_copy(const struct tda_request *from, struct arena *a, struct tda_request *ret);

/* ---- connections (conn.c, conn_open.c, conn_set.c) ---- */

enum conn_state { CONN_OPENING, CONN_READY, CONN_CLOSING, CONN_ENDED, CONN_DROPPED };

struct waiter {
    LIST_ENTRY(waiter) entry;
    conn_ready_fn ready;
    void *arg;
    struct asker asker;
    bool told;
};

struct conn {
    struct owner owner; /* user "": shared, or the shared context's */
    LIST_ENTRY(conn) of_loop;
    uint32_t refs; /* the set, each holder, the plugin until drop */
    enum conn_state state;
    struct conn_set *set; /* NULL: it has left, and no request finds it any more */
    LIST_ENTRY(conn) of_set;
    char session[33];                       /* of a stateful server: hash of user and session; "": of none */
    char *session_id;                       /* as its user says it, for its log alone; NULL: of none, or of no single user */
    struct timer idle;                      /* closes it when nobody has used it for a while */
    int64_t used_ns;                        /* when the last holder let go */
    void *kept;                             /* conn_keep */
    live_drop kept_drop;                    /* of it */
    struct health *health;                  /* a reference */
    int64_t ready_ns;                       /* when it became ready; 0: it has not */
    LIST_HEAD(waiter_list, waiter) waiters; /* holders, told or not */
    LIST_HEAD(call_list, call) calls;
    SLIST_HEAD(ask_list, ask) asks;
    LIST_HEAD(watcher_list, conn_watcher) watchers;
    unsigned n_asks;
    struct conn_auth auth;
    struct secrets *secrets; /* the user's for his own server: a reference, or NULL */
    struct timer ready;      /* until it is */
    struct task step;
    bool queued;
    struct timer force; /* the plugin does not say CLOSED */
    uint64_t changes;
    struct buf info;
    struct tda_result end; /* why it failed or closed; text in `why` */
    char why[320];
    const struct config_server *server;
    char *url;
    char *fields[CTX_FIELDS]; /* as they were at connect: a connection outlives snapshots */
    void *object;
    void (*object_drop)(void *self, void *object);
};

/* A server as a snapshot names it. */
struct server_ref {
    tda_str name;                       /* the snapshot's */
    const struct config_server *config; /* NULL: the user's own */
    char *url;                          /* NULL: a command. The caller's to free */
};
tda_status server_find(const struct config *config, const struct snapshot *s, struct server_ref *ret, struct error *e);
static inline bool conn_is_shared(const struct conn *c) {
    return c->server && c->server->share;
}

tda_status server_unknown(const struct config *c, tda_str name, struct error *e);
tda_status conn_new(const struct call_spec *spec, struct server_ref *server, struct conn **ret, struct error *e);
void conn_init(struct conn *c);
void conn_tell_update(struct conn *c, tda_str uri); /* watch.c */
void conn_tell_end(struct conn *c, const struct tda_result *why);
void conn_connect(struct conn *c); /* its first step; may end it at once */
void conn_close(struct conn *c, const char *why);
/* Ends the connection that this user (NULL: anybody) has left idle the longest, on this loop. False: there is none. */
bool conn_close_idle(struct plugin_loop *pl, const char *user);
/* One ends, or is about to: of the user's own, or, where he has none at all, anybody's. Who idles keeps nobody out. */
bool conn_make_room(struct plugin_loop *pl, const char *user);
int64_t conn_count_of(const struct plugin_loop *pl, const char *user, bool ending); /* those that end, or all others */
void conn_set_end(struct conn *c, uint32_t cls, tda_str text);                      /* the first reason is the reason */
void conn_fini(struct conn *c);
/* A line for the connection's log, made clean. Nothing of what a process shared by all says is kept. */
void conn_say(struct conn *c, enum conn_log_from from, tda_str text);
void conn_leave_set(struct conn *c);  /* harmless when it has */
void conn_idle_clock(struct conn *c); /* it is ready: from now on it can be idle */
void conn_ref(struct conn *c);
void conn_unref(struct conn *c);
tda_status conn_take_event(struct conn *c, const struct tda_conn_event *event);
void conns_force(struct plugin_loop *pl); /* at the loop's end */
void conn_queue_step(struct conn *c);
void conn_ready_clock(struct conn *c, bool runs);        /* while it opens: false while the user is asked; true begins anew */
static inline struct conn *owner_conn(struct owner *o) { /* of a connection, or of a call on one; else NULL */
    return o->kind == HANDLE_CONN ? (struct conn *)o : ((struct call *)o)->conn;
}

/* ---- questions to users (asks.c) ---- */

tda_status ask_take(struct conn *c, const struct tda_conn_event *event); /* TDA_CONN_ASK */
tda_status ask_over(struct conn *c, const struct tda_conn_event *event); /* TDA_CONN_ASK_OVER */
void asks_leave(struct conn *c, struct asker *a);                        /* it can be asked no longer */
void asks_step(struct conn *c);                                          /* in the connection's step */
void asks_end(struct conn *c);                                           /* the connection has ended */
/* The host's own question, to `about` or whoever waits. `fn` comes once, later or from conn_answer, with absent json when the one
 * who was asked is gone, unless conn_ask_cancel takes it back before. NOT_FOUND: nobody can be asked; LIMIT, NOMEM, CLOSED. */
typedef void (*ask_answered)(void *arg, tda_str json);
tda_status conn_ask(struct conn *c, struct call *about, tda_str json, ask_answered fn, void *arg, uint64_t *ret_number);
void conn_ask_cancel(struct conn *c, uint64_t number);
bool conn_can_ask(struct conn *c);

/* ---- memory until the callback returns (json_ext.c) ---- */

void scratch_clear(void);
/* A copy that lives until the plugin's callback on this thread returns; {NULL,0} when memory is out. */
tda_str scratch_copy(tda_str s);

#endif
