/* One call of a provider or an adapter: start, events, one finish, then `done`, drop and the snapshot's reference, in that order
 * and once each. Whatever ends a call only marks it; the rest happens in a deferred step, so that a plugin is never called from
 * inside a function of the host's that it called. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

enum {
    RESULT_TEXT_MAX = 4096,
    RESULT_WORD_MAX = 256,
    RESULT_GROWTH = 3, /* U+FFFD for a bad byte; "[redacted]" for six */
    RESULT_ROOM = (RESULT_TEXT_MAX + 2 * RESULT_WORD_MAX) * RESULT_GROWTH + 64
};

static void step(struct task *t);

static void queue_step(struct call *c) {
    if (c->queued) return;
    c->queued = true;
    loop_defer(c->owner.pl->loop, &c->step);
}

/* ---- the result ---- */

static size_t at_most(size_t n, size_t max) {
    return n < max ? n : max;
}

/* Cleaned and redacted, into `texts`, which has room: what is returned stays where it is. */
static tda_str keep_text(struct call *c, tda_str s, size_t max) {
    struct buf clean;
    if (!s.p) return s;
    buf_init(&clean, RESULT_ROOM);
    text_sanitise((tda_str){s.p, at_most(s.n, max)}, &clean);
    owner_redact(&c->owner, &clean);
    tda_str kept = {c->texts.p ? c->texts.p + c->texts.n : NULL, clean.n};
    tda_status status = buf_add_str(&c->texts, buf_str(&clean));
    buf_fini(&clean);
    if (status) kept = (tda_str){0};
    return kept;
}

static void keep_result(struct call *c, const struct tda_result *r) {
    c->result = *r;
    c->result.size = sizeof c->result;
    size_t room =
        at_most(r->code.n, RESULT_WORD_MAX) + at_most(r->text.n, RESULT_TEXT_MAX) + at_most(r->request_id.n, RESULT_WORD_MAX);
    buf_reserve(&c->texts, room * RESULT_GROWTH + 1);
    c->result.code = keep_text(c, r->code, RESULT_WORD_MAX);
    c->result.text = keep_text(c, r->text, RESULT_TEXT_MAX);
    c->result.request_id = keep_text(c, r->request_id, RESULT_WORD_MAX);
}

/* Whose deadline it was: who reads it may want another one. */
static tda_str no_end(const struct call *c, char *out, size_t size) {
    bool moved = c->spec.latest_ns && c->deadline.at_ns >= c->spec.latest_ns;
    const char *from = c->spec.deadline_from && !moved ? c->spec.deadline_from : "the request's deadline_ms or calls.turn_timeout";
    snprintf(out, size, "no end before the deadline (%s)", from);
    return tda_str_of(out);
}

tda_status call_finish(struct call *c, const struct tda_result *result) {
    char text[96];
    if (c->finished) return TDA_E_STALE;
    if (!TDA_HAS(result, struct tda_result, request_id)) return TDA_E_INVALID;
    c->finished = true;
    atomic_fetch_add_explicit(&c->owner.pl->plugins->finished, 1, memory_order_relaxed);
    struct tda_result r = *result;
    if (c->missing_secret) {
        r.cls = TDA_C_AUTH;
        r.code = TDA_STR("missing_credential");
        r.text = TDA_STR("there is no credential for this provider and address");
    }
    if (c->conn) server_auth_explain(c->conn, &r);
    if (c->cancelled || c->timed_out) {
        r = (struct tda_result){.size = sizeof r, .cls = c->timed_out ? TDA_C_TIMEOUT : TDA_C_CANCELLED, .retry_ms = -1};
        r.text = c->timed_out ? no_end(c, text, sizeof text) : TDA_STR("cancelled");
    }
    keep_result(c, &r);
    queue_step(c);
    return TDA_OK;
}

void call_fail(struct call *c, uint32_t cls, const char *text) {
    call_finish(c, &(struct tda_result){.size = sizeof(struct tda_result), .cls = cls, .retry_ms = -1, .text = tda_str_of(text)});
}

/* ---- a deadline that moves, within what the caller has ---- */

static void set_deadline(struct call *c, int64_t at_ns) {
    if (c->finished || !c->spec.latest_ns) return;
    timer_set(c->owner.pl->loop, &c->deadline, at_ns < c->spec.latest_ns ? at_ns : c->spec.latest_ns);
}

