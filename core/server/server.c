#include "server/server_impl.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { CHECK_MS = 2000, TLS_LINGER_US = 200000 };

static void on_check(void *arg) {
    struct server *s = arg;
    if (nng_aio_result(s->check)) return; /* stopped */
    pthread_mutex_lock(&s->lock);
    for (struct connection *c = LIST_FIRST(&s->connections); c; c = connection_next(c)) connection_check(c);
    pthread_mutex_unlock(&s->lock);
    upgrades_check(s);
    nng_sleep_aio(CHECK_MS, s->check);
}

static tda_status start_checks(struct server *s) {
    bool needed = false;
    for (size_t i = 0; i < s->n_listeners; i++) needed |= s->listeners[i].is_tls || s->listeners[i].is_ws;
    if (!needed) return TDA_OK;
    if (nng_aio_alloc(&s->check, on_check, s)) return TDA_E_NOMEM;
    nng_sleep_aio(CHECK_MS, s->check);
    return TDA_OK;
}

tda_status server_start(const struct config *c, const struct server_ops *ops, void *arg, struct server **ret, struct error *e) {
    struct server *s = calloc(1, sizeof *s);
    tda_status status = TDA_OK;
    if (!s) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    s->config = c;
    s->ops = *ops;
    s->arg = arg;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    *ret = s; /* requests may come before this returns, and ask for the urls: those are known by then */
    for (char **url = c->listen; *url && !status; url++) status = listener_open(s, *url, e);
    if (!status && start_checks(s)) status = error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    if (status) {
        *ret = NULL;
        server_stop_listening(s);
        server_stop(s, 0);
        return status;
    }
    for (size_t i = 0; i < s->n_listeners; i++) s->urls[i] = s->listeners[i].url;
    for (size_t i = 0; i < s->n_listeners; i++) listener_begin(&s->listeners[i]);
    return TDA_OK;
}

const char *const *server_urls(const struct server *s) {
    return s->urls;
}

void server_stop_listening(struct server *s) {
    atomic_store(&s->stopping, true);
    for (size_t i = 0; i < s->n_listeners; i++) listener_close(&s->listeners[i]);
    if (s->check) nng_aio_stop(s->check);
}

/* Under the lock: a connection that is freed leaves the list under it too. */
static void stop_all(struct server *s, bool at_once) {
    struct connection *c;
    for (c = LIST_FIRST(&s->connections); c; c = connection_next(c)) connection_stop(c, at_once);
}

static bool wait_until_empty(struct server *s, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec += ns % NS_PER_S;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    while (s->alive)
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT) return !s->alive;
    return true;
}

/* nng (1.5.2) calls a TLS write done when it is copied, and drops it when the stream closes before its own thread has sent it. */
static void let_tls_write(struct server *s) {
    bool any = false;
    for (size_t i = 0; i < s->n_listeners; i++) any |= s->listeners[i].is_tls;
    pthread_mutex_lock(&s->lock);
    for (struct connection *c = LIST_FIRST(&s->connections); c; c = connection_next(c)) connection_hush(c);
    any = any && s->alive;
    pthread_mutex_unlock(&s->lock);
    if (any) usleep(TLS_LINGER_US);
}

void server_stop(struct server *s, int64_t grace_ns) {
    let_tls_write(s);
    pthread_mutex_lock(&s->lock);
    stop_all(s, false);
    if (!wait_until_empty(s, grace_ns)) {
        stop_all(s, true);
        while (s->alive) pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct listener *l = &s->listeners[i];
        if (l->aio) nng_aio_free(l->aio);
        if (l->nng && !l->is_ws) nng_stream_listener_free(l->nng); /* see listener_close */
        free(l->url);
    }
    certificates_free(s);
    if (s->check) nng_aio_free(s->check);
    upgrades_fini(&s->upgrades);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void server_stats(const struct server *s, struct server_stats *ret) {
    *ret = (struct server_stats){.connections = s->open,
                                 .connections_total = s->total,
                                 .refused = s->refused,
                                 .requests_total = s->requests,
                                 .replies_total = s->replies,
                                 .malformed = s->malformed,
                                 .oversized = s->oversized};
}

void front_door_write(const struct server *s, struct jw *w) {
    struct server_stats stats;
    server_stats(s, &stats);
    jw_open_object(w, "front_door");
    jw_put_u64(w, "connections", stats.connections);
    jw_put_u64(w, "connections_total", stats.connections_total);
    jw_put_u64(w, "connections_refused", stats.refused);
    jw_put_u64(w, "requests", stats.requests_total);
    jw_put_u64(w, "replies", stats.replies_total);
    jw_put_u64(w, "malformed", stats.malformed);
    jw_put_u64(w, "oversized", stats.oversized);
    jw_end_object(w);
}
