/* `lock` guards everything; it is not held while a job runs. */
#include "loop/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum { RETRY_MS_MIN = 50, RETRY_MS_MAX = 10000 };

struct worker {
    struct workers *pool;
    pthread_t thread;
    const char *label; /* of the job that runs; NULL: none does */
    uint64_t owner;
    int64_t since_ns;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t wake, quiet;
    unsigned max_threads, per_owner, max_queue;
    struct worker_job *first, *last;
    unsigned waiting, idle, running;
    bool stopping;
    uint64_t finished, refused;
    int64_t worked_ns; /* by finished jobs */
    unsigned n;
    struct worker list[];
};

static void init_monotonic(pthread_cond_t *c) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

tda_status workers_new(unsigned max_threads, unsigned per_owner, unsigned max_queue, struct workers **ret) {
    struct workers *w = calloc(1, sizeof *w + max_threads * sizeof w->list[0]);
    if (!w) return TDA_E_NOMEM;
    w->max_threads = max_threads;
    w->per_owner = per_owner;
    w->max_queue = max_queue;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    init_monotonic(&w->quiet);
    *ret = w;
    return TDA_OK;
}

void workers_free(struct workers *w) {
    if (!w) return;
    pthread_cond_destroy(&w->quiet);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- the queue, under the lock ---- */

static void push(struct workers *w, struct worker_job *j) {
    j->next = NULL;
    if (w->last)
        w->last->next = j;
    else
        w->first = j;
    w->last = j;
    w->waiting++;
}

static bool take_out(struct workers *w, struct worker_job *j) {
    struct worker_job *before = NULL;
    for (struct worker_job *i = w->first; i; before = i, i = i->next) {
        if (i != j) continue;
        if (before)
            before->next = j->next;
        else
            w->first = j->next;
        if (w->last == j) w->last = before;
        w->waiting--;
        return true;
    }
    return false;
}

/* ---- owners, under the lock ---- */

static unsigned running_for(const struct workers *w, uint64_t owner) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->n; i++) n += w->list[i].label && w->list[i].owner == owner;
    return n;
}

static bool may_run(const struct workers *w, const struct worker_job *j) {
    return !j->owner || running_for(w, j->owner) < w->per_owner;
}

static struct worker_job *next_to_run(const struct workers *w) {
    struct worker_job *j = w->first;
    while (j && !may_run(w, j)) j = j->next;
    return j;
}

/* His threads are taken, or about to be, and half of the queue waits for them. */
static bool has_his_share(const struct workers *w, const struct worker_job *j) {
    unsigned n = running_for(w, j->owner);
    for (const struct worker_job *i = w->first; i; i = i->next) n += i->owner == j->owner;
    return j->owner && n >= w->per_owner + (w->max_queue + 1) / 2;
}

/* ---- the threads ---- */

static void run_one(struct worker *self, struct worker_job *j) {
    struct workers *w = self->pool;
    self->label = j->label;
    self->owner = j->owner;
    self->since_ns = clock_now_ns();
    w->running++;
    pthread_mutex_unlock(&w->lock);
    j->run(j); /* j may be gone */
    pthread_mutex_lock(&w->lock);
    w->running--;
    w->finished++;
    w->worked_ns += clock_now_ns() - self->since_ns;
    self->label = NULL;
    if (w->waiting) pthread_cond_signal(&w->wake); /* one more of this owner may run */
    if (!w->running && !w->waiting) pthread_cond_broadcast(&w->quiet);
}

static void *worker_main(void *arg) {
    struct worker *self = arg;
    struct workers *w = self->pool;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct worker_job *j;
        while (!(j = next_to_run(w)) && !(w->stopping && !w->waiting)) {
            w->idle++;
            pthread_cond_wait(&w->wake, &w->lock);
            w->idle--;
        }
        if (!j) break;
        take_out(w, j);
        if (w->stopping) pthread_cond_broadcast(&w->wake);
        run_one(self, j);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are for the thread that waits for them. */
static bool start_thread(struct workers *w) {
    struct worker *self = &w->list[w->n];
    sigset_t all, before;
    char name[16];
    self->pool = w;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&self->thread, NULL, worker_main, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) return false;
    snprintf(name, sizeof name, "tda-worker-%u", w->n % 1000);
    pthread_setname_np(self->thread, name);
    w->n++;
    return true;
}

