/* One connection of an adapter to a server, from its first step to its last. Which one a request gets is conn_set.c's to say, what
 * it is for conn_open.c's.
 *
 * References: its set, each holder (conn_acquire), each call, and the plugin from connect to drop. Like a call, a connection is
 * only marked by what ends it; the rest happens in a deferred step. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

enum { FORCE_GRACES = 3, LINE_MAX = 4096 };

static _Atomic uint64_t last_change;

static uint64_t next_change(void) {
    return atomic_fetch_add_explicit(&last_change, 1, memory_order_relaxed) + 1;
}

void conn_ref(struct conn *c) {
    c->refs++;
}

void conn_unref(struct conn *c) {
    if (--c->refs) return;
    if (c->kept) c->kept_drop(NULL, c->kept);
    for (size_t i = 0; i < CTX_FIELDS; i++) free(c->fields[i]);
    free(c->url);
    free(c->session_id);
    secrets_unref(c->secrets);
    buf_fini(&c->info);
    health_unref(c->health);
    free(c);
}

void conn_queue_step(struct conn *c) {
    if (c->queued) return;
    c->queued = true;
    conn_ref(c);
    loop_defer(c->owner.pl->loop, &c->step);
}

/* ---- telling those who wait ---- */

/* A waiter may let go, or come, in its callback: from the start after each. */
static void tell_waiters(struct conn *c) {
    struct tda_result ok = {.size = sizeof ok, .retry_ms = -1};
    for (struct waiter *w = LIST_FIRST(&c->waiters); w;) {
        if (w->told) {
            w = LIST_NEXT(w, entry);
            continue;
        }
        w->told = true;
        w->ready(w->arg, c, c->state == CONN_READY ? &ok : &c->end);
        w = LIST_FIRST(&c->waiters);
    }
}

/* ---- what is said ---- */

/* A server may print what it was given: the operator's, and none of the user's business. */
static void clean(const struct conn *c, tda_str text, struct buf *out) {
    buf_init(out, 3 * LINE_MAX); /* a byte that is no UTF-8 becomes three */
    text_sanitise((tda_str){text.p, text.n < LINE_MAX ? text.n : LINE_MAX}, out);
    owner_redact(&c->owner, out);
}

void conn_say(struct conn *c, enum conn_log_from from, tda_str text) {
    struct buf line;
    if (conn_is_shared(c) && from != LOG_FROM_HOST) return;
    clean(c, text, &line);
    conn_log_add(&c->health->log, from, tda_str_of(c->session_id), buf_str(&line));
    buf_fini(&line);
}

/* ---- the end ---- */

void conn_set_end(struct conn *c, uint32_t cls, tda_str text) {
    if (c->end.cls) return; /* the first reason is the reason */
    struct buf shown;
    clean(c, text, &shown);
    snprintf(c->why, sizeof c->why, "%.*s", STR_FMT(buf_str(&shown)));
    buf_fini(&shown);
    c->end =
        (struct tda_result){.size = sizeof c->end, .cls = cls ? cls : TDA_C_NETWORK, .retry_ms = -1, .text = tda_str_of(c->why)};
    server_auth_explain(c, &c->end);
}

static void end_conn(struct conn *c, uint32_t cls, tda_str text) {
    if (c->state >= CONN_ENDED) return;
    conn_set_end(c, cls, text);
    c->state = CONN_ENDED;
    conn_leave_set(c);
    conn_queue_step(c);
}

/* Which answer was too large is known where only one was awaited; to the others the server has just gone. */
static void fail_calls(struct conn *c) {
    struct call *call = LIST_FIRST(&c->calls);
    bool is_its_answer = call && !LIST_NEXT(call, of_conn) && c->end.cls == TDA_C_TOO_LARGE;
    for (; call; call = LIST_NEXT(call, of_conn))
        call_fail(call, is_its_answer ? TDA_C_TOO_LARGE : TDA_C_NETWORK,
                  c->why[0] ? c->why : "the connection to the server has ended");
}

static void drop_object(struct conn *c) {
    if (!c->object) return;
    plugin_enter(&c->owner);
    c->object_drop(c->owner.self, c->object);
    plugin_leave();
    c->object = NULL;
}

