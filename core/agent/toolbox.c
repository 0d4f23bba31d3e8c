#include "agent/toolbox.h"

#include <stdio.h>

#include "agent/events.h"
#include "base/clock.h"
#include "base/log.h"

static void drop_catalogue(void *owner, void *object) {
    (void)owner;
    catalogue_unref(object);
}

bool toolbox_wanted(const struct work *w) {
    return snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME).n > 0;
}

static void finish(struct toolbox *t, const struct error *e) {
    timer_stop(t->work->loop, &t->timer);
    t->opening = false;
    t->call = NULL;
    t->done(t, e);
}

static void fail(struct toolbox *t, tda_status status, const char *kind, const char *what) {
    struct error e;
    error_set(&e, status, kind, "%s: %s", t->who, what);
    finish(t, &e);
}

/* ---- what the user has approved ---- */

enum pin_state toolbox_pin(const struct toolbox *t, const struct tool *tool) {
    return t->pins.states ? t->pins.states[tool - t->catalogue->tools] : PIN_NONE;
}

bool toolbox_allows(const struct toolbox *t, const struct tool *tool) {
    enum pin_state pin = toolbox_pin(t, tool);
    return (pin == PIN_NONE || pin == PIN_OK) && catalogue_enables(t->catalogue, tool, t->work->snapshot);
}

static void report_drift(const struct toolbox *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->catalogue->n; i++) n += t->pins.states[i] != PIN_OK;
    if (!n) return;
    event_tools_changed(t->work, t);
    if (t->fresh)
        LOG_SOME(LOG_LEVEL_WARN, "tools are not as they were approved, and refused", LOG_Z("server", t->catalogue->server),
                 LOG_INT("tools", (int64_t)n), LOG_Z("request", t->work->request_id));
}

