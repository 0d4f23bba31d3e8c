/* The loop's part of tasks: events come in, polls wait for them, the end. And task.poll, task.cancel, task.respond.
 *
 * A poll is a request on its task's loop: it is answered at once when there is something new, else it waits on the task's list with
 * a timer. It holds no thread. Waiting polls are answered after the callback that brought the news, so what comes together goes out
 * together. */
#include <stdio.h>
#include <utlist.h>

#include "base/clock.h"
#include "route/request.h"
#include "route/tasks.h"

enum { WAIT_MAX_MS = 25000, CANCEL_WAIT_MS = 5000, POLLS_MAX = 64 };

struct poll {
    struct work *work;
    struct task_entry *task;
    uint64_t after;
    bool for_end; /* task.cancel: events are no news to it */
    struct timer timer;
    struct poll *prev, *next;
};

static bool has_ended(const struct task_entry *t) {
    return atomic_load(&t->state) > TASK_RUNNING;
}

/* ---- answering ---- */

static void write_member(const struct task_entry *t, tda_str body, struct jw *w) {
    static const char result[] = "\"result\":", error[] = "\"error\":";
    bool ok = atomic_load(&t->state) == TASK_COMPLETE;
    size_t skip = ok ? sizeof result - 1 : sizeof error - 1;
    if (body.n > skip) jw_put_raw(w, ok ? "result" : "error", (tda_str){body.p + skip, body.n - skip});
}

/* What there was no memory to keep is said to be lost. */
static void write_body(const struct task_entry *t, struct jw *w) {
    struct error e = {.retry_ms = -1};
    struct buf lost;
    buf_init(&lost, 1024);
    if (!t->body && atomic_load(&t->state) == TASK_ERROR) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory: how it ended could not be kept");
        envelope_error(&lost, 0, &e);
    }
    write_member(t, t->body ? (tda_str){t->body, t->body_n} : buf_str(&lost), w);
    buf_fini(&lost);
}

static void write_poll(struct poll *p, struct jw *w) {
    struct task_entry *t = p->task;
    jw_put_z(w, "task", t->id);
    jw_put_z(w, "method", t->method);
    jw_put_z(w, "state", task_state_name(atomic_load(&t->state)));
    if (p->for_end) return;
    event_queue_write(&t->events, p->after, w);
    if (has_ended(t)) write_body(t, w);
}

static void answer(struct poll *p) {
    struct work *w = p->work;
    write_poll(p, w->out);
    w->cancel = NULL;
    w->done(w, NULL);
}

static void leave(struct poll *p) {
    timer_stop(p->work->loop, &p->timer);
    DL_DELETE(p->task->polls, p);
}

static void on_timer(struct timer *timer) {
    struct poll *p = CONTAINER_OF(timer, struct poll, timer);
    leave(p);
    answer(p);
}

static void poll_cancel(struct work *w) {
    struct poll *p = w->operation;
    struct error e;
    leave(p);
    w->cancel = NULL;
    error_set(&e, TDA_E_CANCELLED, "cancelled", "cancelled");
    w->done(w, &e);
}

static bool has_news(const struct poll *p) {
    return has_ended(p->task) || (!p->for_end && event_queue_has(&p->task->events, p->after));
}

static tda_status wait(struct poll *p, int64_t wait_ms, struct error *e) {
    int64_t at = clock_now_ns() + wait_ms * NS_PER_MS;
    size_t n = 0;
    const struct poll *other;
    DL_COUNT(p->task->polls, other, n);
    if (n >= POLLS_MAX) {
        error_set(e, TDA_E_BUSY, "busy", "%d polls wait for this task already", POLLS_MAX);
        e->retry_ms = 1000;
        return TDA_E_BUSY;
    }
    p->timer.fire = on_timer;
    if (timer_set(p->work->loop, &p->timer, at < p->work->deadline_ns ? at : p->work->deadline_ns))
        return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    DL_APPEND(p->task->polls, p);
    p->work->operation = p;
    p->work->cancel = poll_cancel;
    return TDA_OK;
}

