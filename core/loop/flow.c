/* What all flows have in common: the list of open ones, handing events to the owner, and the end.
 *
 * A flow ends once: with END, with FAIL or by abort, whichever is first. From then on it is off the list and gets no event; its
 * memory goes in a deferred task, so that code further up the stack (curl's, the engine's) may still look at it. The loop's
 * thread only. */
#include <stdarg.h>
#include <stdio.h>

#include "loop/loop_impl.h"

static void destroy(struct task *t) {
    struct flow *f = CONTAINER_OF(t, struct flow, gone);
    f->ops->destroy(f);
}

void flow_init(struct flow *f, struct loop *l, uint32_t lane, const struct flow_ops *ops, flow_event_fn fn, void *arg) {
    *f = (struct flow){.ops = ops, .loop = l, .lane = lane, .fn = fn, .arg = arg, .next = l->flows, .gone = {.run = destroy}};
    if (l->flows) l->flows->prev = f;
    l->flows = f;
    atomic_fetch_add_explicit(&l->flows_open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->flows_total, 1, memory_order_relaxed);
}

static void end(struct flow *f) {
    f->ended = true;
    if (f->prev)
        f->prev->next = f->next;
    else
        f->loop->flows = f->next;
    if (f->next) f->next->prev = f->prev;
    atomic_fetch_sub_explicit(&f->loop->flows_open, 1, memory_order_relaxed);
    loop_defer(f->loop, &f->gone);
}

bool flow_emit(struct flow *f, struct tda_flow_event *event) {
    if (f->ended) return false;
    event->size = sizeof *event;
    if (event->kind != TDA_FLOW_ITEM) event->retry_ms = -1;
    if (event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL) end(f);
    f->fn(f->arg, f, event);
    return !f->ended;
}

bool flow_fail(struct flow *f, uint32_t cls, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return flow_emit(f, &(struct tda_flow_event){.kind = TDA_FLOW_FAIL, .cls = cls, .text = tda_str_of(text)});
}

void flow_abort(struct flow *f) {
    if (f->ended) return;
    end(f);
    f->ops->abort(f);
}

void flows_cancel(struct loop *l) {
    while (l->flows) {
        struct flow *f = l->flows;
        f->ops->abort(f);
        flow_fail(f, TDA_C_CANCELLED, "the host is stopping");
    }
}

tda_status flow_send(struct flow *f, tda_str bytes) {
    if (f->ended) return TDA_E_STALE;
    return f->ops->send ? f->ops->send(f, bytes) : TDA_E_UNSUPPORTED;
}

tda_status flow_close_send(struct flow *f) {
    if (f->ended) return TDA_E_STALE;
    return f->ops->close_send ? f->ops->close_send(f) : TDA_E_UNSUPPORTED;
}

void flow_stop(struct flow *f) {
    if (f->ended) return;
    if (f->ops->stop)
        f->ops->stop(f);
    else
        flow_abort(f);
}

void flow_pause(struct flow *f, bool paused) {
    if (!f->ended && f->ops->pause) f->ops->pause(f, paused);
}
