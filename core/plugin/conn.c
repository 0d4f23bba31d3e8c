/* One connection of an adapter to a user's server. It lives in the tools box of the user's configuration, is shared by his calls,
 * and ends when that configuration does, when its server does, or when nobody holds it any more.
 *
 * References: the box, each holder (conn_acquire), each call, and the plugin from connect to drop. Like a call, a connection is
 * only marked by what ends it; the rest happens in a deferred step. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

enum { INFO_MAX = 64 << 10, FORCE_GRACES = 3 };

static _Atomic uint64_t last_change;

static uint64_t next_change(void) {
    return atomic_fetch_add_explicit(&last_change, 1, memory_order_relaxed) + 1;
}

void conn_ref(struct conn *c) {
    c->refs++;
}

void conn_unref(struct conn *c) {
    if (--c->refs) return;
    for (size_t i = 0; i < CTX_FIELDS; i++) free(c->fields[i]);
    free(c->url);
    buf_fini(&c->info);
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

static void forget_waiters(struct conn *c) {
    struct waiter *w;
    for (w = LIST_FIRST(&c->waiters); w; w = LIST_NEXT(w, entry)) {
        w->told = true;
    }
}

/* ---- the end ---- */

static void set_end(struct conn *c, uint32_t cls, tda_str text) {
    if (c->end.cls) return; /* the first reason is the reason */
    struct buf clean;
    buf_init(&clean, 3 * sizeof c->why); /* a byte that is no UTF-8 becomes three */
    text_sanitise((tda_str){text.p, text.n < sizeof c->why ? text.n : sizeof c->why}, &clean);
    snprintf(c->why, sizeof c->why, "%.*s", STR_FMT(buf_str(&clean)));
    buf_fini(&clean);
    c->end =
        (struct tda_result){.size = sizeof c->end, .cls = cls ? cls : TDA_C_NETWORK, .retry_ms = -1, .text = tda_str_of(c->why)};
}

static void end_conn(struct conn *c, uint32_t cls, tda_str text) {
    if (c->state >= CONN_ENDED) return;
    set_end(c, cls, text);
    c->state = CONN_ENDED;
    conn_queue_step(c);
}

static void fail_calls(struct conn *c) {
    struct call *call;
    for (call = LIST_FIRST(&c->calls); call; call = LIST_NEXT(call, of_conn))
        call_fail(call, TDA_C_NETWORK, c->why[0] ? c->why : "the connection to the server has ended");
}

static void drop_object(struct conn *c) {
    if (!c->object) return;
    plugin_enter(&c->owner);
    c->object_drop(c->owner.self, c->object);
    plugin_leave();
    c->object = NULL;
}

/* Calls first: they use the connection's handle in their drop. */
static void drop_conn(struct conn *c) {
    const struct tda_adapter *a = c->owner.plugin->loaded.adapter;
    c->state = CONN_DROPPED;
    asks_end(c);
    owner_quiet(&c->owner);
    timer_stop(c->owner.pl->loop, &c->force);
    timer_stop(c->owner.pl->loop, &c->ready);
    if (a->conn_drop) {
        plugin_enter(&c->owner);
        a->conn_drop(c->owner.self, c->owner.handle);
        plugin_leave();
    }
    drop_object(c);
    LIST_REMOVE(c, of_loop);
    owner_fini(&c->owner);
    c->owner.state = NULL;
    c->owner.handle = 0;
    atomic_fetch_sub_explicit(&c->owner.pl->plugins->conns_open, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->owner.plugin->conns, 1, memory_order_relaxed);
    conn_unref(c);
}

static void step(struct task *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, step);
    c->queued = false;
    if (c->state == CONN_READY || c->state == CONN_ENDED || c->state == CONN_DROPPED) tell_waiters(c);
    asks_step(c);
    if (c->state == CONN_ENDED && LIST_EMPTY(&c->calls)) {
        drop_conn(c);
    } else if (c->state == CONN_ENDED) {
        fail_calls(c);
        conn_queue_step(c); /* after theirs */
    }
    conn_unref(c);
}

