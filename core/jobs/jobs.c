/* `lock` guards every field of a job but its spec; it is not held while a job or a done callback runs. */
#include "jobs/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum { JOBS_MAX = 16, WAITERS_MAX = 64, NOTE_MAX = 160 };

struct waiter {
    job_done_fn done;
    void *arg;
};

struct job {
    struct job_spec spec;
    int64_t next_ns; /* INT64_MAX: not scheduled */
    int64_t last_ns; /* 0: never ran */
    int64_t last_wall_ms, took_ns;
    tda_status last_status;
    char last_note[NOTE_MAX];
    uint64_t runs, failures;
    struct waiter waiters[WAITERS_MAX];
    size_t n_waiters;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stopping;
    struct job list[JOBS_MAX];
    size_t n;
};

tda_status jobs_new(struct jobs **ret) {
    struct jobs *js = calloc(1, sizeof *js);
    pthread_condattr_t attr;
    if (!js) return TDA_E_NOMEM;
    pthread_mutex_init(&js->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&js->wake, &attr);
    pthread_condattr_destroy(&attr);
    *ret = js;
    return TDA_OK;
}

void jobs_free(struct jobs *js) {
    if (!js) return;
    pthread_cond_destroy(&js->wake);
    pthread_mutex_destroy(&js->lock);
    free(js);
}

tda_status jobs_add(struct jobs *js, const struct job_spec *spec) {
    if (js->n == JOBS_MAX) return TDA_E_LIMIT;
    struct job *j = &js->list[js->n++];
    *j = (struct job){.spec = *spec, .next_ns = spec->enabled ? clock_now_ns() + spec->interval_ns : INT64_MAX};
    return TDA_OK;
}

static void record(struct job *j, int64_t began_ns, tda_status s, const char *note) {
    j->last_ns = began_ns;
    j->last_wall_ms = clock_wall_ms();
    j->took_ns = clock_now_ns() - began_ns;
    j->last_status = s;
    j->runs++;
    j->failures += s != TDA_OK;
    snprintf(j->last_note, sizeof j->last_note, "%s", note);
    if (j->spec.enabled) j->next_ns = clock_now_ns() + j->spec.interval_ns;
}

static void run_one(struct jobs *js, struct job *j) {
    char note[NOTE_MAX] = "";
    struct waiter waiters[WAITERS_MAX];
    size_t n_waiters = j->n_waiters;
    int64_t began = clock_now_ns();
    memcpy(waiters, j->waiters, n_waiters * sizeof *waiters);
    j->n_waiters = 0;
    pthread_mutex_unlock(&js->lock);
    tda_status s = j->spec.run(j->spec.arg, note, sizeof note);
    if (s && !j->spec.logs_itself)
        log_error("job failed, it runs again next time", LOG_Z("job", j->spec.name), LOG_Z("status", status_name(s)),
                  LOG_Z("note", note));
    pthread_mutex_lock(&js->lock);
    record(j, began, s, note);
    pthread_mutex_unlock(&js->lock);
    for (size_t i = 0; i < n_waiters; i++) waiters[i].done(waiters[i].arg, s, note);
    pthread_mutex_lock(&js->lock);
}

static int64_t tick_locked(struct jobs *js, int64_t now_ns) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < js->n; i++) {
        struct job *j = &js->list[i];
        if (j->n_waiters || j->next_ns <= now_ns) run_one(js, j);
        if (j->next_ns < next) next = j->next_ns;
    }
    for (size_t i = 0; i < js->n; i++)
        if (js->list[i].n_waiters) return now_ns;
    return next;
}

int64_t jobs_tick(struct jobs *js, int64_t now_ns) {
    pthread_mutex_lock(&js->lock);
    int64_t next = tick_locked(js, now_ns);
    pthread_mutex_unlock(&js->lock);
    return next;
}

/* The wait is on CLOCK_MONOTONIC while ages count suspend too: after a suspend a job may be late by at most its wait, cut to a
 * minute. */
static void wait_until(struct jobs *js, int64_t next_ns) {
    int64_t wait = next_ns - clock_now_ns();
    struct timespec ts;
    if (wait <= 0) return;
    if (wait > 60LL * NS_PER_S) wait = 60LL * NS_PER_S;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += wait / NS_PER_S;
    ts.tv_nsec += wait % NS_PER_S;
    if (ts.tv_nsec >= NS_PER_S) {
        ts.tv_sec++;
        ts.tv_nsec -= NS_PER_S;
    }
    pthread_cond_timedwait(&js->wake, &js->lock, &ts);
}

