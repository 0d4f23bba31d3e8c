/* Inside of core/plugin: the registry, what a loop holds, calls and connections. */
#ifndef PLUGIN_IMPL_H
#define PLUGIN_IMPL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "loop/flow.h"
#include "loop/url.h"
#include "plugin/calls.h"
#include "plugin/load.h"

enum { LOOPS_MAX = 64, TIMERS_MAX = 16 };

/* ---- registry (plugins.c, settings.c) ---- */

struct plugin {
    struct loaded loaded;
    char *name;                       /* as in plugins.load */
    char reason[640];                 /* why it was refused; empty: it is loaded */
    char *env_values[NOTE_RULES_MAX]; /* of the note's variables, where set */
    _Atomic uint64_t calls, bugs;
    char label[48];
};

struct plugins {
    const struct config *config;
    struct plugin *list;
    size_t n;
    struct provider_entry *entries;
    size_t n_entries;
    struct plugin_loop *loops[LOOPS_MAX];
    _Atomic uint64_t started, finished, dropped, stale, bugs, conns_open, conns_total;
};

extern const struct tda_host host_table;
extern const struct tda_json_api json_table;

/* The operator's: environment, where this snapshot may use it, then the entry's. NULL: none. */
const char *operator_setting(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name);
const struct setting_rule *find_rule(const struct plugin *p, const char *name);

/* ---- handles (handles.c): generation in the upper half, loop and slot in the lower ---- */

enum handle_kind { HANDLE_NONE, HANDLE_CALL, HANDLE_CONN, HANDLE_FLOW };

struct slot {
    uint32_t generation;
    uint32_t next_free;
    enum handle_kind kind;
    void *object;
};

struct scratch; /* json_ext.c */

/* What the plugins' instances of one loop share. */
struct plugin_loop {
    struct plugins *plugins;
    struct loop *loop;
    unsigned index;
    struct slot *slots;
    uint32_t n_slots, cap_slots, free_slot;
    void **provider_self, **adapter_self; /* by plugin */
    LIST_HEAD(conn_list, conn) conns;
    struct scratch *scratch; /* freed when the plugin's callback returns */
};

struct plugin_loop *plugin_loop_here(void); /* the calling thread's, or NULL */
struct plugin_loop *plugin_loop_at(unsigned index);
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
    char request_id[40];
};

tda_status owner_init(struct owner *o, enum handle_kind kind, struct plugin_loop *pl, struct plugin *p, void *self,
                      size_t state_size);
/* Aborts flows, stops timers, ends the handle. */
void owner_quiet(struct owner *o);
void owner_fini(struct owner *o);
struct owner *owner_get(tda_handle h); /* a call or a connection, alive and on this thread */
tda_status owner_timer(struct owner *o, uint64_t token, uint32_t ms);
tda_status owner_wake(tda_handle h, uint64_t token); /* [any] */
void owner_flow_opened(struct owner *o);
void owner_flow_closed(struct owner *o);
int64_t owner_upstream_ns(const struct owner *o);
/* Around every callback into a plugin. */
void plugin_enter(struct owner *o);
void plugin_leave(struct plugin_loop *pl);
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

/* ---- flows (plugin_flow.c, server_flow.c) ---- */

struct plugin_flow {
    LIST_ENTRY(plugin_flow) entry;
    struct owner *owner;
    struct flow *flow;
    uint64_t handle;
    uint32_t kind;
};

tda_status plugin_flow_open(struct owner *o, const struct tda_flow_request *r, tda_flow *ret);
tda_status plugin_flow_send(struct owner *o, tda_flow f, tda_str bytes);
tda_status plugin_flow_close_send(struct owner *o, tda_flow f);
tda_status plugin_flow_abort(struct owner *o, tda_flow f);
void plugin_flows_abort(struct owner *o);
void plugin_flows_stop(struct owner *o); /* server processes: ask them to go */
tda_status server_flow_open(struct owner *o, flow_event_fn fn, void *arg, struct flow **ret, struct error *e);

/* ---- calls (call.c) ---- */

struct call {
    struct owner owner;
    struct call_spec spec;
    struct draft *draft;
    struct conn *conn; /* of an adapter's call: a reference */
    LIST_ENTRY(call) of_conn;
    struct timer deadline;
    struct task step;
    bool queued, started, cancelled, timed_out, finished, bug, missing_secret;
    struct tda_result result; /* texts in `texts` */
    struct buf texts;
};

tda_status call_finish(struct call *c, const struct tda_result *result);
tda_status call_emit(struct call *c, const struct tda_event *event);
void call_fail(struct call *c, uint32_t cls, const char *text);
const struct secrets *call_secrets(const struct call *c);

/* ---- connections (conn.c) ---- */

enum conn_state { CONN_OPENING, CONN_READY, CONN_CLOSING, CONN_ENDED, CONN_DROPPED };

struct waiter {
    LIST_ENTRY(waiter) entry;
    conn_ready_fn ready;
    void *arg;
    bool told;
};

struct conn {
    struct owner owner;
    LIST_ENTRY(conn) of_loop;
    uint32_t refs; /* the box, each holder, the plugin until drop */
    enum conn_state state;
    bool in_box;
    LIST_HEAD(waiter_list, waiter) waiters; /* holders, told or not */
    LIST_HEAD(call_list, call) calls;
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

void conn_ref(struct conn *c);
void conn_unref(struct conn *c);
tda_status conn_take_event(struct conn *c, const struct tda_conn_event *event);
void conns_force(struct plugin_loop *pl); /* at the loop's end */

/* ---- memory until the callback returns (json_ext.c) ---- */

void scratch_clear(struct plugin_loop *pl);
/* A copy that lives until the plugin's callback returns; {NULL,0} when memory is out. */
tda_str scratch_copy(struct plugin_loop *pl, tda_str s);

#endif
