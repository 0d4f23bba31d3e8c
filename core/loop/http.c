/* An HTTP flow: one request, its answer as events, its deadlines.
 *
 * The answer. Header lines are kept until the empty line that ends them, then STATUS goes out with all of them; interim answers
 * (1xx) and trailers are dropped. A body with status 200 to 299 goes through the framer, any other as it comes. Bytes are counted
 * after decoding. A transfer is complete only when curl says so, so a stream cut short is a FAIL; protocols with an end mark of
 * their own are checked above us, because HTTP/1.0 can hide a cut.
 *
 * Deadlines. One timer for each flow, at the nearest of them: until the request can be sent connect_ns, after that idle_ns since
 * the last byte in either direction, and total_ns over all. Bytes only move `heard_ns`; the timer looks when it fires. While the
 * owner has paused the flow, the silence is ours and does not count. What drips slowly enough is ended by total_ns.
 *
 * Callbacks of curl's (on_header, on_body, ...) hand events to the owner, who may do anything but reach curl's multi: opening,
 * ending and resuming flows are deferred (http_engine.c). An ended flow answers curl with an error, which closes an HTTP/1.1
 * connection and resets an HTTP/2 stream. */
#include "loop/http_impl.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/clock.h"
#include "loop/egress.h"

enum { HEADERS_MAX = 256, HEAD_BYTES_MAX = 65536, INTERIMS_MAX = 64 };

static struct http_flow *http_of(struct flow *f) {
    return CONTAINER_OF(f, struct http_flow, flow);
}

static void heard(struct http_flow *f) {
    f->heard_ns = f->flow.loop->began_ns;
}

/* ---- deadlines ---- */

static int64_t sooner(int64_t deadline, int64_t since, int64_t span) {
    if (span <= 0 || span > INT64_MAX - since) return deadline;
    return since + span < deadline ? since + span : deadline;
}

static int64_t phase_deadline(const struct http_flow *f) {
    if (f->phase != HTTP_SENT) return sooner(INT64_MAX, f->opened_ns, f->connect_ns);
    return f->paused ? INT64_MAX : sooner(INT64_MAX, f->heard_ns, f->idle_ns);
}

static int64_t deadline(const struct http_flow *f) {
    return sooner(phase_deadline(f), f->opened_ns, f->total_ns);
}

/* A long body takes its time, and curl does not call us for it: look. */
static void hear_upload(struct http_flow *f, int64_t now) {
    curl_off_t uploaded = 0;
    if (f->phase != HTTP_SENT || curl_easy_getinfo(f->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded)) return;
    if (uploaded != f->uploaded) f->heard_ns = now;
    f->uploaded = uploaded;
}

/* After a pause, or in a new phase, the nearest deadline may be nearer than the timer. It is set, so this cannot fail. */
static void watch_deadline(struct http_flow *f) {
    int64_t at = deadline(f);
    if (!f->timer.heap_at || at < f->timer.at_ns) timer_set(f->flow.loop, &f->timer, at);
}

static void timer_fired(struct timer *t) {
    struct http_flow *f = CONTAINER_OF(t, struct http_flow, timer);
    int64_t now = clock_now_ns();
    if (f->flow.ended) return;
    if (f->watch_failed) {
        flow_fail(&f->flow, TDA_C_INTERNAL, "the connection to %s cannot be watched: %s", f->origin, status_text(f->watch_failed));
        return;
    }
    hear_upload(f, now);
    if (now >= sooner(INT64_MAX, f->opened_ns, f->total_ns))
        http_fail_total(f);
    else if (now >= phase_deadline(f))
        http_fail_timeout(f);
    else
        timer_set(f->flow.loop, t, deadline(f));
}

/* ---- the way there ---- */

static bool allowed(struct http_flow *f, enum egress_net net, const char *const *what) {
    if (egress_allows(net, f->user_given, loop_config(f->flow.loop)->egress_private)) return true;
    f->denied_what = *what;
    return false;
}

static void print_address(const struct sockaddr *sa, char *out, socklen_t size) {
    const void *in = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    const void *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    if (!inet_ntop(sa->sa_family, sa->sa_family == AF_INET6 ? in6 : in, out, size)) out[0] = 0;
}

