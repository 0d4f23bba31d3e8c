/* `lock` of a lane guards its queue; the store and done callbacks run without it. Who waits on `wake` is woken after the lock is
 * left, or he would only wait for that. */
#include "session/sessions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "session/ledger.h"

enum { GROUP_MAX = 256 };
#define CALM_NS NS_PER_S
#define COMPANY_NS (200LL * NS_PER_MS) /* so long a job that can wait does, for others to share its commit */

struct lane {
    struct sessions *sessions;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct store_job *first, **last;
    uint64_t queued, reserved, max;
    uint64_t can_wait; /* of those queued */
    int64_t due_ns;    /* until when they do; set by the first in an empty queue */
    bool started, stopping;
};

struct sessions {
    struct store *store;
    struct lane lanes[LANES];
    struct ledger *ledger;
    pthread_mutex_t lock; /* of `entries` */
    struct session_entry *entries;
    _Atomic uint64_t groups, written, failed, refused, reads;
    /* The log says once that the store fails, and once that it works again: that nothing has failed for a while. */
    _Atomic bool complaining;
    _Atomic int64_t failed_ns;
};

/* ---- what the threads do ---- */

static void run_job(struct sessions *ss, struct store_job *j) {
    j->error = (struct error){.retry_ms = -1};
    j->status = j->run(j, ss->store);
    if (j->status && !j->error.status) error_set(&j->error, j->status, NULL, "%s", status_text(j->status));
}

/* After its group was taken back: so that one that cannot be stored does not take the others with it. */
static void write_alone(struct sessions *ss, struct store_job *j) {
    const struct store_ops *ops = ss->store->ops;
    struct error e = {.retry_ms = -1};
    tda_status s = ops->begin(ss->store, &e);
    if (!s) {
        run_job(ss, j);
        if (j->status) {
            ops->rollback(ss->store);
            return;
        }
        s = ops->commit(ss->store, &e);
    }
    if (!s) return;
    ops->rollback(ss->store);
    j->status = s;
    j->error = e;
}

static void write_group(struct sessions *ss, struct store_job *list) {
    const struct store_ops *ops = ss->store->ops;
    tda_status s = ops->begin(ss->store, NULL);
    if (!s) {
        for (struct store_job *j = list; j; j = j->next) run_job(ss, j);
        s = ops->commit(ss->store, NULL);
    }
    atomic_fetch_add(&ss->groups, 1);
    if (!s) return;
    ops->rollback(ss->store);
    for (struct store_job *j = list; j; j = j->next) write_alone(ss, j);
}

static void tell_log(struct sessions *ss, const struct store_job *j) {
    bool fails = j->status == TDA_E_IO || j->status == TDA_E_NOMEM;
    if (fails) atomic_store(&ss->failed_ns, clock_now_ns());
    bool calm = !j->status && clock_now_ns() - atomic_load(&ss->failed_ns) > CALM_NS;
    if (fails && !atomic_exchange(&ss->complaining, true))
        log_error("the session store fails; callers are told, nothing acknowledged is lost", LOG_Z("reason", j->error.text));
    else if (calm && atomic_exchange(&ss->complaining, false))
        log_info("the session store works again");
}

static void finish(struct sessions *ss, struct store_job *list, bool wrote) {
    while (list) {
        struct store_job *j = list;
        list = j->next;
        if (wrote) {
            atomic_fetch_add(j->status ? &ss->failed : &ss->written, 1);
            tell_log(ss, j);
        }
        j->done(j);
    }
}

/* Those that wait are to fill no queue, nor more than one group. */
static bool may_rest(const struct lane *l) {
    return l->queued == l->can_wait && l->queued < GROUP_MAX && 2 * (l->queued + l->reserved) < l->max;
}

static void rest(struct lane *l, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t at = until.tv_nsec + ns;
    until.tv_sec += at / NS_PER_S;
    until.tv_nsec = at % NS_PER_S;
    pthread_cond_timedwait(&l->wake, &l->lock, &until);
}

static void wait_for_jobs(struct lane *l) {
    while (!l->stopping) {
        int64_t left = l->first && may_rest(l) ? l->due_ns - clock_now_ns() : 0;
        if (!l->first)
            pthread_cond_wait(&l->wake, &l->lock);
        else if (left > 0)
            rest(l, left);
        else
            return;
    }
}

static struct store_job *take(struct lane *l, size_t most) {
    struct store_job *list = l->first, **end = &list;
    for (size_t n = 0; *end && n < most; n++) {
        l->queued--;
        l->can_wait -= (*end)->can_wait;
        end = &(*end)->next;
    }
    l->first = *end;
    if (!l->first) l->last = &l->first;
    *end = NULL;
    return list;
}