static void tell_health(struct conn *c) {
    char text[sizeof c->why + 16];
    int64_t lived_ns = c->ready_ns ? clock_now_ns() - c->ready_ns : -1;
    snprintf(text, sizeof text, "ended: %s", c->why);
    conn_say(c, LOG_FROM_HOST, tda_str_of(text));
    health_ended(c->health, config_now(c->owner.pl->plugins->config), c->end.cls, c->why, lived_ns);
}

/* The plugin knows it no more; its reference goes. */
void conn_fini(struct conn *c) {
    struct loop *l = c->owner.pl->loop;
    drop_object(c);
    tell_health(c);
    timer_stop(l, &c->force);
    timer_stop(l, &c->ready);
    timer_stop(l, &c->idle);
    LIST_REMOVE(c, of_loop);
    owner_fini(&c->owner);
    c->owner.state = NULL;
    c->owner.handle = 0;
    atomic_fetch_sub_explicit(&c->owner.pl->plugins->conns_open, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->owner.plugin->conns, 1, memory_order_relaxed);
    conn_unref(c);
}

/* Calls first: they use the connection's handle in their drop. */
static void drop_conn(struct conn *c) {
    const struct tda_adapter *a = c->owner.plugin->loaded.adapter;
    conn_leave_set(c);
    c->state = CONN_DROPPED;
    asks_end(c);
    owner_quiet(&c->owner);
    if (a->conn_drop) {
        plugin_enter(&c->owner);
        a->conn_drop(c->owner.self, c->owner.handle);
        plugin_leave();
    }
    conn_fini(c);
}

static void step(struct task *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, step);
    c->queued = false;
    if (c->state != CONN_OPENING) tell_waiters(c);
    if (c->state >= CONN_ENDED) conn_tell_end(c, &c->end);
    asks_step(c);
    if (c->state == CONN_ENDED && LIST_EMPTY(&c->calls)) {
        drop_conn(c);
    } else if (c->state == CONN_ENDED) {
        fail_calls(c);
        conn_queue_step(c); /* after theirs */
    }
    conn_unref(c);
}

void conn_init(struct conn *c) {
    c->step.run = step;
}

static void force_fired(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, force);
    log_warn("an adapter did not close its connection in time", LOG_Z("plugin", c->owner.plugin->loaded.note.id));
    end_conn(c, TDA_C_TIMEOUT, TDA_STR("the connection was closed by force"));
}

static void not_ready_in_time(struct timer *t) {
    end_conn(CONTAINER_OF(t, struct conn, ready), TDA_C_TIMEOUT, TDA_STR("the server was not ready in time (mcp.ready_timeout)"));
}

void conn_ready_clock(struct conn *c, bool runs) {
    struct loop *l = c->owner.pl->loop;
    if (c->state != CONN_OPENING) return;
    timer_stop(l, &c->ready);
    c->ready.fire = not_ready_in_time;
    if (runs) timer_set(l, &c->ready, clock_now_ns() + loop_config(l)->mcp_ready_timeout);
}

/* Goodbye to the server, and time for it. The calls that it has are cancelled. */
void conn_close(struct conn *c, const char *why) {
    struct loop *l = c->owner.pl->loop;
    struct call *call;
    if (c->state >= CONN_CLOSING) return;
    for (call = LIST_FIRST(&c->calls); call; call = LIST_NEXT(call, of_conn)) call_cancel(call);
    c->state = CONN_CLOSING;
    conn_set_end(c, TDA_C_CANCELLED, tda_str_of(why));
    conn_leave_set(c);
    conn_queue_step(c);
    c->force.fire = force_fired;
    timer_set(l, &c->force, clock_now_ns() + FORCE_GRACES * loop_config(l)->mcp_stop_grace);
    plugin_enter(&c->owner);
    c->owner.plugin->loaded.adapter->conn_close(c->owner.self, c->owner.handle);
    plugin_leave();
    plugin_flows_stop(&c->owner);
    if (LIST_EMPTY(&c->owner.flows)) end_conn(c, TDA_C_CANCELLED, tda_str_of(why));
}