static void force_fired(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, force);
    log_warn("an adapter did not close its connection in time", LOG_Z("plugin", c->owner.plugin->loaded.note.id));
    end_conn(c, TDA_C_TIMEOUT, TDA_STR("the connection was closed by force"));
}

static void not_ready_in_time(struct timer *t) {
    end_conn(CONTAINER_OF(t, struct conn, ready), TDA_C_TIMEOUT, TDA_STR("the server was not ready in time"));
}

void conn_ready_clock(struct conn *c, bool runs) {
    struct loop *l = c->owner.pl->loop;
    if (c->state != CONN_OPENING) return;
    timer_stop(l, &c->ready);
    c->ready.fire = not_ready_in_time;
    if (runs) timer_set(l, &c->ready, clock_now_ns() + loop_config(l)->mcp_ready_timeout);
}

/* Nobody wants it any more: goodbye to the server, and time for it. */
static void close_conn(struct conn *c) {
    struct loop *l = c->owner.pl->loop;
    if (c->state >= CONN_CLOSING) return;
    c->state = CONN_CLOSING;
    forget_waiters(c);
    set_end(c, TDA_C_CANCELLED, TDA_STR("the connection was closed"));
    c->force.fire = force_fired;
    timer_set(l, &c->force, clock_now_ns() + FORCE_GRACES * loop_config(l)->mcp_stop_grace);
    plugin_enter(&c->owner);
    c->owner.plugin->loaded.adapter->conn_close(c->owner.self, c->owner.handle);
    plugin_leave();
    plugin_flows_stop(&c->owner);
    if (LIST_EMPTY(&c->owner.flows)) end_conn(c, TDA_C_CANCELLED, TDA_STR("the connection was closed"));
}

static bool is_wanted(const struct conn *c) {
    return c->in_box || !LIST_EMPTY(&c->waiters) || !LIST_EMPTY(&c->calls);
}

/* The configuration is gone (live.c), on this loop. */
static void left_box(void *owner UNUSED, void *object) {
    struct conn *c = object;
    c->in_box = false;
    if (!is_wanted(c)) close_conn(c);
    conn_unref(c);
}

void conns_force(struct plugin_loop *pl) {
    struct conn *c;
    while ((c = LIST_FIRST(&pl->conns))) {
        set_end(c, TDA_C_CANCELLED, TDA_STR("the host is stopping"));
        drop_conn(c); /* takes it off the list */
    }
}

/* ---- what the plugin says ---- */

static void became_ready(struct conn *c, const struct tda_conn_event *event) {
    struct buf *info = &c->info;
    c->state = CONN_READY;
    timer_stop(c->owner.pl->loop, &c->ready);
    c->changes = next_change();
    buf_clear(info);
    if (event->json.n && json_check(event->json, 0, NULL) == TDA_OK && buf_add_str(info, event->json)) buf_clear(info);
    conn_queue_step(c);
}

static void say(struct conn *c, const struct tda_conn_event *event) {
    char line[512];
    struct buf clean;
    buf_init(&clean, sizeof line * 4);
    text_sanitise((tda_str){event->text.p, event->text.n < sizeof line ? event->text.n : sizeof line}, &clean);
    enum log_level level = event->level >= 1 && event->level <= 4 ? (enum log_level)event->level : LOG_LEVEL_INFO;
    LOG_AT(level, "MCP server says", LOG_Z("server", c->server ? c->server->name : ""), LOG_STR("text", buf_str(&clean)));
    buf_fini(&clean);
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
    case TDA_CONN_ASK: return ask_take(c, event);
    case TDA_CONN_ASK_OVER: return ask_over(c, event);
    default: break; /* of a later minor */
    }
    return TDA_OK;
}

/* ---- into the plugin ---- */

