/* One client: reads frames, hands requests up, writes replies in the order they come.
 *
 * Two chains of nng callbacks, one reading and one writing, each with its own aio, so at most one of each runs at a time. The
 * reading chain alone touches `in` and `sp`. What both and the repliers touch stands under `lock`; it is never held while a request
 * is handed up, for that may answer at once.
 *
 * Who replies writes, as far as the socket takes it at once, which is nearly always; the writing chain runs only for the rest,
 * since each of its steps wakes another thread. Replies are joined in one buffer while the writing chain runs, and while the
 * reading chain hands up what arrived together, so a burst costs one system call.
 *
 * A websocket hands over messages and not bytes (nng_msg): what came is put behind its length into `in`, what goes is taken from
 * `writing` one by one, and everything between is the same as for bytes. nng keeps the time of its handshake, and its size limit.
 *
 * References: the reading chain (ends with the connection), a write that is under way, each request without its reply. */
#include "server/server_impl.h"

#include "base/clock.h"
#include "server/sp.h"

enum {
    READ_FIRST = 4096,
    READ_MORE = 64 << 10,
    PROGRESS = 16 << 10,    /* bytes that earn a slow message another span of time */
    WRITE_STALL_MS = 60000, /* a client that reads nothing for so long is gone */
    KEEP_BUFFER = 256 << 10 /* a larger one is given back after use */
};

struct connection {
    LIST_ENTRY(connection) entry;
    struct server *server;
    struct peer peer;
    nng_stream *stream;
    nng_aio *recv_aio, *send_aio, *rest_aio; /* rest: for a step of the reading chain that reads nothing */
    nng_aio *now_aio;                        /* without callback; under the lock */
    _Atomic uint32_t refs;
    atomic_bool identified;
    bool evicted; /* under the server's lock */

    /* the reading chain's */
    struct sp sp;
    struct buf in;
    int64_t deadline_ns; /* of the handshake, or of a message begun; 0: none */
    size_t progress;

    bool is_ws, is_tls;

    pthread_mutex_t lock;
    struct buf pending, writing; /* replies */
    size_t written, sending;     /* sending: a websocket's message that is on its way */
    bool send_busy;
    bool handing; /* the reading chain hands up, and writes what is answered meanwhile */
    bool paused;  /* the reading chain rests until there is room */
    bool hushed;  /* nothing is handed up any more */
    bool closing; /* nor that; closes when all replies are written */
    bool dead;
    uint64_t discard;             /* bytes of an oversized message still to be dropped; written by the reading chain */
    size_t in_flight, bytes_held; /* requests without a reply, and their bytes */
};

struct server_request {
    struct connection *connection;
    size_t bytes;
    size_t n_backtrace;
    char backtrace[(SP_HOPS_MAX + 1) * 4];
};

static void read_on(struct connection *c);
static void write_on(struct connection *c);

/* ---- life ---- */