curl_socket_t http_on_open_socket(void *arg, curlsocktype purpose UNUSED, struct curl_sockaddr *address) {
    struct http_flow *f = arg;
    const char *what;
    http_engine_resolved(f->engine, f);
    f->phase = HTTP_CONNECTING;
    if (!allowed(f, egress_judge(&address->addr, &what), &what)) {
        print_address(&address->addr, f->denied_ip, sizeof f->denied_ip);
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        f->socket_errno = errno;
        return CURL_SOCKET_BAD;
    }
    f->sockets++;
    f->engine->sockets++;
    return fd;
}

/* The connection stands and nothing of this request has been sent. A pooled one may have been opened for somebody who is allowed
 * more: judged again. */
int http_on_ready_to_send(void *arg, char *remote_ip, char *local_ip UNUSED, int remote_port UNUSED, int local_port UNUSED) {
    struct http_flow *f = arg;
    const char *what;
    http_engine_resolved(f->engine, f);
    f->phase = HTTP_SENT;
    heard(f);
    watch_deadline(f);
    f->resent = f->sent && f->posts; /* a pooled connection broke without an answer; whether to try again is the core's to say */
    f->sent = true;
    if (f->resent) return CURL_PREREQFUNC_ABORT;
    if (allowed(f, egress_judge_text(remote_ip, &what), &what)) return f->flow.ended ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
    strncpy(f->denied_ip, remote_ip, sizeof f->denied_ip - 1);
    return CURL_PREREQFUNC_ABORT;
}

/* ---- the head of the answer ---- */

static tda_str trim(tda_str s) {
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1])) s.n--;
    while (s.n && (*s.p == ' ' || *s.p == '\t')) s = (tda_str){s.p + 1, s.n - 1};
    return s;
}

/* The next header in `head` from *at on, with lines that continue it; names become lower case where they stand. */
static bool next_header(struct buf *head, size_t *at, tda_kv *ret) {
    while (*at < head->n) {
        char *line = head->p + *at;
        char *colon = NULL;
        size_t n = 0, room = head->n - *at;
        do { /* a line that begins with a blank belongs to the one before */
            if (n) line[n - 1] = ' ';
            char *lf = memchr(line + n, '\n', room - n);
            n = lf ? (size_t)(lf - line) + 1 : room;
        } while (n < room && (line[n] == ' ' || line[n] == '\t'));
        *at += n;
        colon = memchr(line, ':', n);
        if (!colon || colon == line) continue;
        for (char *c = line; c < colon; c++)
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
        *ret = (tda_kv){trim((tda_str){line, (size_t)(colon - line)}), trim((tda_str){colon + 1, n - (size_t)(colon - line) - 1})};
        return true;
    }
    return false;
}

static bool is_event_stream(const tda_kv *headers, uint32_t n) {
    const tda_str type = TDA_STR("text/event-stream");
    for (uint32_t i = 0; i < n; i++) {
        tda_str v = headers[i].val;
        if (!tda_str_eq(headers[i].key, TDA_STR("content-type"))) continue;
        return v.n >= type.n && str_equal_nocase((tda_str){v.p, type.n}, type) && (v.n == type.n || strchr("; \t", v.p[type.n]));
    }
    return false;
}

static tda_status frame_by_type(struct http_flow *f, const tda_kv *headers, uint32_t n) {
    if (!f->by_type || !is_event_stream(headers, n)) return TDA_OK;
    return framer_new(TDA_FRAME_BY_TYPE, (size_t)f->max_bytes, &f->framer);
}

static bool emit_status(struct http_flow *f, long status) {
    tda_kv headers[HEADERS_MAX];
    size_t at = 0;
    uint32_t n = 0;
    for (tda_kv h; next_header(&f->head, &at, &h); headers[n++] = h)
        if (n == HEADERS_MAX)
            return flow_fail(&f->flow, TDA_C_TOO_LARGE, "the answer of %s has more than %d headers", f->origin, HEADERS_MAX);
    f->status = (int32_t)status;
    if (frame_by_type(f, headers, n)) return flow_fail(&f->flow, TDA_C_INTERNAL, "out of memory for the answer of %s", f->origin);
    bool on = flow_emit(&f->flow,
                        &(struct tda_flow_event){.kind = TDA_FLOW_STATUS, .status = f->status, .headers = headers, .n_headers = n});
    buf_fini(&f->head);
    return on;
}

