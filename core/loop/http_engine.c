/* The curl multi of a loop: its sockets in the loop's epoll, its timer in the loop's heap, its pool of connections, and the door
 * at which flows wait to be started.
 *
 * The door. curl looks names up with a thread per transfer, and a name server that does not answer keeps that thread for long.
 * So one name is looked up once at a time (the others wait behind it and then find it in curl's cache), and no more than
 * RESOLVES_MAX names are; of names that users gave no more than USERS_RESOLVES_MAX, and LANE_RESOLVES_MAX of one user's, so that
 * somebody whose name servers never answer holds up nobody but himself. A flow counts as RESOLVING from when curl gets it until it
 * has a socket; where no look-up is needed that is within the same call, so nobody waits. The thread of a look-up cannot be
 * stopped: a flow that ends meanwhile leaves its transfer to the engine, and its place stays taken until the name is looked up.
 *
 * The pool. curl counts all connections against MAXCONNECTS, those in use too, so the number follows the flows: always IDLE_MAX
 * more than are in use. curl closes one idle connection too many each time another becomes idle, but does nothing without
 * traffic: after QUIET_S without a flow a pool larger than IDLE_MAX is dropped, together with the multi.
 *
 * No callback of curl's may call back into the multi. Everything that does is deferred to the loop: starting, resuming, removing.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/http_impl.h"

enum {
    RESOLVES_MAX = 64,
    USERS_RESOLVES_MAX = 32,
    LANE_RESOLVES_MAX = 4,
    STARTS_MAX = 32, /* in one callback: a start may cost 100 us */
    IDLE_MAX = 32,   /* kept connections that nobody uses */
    QUIET_S = 120
};

#define LOOKUP_MAX_MS 600000L /* the resolver ends long before */

struct http_socket {
    struct watch watch;
    struct http_engine *engine;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_rc;

static void global_init(void) {
    global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- sockets and curl's timer ---- */

static void lookup_done(struct http_engine *e, CURL *easy);

void http_engine_collect(struct http_engine *e) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(e->multi, &left));) {
        struct http_flow *f = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (!f) {
            lookup_done(e, m->easy_handle);
            continue;
        }
        http_engine_resolved(e, f);
        http_flow_done(f, rc);
    }
}

static void act(struct http_engine *e, curl_socket_t fd, int what) {
    int running;
    CURLMcode rc = curl_multi_socket_action(e->multi, fd, what, &running);
    if (rc != CURLM_OK) log_error("curl_multi_socket_action failed", LOG_Z("text", curl_multi_strerror(rc)));
    http_engine_collect(e);
}

static void socket_ready(struct watch *w, uint32_t events) {
    struct http_socket *s = CONTAINER_OF(w, struct http_socket, watch);
    int what = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR) what |= CURL_CSELECT_ERR;
    act(s->engine, w->fd, what); /* s may be gone after this */
}

static uint32_t wanted_events(int what) {
    return (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
}

static tda_status socket_add(struct http_engine *e, curl_socket_t fd, uint32_t lane, int what) {
    struct http_socket *s = malloc(sizeof *s);
    if (!s) return TDA_E_NOMEM;
    *s = (struct http_socket){.watch = {.fd = fd, .line.lane = lane, .ready = socket_ready}, .engine = e};
    tda_status status = watch_add(e->loop, &s->watch, wanted_events(what));
    if (status) {
        free(s);
        return status;
    }
    curl_multi_assign(e->multi, fd, s);
    return TDA_OK;
}

static void socket_remove(struct http_engine *e, struct http_socket *s) {
    if (!s) return;
    watch_remove(e->loop, &s->watch);
    free(s);
}

/* A failure ends the one flow; telling curl would end them all. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned) {
    struct http_engine *e = arg;
    struct http_socket *s = assigned;
    struct http_flow *f = NULL;
    tda_status status = TDA_OK;
    if (what == CURL_POLL_REMOVE) {
        socket_remove(e, s);
        return 0;
    }
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f); /* NULL: curl's own, of its pool, or a look-up that is lost */
    uint32_t lane = f ? f->flow.lane : 0;
    if (s) {
        watch_set_lane(e->loop, &s->watch, lane);
        status = watch_change(e->loop, &s->watch, wanted_events(what));
    } else {
        status = socket_add(e, fd, lane, what);
    }
    if (!status) return 0;
    if (f && !f->flow.ended) {
        f->watch_failed = status;
        timer_set(e->loop, &f->timer, 0);
    }
    return 0;
}

/* The timer stays in the heap, if need be for the end of time: so setting it never needs memory. */
static int on_timer(CURLM *multi UNUSED, long ms, void *arg) {
    struct http_engine *e = arg;
    timer_set(e->loop, &e->timer, ms < 0 ? INT64_MAX : clock_now_ns() + (int64_t)ms * NS_PER_MS);
    return 0;
}

static void timer_fired(struct timer *t) {
    struct http_engine *e = CONTAINER_OF(t, struct http_engine, timer);
    timer_set(e->loop, t, INT64_MAX);
    act(e, CURL_SOCKET_TIMEOUT, 0);
}

