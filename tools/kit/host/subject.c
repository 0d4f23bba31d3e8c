/* What calls and connections share, and the order of deferred things: the plugin is never called from inside a function of the
 * host's that it called. */
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "kit.h"

static _Thread_local struct tda_test *current;
char *kit_mark;

enum { MARK_SIZE = 32 };

struct tda_test *kit_current(void) {
    return current;
}

void kit_here(struct tda_test *t) {
    if (current == t) return;
    current = t;
    if (t) plugin_loop_bind(&t->pl);
}

/* json_ext.c asks for it: a call or a connection, alive and on this thread. */
struct owner *owner_get(tda_handle h) {
    struct owner *o = handle_get(h, HANDLE_CALL);
    return o ? o : handle_get(h, HANDLE_CONN);
}

/* A blocking call is run on this thread too. */
struct owner *owner_or_worker(tda_handle h) {
    return owner_get(h);
}

/* ---- callbacks ---- */

static int64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static long times_waited(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

/* What the thread has used is asked of the kernel, so once in a millisecond at most: a callback is charged with that much of what
 * went before it. */
void kit_enter(struct tda_test *t, const char *callback) {
    kit_here(t);
    t->callback = callback;
    t->callbacks++;
    if (kit_mark) strncpy(kit_mark, callback, MARK_SIZE - 1);
    t->entered_wall_ns = clock_ns(CLOCK_MONOTONIC);
    if (t->entered_wall_ns - t->used_read_ns < NS_PER_MS) return;
    t->used_read_ns = t->entered_wall_ns;
    t->used_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    t->used_waits = times_waited();
}

void kit_leave(struct tda_test *t) {
    int64_t wall = clock_ns(CLOCK_MONOTONIC) - t->entered_wall_ns;
    if (wall > t->longest.wall_ns)
        t->longest = (struct kit_spent){t->callback, wall, clock_ns(CLOCK_THREAD_CPUTIME_ID) - t->used_cpu_ns,
                                        times_waited() - t->used_waits};
    t->callback = NULL;
    if (kit_mark) kit_mark[0] = 0;
    scratch_clear();
    if (t->gives_way) sched_yield();
}

/* ---- life ---- */

tda_status subject_init(struct subject *s, enum handle_kind kind, struct tda_test *t, size_t state_size) {
    s->test = t;
    s->owner.kind = kind;
    s->owner.pl = &t->pl;
    s->flows_end = &s->flows;
    arena_init(&s->memory, TRANSCRIPT_MAX);
    buf_init(&s->transcript, TRANSCRIPT_MAX);
    s->owner.state = calloc(1, state_size ? state_size : 1);
    if (!s->owner.state) return TDA_E_NOMEM;
    return handle_new(&t->pl, kind, s, &s->owner.handle);
}

void subject_quiet(struct subject *s) {
    struct tda_test_flow *f;
    for (f = s->flows; f; f = f->next) flow_abort_one(f);
    s->n_timers = 0;
}

void subject_fini(struct subject *s) {
    subject_quiet(s);
    if (s->owner.handle) handle_end(&s->test->pl, s->owner.handle);
    s->owner.handle = 0;
    free(s->owner.state);
    s->owner.state = NULL;
}

bool subject_waits(const struct subject *s) {
    return s->n_open || s->n_timers || s->n_wakes;
}

/* ---- timers ---- */

tda_status subject_timer(struct subject *s, uint64_t token, uint32_t ms) {
    unsigned i = 0;
    while (i < s->n_timers && s->timers[i].token != token) i++;
    if (!ms) {
        if (i < s->n_timers) s->timers[i] = s->timers[--s->n_timers];
        return TDA_OK;
    }
    if (i == KIT_TIMERS_MAX) {
        kit_fault(s->test, "it asks for more than %d timers at once on one handle, and gets LIMIT: set one timer again instead",
                  KIT_TIMERS_MAX);
        return TDA_E_LIMIT;
    }
    if (i == s->n_timers) s->n_timers++;
    s->timers[i] = (struct kit_timer){token, s->test->now_ms + (int64_t)ms, ++s->test->order};
    return TDA_OK;
}

static bool is_earlier(const struct kit_timer *a, const struct kit_timer *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static struct kit_timer *first_timer(struct subject *s) {
    struct kit_timer *first = NULL;
    for (unsigned i = 0; i < s->n_timers; i++)
        if (!first || is_earlier(&s->timers[i], first)) first = &s->timers[i];
    return first;
}

static struct subject *next_timer(const struct tda_test *t, struct kit_timer *ret) {
    struct subject *who = NULL;
    struct tda_test_call *c;
    struct tda_test_conn *k;
    struct kit_timer *timer;
    for (c = LIST_FIRST(&t->calls); c; c = LIST_NEXT(c, entry)) {
        if (!(timer = first_timer(&c->subject)) || (who && !is_earlier(timer, ret))) continue;
        who = &c->subject;
        *ret = *timer;
    }
    for (k = LIST_FIRST(&t->conns); k; k = LIST_NEXT(k, entry)) {
        if (!(timer = first_timer(&k->subject)) || (who && !is_earlier(timer, ret))) continue;
        who = &k->subject;
        *ret = *timer;
    }
    return who;
}

int64_t kit_next_timer_ms(const struct tda_test *t) {
    struct kit_timer timer;
    return next_timer(t, &timer) ? timer.at_ms : -1;
}

static void deliver_wake(struct subject *s, uint64_t token) {
    if (s->owner.kind == HANDLE_CALL)
        call_woken((struct tda_test_call *)s, token);
    else
        conn_woken((struct tda_test_conn *)s, token);
}

void tda_test_advance(struct tda_test *t, int64_t ms) {
    struct kit_timer timer = {0};
    int64_t until = t->now_ms + ms;
    kit_here(t);
    kit_settle(t);
    for (int i = 0; i < SETTLE_MAX; i++) {
        struct subject *s = next_timer(t, &timer);
        if (!s || timer.at_ms > until) break;
        t->now_ms = timer.at_ms;
        subject_timer(s, timer.token, 0);
        deliver_wake(s, timer.token);
        kit_settle(t);
    }
    t->now_ms = until;
}

/* ---- wakes ---- */

tda_status subject_wake(tda_handle h, uint64_t token) {
    struct plugin_loop *pl = plugin_loop_at(handle_loop(h));
    struct owner *o = pl && pl == plugin_loop_here() ? owner_get(h) : NULL;
    if (!pl || (pl == plugin_loop_here() && !o)) return TDA_E_STALE;
    struct tda_test *t = CONTAINER_OF(pl, struct tda_test, pl);
    struct kit_wake *w = malloc(sizeof *w);
    if (!w) return TDA_E_NOMEM;
    *w = (struct kit_wake){NULL, h, token};
    if (o) ((struct subject *)o)->n_wakes++;
    pthread_mutex_lock(&t->lock);
    *t->wakes_end = w;
    t->wakes_end = &w->next;
    pthread_mutex_unlock(&t->lock);
    return TDA_OK;
}

static struct kit_wake *take_wake(struct tda_test *t) {
    pthread_mutex_lock(&t->lock);
    struct kit_wake *w = t->wakes;
    if (w) t->wakes = w->next;
    if (!t->wakes) t->wakes_end = &t->wakes;
    pthread_mutex_unlock(&t->lock);
    return w;
}

static bool wakes_settle(struct tda_test *t) {
    struct kit_wake *w = take_wake(t);
    if (!w) return false;
    struct subject *s = (struct subject *)owner_get(w->handle);
    if (s && s->n_wakes) s->n_wakes--;
    if (s) deliver_wake(s, w->token);
    free(w);
    return true;
}

void kit_settle(struct tda_test *t) {
    for (int i = 0; i < SETTLE_MAX; i++)
        if (!wakes_settle(t) && !flows_settle(t) && !calls_settle(t) && !conns_settle(t)) return;
    kit_fault(t, "it keeps its loop busy for ever: %d wakes in a row; use host->timer to wait", SETTLE_MAX);
    for (struct kit_wake *w; (w = take_wake(t));) free(w);
}
