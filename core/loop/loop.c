/* A loop's thread: one round after the other of descriptors, inbox, timers and what these deferred.
 *
 * The inbox is a stack that posters push to with one compare-and-swap; the loop takes all of it at once and turns it round, which
 * gives the order of arrival. Then the users take turns (fair.h), as they do with what their descriptors bring. Only the poster
 * that finds it empty writes to the eventfd, so a burst costs one wake-up.
 *
 * A deferred task runs after the callback that deferred it has returned; one that is deferred by a deferred task runs after the
 * next callback, or at the end of the round, so that nothing can hold up a round for ever.
 *
 * The end: loop_stop sets a flag. The thread runs what was posted, cancels the open flows, and ends when both are empty. What is
 * posted after that runs in loop_free, whose thread is the loop's for that moment. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "loop/child.h"
#include "loop/loop_impl.h"

enum {
    SLOW_MS = 10,          /* a callback that takes longer is logged */
    WAIT_MAX_MS = 30000,   /* epoll's clock stands still in suspend, ours does not */
    LAST_ROUNDS_MAX = 1000 /* for tasks that post themselves again for ever */
};

static _Thread_local struct loop *self;

struct loop *loop_self(void) {
    return self;
}

uint32_t loop_lane(tda_str user) {
    uint32_t lane = (uint32_t)(hash_keyed(user) >> 32);
    return lane ? lane : 1;
}

unsigned loop_index(const struct loop *l) {
    return l->index;
}

const struct config *loop_config(const struct loop *l) {
    return config_now(l->config);
}

struct http_engine *loop_http(struct loop *l) {
    return l->http;
}

struct launcher *loop_launcher(struct loop *l) {
    return l->launcher;
}

bool loop_stopping(const struct loop *l) {
    return atomic_load_explicit(&l->stop_asked, memory_order_acquire);
}

/* ---- how long callbacks take ---- */

void loop_label(struct loop *l, const char *label) {
    atomic_store_explicit(&l->label, label, memory_order_relaxed);
}

static void callbacks_begin(struct loop *l) {
    l->began_ns = clock_now_ns();
    atomic_store_explicit(&l->busy_since_ns, l->began_ns, memory_order_relaxed);
}

static void callbacks_end(struct loop *l) {
    atomic_store_explicit(&l->busy_since_ns, 0, memory_order_relaxed);
}

/* A callback has returned; the next begins now. */
static void callback_done(struct loop *l, const char *kind) {
    int64_t took = clock_now_ns() - l->began_ns;
    if (took > (int64_t)atomic_load_explicit(&l->longest_ns, memory_order_relaxed))
        atomic_store_explicit(&l->longest_ns, (uint64_t)took, memory_order_relaxed);
    const char *label = atomic_load_explicit(&l->label, memory_order_relaxed);
    if (took > (int64_t)SLOW_MS * NS_PER_MS)
        log_warn("a callback held up its loop", LOG_Z("what", label ? label : kind), LOG_INT("ms", took / NS_PER_MS),
                 LOG_INT("loop", l->index));
    atomic_store_explicit(&l->label, NULL, memory_order_relaxed);
    l->began_ns += took;
    atomic_store_explicit(&l->busy_since_ns, l->began_ns, memory_order_relaxed);
}

int64_t loop_busy(const struct loop *l, const char **ret_label) {
    int64_t since = atomic_load_explicit(&l->busy_since_ns, memory_order_relaxed);
    const char *label = atomic_load_explicit(&l->label, memory_order_relaxed);
    *ret_label = label ? label : "core";
    return since ? clock_now_ns() - since : 0;
}

void loop_dump(struct loop *l) {
    pthread_kill(l->thread, LOOP_DUMP_SIGNAL);
}

/* ---- inbox and deferred tasks ---- */

static void wake_up(struct loop *l) {
    ssize_t rc;
    do rc = write(l->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    while (rc < 0 && errno == EINTR); /* EAGAIN: the counter is full, so it is readable already */
}

static void woken(struct watch *w, uint32_t events UNUSED) {
    uint64_t n;
    ssize_t rc UNUSED = read(w->fd, &n, sizeof n);
}

void loop_post(struct loop *l, struct task *t) {
    struct task *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
    do t->next = head;
    while (!atomic_compare_exchange_weak_explicit(&l->inbox, &head, t, memory_order_release, memory_order_relaxed));
    if (!head) wake_up(l); /* t may have run already: touch it no more */
}

struct errand {
    struct task task;
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
};

static void run_errand(struct task *t) {
    struct errand *e = CONTAINER_OF(t, struct errand, task);
    e->fn(e->arg);
    pthread_mutex_lock(&e->lock);
    e->finished = true;
    pthread_cond_signal(&e->done);
    pthread_mutex_unlock(&e->lock);
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg) {
    struct errand e = {.task = {.run = run_errand}, .fn = fn, .arg = arg};
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.done, NULL);
    loop_post(l, &e.task);
    pthread_mutex_lock(&e.lock);
    while (!e.finished) pthread_cond_wait(&e.done, &e.lock);
    pthread_mutex_unlock(&e.lock);
    pthread_cond_destroy(&e.done);
    pthread_mutex_destroy(&e.lock);
}