static void *thread_main(void *arg) {
    struct jobs *js = arg;
    pthread_mutex_lock(&js->lock);
    while (!js->stopping) {
        int64_t next = tick_locked(js, clock_now_ns());
        if (!js->stopping) wait_until(js, next);
    }
    pthread_mutex_unlock(&js->lock);
    return NULL;
}

tda_status jobs_start(struct jobs *js) {
    if (pthread_create(&js->thread, NULL, thread_main, js)) return TDA_E_NOMEM;
    pthread_setname_np(js->thread, "tda-jobs");
    js->started = true;
    return TDA_OK;
}

static void cancel_waiters(struct jobs *js) {
    for (size_t i = 0; i < js->n; i++)
        for (struct job *j = &js->list[i]; j->n_waiters;) {
            struct waiter w = j->waiters[--j->n_waiters];
            w.done(w.arg, TDA_E_CANCELLED, "the daemon is shutting down");
        }
}

void jobs_stop(struct jobs *js) {
    pthread_mutex_lock(&js->lock);
    js->stopping = true;
    pthread_cond_signal(&js->wake);
    pthread_mutex_unlock(&js->lock);
    if (js->started) pthread_join(js->thread, NULL);
    js->started = false;
    cancel_waiters(js);
}

static struct job *find(struct jobs *js, tda_str name) {
    for (size_t i = 0; i < js->n; i++)
        if (tda_str_eq(name, tda_str_of(js->list[i].spec.name))) return &js->list[i];
    return NULL;
}

static tda_status unknown_job(struct jobs *js, tda_str name, struct error *e) {
    const char *names[JOBS_MAX];
    char known[160] = "";
    for (size_t i = 0; i < js->n; i++) {
        size_t used = strlen(known);
        names[i] = js->list[i].spec.name;
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = nearest_word(name, names, js->n);
    error_set(e, TDA_E_NOT_FOUND, "unknown_job", "there is no job %.*s", (int)(name.n < 64 ? name.n : 64), name.p ? name.p : "");
    error_field(e, "name");
    error_hint(e, near ? "did you mean %s?" : "the jobs are: %s", near ? near : known);
    return TDA_E_NOT_FOUND;
}

static tda_status busy(struct error *e) {
    error_set(e, TDA_E_BUSY, "busy", "too many wait for this job already");
    if (e) e->retry_ms = 1000;
    return TDA_E_BUSY;
}

tda_status jobs_run_now(struct jobs *js, tda_str name, job_done_fn done, void *arg, struct error *e) {
    struct job *j = find(js, name);
    tda_status s = TDA_OK;
    if (!j) return unknown_job(js, name, e);
    pthread_mutex_lock(&js->lock);
    if (js->stopping)
        s = error_set(e, TDA_E_CANCELLED, "shutting_down", "the daemon is shutting down");
    else if (j->n_waiters == WAITERS_MAX)
        s = busy(e);
    else
        j->waiters[j->n_waiters++] = (struct waiter){done, arg};
    pthread_cond_signal(&js->wake);
    pthread_mutex_unlock(&js->lock);
    return s;
}

static void write_job(const struct job *j, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "name", j->spec.name);
    jw_put_z(w, "help", j->spec.help);
    jw_put_bool(w, "enabled", j->spec.enabled);
    jw_put_i64(w, "interval_s", j->spec.interval_ns / NS_PER_S);
    jw_put_u64(w, "runs", j->runs);
    jw_put_u64(w, "failures", j->failures);
    if (j->runs) {
        char when[32];
        clock_format_wall(j->last_wall_ms, when, sizeof when);
        jw_put_z(w, "last_run", when);
        jw_put_z(w, "last_result", j->last_status ? status_name(j->last_status) : "OK");
        jw_put_z(w, "last_note", j->last_note);
        jw_put_i64(w, "last_took_us", j->took_ns / 1000);
    }
    if (j->next_ns != INT64_MAX) {
        int64_t left = j->next_ns - clock_now_ns();
        jw_put_i64(w, "next_run_s", left > 0 ? left / NS_PER_S : 0);
    }
    jw_end_object(w);
}

void jobs_write(struct jobs *js, struct jw *w) {
    pthread_mutex_lock(&js->lock);
    jw_begin_array(w);
    for (size_t i = 0; i < js->n; i++) write_job(&js->list[i], w);
    jw_end_array(w);
    pthread_mutex_unlock(&js->lock);
}