int http_on_close_socket(void *engine, curl_socket_t fd) {
    struct http_engine *e = engine;
    e->sockets--;
    return close(fd);
}

/* ---- the door ---- */

static void enter(struct http_queue *q, struct http_flow *f) {
    TAILQ_INSERT_TAIL(q, f, entry);
    f->queue = q;
}

static void leave(struct http_flow *f) {
    if (f->queue) TAILQ_REMOVE(f->queue, f, entry);
    f->queue = NULL;
}

static void kick_later(struct http_engine *e) {
    if (e->kicked) return;
    e->kicked = true;
    loop_defer(e->loop, &e->kick);
}

static struct http_flow *same_name_resolving(struct http_engine *e, const struct http_flow *f) {
    struct http_flow *other;
    TAILQ_FOREACH(other, &e->resolving, entry)
    if (str_equal_nocase(tda_str_of(other->host), tda_str_of(f->host))) return other;
    return NULL;
}

static struct http_queue *queue_of(struct http_engine *e, const struct http_flow *f) {
    return f->user_given ? &e->users_queued : &e->queued;
}

/* Of names that this user gave. */
static unsigned lane_resolving(struct http_engine *e, uint32_t lane) {
    const struct http_flow *f;
    const struct http_lookup *k;
    unsigned n = 0;
    TAILQ_FOREACH(f, &e->resolving, entry) n += f->by_name && f->user_given && f->flow.lane == lane;
    TAILQ_FOREACH(k, &e->lost, entry) n += k->user_given && k->lane == lane;
    return n;
}

static bool is_lost(struct http_engine *e, const char *host) {
    const struct http_lookup *k;
    TAILQ_FOREACH(k, &e->lost, entry)
    if (str_equal_nocase(tda_str_of(k->host), tda_str_of(host))) return true;
    return false;
}

static bool has_place(struct http_engine *e, const struct http_flow *f) {
    if (!f->by_name) return true;
    if (e->n_resolving >= RESOLVES_MAX) return false;
    if (f->user_given && e->n_users_resolving >= USERS_RESOLVES_MAX) return false;
    if (f->user_given && lane_resolving(e, f->flow.lane) >= LANE_RESOLVES_MAX) return false;
    return !is_lost(e, f->host);
}

static struct http_flow *first_with_place(struct http_engine *e, const struct http_queue *q) {
    struct http_flow *f;
    TAILQ_FOREACH(f, q, entry)
    if (has_place(e, f)) return f;
    return NULL;
}

static struct http_flow *first_in_line(struct http_engine *e) {
    struct http_flow *f = first_with_place(e, &e->queued);
    return f ? f : first_with_place(e, &e->users_queued);
}

/* The first that may start now; those whose name is being looked up go behind the one that does. */
static struct http_flow *next_to_start(struct http_engine *e) {
    struct http_flow *f;
    while ((f = first_in_line(e))) {
        struct http_flow *other = same_name_resolving(e, f);
        leave(f);
        if (!other) return f;
        enter(&other->behind, f);
    }
    return NULL;
}

static void follow_active(struct http_engine *e) {
    curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)e->active + IDLE_MAX);
}

static void start(struct http_engine *e, struct http_flow *f) {
    f->phase = HTTP_RESOLVING;
    enter(&e->resolving, f);
    e->n_resolving += f->by_name;
    e->n_users_resolving += f->by_name && f->user_given;
    f->added = true;
    e->active++;
    timer_stop(e->loop, &e->quiet);
    follow_active(e);
    CURLMcode rc = curl_multi_add_handle(e->multi, f->easy);
    if (rc == CURLM_OK) {
        act(e, CURL_SOCKET_TIMEOUT, 0);
        return;
    }
    http_engine_resolved(e, f);
    flow_fail(&f->flow, TDA_C_INTERNAL, "the request to %s could not be started: %s", f->origin, curl_multi_strerror(rc));
}

static void kick(struct task *t) {
    struct http_engine *e = CONTAINER_OF(t, struct http_engine, kick);
    struct http_flow *f;
    e->kicked = false;
    for (int n = 0; n < STARTS_MAX && (f = next_to_start(e)); n++)
        if (!f->flow.ended) start(e, f);
    if (first_in_line(e)) kick_later(e);
}

void http_engine_submit(struct http_engine *e, struct http_flow *f) {
    enter(queue_of(e, f), f);
    kick_later(e);
}

void http_engine_resolved(struct http_engine *e, struct http_flow *f) {
    struct http_flow *other;
    if (f->queue != &e->resolving) return;
    leave(f);
    e->n_resolving -= f->by_name;
    e->n_users_resolving -= f->by_name && f->user_given;
    while ((other = TAILQ_LAST(&f->behind, http_queue))) {
        leave(other);
        other->queue = queue_of(e, other);
        TAILQ_INSERT_HEAD(other->queue, other, entry);
    }
    if (first_in_line(e)) kick_later(e);
}

/* ---- look-ups that nobody waits for ---- */