/* The server works: the time that the call was given begins again. */
static void progressed(struct call *c) {
    int64_t at_ns = clock_now_ns() + c->span_ns;
    if (at_ns > c->deadline.at_ns) set_deadline(c, at_ns);
}

void call_waits_for_user(struct call *c) {
    set_deadline(c, c->spec.latest_ns);
}

void call_user_answered(struct call *c) {
    set_deadline(c, clock_now_ns() + c->span_ns);
}

/* ---- events ---- */

tda_status call_emit(struct call *c, const struct tda_event *event) {
    struct tda_event whole = {0};
    if (c->finished) return TDA_E_STALE;
    if (event->size < offsetof(struct tda_event, id)) return TDA_E_INVALID;
    if (event->kind == TDA_EV_PROGRESS) progressed(c);
    if (c->cancelled || c->timed_out || !c->spec.on_event) return TDA_OK;
    memcpy(&whole, event, event->size < sizeof whole ? event->size : sizeof whole);
    if (whole.kind == TDA_EV_ERROR) {
        struct buf clean;
        buf_init(&clean, RESULT_ROOM);
        text_sanitise((tda_str){whole.text.p, at_most(whole.text.n, RESULT_TEXT_MAX)}, &clean);
        owner_redact(&c->owner, &clean);
        whole.text = buf_str(&clean);
        c->spec.on_event(c->spec.arg, &whole);
        buf_fini(&clean);
    } else {
        c->spec.on_event(c->spec.arg, &whole);
    }
    return TDA_OK;
}

/* ---- the end ---- */

static void tell_plugin_cancel(struct call *c) {
    const struct loaded *p = &c->owner.plugin->loaded;
    plugin_enter(&c->owner);
    if (c->conn && p->adapter->cancel && c->conn->state == CONN_READY)
        p->adapter->cancel(c->owner.self, c->conn->owner.handle, c->owner.handle);
    else if (!c->conn && p->provider->cancel)
        p->provider->cancel(c->owner.self, c->owner.handle);
    plugin_leave();
}

static void tell_plugin_drop(struct call *c) {
    const struct loaded *p = &c->owner.plugin->loaded;
    plugin_enter(&c->owner);
    if (c->conn && p->adapter->drop)
        p->adapter->drop(c->owner.self, c->conn->owner.handle, c->owner.handle);
    else if (!c->conn && p->provider->drop)
        p->provider->drop(c->owner.self, c->owner.handle);
    plugin_leave();
}

static void free_call(struct call *c) {
    struct conn *conn = c->conn;
    timer_stop(c->owner.pl->loop, &c->deadline);
    if (conn) LIST_REMOVE(c, of_conn);
    atomic_fetch_sub_explicit(&c->owner.plugin->in_flight, 1, memory_order_relaxed);
    blocking_free(c->blocking);
    owner_fini(&c->owner);
    buf_fini(&c->texts);
    free(c);
    if (conn) conn_unref(conn);
}

/* The caller has his answer; what he lent is his again. */
static void tell_done(struct call *c) {
    owner_quiet(&c->owner);
    timer_stop(c->owner.pl->loop, &c->deadline);
    if (c->conn) asks_leave(c->conn, &c->asker);
    c->told = true;
    c->draft = NULL;
    if (c->blocking) c->heard = blocking_end(c, TDA_E_STALE);
    if (c->blocking && !c->run_over) c->owner.pl->late++;
    c->spec.on_done(c->spec.arg, &c->result);
}

/* A plugin whose run was never begun has not heard of the call. */
static void complete(struct call *c) {
    struct plugins *ps = c->owner.pl->plugins;
    if (!c->told) tell_done(c);
    if (c->blocking && !c->run_over) return; /* call_run_returned comes back here */
    if (!c->blocking || c->heard) tell_plugin_drop(c);
    atomic_fetch_add_explicit(&ps->dropped, 1, memory_order_relaxed);
    free_call(c);
}

static void step(struct task *t) {
    struct call *c = CONTAINER_OF(t, struct call, step);
    c->queued = false;
    if (!c->started) { /* start failed after it had finished: nobody is told, nothing is dropped */
        free_call(c);
        return;
    }
    if (!c->finished && (c->cancelled || c->timed_out)) {
        if (!c->blocking || blocking_end(c, c->cancelled ? TDA_E_CANCELLED : TDA_E_TIMEOUT)) tell_plugin_cancel(c);
        if (!c->finished) call_fail(c, TDA_C_CANCELLED, "");
        return; /* finish has queued the next step */
    }
    if (c->finished) complete(c);
}