/* From the start after each: closing one may end others. */
void plugins_end_conns(struct plugins *ps, struct loop *l) {
    struct plugin_loop *pl = ps->loops[loop_index(l)];
    struct conn *c = pl ? LIST_FIRST(&pl->conns) : NULL;
    while (c) {
        bool open = c->state < CONN_CLOSING;
        if (open) conn_close(c, "the host is stopping");
        c = open ? LIST_FIRST(&pl->conns) : LIST_NEXT(c, of_loop);
    }
}

void conns_force(struct plugin_loop *pl) {
    struct conn *c;
    while ((c = LIST_FIRST(&pl->conns))) {
        conn_set_end(c, TDA_C_CANCELLED, TDA_STR("the host is stopping"));
        drop_conn(c); /* takes it off the list */
    }
}

/* ---- what the plugin says ---- */

static void became_ready(struct conn *c, const struct tda_conn_event *event) {
    struct buf *info = &c->info;
    c->state = CONN_READY;
    timer_stop(c->owner.pl->loop, &c->ready);
    conn_idle_clock(c);
    c->ready_ns = c->used_ns;
    conn_say(c, LOG_FROM_HOST, TDA_STR("ready"));
    c->changes = next_change();
    buf_clear(info);
    if (event->json.n && json_check(event->json, 0, NULL) == TDA_OK && buf_add_str(info, event->json)) buf_clear(info);
    conn_queue_step(c);
}

static void say(struct conn *c, const struct tda_conn_event *event) {
    struct buf line;
    clean(c, event->text, &line);
    enum log_level level = event->level >= 1 && event->level <= 4 ? (enum log_level)event->level : LOG_LEVEL_INFO;
    LOG_AT(level, "MCP server says", LOG_Z("server", conn_server_name(c)), LOG_STR("text", buf_str(&line)));
    buf_fini(&line);
    conn_say(c, LOG_FROM_SERVER, event->text);
}

tda_status conn_take_event(struct conn *c, const struct tda_conn_event *event) {
    if (c->state >= CONN_ENDED) return TDA_E_STALE;
    switch (event->kind) {
    case TDA_CONN_READY:
        if (c->state != CONN_OPENING) return TDA_E_INVALID;
        became_ready(c, event);
        break;
    case TDA_CONN_FAILED:
    case TDA_CONN_CLOSED: end_conn(c, event->cls, event->text); break;
    case TDA_CONN_TOOLS_CHANGED: c->changes = next_change(); break;
    case TDA_CONN_LOG: say(c, event); break;
    case TDA_CONN_RESOURCE_UPDATED: conn_tell_update(c, event->text); break;
    case TDA_CONN_ASK: return ask_take(c, event);
    case TDA_CONN_ASK_OVER: return ask_over(c, event);
    default: break; /* of a later minor */
    }
    return TDA_OK;
}

/* ---- into the plugin ---- */

void conn_flow_event(struct owner *o, const struct tda_flow_event *event) {
    struct conn *c = (struct conn *)o;
    if (event->kind == TDA_FLOW_STDERR) conn_say(c, LOG_FROM_STDERR, event->data);
    if (c->state >= CONN_ENDED) return;
    plugin_enter(o);
    o->plugin->loaded.adapter->conn_flow(o->self, o->handle, event);
    plugin_leave();
    if (c->state == CONN_CLOSING && LIST_EMPTY(&o->flows)) end_conn(c, TDA_C_CANCELLED, TDA_STR("the connection was closed"));
}

void conn_wake_event(struct owner *o, uint64_t token) {
    struct conn *c = (struct conn *)o;
    if (c->state >= CONN_ENDED || !o->plugin->loaded.adapter->conn_wake) return;
    plugin_enter(o);
    o->plugin->loaded.adapter->conn_wake(o->self, o->handle, token);
    plugin_leave();
}

uint64_t conn_changes(const struct conn *c) {
    return c->changes;
}

void conn_keep(struct conn *c, void *object, live_drop drop) {
    if (c->kept) c->kept_drop(NULL, c->kept);
    c->kept = object;
    c->kept_drop = drop;
}

void *conn_kept(const struct conn *c) {
    return c->kept;
}

const char *conn_server_name(const struct conn *c) {
    return c->server ? c->server->name : c->fields[ctx_field_by_key(TDA_CTX_MCP_SERVER_NAME) - ctx_fields];
}

tda_str conn_server_info(const struct conn *c) {
    return c->info.n ? buf_str(&c->info) : (tda_str){0};
}