void loop_defer(struct loop *l, struct task *t) {
    t->next = NULL;
    if (l->deferred.last)
        l->deferred.last->next = t;
    else
        l->deferred.first = t;
    l->deferred.last = t;
}

static void run_deferred(struct loop *l) {
    struct task *t = l->deferred.first;
    l->deferred = (struct task_list){0};
    while (t) {
        struct task *next = t->next; /* t may be freed by running it */
        t->run(t);
        callback_done(l, "deferred task");
        t = next;
    }
}

/* After each callback that the loop made. */
static void settle(struct loop *l, const char *kind) {
    callback_done(l, kind);
    run_deferred(l);
}

/* Returns how long it took. */
static int64_t run_posted(struct loop *l, struct task *t) {
    int64_t began = l->began_ns;
    atomic_fetch_add_explicit(&l->posts, 1, memory_order_relaxed);
    t->run(t);
    settle(l, "posted task");
    return l->began_ns - began;
}

static void take_inbox(struct loop *l) {
    struct task *newest = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire);
    struct task *oldest = NULL;
    while (newest) {
        struct task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct task *t = oldest;
        oldest = t->next;
        if (t->line.lane)
            fair_add(&l->posted, &t->line);
        else
            run_posted(l, t);
    }
}

/* All of it, or what each user has time for. */
static void run_inbox(struct loop *l, bool all) {
    take_inbox(l);
    for (struct fair_item *item; (item = fair_next(&l->posted, all));) {
        uint32_t lane = item->lane; /* the task may be freed by running it */
        fair_spent(&l->posted, lane, run_posted(l, CONTAINER_OF(item, struct task, line)));
    }
}

static bool inbox_empty(const struct loop *l) {
    return !atomic_load_explicit(&l->inbox, memory_order_relaxed) && !fair_waiting(&l->posted);
}

/* ---- descriptors ---- */

static tda_status control(struct loop *l, int op, struct watch *w, uint32_t events) {
    struct epoll_event event = {.events = events | (w->line.lane ? (uint32_t)EPOLLONESHOT : 0), .data.ptr = w};
    w->wanted = events;
    w->armed = true;
    if (epoll_ctl(l->epoll_fd, op, w->fd, &event) == 0) return TDA_OK;
    switch (errno) {
    case ENOMEM: return TDA_E_NOMEM;
    case ENOSPC: return TDA_E_LIMIT;
    case EEXIST: return TDA_E_EXISTS;
    case ENOENT: return TDA_E_NOT_FOUND;
    default: return TDA_E_INVALID;
    }
}

tda_status watch_add(struct loop *l, struct watch *w, uint32_t epoll_events) {
    return control(l, EPOLL_CTL_ADD, w, epoll_events);
}

tda_status watch_change(struct loop *l, struct watch *w, uint32_t epoll_events) {
    return control(l, EPOLL_CTL_MOD, w, epoll_events);
}

void watch_set_lane(struct loop *l, struct watch *w, uint32_t lane) {
    bool waits = w->line.waits;
    if (lane == w->line.lane) return;
    fair_remove(&l->readable, &w->line);
    w->line.lane = lane;
    if (waits && lane) fair_add(&l->readable, &w->line);
}

void watch_remove(struct loop *l, struct watch *w) {
    control(l, EPOLL_CTL_DEL, w, 0);
    fair_remove(&l->readable, &w->line);
    if (l->running == w) l->running = NULL;
    for (int i = l->at_ready + 1; i < l->n_ready; i++)
        if (l->ready[i].data.ptr == w) l->ready[i].data.ptr = NULL;
}

/* ---- the thread ---- */

static int wait_ms(const struct loop *l) {
    if (l->deferred.first || !inbox_empty(l) || fair_waiting(&l->readable)) return 0;
    int64_t next = timers_next_ns(l);
    if (next == INT64_MAX) return WAIT_MAX_MS;
    int64_t now = clock_now_ns();
    if (next <= now) return 0;
    int64_t ms = (next - now - 1) / NS_PER_MS + 1;
    return ms < WAIT_MAX_MS ? (int)ms : WAIT_MAX_MS;
}

/* Returns how long it took. */
static int64_t run_watch(struct loop *l, struct watch *w, uint32_t events) {
    int64_t began = l->began_ns;
    l->running = w;
    w->ready(w, events);
    settle(l, "descriptor");
    if (l->running && !w->armed) control(l, EPOLL_CTL_MOD, w, w->wanted);
    l->running = NULL;
    return l->began_ns - began;
}

/* What has a lane joins those that wait for their turn. */
static void take_ready(struct loop *l) {
    for (l->at_ready = 0; l->at_ready < l->n_ready; l->at_ready++) {
        struct epoll_event *event = &l->ready[l->at_ready];
        struct watch *w = event->data.ptr;
        if (!w) continue;
        if (!w->line.lane) {
            run_watch(l, w, event->events);
            continue;
        }
        w->armed = false;
        w->seen |= event->events;
        if (!w->line.waits) fair_add(&l->readable, &w->line);
    }
    l->n_ready = 0;
}

