#include <stdio.h>

#include "plugin/plugin_impl.h"

#include "base/clock.h"

struct plugin_timer {
    LIST_ENTRY(plugin_timer) entry;
    struct timer timer;
    struct owner *owner;
    uint64_t token;
};

void plugin_enter(struct owner *o) {
    loop_label(o->pl->loop, o->plugin->label);
}

void plugin_leave(void) {
    scratch_clear();
}

tda_status owner_init(struct owner *o, enum handle_kind kind, struct plugin_loop *pl, struct plugin *p, void *self,
                      size_t state_size) {
    o->kind = kind;
    o->pl = pl;
    o->plugin = p;
    o->self = self;
    o->state = state_size ? calloc(1, state_size) : NULL; /* malloc's alignment is 16 */
    if (state_size && !o->state) return TDA_E_NOMEM;
    tda_status s = handle_new(pl, kind, o, &o->handle);
    if (s) free(o->state);
    return s;
}

void owner_set_user(struct owner *o, const char *user) {
    snprintf(o->user, sizeof o->user, "%s", user);
    o->lane = loop_lane(tda_str_of(o->user));
}

struct owner *owner_get(tda_handle h) {
    struct owner *o = handle_get(h, HANDLE_CALL);
    if (!o) o = handle_get(h, HANDLE_CONN);
    if (!o && plugin_loop_here()) atomic_fetch_add_explicit(&plugin_loop_here()->plugins->stale, 1, memory_order_relaxed);
    return o;
}

struct owner *owner_or_worker(tda_handle h) {
    struct call *c = blocking_call(h);
    return c ? &c->owner : owner_get(h);
}

static void timer_free(struct plugin_timer *t) {
    timer_stop(t->owner->pl->loop, &t->timer);
    LIST_REMOVE(t, entry);
    t->owner->n_timers--;
    free(t);
}

void owner_quiet(struct owner *o) {
    plugin_flows_abort(o);
    for (struct plugin_timer *t = LIST_FIRST(&o->timers), *next; t; t = next) {
        next = LIST_NEXT(t, entry);
        timer_free(t);
    }
}

void owner_fini(struct owner *o) {
    owner_quiet(o);
    handle_end(o->pl, o->handle);
    free(o->state);
    snapshot_unref(o->snapshot);
}

/* ---- timers and wakes ---- */

static void deliver(struct owner *o, uint64_t token) {
    if (o->kind == HANDLE_CALL)
        call_wake(o, token);
    else
        conn_wake_event(o, token);
}

static void timer_fired(struct timer *timer) {
    struct plugin_timer *t = CONTAINER_OF(timer, struct plugin_timer, timer);
    struct owner *o = t->owner;
    uint64_t token = t->token;
    timer_free(t);
    deliver(o, token);
}

tda_status owner_timer(struct owner *o, uint64_t token, uint32_t ms) {
    struct plugin_timer *t;
    for (t = LIST_FIRST(&o->timers); t && t->token != token;) t = LIST_NEXT(t, entry);
    if (!ms) {
        if (t) timer_free(t);
        return TDA_OK;
    }
    if (!t && o->n_timers == TIMERS_MAX) return TDA_E_LIMIT;
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t) return TDA_E_NOMEM;
        *t = (struct plugin_timer){.timer = {.fire = timer_fired}, .owner = o, .token = token};
        LIST_INSERT_HEAD(&o->timers, t, entry);
        o->n_timers++;
    }
    tda_status s = timer_set(o->pl->loop, &t->timer, clock_now_ns() + (int64_t)ms * NS_PER_MS);
    if (s) timer_free(t);
    return s;
}

struct wake {
    struct task task;
    tda_handle handle;
    uint64_t token;
    bool counted;
};

static void wake_arrived(struct task *task) {
    struct wake *w = CONTAINER_OF(task, struct wake, task);
    struct owner *o = owner_get(w->handle);
    if (o && w->counted) o->wakes--;
    if (o) deliver(o, w->token);
    free(w);
}

tda_status owner_wake(tda_handle h, uint64_t token) {
    struct plugin_loop *pl = plugin_loop_at(handle_loop(h));
    bool is_here = pl && pl == plugin_loop_here();
    if (!pl || token >> 63) return pl ? TDA_E_INVALID : TDA_E_STALE;
    struct owner *o = is_here ? owner_get(h) : NULL;
    if (is_here && !o) return TDA_E_STALE;
    struct wake *w = malloc(sizeof *w);
    if (!w) return TDA_E_NOMEM;
    *w = (struct wake){{.run = wake_arrived, .line.lane = o ? o->lane : 0}, h, token, o != NULL};
    if (o) o->wakes++;
    if (!(pl = plugin_loop_hold(handle_loop(h)))) {
        free(w);
        return TDA_E_STALE;
    }
    loop_post(pl->loop, &w->task);
    plugin_loop_let_go();
    return TDA_OK;
}

/* ---- time upstream ---- */

void owner_flow_opened(struct owner *o) {
    if (o->open_flows++ == 0) o->flows_since_ns = clock_now_ns();
}

void owner_flow_closed(struct owner *o) {
    if (--o->open_flows == 0) o->upstream_ns += clock_now_ns() - o->flows_since_ns;
}

int64_t owner_upstream_ns(const struct owner *o) {
    return o->upstream_ns + (o->open_flows ? clock_now_ns() - o->flows_since_ns : 0);
}