void conn_flow_event(struct owner *o, const struct tda_flow_event *event) {
    struct conn *c = (struct conn *)o;
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

/* ---- opening ---- */

static tda_status unknown_server(const struct config *c, tda_str name, struct error *e) {
    struct buf known;
    buf_init(&known, 160);
    for (size_t i = 0; i < c->n_servers; i++) buf_addf(&known, "%s%s", i ? ", " : "", c->servers[i].name);
    error_set(e, TDA_E_NOT_FOUND, "unknown_mcp_server", "there is no MCP server \"%.*s\"", (int)(name.n < 64 ? name.n : 64),
              name.p ? name.p : "");
    error_field(e, "mcp_server.name");
    error_hint(e, known.n ? "the operator's configuration has: %.*s" : "the operator's configuration has none%.*s",
               STR_FMT(buf_str(&known)));
    buf_fini(&known);
    return TDA_E_NOT_FOUND;
}

/* A server of the operator's by its name, or a url among the user's server_configs. */
static tda_status find_server(struct conn *c, const struct config *config, const struct snapshot *s, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    tda_str name = snapshot_get(s, TDA_CTX_MCP_SERVER_NAME);
    c->server = config_server_find(config, name);
    if (c->server && c->server->url && !(c->url = str_dup(tda_str_of(c->server->url)))) return TDA_E_NOMEM;
    if (c->server) return TDA_OK;
    if (json_parse(snapshot_get(s, TDA_CTX_SERVER_CONFIGS), 0, &doc, NULL)) return unknown_server(config, name, e);
    tda_str url = json_str(json_key(json_key(json_root(doc), name), TDA_STR("url")));
    if (!url.n) return unknown_server(config, name, e);
    return (c->url = str_dup(url)) ? TDA_OK : TDA_E_NOMEM;
}

static struct plugin *find_adapter(const struct plugins *ps, const char *id, struct error *e) {
    struct plugin *p = registry_find(registry_now(ps), id);
    if (p && p->loaded.adapter) return p;
    error_set(e, TDA_E_UNSUPPORTED, "plugin_not_loaded", "the adapter plugin \"%s\" is not loaded", id);
    error_hint(e, "add it to plugins.load; plugin.list says why it was refused");
    return NULL;
}

static tda_status copy_fields(struct conn *c, const struct snapshot *s) {
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        tda_str v = snapshot_get(s, ctx_fields[i].key);
        if (v.p && !(c->fields[i] = str_dup(v))) return TDA_E_NOMEM;
    }
    return TDA_OK;
}

static tda_status make_conn(const struct call_spec *spec, struct conn **ret, struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    struct conn *c = calloc(1, sizeof *c);
    if (!c) return TDA_E_NOMEM;
    c->refs = 1;
    c->step.run = step;
    buf_init(&c->info, INFO_MAX);
    tda_status s = find_server(c, pl->plugins->config, spec->snapshot, e);
    struct plugin *p = s ? NULL : find_adapter(pl->plugins, c->server ? c->server->adapter : "mcp", e);
    if (!s && !p) s = TDA_E_UNSUPPORTED;
    if (!s) s = copy_fields(c, spec->snapshot);
    if (!s) s = owner_init(&c->owner, HANDLE_CONN, pl, p, p->on[pl->index].adapter, p->loaded.adapter->conn_state_size);
    if (s) {
        conn_unref(c);
        return s;
    }
    snprintf(c->owner.user, sizeof c->owner.user, "%s", snapshot_user(spec->snapshot));
    LIST_INSERT_HEAD(&pl->conns, c, of_loop);
    atomic_fetch_add_explicit(&pl->plugins->conns_open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->conns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pl->plugins->conns_total, 1, memory_order_relaxed);
    *ret = c;
    return TDA_OK;
}