static void on_pins(struct pins *p, const struct error *e) {
    struct toolbox *t = CONTAINER_OF(p, struct toolbox, pins);
    struct error copy;
    if (t->cancelled) {
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    if (e)
        copy = *e;
    else
        report_drift(t);
    finish(t, e ? &copy : NULL);
}

static void have_tools(struct toolbox *t) {
    t->call = NULL;
    if (!pins_wanted(t->work)) {
        finish(t, NULL);
        return;
    }
    t->pins = (struct pins){.work = t->work, .catalogue = t->catalogue, .done = on_pins};
    pins_check(&t->pins);
}

/* ---- listing ---- */

static void on_item(void *arg, const struct tda_event *event) {
    struct toolbox *t = arg;
    if (event->kind != TDA_EV_ITEM || !event->name.n || t->overflow) return;
    if (t->listing->n >= (uint64_t)t->work->agent->config->mcp_max_tools || !catalogue_add(t->listing, event)) t->overflow = true;
}

static void on_listed(void *arg, const struct tda_result *r) {
    struct toolbox *t = arg;
    struct catalogue *c = t->listing;
    t->listing = NULL;
    t->work->meta.upstream_ns += call_upstream_ns(t->call);
    if (t->cancelled) {
        catalogue_unref(c);
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
    } else if (r->cls != TDA_C_OK) {
        struct error e;
        catalogue_unref(c);
        error_from_result(&e, r, t->who);
        snprintf(e.kind, sizeof e.kind, "%s", r->cls == TDA_C_TIMEOUT ? "timeout" : "listing_failed");
        finish(t, &e);
    } else if (catalogue_seal(c)) {
        catalogue_unref(c);
        fail(t, TDA_E_NOMEM, "out_of_memory", "out of memory");
    } else {
        if (t->overflow)
            LOG_SOME(LOG_LEVEL_WARN, "more tools than mcp.max_tools, the rest is left out", LOG_Z("server", c->server),
                     LOG_INT("kept", (int64_t)c->n));
        catalogue_ref(c);
        conn_keep(t->conn, c, drop_catalogue);
        t->catalogue = c;
        t->fresh = true;
        have_tools(t);
    }
}

static void list(struct toolbox *t) {
    struct error e = {.retry_ms = -1};
    struct call_spec spec = work_call_spec(t->work, t->work->agent->config->mcp_ready_timeout, "mcp.ready_timeout");
    struct tda_adapter_request request = {.size = sizeof request, .op = TDA_AOP_LIST_TOOLS};
    spec.on_event = on_item;
    spec.on_done = on_listed;
    spec.arg = t;
    t->listing = catalogue_new(snapshot_get(t->work->snapshot, TDA_CTX_MCP_SERVER_NAME));
    if (t->listing) t->listing->changes = conn_changes(t->conn);
    if (!t->listing) {
        fail(t, TDA_E_NOMEM, "out_of_memory", "out of memory");
    } else if (adapter_call(t->conn, &spec, &request, &t->call, &e)) {
        catalogue_unref(t->listing);
        t->listing = NULL;
        finish(t, &e);
    }
}

static void on_ready(void *arg, struct conn *c, const struct tda_result *r) {
    struct toolbox *t = arg;
    t->opening = false;
    timer_stop(t->work->loop, &t->timer); /* the listing has a deadline of its own, and must not be abandoned under way */
    t->work->meta.upstream_ns += clock_now_ns() - t->opened_ns; /* a server that starts */
    if (t->cancelled) {
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    if (r->cls == TDA_C_OK && t->only_connect) {
        finish(t, NULL);
        return;
    }
    if (r->cls != TDA_C_OK) {
        struct error e;
        error_from_result(&e, r, t->who);
        if (r->cls == TDA_C_NETWORK || r->cls == TDA_C_NOT_FOUND) snprintf(e.kind, sizeof e.kind, "mcp_unreachable");
        if (r->cls != TDA_C_AUTH)
            error_hint(&e, "check the server's command or address in the configuration, and the daemon's log");
        finish(t, &e);
        return;
    }
    struct catalogue *kept = conn_kept(c);
    if (kept && kept->changes == conn_changes(c)) {
        catalogue_ref(kept);
        t->catalogue = kept;
        have_tools(t);
        return;
    }
    list(t);
}

static void on_deadline(struct timer *timer) {
    struct toolbox *t = CONTAINER_OF(timer, struct toolbox, timer);
    if (t->conn) conn_release(t->conn, t);
    t->conn = NULL;
    if (t->cancelled)
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
    else
        fail(t, TDA_E_TIMEOUT, "timeout", "not ready before the deadline");
}

static void on_open(struct timer *timer) {
    struct toolbox *t = CONTAINER_OF(timer, struct toolbox, timer);
    struct error e = {.retry_ms = -1};
    struct call_spec spec = work_call_spec(t->work, 0, NULL);
    if (t->cancelled) {
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    t->opening = true;
    t->opened_ns = clock_now_ns();
    t->timer.fire = on_deadline;
    tda_str session = json_str(json_key(t->work->params, TDA_STR("session")));
    if (conn_acquire(&spec, session, on_ready, t, &t->conn, &e)) {
        finish(t, &e);
        return;
    }
    timer_set(t->work->loop, &t->timer, t->work->deadline_ns);
}

void toolbox_open(struct toolbox *t) {
    snprintf(t->who, sizeof t->who, "MCP server %.*s", STR_FMT(snapshot_get(t->work->snapshot, TDA_CTX_MCP_SERVER_NAME)));
    t->timer.fire = on_open;
    if (timer_set(t->work->loop, &t->timer, 0)) fail(t, TDA_E_NOMEM, "out_of_memory", "out of memory");
}

void toolbox_cancel(struct toolbox *t) {
    if (t->cancelled) return;
    t->cancelled = true;
    if (t->call)
        call_cancel(t->call);
    else if (t->opening)
        timer_set(t->work->loop, &t->timer, 0); /* on_deadline lets the connection go */
}

void toolbox_fini(struct toolbox *t) {
    timer_stop(t->work->loop, &t->timer);
    if (t->conn) conn_release(t->conn, t);
    catalogue_unref(t->catalogue);
    t->conn = NULL;
    t->catalogue = NULL;
}
