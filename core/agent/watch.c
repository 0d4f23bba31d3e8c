/* resources.watch: a subscription is a task. Its events are the updates, its end the subscription's; task.cancel ends it.
 *
 *   watch the connection -> SUBSCRIBE -> updates ... -> cancel, the deadline, or the connection's end -> done; UNSUBSCRIBE, for
 * which nobody waits */
#include "agent/events.h"
#include "agent/server_op.h"
#include "base/clock.h"

enum { GOODBYE_MS = 5000 };

struct watching {
    struct conn_watcher watcher;
    struct server_op *op;
    struct timer timer;
    uint64_t updates;
};

static void on_updated(struct conn_watcher *w, tda_str uri) {
    struct watching *h = CONTAINER_OF(w, struct watching, watcher);
    h->updates++;
    event_resource_updated(h->op->work, uri);
}

static void finish(struct watching *h, const char *ended) {
    struct work *w = h->op->work;
    struct error e;
    if (h->op->cancelled) {
        error_set(&e, TDA_E_CANCELLED, "cancelled", "cancelled");
    } else {
        jw_put_str(w->out, "uri", h->op->name);
        jw_put_u64(w->out, "updates", h->updates);
        jw_put_z(w->out, "ended", ended);
    }
    server_op_end(h->op, h->op->cancelled ? &e : NULL);
}

static void on_ended(struct conn_watcher *w, const struct tda_result *why UNUSED) {
    struct watching *h = CONTAINER_OF(w, struct watching, watcher);
    if (!h->op->call) finish(h, "connection"); /* else SUBSCRIBE fails too, and that is the end */
}

static void on_deadline(struct timer *t) {
    finish(CONTAINER_OF(t, struct watching, timer), "deadline");
}

static void on_cancel(struct work *w) {
    struct server_op *op = w->operation;
    op->cancelled = true;
    finish(op->more_of, NULL);
}

static void on_starting(struct server_op *op) {
    struct watching *h = op->more_of;
    h->op = op;
    conn_watch(op->box.conn, &h->watcher); /* before the server can tell anything */
}

static void on_subscribed(struct server_op *op) {
    struct watching *h = op->more_of;
    op->work->cancel = on_cancel;
    h->timer.fire = on_deadline;
    if (!h->watcher.conn || timer_set(op->work->loop, &h->timer, op->work->deadline_ns)) finish(h, "connection");
}

static void on_goodbye(void *arg UNUSED, const struct tda_result *r UNUSED) {}

/* Nobody waits for it. It is said after a SUBSCRIBE that was given up as well: the server may have taken that. */
static void say_goodbye(struct work *w, struct conn *c, tda_str uri) {
    struct error e;
    struct call_spec spec = {
        .plugins = w->agent->plugins, .loop = w->loop, .snapshot = w->snapshot, .request_id = w->request_id, .on_done = on_goodbye};
    struct tda_adapter_request request = {
        .size = sizeof request, .op = TDA_AOP_UNSUBSCRIBE, .name = uri, .deadline_ms = GOODBYE_MS};
    struct call *call;
    spec.deadline_ns = clock_now_ns() + (int64_t)GOODBYE_MS * NS_PER_MS;
    adapter_call(c, &spec, &request, &call, &e); /* a connection that has ended needs none */
}

/* Who else watches the same on this connection goes on. */
static void on_stopping(struct server_op *op) {
    struct watching *h = op->more_of;
    struct conn *c = h->watcher.conn;
    timer_stop(op->work->loop, &h->timer);
    conn_unwatch(&h->watcher);
    if (c && !conn_is_watched(c, op->name)) say_goodbye(op->work, c, op->name);
}

void agent_resources_watch(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct watching *h = arena_alloc(w->arena, sizeof *h);
    if (!w->event || !h) {
        error_set(&e, h ? TDA_E_INVALID : TDA_E_NOMEM, h ? "task_wanted" : "out_of_memory",
                  h ? "resources.watch tells what happens in events, which only a task has" : "out of memory");
        if (h) error_hint(&e, "call task.submit with method resources.watch, then task.poll");
        w->done(w, &e);
        return;
    }
    h->watcher =
        (struct conn_watcher){.uri = json_str(json_key(w->params, TDA_STR("uri"))), .updated = on_updated, .ended = on_ended};
    server_op_begin(&(struct server_op){.work = w,
                                        .op = TDA_AOP_SUBSCRIBE,
                                        .name = h->watcher.uri,
                                        .more_of = h,
                                        .starting = on_starting,
                                        .answered = on_subscribed,
                                        .stopping = on_stopping});
}