static void connect_failed(struct conn *c, tda_status s) {
    char text[160];
    snprintf(text, sizeof text, "plugin %s could not connect: %s", c->owner.plugin->loaded.note.id, status_text(s));
    LIST_REMOVE(c, of_loop);
    timer_stop(c->owner.pl->loop, &c->ready);
    asks_end(c);
    set_end(c, TDA_C_INTERNAL, tda_str_of(text));
    c->state = CONN_DROPPED; /* a connect that failed gets no drop */
    owner_fini(&c->owner);
    c->owner.state = NULL;
    c->owner.handle = 0;
    atomic_fetch_sub_explicit(&c->owner.pl->plugins->conns_open, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->owner.plugin->conns, 1, memory_order_relaxed);
    conn_unref(c);
    conn_queue_step(c);
}

/* The plugin's reference is the one it was made with. */
static void connect_plugin(struct conn *c) {
    int64_t ready_ns = loop_config(c->owner.pl->loop)->mcp_ready_timeout;
    struct tda_server server = {.size = sizeof server,
                                .transport = c->url ? TDA_SERVER_URL : TDA_SERVER_PROCESS,
                                .name = tda_str_of(c->fields[ctx_field_by_key(TDA_CTX_MCP_SERVER_NAME) - ctx_fields]),
                                .url = tda_str_of(c->url),
                                .deadline_ms = ready_ns / NS_PER_MS};
    conn_ready_clock(c, true);
    plugin_enter(&c->owner);
    tda_status s = c->owner.plugin->loaded.adapter->connect(c->owner.self, c->owner.handle, &server);
    plugin_leave();
    if (s) connect_failed(c, s);
}

static const char box_owner; /* its address is the key of connections in a box */

tda_status conn_acquire(const struct call_spec *spec, uint64_t key, conn_ready_fn ready, void *arg, struct conn **ret_conn,
                        struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    struct live *box = snapshot_live(spec->snapshot, CTX_GROUP_TOOLS);
    void *owner = (void *)(uintptr_t)&box_owner;
    struct waiter *w = calloc(1, sizeof *w);
    if (!w) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    *w = (struct waiter){.ready = ready, .arg = arg, .asker = {spec->on_ask, spec->on_ask_over, spec->ask_arg, NULL, 0}};
    struct conn *c = live_get(box, pl->index, owner, key);
    if (c && c->state >= CONN_CLOSING) { /* it has ended: the next one takes its place */
        live_take(box, pl->index, owner, key);
        c->in_box = false;
        conn_unref(c);
        c = NULL;
    }
    bool is_new = !c;
    tda_status s = c ? TDA_OK : make_conn(spec, &c, e);
    if (!s && is_new) s = live_put(box, pl->index, owner, key, c, left_box);
    if (s) {
        free(w);
        if (e && !e->text[0]) error_set(e, s, NULL, "no connection can be made: %s", status_text(s));
        return s;
    }
    if (is_new) {
        conn_ref(c);
        c->in_box = true;
    }
    LIST_INSERT_HEAD(&c->waiters, w, entry);
    conn_ref(c);
    *ret_conn = c;
    if (is_new) connect_plugin(c);
    if (c->state == CONN_READY) conn_queue_step(c);
    return TDA_OK;
}

void conn_release(struct conn *c, void *arg) {
    struct waiter *w;
    for (w = LIST_FIRST(&c->waiters); w && w->arg != arg;) w = LIST_NEXT(w, entry);
    if (w) {
        asks_leave(c, &w->asker);
        LIST_REMOVE(w, entry);
        free(w);
    }
    if (!is_wanted(c) && c->state < CONN_CLOSING) close_conn(c);
    conn_unref(c);
}

uint64_t conn_changes(const struct conn *c) {
    return c->changes;
}

const char *conn_server_name(const struct conn *c) {
    return c->server ? c->server->name : c->fields[ctx_field_by_key(TDA_CTX_MCP_SERVER_NAME) - ctx_fields];
}

tda_str conn_server_info(const struct conn *c) {
    return c->info.n ? buf_str(&c->info) : (tda_str){0};
}