void call_cancel(struct call *c) {
    if (c->finished || c->cancelled) return;
    c->cancelled = true;
    queue_step(c);
}

static void deadline_passed(struct timer *t) {
    struct call *c = CONTAINER_OF(t, struct call, deadline);
    if (c->finished || c->cancelled) return;
    c->timed_out = true;
    queue_step(c);
}

int64_t call_upstream_ns(const struct call *c) {
    return owner_upstream_ns(&c->owner);
}

/* ---- callbacks into the plugin ---- */

static void never_finished(struct call *c) {
    struct owner *o = &c->owner;
    atomic_fetch_add_explicit(&o->plugin->bugs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&o->pl->plugins->bugs, 1, memory_order_relaxed);
    LOG_SOME(LOG_LEVEL_ERROR, "a plugin forgot to finish a call", LOG_Z("plugin", o->plugin->loaded.note.id),
             LOG_Z("request", o->request_id));
    call_fail(c, TDA_C_PROTOCOL, "the provider's plugin ended without a result");
}

/* A provider whose last flow has ended, which waits for nothing and has not finished, never will. */
static void check_alive(struct call *c) {
    struct owner *o = &c->owner;
    if (c->conn || c->blocking || c->finished || c->cancelled || c->timed_out || o->plugin->loaded.note.threads) return;
    if (!LIST_EMPTY(&o->flows) || o->n_timers || o->wakes) return;
    never_finished(c);
}

void call_run_returned(struct call *c, tda_status s) {
    c->run_over = true;
    if (c->told) {
        c->owner.pl->late--;
        complete(c);
    } else if (!c->finished && !c->cancelled && !c->timed_out) {
        char text[96];
        snprintf(text, sizeof text, "the provider's plugin failed: %s", status_text(s));
        if (s)
            call_fail(c, TDA_C_INTERNAL, text);
        else
            never_finished(c);
    }
}

void call_flow_event(struct owner *o, const struct tda_flow_event *event) {
    struct call *c = (struct call *)o;
    if (c->finished) return;
    plugin_enter(o);
    if (c->conn)
        o->plugin->loaded.adapter->conn_flow(o->self, c->conn->owner.handle, event);
    else if (o->plugin->loaded.provider->on_flow)
        o->plugin->loaded.provider->on_flow(o->self, o->handle, event);
    plugin_leave();
    check_alive(c);
}

void call_wake(struct owner *o, uint64_t token) {
    struct call *c = (struct call *)o;
    if (c->finished) return;
    plugin_enter(o);
    if (!c->conn && o->plugin->loaded.provider->on_wake) o->plugin->loaded.provider->on_wake(o->self, o->handle, token);
    plugin_leave();
    check_alive(c);
}

/* ---- beginning ---- */

static tda_status make_call(const struct call_spec *spec, struct plugin *p, void *self, size_t state_size, struct call **ret) {
    struct plugin_loop *pl = plugin_loop_here();
    struct call *c = calloc(1, sizeof *c);
    if (!c) return TDA_E_NOMEM;
    tda_status s = owner_init(&c->owner, HANDLE_CALL, pl, p, self, state_size);
    if (s) {
        free(c);
        return s;
    }
    atomic_fetch_add_explicit(&p->in_flight, 1, memory_order_relaxed);
    c->spec = *spec;
    c->draft = spec->draft;
    c->step.run = step;
    c->deadline.fire = deadline_passed;
    buf_init(&c->texts, RESULT_ROOM);
    snapshot_ref(spec->snapshot);
    c->owner.snapshot = spec->snapshot;
    owner_set_user(&c->owner, snapshot_user(spec->snapshot));
    snprintf(c->owner.request_id, sizeof c->owner.request_id, "%s", spec->request_id ? spec->request_id : "");
    c->span_ns = spec->deadline_ns - clock_now_ns();
    c->asker = (struct asker){.on_ask = spec->on_ask, .on_over = spec->on_ask_over, .arg = spec->ask_arg, .call = c};
    s = timer_set(pl->loop, &c->deadline, spec->deadline_ns);
    if (s) {
        free_call(c);
        return s;
    }
    *ret = c;
    return TDA_OK;
}