static void unref(struct connection *c) {
    struct server *s = c->server;
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
    pthread_mutex_lock(&s->lock); /* off the list first: who stops all goes along it */
    LIST_REMOVE(c, entry);
    pthread_mutex_unlock(&s->lock);
    nng_stream_free(c->stream);
    nng_aio_reap(c->recv_aio); /* this may be a callback of theirs */
    nng_aio_reap(c->send_aio);
    nng_aio_reap(c->rest_aio);
    nng_aio_reap(c->now_aio);
    buf_fini(&c->in);
    buf_fini(&c->pending);
    buf_fini(&c->writing);
    pthread_mutex_destroy(&c->lock);
    free(c);
    pthread_mutex_lock(&s->lock);
    s->alive--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void ref(struct connection *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

/* Under the lock. The chains see it by the errors of their aios, or by `dead`. */
static void kill_connection(struct connection *c) {
    if (!c->dead) nng_stream_close(c->stream);
    c->dead = true;
}

/* The reading chain's last step. */
static void reading_ends(struct connection *c) {
    pthread_mutex_lock(&c->lock);
    kill_connection(c);
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_sub_explicit(&c->server->open, 1, memory_order_relaxed);
    if (c->sp.greeted && c->server->ops.gone) c->server->ops.gone(c->server->arg, c->peer.connection);
    unref(c);
}

/* ---- writing ---- */

/* The next replies, if those before are written. False: there is nothing to write. */
static bool take_pending(struct connection *c) {
    if (c->written < c->writing.n) return true;
    if (!c->pending.n) return false;
    struct buf free_one = c->writing;
    c->writing = c->pending;
    c->pending = free_one;
    c->pending.max = c->writing.max;
    if (c->pending.cap > KEEP_BUFFER) buf_fini(&c->pending);
    buf_clear(&c->pending);
    c->written = 0;
    return true;
}

static void set_iov(struct connection *c, nng_aio *aio) {
    nng_iov iov = {c->writing.p + c->written, c->writing.n - c->written};
    nng_aio_set_iov(aio, 1, &iov);
}

/* nng tries at once, and lets what the socket does not take wait: that is taken back, whole. False: it takes no more now. */
static bool write_at_once(struct connection *c) {
    set_iov(c, c->now_aio);
    nng_stream_send(c->stream, c->now_aio);
    nng_aio_cancel(c->now_aio);
    nng_aio_wait(c->now_aio);
    int rc = nng_aio_result(c->now_aio);
    if (rc && rc != NNG_ECANCELED) kill_connection(c);
    if (!rc) c->written += nng_aio_count(c->now_aio);
    return !rc;
}

/* The next reply as a message. False: out of memory. */
static bool set_message(struct connection *c) {
    const unsigned char *p = (const unsigned char *)c->writing.p + c->written;
    nng_msg *msg;
    size_t n = (size_t)sp_length(p);
    if (nng_msg_alloc(&msg, n)) return false;
    memcpy(nng_msg_body(msg), p + SP_LENGTH_SIZE, n);
    nng_aio_set_msg(c->send_aio, msg);
    c->sending = SP_LENGTH_SIZE + n;
    return true;
}

static void start_write(struct connection *c) {
    if (c->is_ws && !set_message(c)) {
        kill_connection(c);
        return;
    }
    if (!c->is_ws) set_iov(c, c->send_aio);
    nng_aio_set_timeout(c->send_aio, WRITE_STALL_MS);
    c->send_busy = true;
    ref(c);
    nng_stream_send(c->stream, c->send_aio);
}

/* Under the lock. */
static void write_on(struct connection *c) {
    if (c->send_busy || c->handing) return;
    while (!c->dead && take_pending(c)) {
        if (!c->is_ws && !c->is_tls && write_at_once(c)) continue;
        if (!c->dead) start_write(c);
        return;
    }
    if (!c->dead && c->closing && !c->in_flight && !c->discard) kill_connection(c);
}

static bool has_room(const struct connection *c) {
    const struct config *cf = config_now(c->server->config);
    size_t bytes = c->bytes_held + c->pending.n + (c->writing.n - c->written);
    return c->in_flight < (size_t)cf->limits_conn_requests && bytes < (size_t)cf->limits_conn_bytes;
}

/* Under the lock. The reading chain goes on in a callback of its own, not here, where a replier waits. */
static void wake_reader(struct connection *c) {
    if (!c->paused || !(c->dead || (has_room(c) && !c->closing && !c->hushed))) return;
    c->paused = false;
    nng_sleep_aio(0, c->rest_aio);
}

static void send_done(void *arg) {
    struct connection *c = arg;
    int rc = nng_aio_result(c->send_aio);
    nng_msg *unsent = c->is_ws ? nng_aio_get_msg(c->send_aio) : NULL;
    if (unsent) nng_msg_free(unsent);
    nng_aio_set_msg(c->send_aio, NULL);
    pthread_mutex_lock(&c->lock);
    c->send_busy = false;
    if (rc)
        kill_connection(c);
    else
        c->written += c->is_ws ? c->sending : nng_aio_count(c->send_aio);
    write_on(c);
    wake_reader(c);
    pthread_mutex_unlock(&c->lock);
    unref(c);
}

static tda_status add_reply(struct connection *c, const struct server_request *r, tda_str text) {
    unsigned char head[SP_HEAD_MAX];
    size_t n = sp_head(&c->sp, r->n_backtrace + text.n, head);
    buf_reserve(&c->pending, n + r->n_backtrace + text.n);
    buf_add(&c->pending, head, n);
    buf_add(&c->pending, r->backtrace, r->n_backtrace);
    return buf_add_str(&c->pending, text);
}

void server_reply(struct server_request *r, tda_str text) {
    struct connection *c = r->connection;
    pthread_mutex_lock(&c->lock);
    c->in_flight--;
    c->bytes_held -= r->bytes;
    if (!c->dead && add_reply(c, r, text)) kill_connection(c); /* out of memory: better no answer than half of one */
    write_on(c);
    wake_reader(c);
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_add_explicit(&c->server->replies, 1, memory_order_relaxed);
    free(r);
    unref(c);
}

void server_identified(struct server_request *r) {
    atomic_bool *known = &r->connection->identified;
    if (!atomic_load_explicit(known, memory_order_relaxed)) atomic_store_explicit(known, true, memory_order_relaxed);
}

/* ---- reading ---- */

/* NULL also when the connection was killed meanwhile: what nobody can be told about is not taken. */
static struct server_request *make_request(struct connection *c, const struct sp_item *item) {
    struct server_request *r = malloc(sizeof *r);
    if (!r) return NULL;
    *r = (struct server_request){.connection = c, .bytes = item->text.n, .n_backtrace = item->backtrace.n};
    memcpy(r->backtrace, item->backtrace.p, item->backtrace.n);
    pthread_mutex_lock(&c->lock);
    bool taken = !c->dead;
    if (taken) {
        ref(c);
        c->in_flight++;
        c->bytes_held += r->bytes;
    }
    pthread_mutex_unlock(&c->lock);
    if (taken) return r;
    free(r);
    return NULL;
}

/* False: the connection is to end. */
static bool hand_up(struct connection *c, const struct sp_item *item) {
    struct server *s = c->server;
    struct server_request *r = make_request(c, item);
    if (!r) return false;
    atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
    if (item->kind == SP_MESSAGE) {
        s->ops.request(s->arg, r, &c->peer, item->text);
    } else {
        atomic_fetch_add_explicit(&s->oversized, 1, memory_order_relaxed);
        s->ops.oversize(s->arg, r, &c->peer, item->claimed);
    }
    return true;
}

enum go { GO_READ, GO_REST, GO_END };

/* What is left of a message that is too large is read and dropped, so that its sender gets to read why: a connection that is closed
 * with bytes unread is reset. */
static void drop_oversize(struct connection *c) {
    c->discard -= c->in.n < c->discard ? c->in.n : c->discard;
    buf_clear(&c->in);
}

/* May the next frame be looked at? */
static enum go may_go_on(struct connection *c) {
    enum go go = GO_READ;
    pthread_mutex_lock(&c->lock);
    if (c->discard) {
        drop_oversize(c);
        write_on(c);
    }
    if (c->dead)
        go = GO_END;
    else if (!c->discard && (c->closing || c->hushed || !has_room(c)))
        go = GO_REST;
    c->handing = go == GO_READ && !c->discard;
    pthread_mutex_unlock(&c->lock);
    return go;
}

static void hand_no_more(struct connection *c) {
    pthread_mutex_lock(&c->lock);
    c->handing = false;
    write_on(c);
    pthread_mutex_unlock(&c->lock);
}

/* The reading chain's last touch of the connection before it is woken, which may be at once and on another thread. False: there is
 * room again already. A message begun gets its time anew: it is not its sender who rests. */
static bool rest(struct connection *c) {
    c->deadline_ns = 0;
    pthread_mutex_lock(&c->lock);
    c->paused = !c->dead && (c->closing || c->hushed || !has_room(c));
    bool paused = c->paused;
    pthread_mutex_unlock(&c->lock);
    return paused;
}

static void begin_discard(struct connection *c, const struct sp_item *item, size_t arrived) {
    unsigned char head[SP_HEAD_MAX];
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    size_t here = arrived - sp_head(&c->sp, 0, head); /* with a small limit, the next message may have come along */
    c->discard = item->claimed > here ? item->claimed - here : 0;
    pthread_mutex_unlock(&c->lock);
}

/* Everything whole that has arrived, as far as there is room. */
static enum go take_frames(struct connection *c) {
    size_t at = 0;
    enum go go;
    while ((go = may_go_on(c)) == GO_READ && !c->discard) {
        struct sp_item item = sp_read(&c->sp, (tda_str){c->in.p + at, c->in.n - at});
        if (item.kind == SP_MORE) break;
        c->deadline_ns = 0;
        if (item.kind == SP_BAD) atomic_fetch_add_explicit(&c->server->malformed, 1, memory_order_relaxed);
        if (item.kind == SP_OVERSIZE) begin_discard(c, &item, c->in.n - at);
        if (item.kind == SP_BAD || (item.kind != SP_GREETING && !hand_up(c, &item))) {
            go = GO_END;
            break;
        }
        at += item.used;
        if (item.kind == SP_OVERSIZE) break;
    }
    hand_no_more(c);
    buf_drop_front(&c->in, at);
    return go;
}

/* Begun and not whole: so much time, and again as much for each PROGRESS bytes. None between messages. */
static void set_deadline(struct connection *c, size_t got) {
    int64_t span = config_now(c->server->config)->limits_conn_handshake, now = clock_now_ns();
    bool begun = !c->sp.greeted || c->in.n || c->discard;
    c->progress += got;
    if (!begun) {
        c->deadline_ns = 0;
        c->progress = 0;
    } else if (!c->deadline_ns || (c->sp.greeted && !c->discard && c->progress >= PROGRESS)) {
        c->deadline_ns = now + span;
        c->progress = 0;
    }
}

/* Behind its length. False: out of memory, or larger than a message may be. */
static bool take_message(struct connection *c, size_t *got) {
    unsigned char head[SP_HEAD_MAX];
    nng_msg *msg = nng_aio_get_msg(c->recv_aio);
    *got = 0;
    if (!msg) return true;
    buf_add(&c->in, head, sp_head(&c->sp, nng_msg_len(msg), head));
    buf_add(&c->in, nng_msg_body(msg), nng_msg_len(msg));
    *got = nng_msg_len(msg);
    nng_msg_free(msg);
    nng_aio_set_msg(c->recv_aio, NULL);
    return c->in.status == TDA_OK;
}

static void recv_done(void *arg) {
    struct connection *c = arg;
    size_t got = nng_aio_count(c->recv_aio);
    bool ends = nng_aio_result(c->recv_aio) != 0 || (c->is_ws && !take_message(c, &got));
    if (ends) {
        reading_ends(c);
        return;
    }
    if (!c->is_ws) c->in.n += got;
    set_deadline(c, got);
    read_on(c);
}

/* An aio of its own, for one that has slept keeps no time in a read any more (nng 1.5.2). */
static void rest_done(void *arg) {
    read_on(arg);
}

/* A websocket that its client closes between two reads says nothing to the second one (nng 1.5.2): look whether it is so. */
static void end_if_closed(struct connection *c) {
    bool ignored;
    if (c->is_ws && nng_stream_get_bool(c->stream, NNG_OPT_TCP_NODELAY, &ignored) == NNG_ECLOSED)
        nng_aio_abort(c->recv_aio, NNG_ECLOSED);
}

/* Under the lock, because nng never ends what is begun on a stream that is closed already. False: it is. */
static bool start_read(struct connection *c, size_t want) {
    int64_t left = c->deadline_ns ? (c->deadline_ns - clock_now_ns()) / NS_PER_MS : -1;
    nng_iov iov = {c->in.p + c->in.n, want};
    pthread_mutex_lock(&c->lock);
    bool dead = c->dead;
    if (!dead) {
        if (!c->is_ws) nng_aio_set_iov(c->recv_aio, 1, &iov);
        nng_aio_set_timeout(c->recv_aio, !c->deadline_ns ? NNG_DURATION_INFINITE : left > 0 ? (nng_duration)left : 1);
        nng_stream_recv(c->stream, c->recv_aio);
        end_if_closed(c);
    }
    pthread_mutex_unlock(&c->lock);
    return !dead;
}

static void read_on(struct connection *c) {
    enum go go;
    while ((go = take_frames(c)) == GO_REST)
        if (rest(c)) return; /* until wake_reader; c may be gone */
    if (go == GO_END) {
        reading_ends(c);
        return;
    }
    set_deadline(c, 0);
    size_t want = c->in.n ? READ_MORE : READ_FIRST;
    if (!c->in.n && c->in.cap > KEEP_BUFFER) buf_fini(&c->in);
    if (buf_reserve(&c->in, want)) {
        reading_ends(c);
        return;
    }
    if (!start_read(c, want)) reading_ends(c);
}

/* ---- beginning and end ---- */

static void greet(struct connection *c) {
    unsigned char ours[SP_HANDSHAKE_SIZE];
    sp_handshake(ours);
    pthread_mutex_lock(&c->lock);
    if (buf_add(&c->pending, ours, sizeof ours))
        kill_connection(c);
    else
        write_on(c);
    pthread_mutex_unlock(&c->lock);
}

static void free_aios(struct connection *c) {
    nng_aio *const all[] = {c->recv_aio, c->send_aio, c->rest_aio, c->now_aio};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]) nng_aio_free(all[i]);
}

