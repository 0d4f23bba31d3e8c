/* mcp.probe: connects to a server, or takes the caller's connection, asks what it has, and says how long each step took. A server
 * that is not the context's is asked through a snapshot that nobody else sees, and its connection ends with it. */
#include <stdio.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "plugin/servers.h"

static const struct {
    uint32_t op;
    const char *name;
} steps[] = {{TDA_AOP_LIST_TOOLS, "tools"}, {TDA_AOP_LIST_PROMPTS, "prompts"}, {TDA_AOP_LIST_RESOURCES, "resources"}};

struct probe {
    struct work *work;
    struct snapshot *snapshot; /* a reference */
    struct conn *conn;
    struct call *call;
    struct timer timer;
    char who[96];
    bool cancelled;
    size_t step;
    int64_t began_ns;
    uint64_t items;
};

static void finish(struct probe *p, const struct error *e) {
    struct work *w = p->work;
    struct snapshot *served = p->snapshot;
    w->cancel = NULL;
    timer_stop(w->loop, &p->timer);
    if (p->conn) conn_release(p->conn, p);
    w->snapshot = served; /* for the reply's labels */
    w->done(w, e);
    snapshot_unref(served);
}

static void fail(struct probe *p, tda_status status, const char *kind, const char *what) {
    struct error e;
    error_set(&e, status, kind, "%s: %s", p->who, what);
    finish(p, &e);
}

/* `failed`: what went wrong, absent when nothing did. */
static void write_step(struct probe *p, const char *name, const uint64_t *count, tda_str failed) {
    struct jw *out = p->work->out;
    int64_t took_ns = clock_now_ns() - p->began_ns;
    p->work->meta.upstream_ns += took_ns;
    jw_begin_object(out);
    jw_put_z(out, "step", name);
    jw_put_i64(out, "us", took_ns / 1000);
    if (count) jw_put_u64(out, "count", *count);
    if (failed.p) jw_put_str(out, "error", failed);
    jw_end_object(out);
}

/* ---- what it has ---- */

static void next_step(struct probe *p);

static void on_item(void *arg, const struct tda_event *event) {
    struct probe *p = arg;
    p->items += event->kind == TDA_EV_ITEM;
}

static void on_listed(void *arg, const struct tda_result *r) {
    struct probe *p = arg;
    p->call = NULL;
    if (p->cancelled) {
        jw_end_array(p->work->out);
        fail(p, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    struct error e = {.retry_ms = -1};
    if (r->cls != TDA_C_OK) error_from_result(&e, r, p->who);
    write_step(p, steps[p->step].name, r->cls == TDA_C_OK ? &p->items : NULL, tda_str_of(r->cls == TDA_C_OK ? NULL : e.text));
    p->step++;
    next_step(p);
}

/* A server that was let go meanwhile is told of as it is now. */
static void tell(struct probe *p) {
    struct error e = {.retry_ms = -1};
    struct asking a = {p->work->agent->plugins, p->snapshot, snapshot_user(p->snapshot)};
    jw_end_array(p->work->out);
    tda_status s = server_write(&a, snapshot_get(p->snapshot, TDA_CTX_MCP_SERVER_NAME), p->work->out, &e);
    finish(p, s ? &e : NULL);
}

static void next_step(struct probe *p) {
    struct error e = {.retry_ms = -1};
    struct work *w = p->work;
    if (p->step == ARRAY_LEN(steps)) {
        tell(p);
        return;
    }
    struct call_spec spec = work_call_spec(w, w->agent->config->mcp_ready_timeout, "mcp.ready_timeout");
    struct tda_adapter_request request = {.size = sizeof request, .op = steps[p->step].op};
    spec.snapshot = p->snapshot;
    spec.on_event = on_item;
    spec.on_done = on_listed;
    spec.arg = p;
    p->items = 0;
    p->began_ns = clock_now_ns();
    if (!adapter_call(p->conn, &spec, &request, &p->call, &e)) return;
    jw_end_array(w->out);
    finish(p, &e);
}

/* ---- connecting ---- */

static void on_ready(void *arg, struct conn *c UNUSED, const struct tda_result *r) {
    struct probe *p = arg;
    timer_stop(p->work->loop, &p->timer);
    if (p->cancelled) {
        fail(p, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    if (r->cls != TDA_C_OK) {
        struct error e;
        error_from_result(&e, r, p->who);
        if (r->cls == TDA_C_NETWORK || r->cls == TDA_C_NOT_FOUND) snprintf(e.kind, sizeof e.kind, "mcp_unreachable");
        error_hint(&e, "mcp.logs shows what it said");
        finish(p, &e);
        return;
    }
    jw_open_array(p->work->out, "steps");
    write_step(p, "connect", NULL, (tda_str){0});
    next_step(p);
}

static void on_timer(struct timer *timer) {
    struct probe *p = CONTAINER_OF(timer, struct probe, timer);
    fail(p, p->cancelled ? TDA_E_CANCELLED : TDA_E_TIMEOUT, p->cancelled ? "cancelled" : "timeout",
         p->cancelled ? "cancelled" : "not ready before the deadline");
}

static void probe_cancel(struct work *w) {
    struct probe *p = w->operation;
    p->cancelled = true;
    if (p->call)
        call_cancel(p->call);
    else
        timer_set(w->loop, &p->timer, 0);
}

/* The caller's own, when it is his server; else one with that server in its place. */
static tda_status find_snapshot(struct work *w, struct snapshot **ret, struct error *e) {
    tda_str asked = json_str(json_key(w->params, TDA_STR("server")));
    tda_str own = w->snapshot ? snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME) : (tda_str){0};
    struct draft *d = NULL;
    if (!asked.n && !own.n) {
        error_set(e, TDA_E_INVALID, "missing_param", "which server? this context has none of its own");
        error_field(e, "server");
        error_hint(e, "mcp.list shows the servers there are");
        return TDA_E_INVALID;
    }
    if (own.n && (!asked.n || tda_str_eq(asked, own))) {
        snapshot_ref(w->snapshot);
        *ret = w->snapshot;
        return TDA_OK;
    }
    tda_status s = draft_new(w->agent->contexts, w->user, w->snapshot, &d);
    if (!s) s = draft_set(d, TDA_CTX_MCP_SERVER_NAME, asked, e);
    if (!s) s = draft_preview(d, ret);
    draft_free(d);
    if (s && !e->text[0]) error_set(e, s, NULL, "%s", status_text(s));
    return s;
}

void agent_mcp_probe(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct probe *p = arena_alloc(w->arena, sizeof *p);
    if (!p) error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    if (!p || (w->agent->limits && limits_begin(w->agent->limits, w->user, &e)) || find_snapshot(w, &p->snapshot, &e)) {
        w->done(w, &e);
        return;
    }
    p->work = w;
    p->timer.fire = on_timer;
    p->began_ns = clock_now_ns();
    snprintf(p->who, sizeof p->who, "MCP server %.*s", STR_FMT(snapshot_get(p->snapshot, TDA_CTX_MCP_SERVER_NAME)));
    w->operation = p;
    struct call_spec spec = work_call_spec(w, 0, NULL);
    spec.snapshot = p->snapshot;
    if (conn_acquire(&spec, (tda_str){0}, on_ready, p, &p->conn, &e)) {
        finish(p, &e);
        return;
    }
    w->cancel = probe_cancel;
    timer_set(w->loop, &p->timer, w->deadline_ns);
}