/* Each costs a turn of curl's state machine for 25 bytes, so the bound on the headers' bytes alone lets them hold up the loop. */
static bool interim_ended(struct http_flow *f) {
    if (++f->interims <= INTERIMS_MAX) return true;
    return flow_fail(&f->flow, TDA_C_PROTOCOL, "%s sent more than %d interim answers (1xx) and no final one", f->origin,
                     INTERIMS_MAX);
}

static bool head_line(struct http_flow *f, const char *p, size_t n) {
    long status = 0;
    f->head_bytes += n;
    if (f->head_bytes > HEAD_BYTES_MAX)
        return flow_fail(&f->flow, TDA_C_TOO_LARGE, "the answer of %s has more than %d bytes of headers", f->origin,
                         HEAD_BYTES_MAX);
    if (f->status) return true; /* a trailer */
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        buf_clear(&f->head);
        return true;
    }
    if (n > 2 || (p[0] != '\r' && p[0] != '\n')) {
        if (buf_add(&f->head, p, n) == TDA_OK) return true;
        return flow_fail(&f->flow, TDA_C_INTERNAL, "out of memory for the answer of %s", f->origin);
    }
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    return status < 200 ? interim_ended(f) : emit_status(f, status);
}

size_t http_on_header(char *p, size_t size UNUSED, size_t n, void *arg) {
    struct http_flow *f = arg;
    if (f->flow.ended || n == 0) return f->flow.ended ? CURL_WRITEFUNC_ERROR : 0;
    heard(f);
    return head_line(f, p, n) ? n : CURL_WRITEFUNC_ERROR;
}

/* ---- the body ---- */

static bool emit_item(void *arg, tda_str name, tda_str id, tda_str data) {
    struct http_flow *f = arg;
    return flow_emit(
        &f->flow,
        &(struct tda_flow_event){
            .kind = TDA_FLOW_ITEM, .name = name, .id = id, .data = data, .retry_ms = f->framer ? framer_retry_ms(f->framer) : -1});
}

static bool frame_failed(struct http_flow *f, tda_status s) {
    if (s == TDA_E_LIMIT) return http_fail_size(f, "one item in ");
    if (s == TDA_E_PROTOCOL)
        return flow_fail(&f->flow, TDA_C_PROTOCOL, "the event stream of %s is broken: %s", f->origin, framer_why(f->framer));
    return flow_fail(&f->flow, TDA_C_INTERNAL, "out of memory for the answer of %s", f->origin);
}

static bool body_bytes(struct http_flow *f, tda_str bytes) {
    bool framed = f->framer && f->status >= 200 && f->status <= 299;
    if (!framed || !f->endless) f->bytes += bytes.n;
    if (f->bytes > f->max_bytes) return http_fail_size(f, "");
    if (!framed) return emit_item(f, (tda_str){0}, (tda_str){0}, bytes);
    tda_status s = framer_feed(f->framer, bytes, emit_item, f);
    if (!s || s == TDA_E_CANCELLED) return !f->flow.ended;
    return frame_failed(f, s);
}