static void count_start(struct call *c) {
    atomic_fetch_add_explicit(&c->owner.plugin->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->owner.pl->plugins->started, 1, memory_order_relaxed);
    c->started = true;
}

/* It has been handed out already, for what the plugin emits while it starts: taken back. */
static tda_status start_failed(struct call *c, tda_status s, struct call **ret_call, struct error *e) {
    *ret_call = NULL;
    log_error("a plugin could not start a call", LOG_Z("plugin", c->owner.plugin->loaded.note.id), LOG_Z("reason", status_text(s)));
    error_set(e, TDA_E_INTERNAL, "plugin_failed", "plugin %s could not start the call: %s", c->owner.plugin->loaded.note.id,
              status_text(s));
    owner_quiet(&c->owner);
    if (!c->queued) free_call(c);
    return TDA_E_INTERNAL;
}

/* To a worker; all of the time is the service's. */
static tda_status start_blocking(struct call *c, const struct tda_request *request, struct error *e) {
    int64_t retry_ms = -1;
    tda_status s = blocking_start(c, request, &retry_ms);
    if (!s) {
        owner_flow_opened(&c->owner);
        count_start(c);
        return TDA_OK;
    }
    if (s == TDA_E_BUSY) {
        error_set(e, s, "workers_busy", "all workers are taken, and enough calls like this one of plugin %s wait for one",
                  c->owner.plugin->loaded.note.id);
        error_hint(e, "try again later; the operator's limits are limits.workers and limits.worker_queue");
        if (e) e->retry_ms = retry_ms;
    } else {
        error_set(e, s, NULL, "the call cannot be made: %s", status_text(s));
    }
    free_call(c);
    return s;
}

tda_status provider_call(const struct call_spec *spec, const struct tda_request *request, struct call **ret_call, struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    const struct provider_entry *entry;
    struct call *c;
    tda_status s = plugins_provider(spec->plugins, snapshot_get(spec->snapshot, TDA_CTX_PROVIDER), &entry, e);
    if (s) return s;
    struct plugin *p = entry->plugin;
    if (!p->loaded.provider)
        return error_set(e, TDA_E_UNSUPPORTED, "plugin_not_loaded", "plugin %s is no provider", p->loaded.note.id);
    s = make_call(spec, p, p->on[pl->index].provider, p->loaded.provider->call_state_size, &c);
    if (s) return error_set(e, s, NULL, "the call cannot be made: %s", status_text(s));
    c->owner.entry = entry;
    *ret_call = c;
    if (p->loaded.provider->flags & TDA_P_BLOCKING) return start_blocking(c, request, e);
    plugin_enter(&c->owner);
    s = p->loaded.provider->start(c->owner.self, c->owner.handle, request);
    plugin_leave();
    if (!s) {
        count_start(c);
        check_alive(c);
        return TDA_OK;
    }
    return start_failed(c, s, ret_call, e);
}

tda_status adapter_call(struct conn *conn, const struct call_spec *spec, const struct tda_adapter_request *request,
                        struct call **ret_call, struct error *e) {
    struct call *c;
    struct plugin *p = conn->owner.plugin;
    if (conn->state != CONN_READY) {
        error_set(e, TDA_E_CLOSED, "mcp_unreachable", "the connection to the server has ended%s%s", conn->why[0] ? ": " : "",
                  conn->why);
        return TDA_E_CLOSED;
    }
    tda_status s = make_call(spec, p, conn->owner.self, p->loaded.adapter->call_state_size, &c);
    if (s) return error_set(e, s, NULL, "the call cannot be made: %s", status_text(s));
    conn_ref(conn);
    c->conn = conn;
    LIST_INSERT_HEAD(&conn->calls, c, of_conn);
    conn->health->calls++;
    owner_flow_opened(&c->owner); /* all of it is the server's time */
    *ret_call = c;
    plugin_enter(&c->owner);
    s = p->loaded.adapter->start(c->owner.self, conn->owner.handle, c->owner.handle, request);
    plugin_leave();
    if (!s) {
        count_start(c);
        return TDA_OK;
    }
    return start_failed(c, s, ret_call, e);
}