static struct connection *make_connection(struct server *s, struct listener *l, nng_stream *stream) {
    struct connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    if (nng_aio_alloc(&c->recv_aio, recv_done, c) || nng_aio_alloc(&c->send_aio, send_done, c) ||
        nng_aio_alloc(&c->rest_aio, rest_done, c) || nng_aio_alloc(&c->now_aio, NULL, NULL)) {
        free_aios(c);
        free(c);
        return NULL;
    }
    uint64_t uid = UINT32_MAX;
    size_t max = (size_t)config_now(s->config)->limits_message + SP_HEAD_MAX + READ_MORE;
    if (l->is_ipc) nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_UID, &uid);
    c->server = s;
    c->stream = stream;
    c->peer = (struct peer){atomic_fetch_add(&s->last_id, 1) + 1, l->is_ipc, (uint32_t)uid, l->url};
    c->is_ws = l->is_ws;
    c->is_tls = l->is_tls;
    c->sp = (struct sp){.is_ipc = l->is_ipc, .greeted = l->is_ws, .max = (uint64_t)config_now(s->config)->limits_message};
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    buf_init(&c->in, max);
    buf_init(&c->pending, SIZE_MAX / 2);
    buf_init(&c->writing, SIZE_MAX / 2);
    return c;
}

/* Whoever opens connections and says nothing on them must not keep others out: the oldest of those goes. False: there is none. */
static bool make_room(struct server *s) {
    struct connection *c, *oldest = NULL;
    pthread_mutex_lock(&s->lock);
    LIST_FOREACH(c, &s->connections, entry)
    if (!c->evicted && !atomic_load_explicit(&c->identified, memory_order_relaxed)) oldest = c;
    if (oldest) {
        oldest->evicted = true;
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
        connection_stop(oldest, true);
    }
    pthread_mutex_unlock(&s->lock);
    return oldest != NULL;
}