/* It may want something else by now than when it was told of. */
static void run_ready(struct loop *l) {
    take_ready(l);
    for (struct fair_item *item; (item = fair_next(&l->readable, false));) {
        struct watch *w = CONTAINER_OF(item, struct watch, line);
        uint32_t lane = item->lane, events = w->seen & (w->wanted | EPOLLERR | EPOLLHUP); /* w may be freed by running it */
        w->seen = 0;
        fair_spent(&l->readable, lane, run_watch(l, w, events));
    }
}

/* Those that are due now; one that a timer sets again, even for the past, waits for the next round. */
static void run_timers(struct loop *l) {
    int64_t now = l->began_ns;
    struct timer *t;
    for (size_t n = l->timers.n; n > 0 && (t = timers_take_due(l, now)); n--) {
        t->fire(t);
        settle(l, "timer");
    }
}

static void run_round(struct loop *l) {
    int n = epoll_wait(l->epoll_fd, l->ready, READY_MAX, wait_ms(l));
    l->n_ready = n > 0 ? n : 0;
    callbacks_begin(l);
    fair_begin_round(&l->posted);
    fair_begin_round(&l->readable);
    run_ready(l);
    run_inbox(l, false);
    run_timers(l);
    run_deferred(l);
    callbacks_end(l);
}

/* No new flow can be opened any more, so this ends, but for tasks that post themselves again. */
static void run_last(struct loop *l) {
    callbacks_begin(l);
    for (int i = 0; l->flows || l->children || l->deferred.first || !inbox_empty(l); i++) {
        if (i == LAST_ROUNDS_MAX) {
            log_error("a loop ends although tasks keep coming", LOG_INT("loop", l->index));
            break;
        }
        run_inbox(l, true);
        flows_cancel(l);
        children_kill(l);
        run_deferred(l);
    }
    callbacks_end(l);
}

static void *loop_main(void *arg) {
    struct loop *l = arg;
    self = l;
    while (!loop_stopping(l)) run_round(l);
    run_last(l);
    self = NULL;
    return NULL;
}

/* ---- life ---- */

tda_status loop_new(const struct loop_options *o, struct loop **ret_loop) {
    struct loop *l = aligned_alloc(64, sizeof *l);
    if (!l) return TDA_E_NOMEM;
    memset(l, 0, sizeof *l);
    l->index = o->index;
    l->config = o->config;
    l->launcher = o->launcher;
    fair_init(&l->posted);
    fair_init(&l->readable);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->wake = (struct watch){.fd = l->wake_fd, .ready = woken};
    tda_status s = l->epoll_fd < 0 || l->wake_fd < 0 ? TDA_E_IO : watch_add(l, &l->wake, EPOLLIN);
    if (!s) s = http_engine_new(l, &l->http);
    if (s) {
        loop_free(l);
        return s;
    }
    *ret_loop = l;
    return TDA_OK;
}

/* Signals are for the thread that waits for them: the loop's has all of them blocked, SIGPIPE too. */
tda_status loop_start(struct loop *l) {
    sigset_t all, before;
    char name[16];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, loop_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) return rc == ENOMEM ? TDA_E_NOMEM : TDA_E_LIMIT;
    l->started = true;
    snprintf(name, sizeof name, "tda-loop-%u", l->index % 1000);
    pthread_setname_np(l->thread, name);
    return TDA_OK;
}

void loop_stop(struct loop *l) {
    atomic_store_explicit(&l->stop_asked, true, memory_order_release);
    wake_up(l);
}

void loop_join(struct loop *l) {
    if (!l->started) return;
    pthread_join(l->thread, NULL);
    l->started = false;
}

void loop_free(struct loop *l) {
    if (!l) return;
    struct loop *outer = self;
    loop_join(l);
    self = l;
    atomic_store_explicit(&l->stop_asked, true, memory_order_release);
    run_last(l);
    http_engine_free(l->http);
    run_last(l);
    self = outer;
    timers_fini(l);
    if (l->wake_fd >= 0) close(l->wake_fd);
    if (l->epoll_fd >= 0) close(l->epoll_fd);
    free(l);
}

void loop_stats(const struct loop *l, struct loop_stats *ret) {
    int64_t since = atomic_load_explicit(&l->busy_since_ns, memory_order_relaxed);
    *ret = (struct loop_stats){
        .flows_open = atomic_load_explicit(&l->flows_open, memory_order_relaxed),
        .flows_total = atomic_load_explicit(&l->flows_total, memory_order_relaxed),
        .posts = atomic_load_explicit(&l->posts, memory_order_relaxed),
        .longest_callback_ns = atomic_load_explicit(&l->longest_ns, memory_order_relaxed),
        .busy_ns = since ? clock_now_ns() - since : 0,
    };
}