static void *lane_main(void *arg) {
    struct lane *l = arg;
    struct sessions *ss = l->sessions;
    bool writes = l == &ss->lanes[LANE_WRITE];
    pthread_mutex_lock(&l->lock);
    for (;;) {
        wait_for_jobs(l);
        if (!l->first) break;
        struct store_job *list = take(l, writes ? GROUP_MAX : 1);
        pthread_mutex_unlock(&l->lock);
        if (writes) {
            write_group(ss, list);
        } else {
            atomic_fetch_add(&ss->reads, 1);
            run_job(ss, list);
        }
        finish(ss, list, writes);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- life ---- */

tda_status sessions_new(struct store *store, uint64_t queue, struct sessions **ret) {
    static const char *const names[] = {"tda-store-write", "tda-store-read", "tda-store-aside"};
    struct sessions *ss = calloc(1, sizeof *ss);
    pthread_condattr_t attr;
    if (!ss) {
        store->ops->close(store);
        return TDA_E_NOMEM;
    }
    ss->store = store;
    pthread_mutex_init(&ss->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (size_t i = 0; i < LANES; i++) {
        struct lane *l = &ss->lanes[i];
        *l = (struct lane){.sessions = ss, .last = &l->first, .max = i == LANE_ASIDE ? 1 : queue};
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->wake, &attr);
        l->started = pthread_create(&l->thread, NULL, lane_main, l) == 0;
        if (l->started) pthread_setname_np(l->thread, names[i]);
    }
    pthread_condattr_destroy(&attr);
    if (ledger_new(&ss->ledger) == TDA_OK && ss->lanes[LANE_WRITE].started && ss->lanes[LANE_READ].started &&
        ss->lanes[LANE_ASIDE].started) {
        *ret = ss;
        return TDA_OK;
    }
    sessions_free(ss);
    return TDA_E_NOMEM;
}

static void stop_lane(struct lane *l) {
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    if (l->started) pthread_join(l->thread, NULL);
}

/* The writing lane last: what was read may have something written. Nothing of a lane goes while another may still wake it. */
void sessions_free(struct sessions *ss) {
    if (!ss) return;
    for (size_t i = LANES; i-- > 0;) stop_lane(&ss->lanes[i]);
    for (size_t i = 0; i < LANES; i++) {
        pthread_cond_destroy(&ss->lanes[i].wake);
        pthread_mutex_destroy(&ss->lanes[i].lock);
    }
    pthread_mutex_destroy(&ss->lock);
    ss->store->ops->close(ss->store);
    ledger_free(ss->ledger);
    free(ss);
}

/* ---- queues ---- */

static tda_status busy(struct sessions *ss, struct error *e) {
    atomic_fetch_add(&ss->refused, 1);
    error_set(e, TDA_E_BUSY, "store_busy", "too many wait for the session store");
    error_hint(e, "try again; the operator's bound is sessions.queue");
    if (e) e->retry_ms = 200;
    return TDA_E_BUSY;
}

/* Its thread sleeps when the queue is empty; it rests, and must not, when this was one too many. */
static void leave(struct lane *l, bool pushed) {
    bool wake = l->first && ((pushed && l->queued == 1) || !may_rest(l));
    pthread_mutex_unlock(&l->lock);
    if (wake) pthread_cond_signal(&l->wake);
}

static void push_locked(struct lane *l, struct store_job *j) {
    if (!l->first) l->due_ns = clock_now_ns() + COMPANY_NS;
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
    l->queued++;
    l->can_wait += j->can_wait;
}

tda_status sessions_submit(struct sessions *ss, const struct principal *who, tda_str user, enum sessions_lane lane,
                           struct store_job *j, struct error *e) {
    tda_status s = principal_may(who, user, e);
    if (s) return s;
    j->user = user;
    struct lane *l = &ss->lanes[lane];
    pthread_mutex_lock(&l->lock);
    bool room = l->queued + l->reserved < l->max;
    if (room) push_locked(l, j);
    leave(l, room);
    return room ? TDA_OK : busy(ss, e);
}

tda_status sessions_reserve(struct sessions *ss, struct error *e) {
    struct lane *l = &ss->lanes[LANE_WRITE];
    pthread_mutex_lock(&l->lock);
    bool room = l->queued + l->reserved < l->max;
    if (room) l->reserved++;
    leave(l, false);
    return room ? TDA_OK : busy(ss, e);
}

void sessions_unreserve(struct sessions *ss) {
    struct lane *l = &ss->lanes[LANE_WRITE];
    pthread_mutex_lock(&l->lock);
    l->reserved--;
    pthread_mutex_unlock(&l->lock);
}

void sessions_write_reserved(struct sessions *ss, struct store_job *j) {
    struct lane *l = &ss->lanes[LANE_WRITE];
    pthread_mutex_lock(&l->lock);
    l->reserved--;
    push_locked(l, j);
    leave(l, true);
}

void sessions_add_usage(struct sessions *ss, const struct usage_row *row) {
    struct store_job *j = ledger_add(ss->ledger, row);
    if (j)
        sessions_write_reserved(ss, j);
    else
        sessions_unreserve(ss);
}

/* ---- waiting ---- */

struct waiting {
    struct store_job job;
    tda_status (*run)(void *arg, struct store *s, struct error *e);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ended;
};

static tda_status run_waiting(struct store_job *j, struct store *s) {
    struct waiting *w = CONTAINER_OF(j, struct waiting, job);
    return w->run(w->arg, s, &j->error);
}

static void end_waiting(struct store_job *j) {
    struct waiting *w = CONTAINER_OF(j, struct waiting, job);
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

tda_status sessions_run(struct sessions *ss, enum sessions_lane lane,
                        tda_status (*run)(void *arg, struct store *s, struct error *e), void *arg, struct error *e) {
    struct waiting w = {.job = {.run = run_waiting, .done = end_waiting}, .run = run, .arg = arg};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    tda_status s = sessions_submit(ss, &principal_host, TDA_STR(""), lane, &w.job, e);
    pthread_mutex_lock(&w.lock);
    while (!s && !w.ended) pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (!s && w.job.status && e) *e = w.job.error;
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.lock);
    return s ? s : w.job.status;
}

/* ---- one turn at a time ---- */

/* Of a user, for whose it is nobody has read yet: an id that another heard of must not keep its owner out. */
tda_status sessions_enter(struct sessions *ss, struct session_entry *entry, tda_str user, tda_str id, struct error *e) {
    bool taken = false;
    pthread_mutex_lock(&ss->lock);
    for (const struct session_entry *i = ss->entries; i && !taken; i = i->next)
        taken = tda_str_eq(i->id, id) && tda_str_eq(i->user, user);
    if (!taken) {
        *entry = (struct session_entry){.next = ss->entries, .user = user, .id = id};
        ss->entries = entry;
    }
    pthread_mutex_unlock(&ss->lock);
    if (!taken) return TDA_OK;
    error_set(e, TDA_E_BUSY, "session_busy", "a turn of this session is running");
    error_hint(e, "wait for its end, or cancel it");
    if (e) e->retry_ms = 500;
    return TDA_E_BUSY;
}

void sessions_leave(struct sessions *ss, struct session_entry *entry) {
    pthread_mutex_lock(&ss->lock);
    for (struct session_entry **i = &ss->entries; *i; i = &(*i)->next)
        if (*i == entry) {
            *i = entry->next;
            break;
        }
    pthread_mutex_unlock(&ss->lock);
}

void sessions_stats(struct sessions *ss, struct sessions_stats *ret) {
    struct lane *l = &ss->lanes[LANE_WRITE];
    *ret = (struct sessions_stats){.groups = atomic_load(&ss->groups),
                                   .written = atomic_load(&ss->written),
                                   .failed = atomic_load(&ss->failed),
                                   .refused = atomic_load(&ss->refused),
                                   .reads = atomic_load(&ss->reads)};
    pthread_mutex_lock(&l->lock);
    ret->queued = l->queued;
    pthread_mutex_unlock(&l->lock);
}

void sessions_write(struct sessions *ss, struct jw *w) {
    struct sessions_stats s;
    sessions_stats(ss, &s);
    jw_open_object(w, "session_store");
    jw_put_u64(w, "queued", s.queued);
    jw_put_u64(w, "groups", s.groups);
    jw_put_u64(w, "written", s.written);
    jw_put_u64(w, "failed", s.failed);
    jw_put_u64(w, "refused", s.refused);
    jw_put_u64(w, "reads", s.reads);
    jw_end_object(w);
}

/* ---- ids and titles ---- */

void session_id_new(char out[SESSION_ID_SIZE]) {
    unsigned char raw[16];
    random_bytes(raw, sizeof raw);
    snprintf(out, SESSION_ID_SIZE, "s-");
    for (size_t i = 0; i < sizeof raw; i++) snprintf(out + 2 + 2 * i, 3, "%02x", raw[i]);
}

void session_title_from(tda_str question, char out[TITLE_MAX + 1]) {
    size_t n = 0;
    bool gap = false, cut = false;
    for (size_t i = 0; i < question.n; i++) {
        unsigned char c = (unsigned char)question.p[i];
        if (c <= ' ' || c == 0x7f) {
            gap = n > 0;
            continue;
        }
        cut = n >= TITLE_AUTO && (c & 0xc0) != 0x80; /* not inside of a character */
        if (cut || n + 2 > TITLE_MAX - 4) break;
        if (gap) out[n++] = ' ';
        gap = false;
        out[n++] = (char)c;
    }
    snprintf(out + n, TITLE_MAX + 1 - n, "%s", cut ? "..." : "");
}
