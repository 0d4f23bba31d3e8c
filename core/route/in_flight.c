/* What is in flight: figures and bounds, of all and of each user; the lists by connection, for cancelling; being alone; draining.
 *
 * Locks: the router's `lock` guards the figures, users' figures and the lists. Nothing is called with it held. */
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "route/router_impl.h"

#define CANCEL_GRACE_NS (10LL * NS_PER_S) /* of a callback or a boot of a plugin's that blocks */

/* ---- figures ---- */

/* The client of an answered request may be faster than our bookkeeping. */
static uint64_t unanswered(uint64_t n, _Atomic uint64_t *answered) {
    uint64_t done = atomic_load(answered);
    return n > done ? n - done : 0;
}

static tda_status user_enter(struct router *r, tda_str user, struct user_load **ret, struct error *e) {
    struct user_load *u = NULL;
    HASH_FIND(hh, r->users, user.p, user.n, u);
    if (u && u->alone) {
        error_set(e, TDA_E_BUSY, "user_deleting", "this user is being erased");
        e->retry_ms = 500;
        return TDA_E_BUSY;
    }
    uint64_t n = u ? unanswered(u->n, &u->answered) : 0;
    if (u && n >= (uint64_t)config_now(r->o.config)->limits_user_requests) {
        error_set(e, TDA_E_BUSY, "user_busy", "this user has %llu requests in flight, which is the limit", (unsigned long long)n);
        error_hint(e, "wait for some to end; the operator's limit is limits.requests_per_user");
        e->retry_ms = 100;
        return TDA_E_BUSY;
    }
    if (!u) {
        u = calloc(1, sizeof *u + user.n + 1);
        if (!u) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        memcpy(u->key, user.p, user.n);
        u->key_n = user.n;
        HASH_ADD(hh, r->users, key, user.n, u);
        if (!u->hh.tbl) {
            free(u);
            return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        }
    }
    u->n++;
    *ret = u;
    return TDA_OK;
}

/* Who waited for being alone, and is now. */
static struct request *user_leave(struct router *r, struct user_load *u) {
    if (--u->n) return u->n == 1 ? u->alone : NULL;
    HASH_DEL(r->users, u);
    free(u);
    return NULL;
}

static struct request **bucket(struct router *r, uint64_t connection) {
    return &r->by_connection[connection % CONNECTION_BUCKETS];
}

static void list_add(struct request *q) {
    struct request **head = bucket(q->router, q->caller.connection);
    q->next = *head;
    if (*head) (*head)->prev = q;
    *head = q;
}

static void list_remove(struct request *q) {
    if (q->prev)
        q->prev->next = q->next;
    else
        *bucket(q->router, q->caller.connection) = q->next;
    if (q->next) q->next->prev = q->prev;
}

tda_status request_enter(struct request *q, struct error *e) {
    struct router *r = q->router;
    tda_status s = TDA_OK;
    pthread_mutex_lock(&r->lock);
    uint64_t n = unanswered(r->in_flight, &r->answered);
    if (r->draining) {
        s = error_set(e, TDA_E_CLOSED, "shutting_down", "the daemon is shutting down");
    } else if (n >= (uint64_t)config_now(r->o.config)->limits_requests) {
        s = error_set(e, TDA_E_BUSY, "busy", "%llu requests are in flight, which is the limit", (unsigned long long)n);
        error_hint(e, "try again; the operator's limit is limits.requests");
        e->retry_ms = 100;
    } else {
        s = user_enter(r, q->user, &q->load, e);
    }
    if (!s) {
        r->in_flight++;
        list_add(q);
    }
    pthread_mutex_unlock(&r->lock);
    if (s) atomic_fetch_add(&r->refused, 1);
    return s;
}

void request_answering(struct request *q) {
    if (!q->load) return;
    q->answering = true;
    atomic_fetch_add(&q->load->answered, 1);
    atomic_fetch_add(&q->router->answered, 1);
}