static void answer_or_wait(struct work *w, uint64_t after, bool for_end, int64_t wait_ms) {
    struct error e = {.retry_ms = -1};
    struct poll *p = arena_alloc(w->arena, sizeof *p);
    if (!p) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        w->done(w, &e);
        return;
    }
    *p = (struct poll){.work = w, .task = request_of(w)->about, .after = after, .for_end = for_end};
    if (wait_ms <= 0 || has_news(p))
        answer(p);
    else if (wait(p, wait_ms, &e))
        w->done(w, &e);
}

/* ---- what happens in the task ---- */

static void on_wake(struct task *task) {
    struct task_entry *t = CONTAINER_OF(task, struct task_entry, wake);
    t->waking = false;
    for (struct poll *p = t->polls, *next; p; p = next) {
        next = p->next;
        if (!has_news(p)) continue;
        leave(p);
        answer(p);
    }
    task_unref(t);
}

static void wake_later(struct task_entry *t) {
    if (t->waking || !t->polls) return;
    t->waking = true;
    t->wake.run = on_wake;
    ref_take(&t->ref);
    loop_defer(t->loop, &t->wake);
}

void task_event(struct task_entry *t, tda_str json) {
    event_queue_add(&t->events, json);
    wake_later(t);
}

void task_end(struct task_entry *t, const struct error *e, tda_str body) {
    enum task_state state = !e ? TASK_COMPLETE : e->status == TDA_E_CANCELLED ? TASK_CANCELLED : TASK_ERROR;
    t->request = NULL;
    if (t->submitted || t->polls) t->body = str_dup(body);
    t->body_n = t->body ? body.n : 0;
    if (t->submitted && !t->body) state = TASK_ERROR;
    tasks_ended(t->tasks, t, state);
    wake_later(t);
}

void task_forget(struct task *forget) {
    struct task_entry *t = CONTAINER_OF(forget, struct task_entry, forget);
    if (t->request) request_cancel(t->request);
    task_unref(t);
}

/* ---- methods ---- */

static tda_status whole_param(const struct work *w, const char *name, int64_t *ret, struct error *e) {
    struct json v = json_key(w->params, tda_str_of(name));
    if (!json_type(v) || (json_i64(v, ret) && *ret >= 0)) return TDA_OK;
    error_set(e, TDA_E_INVALID, "invalid_param", "%s must be a whole number from 0", name);
    error_field(e, "%s", name);
    return TDA_E_INVALID;
}

void task_poll(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct task_entry *t = request_of(w)->about;
    int64_t after = 0, wait_ms = 0;
    if (whole_param(w, "after", &after, &e) || whole_param(w, "wait_ms", &wait_ms, &e)) {
        w->done(w, &e);
        return;
    }
    uint64_t last = t->events.next - 1, seen = (uint64_t)after < last ? (uint64_t)after : last;
    event_queue_free_to(&t->events, seen);
    if (has_ended(t)) tasks_recount(t->tasks, t);
    answer_or_wait(w, seen, false, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
}

/* Answered when it has ended, which is soon. */
void task_cancel(struct work *w) {
    struct error e;
    struct task_entry *t = request_of(w)->about;
    if (has_ended(t)) {
        error_set(&e, TDA_E_CONFLICT, "already_finished", "the task has ended already: %s",
                  task_state_name(atomic_load(&t->state)));
        error_hint(&e, "task.poll gives its result");
        w->done(w, &e);
        return;
    }
    if (t->request) request_cancel(t->request);
    answer_or_wait(w, 0, true, CANCEL_WAIT_MS);
}

void task_respond(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct task_entry *t = request_of(w)->about;
    tda_str request = json_str(json_key(w->params, TDA_STR("request")));
    struct work *asking = t->request && t->request->begun ? &t->request->work : NULL;
    tda_status s = TDA_E_NOT_FOUND;
    if (has_ended(t))
        s = error_set(&e, TDA_E_CONFLICT, "already_finished", "the task has ended already");
    else if (asking && asking->respond)
        s = asking->respond(asking, request, json_key(w->params, TDA_STR("json")), &e);
    else
        error_set(&e, s, "nothing_asked", "this task has asked nothing");
    if (!s) jw_put_z(w->out, "task", t->id);
    w->done(w, s ? &e : NULL);
}