static size_t take_nothing(char *p UNUSED, size_t size UNUSED, size_t n UNUSED, void *arg UNUSED) {
    return 0;
}

static curl_socket_t open_nothing(void *arg UNUSED, curlsocktype purpose UNUSED, struct curl_sockaddr *address UNUSED) {
    return CURL_SOCKET_BAD;
}

static int send_nothing(void *arg UNUSED, char *remote UNUSED, char *local UNUSED, int remote_port UNUSED, int local_port UNUSED) {
    return CURL_PREREQFUNC_ABORT;
}

/* Nothing of the flow is left in it: it ends when its name is looked up, or not found. */
static void empty_handle(CURL *c) {
    curl_easy_setopt(c, CURLOPT_PRIVATE, NULL);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_nothing);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, NULL);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_nothing);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, NULL);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, send_nothing);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_nothing);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, LOOKUP_MAX_MS);
    curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, NULL);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c, CURLOPT_CURLU, NULL);
}

/* False: it looks nothing up, or there is no memory to remember it. */
static bool lose(struct http_engine *e, struct http_flow *f) {
    struct http_lookup *k = f->added && f->by_name && f->queue == &e->resolving ? malloc(sizeof *k) : NULL;
    if (!k) return false;
    *k = (struct http_lookup){.easy = f->easy, .host = f->host, .lane = f->flow.lane, .user_given = f->user_given};
    TAILQ_INSERT_TAIL(&e->lost, k, entry);
    e->n_resolving++;
    e->n_users_resolving += k->user_given;
    http_engine_resolved(e, f); /* gives back one place */
    empty_handle(k->easy);
    f->easy = NULL;
    f->host = NULL;
    f->added = false;
    return true;
}

static void handle_gone(struct http_engine *e) {
    e->active--;
    follow_active(e);
    if (e->active == 0 && e->sockets > IDLE_MAX) timer_set(e->loop, &e->quiet, clock_now_ns() + (int64_t)QUIET_S * NS_PER_S);
}

static void lookup_free(struct http_engine *e, struct http_lookup *k) {
    TAILQ_REMOVE(&e->lost, k, entry);
    e->n_resolving--;
    e->n_users_resolving -= k->user_given;
    curl_multi_remove_handle(e->multi, k->easy);
    curl_easy_cleanup(k->easy);
    curl_free(k->host);
    free(k);
    handle_gone(e);
}

static void lookup_done(struct http_engine *e, CURL *easy) {
    struct http_lookup *k = TAILQ_FIRST(&e->lost);
    while (k && k->easy != easy) k = TAILQ_NEXT(k, entry);
    if (k) lookup_free(e, k);
    if (first_in_line(e)) kick_later(e);
}

void http_engine_remove(struct http_engine *e, struct http_flow *f) {
    if (lose(e, f)) return;
    http_engine_resolved(e, f);
    leave(f);
    if (!f->added) return;
    f->added = false;
    curl_multi_remove_handle(e->multi, f->easy);
    handle_gone(e);
}

/* ---- life ---- */

static CURLM *multi_new(struct http_engine *e) {
    CURLM *m = curl_multi_init();
    if (!m) return NULL;
    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, e);
    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m, CURLMOPT_TIMERDATA, e);
    return m;
}

static void quiet_fired(struct timer *t) {
    struct http_engine *e = CONTAINER_OF(t, struct http_engine, quiet);
    CURLM *fresh = e->active == 0 ? multi_new(e) : NULL;
    if (!fresh) return;
    curl_multi_cleanup(e->multi);
    e->multi = fresh;
}

static tda_status build(struct http_engine *e) {
    e->multi = multi_new(e);
    e->share = curl_share_init();
    if (!e->multi || !e->share) return TDA_E_NOMEM;
    if (curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION)) return TDA_E_NOMEM;
    return timer_set(e->loop, &e->timer, INT64_MAX);
}

tda_status http_engine_new(struct loop *l, struct http_engine **ret) {
    pthread_once(&global_once, global_init);
    if (global_rc) return TDA_E_INTERNAL;
    struct http_engine *e = calloc(1, sizeof *e);
    if (!e) return TDA_E_NOMEM;
    e->loop = l;
    e->timer.fire = timer_fired;
    e->quiet.fire = quiet_fired;
    e->kick.run = kick;
    TAILQ_INIT(&e->queued);
    TAILQ_INIT(&e->users_queued);
    TAILQ_INIT(&e->resolving);
    TAILQ_INIT(&e->lost);
    tda_status s = build(e);
    if (s) {
        http_engine_free(e);
        return s;
    }
    *ret = e;
    return TDA_OK;
}

void http_engine_free(struct http_engine *e) {
    if (!e) return;
    for (struct http_lookup *k = TAILQ_FIRST(&e->lost), *next; k; k = next) {
        next = TAILQ_NEXT(k, entry);
        lookup_free(e, k);
    }
    curl_multi_cleanup(e->multi);
    curl_share_cleanup(e->share);
    timer_stop(e->loop, &e->timer);
    timer_stop(e->loop, &e->quiet);
    free(e);
}