void request_leave(struct request *q) {
    struct router *r = q->router;
    if (!q->load) return;
    if (q->counted_task) limits_task_end(r->o.agent->limits, q->user);
    pthread_mutex_lock(&r->lock);
    list_remove(q);
    if (q->answering) {
        atomic_fetch_sub(&q->load->answered, 1);
        atomic_fetch_sub(&r->answered, 1);
    }
    struct request *alone = user_leave(r, q->load);
    if (--r->in_flight == 0) pthread_cond_broadcast(&r->idle);
    pthread_mutex_unlock(&r->lock);
    if (alone) alone->alone(alone);
}

void request_alone_no_more(struct request *q) {
    struct user_load *u = NULL;
    if (!q->alone) return;
    pthread_mutex_lock(&q->router->lock);
    HASH_FIND(hh, q->router->users, q->user.p, q->user.n, u);
    if (u && u->alone == q) u->alone = NULL;
    pthread_mutex_unlock(&q->router->lock);
}

/* ---- cancelling ---- */

static void on_cancel(struct task *t) {
    struct request *q = CONTAINER_OF(t, struct request, cancel);
    if (q->begun && !q->ended) agent_cancel(&q->work);
    request_unref(q);
}

/* Once per request; under the router's lock, which keeps the request from ending meanwhile. */
static void cancel_locked(struct request *q) {
    if (atomic_exchange(&q->cancelled, true)) return;
    atomic_fetch_add(&q->router->cancelled, 1);
    if (!q->loop) return; /* it is not posted yet, and is looked at when it begins */
    ref_take(&q->ref);
    q->cancel = (struct task){.run = on_cancel, .line.lane = q->begin.line.lane}; /* behind it */
    loop_post(q->loop, &q->cancel);
}

void request_cancel(struct request *q) {
    if (atomic_exchange(&q->cancelled, true)) return;
    atomic_fetch_add(&q->router->cancelled, 1);
    if (q->begun && !q->ended) agent_cancel(&q->work);
}

void route_gone(struct router *r, uint64_t connection) {
    pthread_mutex_lock(&r->lock);
    for (struct request *q = *bucket(r, connection); q; q = q->next)
        if (q->caller.connection == connection && !q->idem) cancel_locked(q);
    pthread_mutex_unlock(&r->lock);
}

void router_when_alone(struct request *q, void (*go)(struct request *q)) {
    struct router *r = q->router;
    struct error e = {.retry_ms = -1};
    struct user_load *u = NULL;
    pthread_mutex_lock(&r->lock);
    HASH_FIND(hh, r->users, q->user.p, q->user.n, u);
    bool first = u && !u->alone, alone = first && u->n == 1;
    if (first) {
        u->alone = q;
        q->alone = go;
        for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
            for (struct request *o = r->by_connection[i]; o; o = o->next)
                if (o != q && tda_str_eq(o->user, q->user)) cancel_locked(o);
    }
    pthread_mutex_unlock(&r->lock);
    if (alone) {
        go(q);
    } else if (!first) {
        error_set(&e, TDA_E_BUSY, "user_deleting", "this user is being erased");
        e.retry_ms = 500;
        request_reply(q, &e);
    }
}

static bool wait_idle(struct router *r, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec += ns % NS_PER_S;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    while (r->in_flight && pthread_cond_timedwait(&r->idle, &r->lock, &until) == 0) {
    }
    return r->in_flight == 0;
}

bool router_drain(struct router *r, int64_t grace_ns) {
    pthread_mutex_lock(&r->lock);
    r->draining = true;
    if (r->in_flight)
        log_info("waiting for requests in flight", LOG_INT("count", (int64_t)r->in_flight),
                 LOG_INT("grace_ms", grace_ns / NS_PER_MS));
    if (!wait_idle(r, grace_ns)) {
        log_warn("cancelling what is left", LOG_INT("count", (int64_t)r->in_flight));
        for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
            for (struct request *q = r->by_connection[i]; q; q = q->next) cancel_locked(q);
        if (!wait_idle(r, CANCEL_GRACE_NS))
            log_error("requests do not end, though cancelled", LOG_INT("count", (int64_t)r->in_flight));
    }
    bool idle = r->in_flight == 0;
    pthread_mutex_unlock(&r->lock);
    return idle;
}