/* Jobs take as long as they took so far, and the threads end them one after the other. */
static int64_t retry_ms(const struct workers *w) {
    int64_t mean_ns = w->finished ? w->worked_ns / (int64_t)w->finished : NS_PER_S;
    int64_t ms = mean_ns / NS_PER_MS / (w->n ? w->n : 1);
    return ms < RETRY_MS_MIN ? RETRY_MS_MIN : ms > RETRY_MS_MAX ? RETRY_MS_MAX : ms;
}

static tda_status add_locked(struct workers *w, struct worker_job *j, int64_t *ret_retry_ms) {
    if (w->stopping) return TDA_E_CANCELLED;
    if (w->running + w->waiting >= w->max_threads + w->max_queue || has_his_share(w, j)) {
        w->refused++;
        *ret_retry_ms = retry_ms(w);
        return TDA_E_BUSY;
    }
    push(w, j);
    if (w->idle < w->waiting && w->n < w->max_threads && !start_thread(w) && !w->n) {
        take_out(w, j);
        return TDA_E_NOMEM;
    }
    pthread_cond_signal(&w->wake);
    return TDA_OK;
}

tda_status workers_add(struct workers *w, struct worker_job *j, int64_t *ret_retry_ms) {
    pthread_mutex_lock(&w->lock);
    tda_status s = add_locked(w, j, ret_retry_ms);
    pthread_mutex_unlock(&w->lock);
    return s;
}

bool workers_remove(struct workers *w, struct worker_job *j) {
    pthread_mutex_lock(&w->lock);
    bool removed = take_out(w, j);
    if (w->stopping && !w->waiting) pthread_cond_broadcast(&w->wake); /* those who stayed for it end */
    if (!w->running && !w->waiting) pthread_cond_broadcast(&w->quiet);
    pthread_mutex_unlock(&w->lock);
    return removed;
}

/* ---- the end ---- */

static struct timespec monotonic_in(int64_t ns) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ns / NS_PER_S;
    ts.tv_nsec += ns % NS_PER_S;
    if (ts.tv_nsec >= NS_PER_S) {
        ts.tv_sec++;
        ts.tv_nsec -= NS_PER_S;
    }
    return ts;
}

static void say_stuck(const struct workers *w) {
    for (unsigned i = 0; i < w->n; i++)
        if (w->list[i].label)
            log_warn("a blocking call does not return", LOG_Z("what", w->list[i].label),
                     LOG_INT("ms", (clock_now_ns() - w->list[i].since_ns) / NS_PER_MS));
}

bool workers_stop(struct workers *w, int64_t grace_ns) {
    struct timespec until = monotonic_in(grace_ns);
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->wake);
    while ((w->running || w->waiting) && pthread_cond_timedwait(&w->quiet, &w->lock, &until) == 0) {
    }
    bool quiet = !w->running && !w->waiting;
    if (!quiet) say_stuck(w);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n && quiet; i++) pthread_join(w->list[i].thread, NULL);
    return quiet;
}

void workers_stats(struct workers *w, struct workers_stats *ret) {
    int64_t now = clock_now_ns();
    pthread_mutex_lock(&w->lock);
    *ret = (struct workers_stats){
        .threads = w->n, .running = w->running, .waiting = w->waiting, .finished = w->finished, .refused = w->refused};
    for (unsigned i = 0; i < w->n; i++)
        if (w->list[i].label && now - w->list[i].since_ns > ret->oldest_ns) ret->oldest_ns = now - w->list[i].since_ns;
    pthread_mutex_unlock(&w->lock);
}