void connection_accept(struct server *s, struct listener *l, nng_stream *stream) {
    uint64_t open = atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
    bool full = open >= (uint64_t)config_now(s->config)->limits_connections;
    bool refused = atomic_load(&s->stopping) || (full && !make_room(s));
    struct connection *c = refused ? NULL : make_connection(s, l, stream);
    if (!c) {
        atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
        nng_stream_close(stream);
        nng_stream_free(stream);
        return;
    }
    atomic_fetch_add_explicit(&s->total, 1, memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    LIST_INSERT_HEAD(&s->connections, c, entry);
    s->alive++;
    pthread_mutex_unlock(&s->lock);
    set_deadline(c, 0);
    if (!c->is_ws) greet(c);
    read_on(c);
}

void connection_hush(struct connection *c) {
    pthread_mutex_lock(&c->lock);
    c->hushed = true;
    pthread_mutex_unlock(&c->lock);
}

void connection_stop(struct connection *c, bool at_once) {
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    if (at_once)
        kill_connection(c);
    else
        write_on(c);
    wake_reader(c);
    pthread_mutex_unlock(&c->lock);
}

/* A TLS stream whose TCP ends between two reads says nothing to the second one, not even its time (nng 1.5.2). */
void connection_check(struct connection *c) {
    nng_sockaddr peer;
    if (c->is_tls && nng_stream_get_addr(c->stream, NNG_OPT_REMADDR, &peer)) connection_stop(c, true);
}

bool connection_ws_peer(const struct connection *c, nng_sockaddr *ret) {
    return c->is_ws && nng_stream_get_addr(c->stream, NNG_OPT_REMADDR, ret) == 0;
}

struct connection *connection_next(struct connection *c) {
    return LIST_NEXT(c, entry);
}