size_t http_on_body(char *p, size_t size UNUSED, size_t n, void *arg) {
    struct http_flow *f = arg;
    if (f->flow.ended) return CURL_WRITEFUNC_ERROR;
    heard(f);
    if (f->paused) {
        f->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (n == 0) return 0;
    return body_bytes(f, (tda_str){p, n}) ? n : CURL_WRITEFUNC_ERROR;
}

/* ---- the end ---- */

static void complete(struct http_flow *f) {
    if (!f->status) {
        flow_fail(&f->flow, TDA_C_PROTOCOL, "what %s answered is not HTTP", f->origin);
        return;
    }
    tda_status s = f->framer && f->status < 300 ? framer_end(f->framer, emit_item, f) : TDA_OK;
    if (s && s != TDA_E_CANCELLED) frame_failed(f, s);
    flow_emit(&f->flow, &(struct tda_flow_event){.kind = TDA_FLOW_END, .status = f->status});
}

void http_flow_done(struct http_flow *f, CURLcode rc) {
    if (f->flow.ended) return;
    if (rc == CURLE_OK)
        complete(f);
    else
        http_fail_curl(f, rc);
}

/* ---- what the owner asks for ---- */

static void resume(struct task *t) {
    struct http_flow *f = CONTAINER_OF(t, struct http_flow, resume);
    f->resuming = false;
    if (f->flow.ended || f->paused || !f->held) return;
    f->held = false;
    curl_easy_pause(f->easy, CURLPAUSE_CONT); /* may call on_body */
    http_engine_collect(f->engine);
}

static void http_pause(struct flow *base, bool paused) {
    struct http_flow *f = http_of(base);
    if (f->paused == paused) return;
    f->paused = paused;
    if (paused) return;
    heard(f);
    watch_deadline(f);
    if (f->resuming) return;
    f->resuming = true;
    loop_defer(base->loop, &f->resume);
}

/* Nothing to do at once: an ended flow gets no event, and destroy follows. */
static void http_abort(struct flow *base UNUSED) {}

static void http_destroy(struct flow *base) {
    struct http_flow *f = http_of(base);
    timer_stop(base->loop, &f->timer);
    http_engine_remove(f->engine, f);
    http_request_drop(f);
    framer_free(f->framer);
    buf_fini(&f->head);
    free(f);
}

static const struct flow_ops http_ops = {.pause = http_pause, .abort = http_abort, .destroy = http_destroy};

/* ---- opening ---- */

static int64_t or_default(int64_t asked, int64_t setting) {
    return asked < 0 ? 0 : asked ? asked : setting;
}

static void take_limits(struct http_flow *f, const struct http_spec *spec, const struct config *c) {
    uint64_t most = (uint64_t)c->calls_max_answer;
    f->user_given = spec->user_given;
    f->connect_ns = or_default(spec->connect_ns, c->calls_connect_timeout);
    f->idle_ns = or_default(spec->idle_ns, c->calls_idle_timeout);
    f->total_ns = spec->total_ns;
    f->endless = spec->endless;
    f->max_bytes = spec->max_bytes && spec->max_bytes < most ? spec->max_bytes : most;
    f->opened_ns = f->heard_ns = clock_now_ns();
}

static tda_status make(struct http_flow *f, struct loop *l, const struct http_spec *spec, struct error *e) {
    f->engine = loop_http(l);
    f->timer.fire = timer_fired;
    f->resume.run = resume;
    TAILQ_INIT(&f->behind);
    buf_init(&f->head, HEAD_BYTES_MAX);
    take_limits(f, spec, loop_config(l));
    tda_status s = TDA_OK;
    if (spec->framing == TDA_FRAME_BY_TYPE)
        f->by_type = true;
    else if (spec->framing != TDA_FRAME_NONE)
        s = framer_new(spec->framing, (size_t)f->max_bytes, &f->framer);
    if (s) return error_set(e, s, "invalid_request", "this framing of an answer: %s", status_text(s));
    return http_request_make(f, spec, e);
}

tda_status flow_open_http(struct loop *l, const struct http_spec *spec, flow_event_fn fn, void *arg, struct flow **ret_flow,
                          struct error *e) {
    if (loop_stopping(l)) return error_set(e, TDA_E_CANCELLED, NULL, "the host is stopping");
    struct http_flow *f = calloc(1, sizeof *f);
    if (!f) return error_set(e, TDA_E_NOMEM, NULL, "out of memory for a request");
    tda_status s = make(f, l, spec, e);
    if (!s && (s = timer_set(l, &f->timer, deadline(f)))) error_set(e, s, NULL, "too many timers: %s", status_text(s));
    if (s) {
        http_request_drop(f);
        framer_free(f->framer);
        free(f);
        return s;
    }
    flow_init(&f->flow, l, spec->lane, &http_ops, fn, arg);
    http_engine_submit(f->engine, f);
    *ret_flow = &f->flow;
    return TDA_OK;
}
