/* What comes back over HTTP: one JSON text, or a stream of events; an error; or a stream that breaks, and is gone on with where its
 * server numbers its events (2025-11-25, basic/transports, "Resumability"). */
#include <stdio.h>
#include <stdlib.h>

#include "conn.h"

enum { RESUME_MS = 1000, RESUME_MIN_MS = 10 };

/* ---- streams ---- */

void stream_clear(struct stream *s) {
    free(s->body);
    free(s->last_id);
    *s = (struct stream){.retry_ms = -1, .retry_after_ms = -1};
}

static tda_str header(const struct tda_flow_event *event, const char *name) {
    for (uint32_t i = 0; i < event->n_headers; i++)
        if (text_is(event->headers[i].key, name)) return event->headers[i].val;
    return ABSENT;
}

void stream_begin(struct stream *s, const struct tda_flow_event *event) {
    tda_str type = header(event, "content-type"), after = header(event, "retry-after");
    s->status = event->status;
    snprintf(s->content_type, sizeof s->content_type, "%.*s", CUT(type, sizeof s->content_type - 1));
    s->has_events = event->status >= 200 && event->status < 300 && type.n >= 17 &&
                    text_same_nocase((tda_str){type.p, 17}, TDA_STR("text/event-stream"));
    char seconds[10];
    snprintf(seconds, sizeof seconds, "%.*s", CUT(after, sizeof seconds - 1));
    s->retry_after_ms = seconds[0] >= '0' && seconds[0] <= '9' ? strtoll(seconds, NULL, 10) * 1000 : -1;
}

int stream_remember(struct stream *s, const struct tda_flow_event *event) {
    s->barren = 0;
    if (event->retry_ms >= 0) s->retry_ms = event->retry_ms;
    if (event->id.p && event->id.n <= EVENT_ID_MAX) {
        free(s->last_id);
        s->last_id = event->id.n ? text_dup(event->id) : NULL; /* an empty id: from the beginning */
    }
    return event->data.n && (!event->name.n || text_is(event->name, "message"));
}

struct exchange *stream_of(struct conn *c, tda_flow flow) {
    struct exchange *x = c->exchanges;
    while (x && x->stream.flow != flow) x = x->next;
    return x;
}

/* ---- answers ---- */

static int is_good(const struct stream *s) {
    return s->status >= 200 && s->status < 300;
}

static void take_bytes(struct exchange *x, tda_str bytes) {
    struct stream *s = &x->stream;
    size_t most = is_good(s) ? BODY_MAX : ERROR_BODY_MAX;
    if (bytes.n > most - s->body_n) {
        if (!is_good(s)) return;
        exchange_fail(x, TDA_C_TOO_LARGE, s->status, "the answer to %s is larger than %zu MiB", x->method, most >> 20);
        return;
    }
    char *body = (char *)realloc(s->body, s->body_n + bytes.n + 1);
    if (!body) {
        exchange_fail(x, TDA_C_INTERNAL, s->status, "out of memory: the answer to %s could not be kept", x->method);
        return;
    }
    memcpy(body + s->body_n, bytes.p, bytes.n);
    s->body = body;
    s->body_n += bytes.n;
}

/* An answer to x, in one piece. */
static void take_body(struct exchange *x) {
    struct stream *s = &x->stream;
    struct conn *c = x->conn;
    int32_t http_status = s->status;
    int64_t id = x->id;
    tda_str body = {s->body, s->body_n};
    s->body = NULL;
    s->body_n = 0;
    tda_status status = receive(c, body, x);
    if (c->state != CONN_OVER && x->is_listed && x->id == id) {
        if (status == TDA_E_NOMEM)
            exchange_fail(x, TDA_C_INTERNAL, http_status, "out of memory: the answer to %s could not be read", x->method);
        else if (status)
            exchange_fail(x, TDA_C_PROTOCOL, http_status,
                          "the answer to %s over %s is no JSON-RPC (content-type %s); it begins: %.*s", x->method,
                          c->transport->name, s->content_type[0] ? s->content_type : "missing", CUT(body, 80));
        else
            exchange_fail(x, TDA_C_PROTOCOL, http_status, "the server answered %s with a message that is not the answer to it",
                          x->method);
    }
    free((char *)(uintptr_t)body.p);
}

/* ---- errors ---- */

uint32_t http_class(int32_t status) {
    switch (status) {
    case 401: return TDA_C_AUTH;
    case 403: return TDA_C_PERMISSION;
    case 404: return TDA_C_NOT_FOUND;
    case 408:
    case 504: return TDA_C_TIMEOUT;
    case 413: return TDA_C_TOO_LARGE;
    case 429: return TDA_C_RATE;
    case 503:
    case 529: return TDA_C_OVERLOADED;
    default: return status >= 500 ? TDA_C_UPSTREAM : TDA_C_REQUEST;
    }
}

/* Statuses with which a server says by a JSON-RPC error what it thinks of the request; the others are said by what stands before
 * it. */
static int is_about_request(int32_t status) {
    return status >= 400 && status < 500 && status != 401 && status != 403 && status != 407 && status != 408 && status != 429;
}

static int is_readable(const struct stream *s) {
    tda_str type = tda_str_of(s->content_type);
    return s->body_n && !text_has_nocase(type, "html");
}

static void refused(struct exchange *x) {
    struct stream *s = &x->stream;
    struct conn *c = x->conn;
    struct outcome o;
    char text[500];
    tda_json root = {NULL, 0};
    tda_str body = {s->body, s->body_n};
    memset(&o, 0, sizeof o);
    if (body.n && mcp_json->parse(c->handle, body, &root)) root = (tda_json){NULL, 0};
    o.error = mcp_json->get(root, "error");
    if (mcp_json->type(o.error) != TDA_JSON_OBJECT) o.error = (tda_json){NULL, 0};
    if (http_is_lost_session(c, x, o.error)) {
        http_session_lost(c, x);
        return;
    }
    tda_str said = mcp_json->str(mcp_json->get(o.error, "message"));
    if (!said.n && is_readable(s)) said = body;
    if (!said.n && s->status < 400) said = TDA_STR("redirects are not followed, configure the address that they lead to");
    snprintf(text, sizeof text, "HTTP %d in answer to %s%s over %s, %s protocol %s%s%.*s", (int)s->status,
             s->resumes ? "a GET that resumes " : "", x->method, c->transport->name, c->era->name, c->version ? c->version : "",
             said.n ? ": " : "", CUT(said, 200));
    o.cls = mcp_json->type(o.error) && is_about_request(s->status) ? TDA_C_OK : http_class(s->status);
    o.http_status = s->status;
    o.retry_ms = s->retry_after_ms;
    if (o.cls) o.text = tda_str_of(text);
    exchange_done(x, &o);
}

/* ---- a stream that breaks ---- */

static uint32_t free_slot(const struct conn *c) {
    for (uint32_t slot = 1; slot <= RESUME_SLOTS; slot++) {
        const struct exchange *x = c->exchanges;
        while (x && x->stream.slot != slot) x = x->next;
        if (!x) return slot;
    }
    return 0;
}

static void broke(struct exchange *x, const char *why) {
    struct stream *s = &x->stream;
    struct conn *c = x->conn;
    uint32_t slot = free_slot(c);
    if (c->era->is_modern || !s->last_id) {
        exchange_fail(x, TDA_C_NETWORK, 0, "the stream with the answer to %s broke off: %s", x->method, why);
    } else if (s->barren >= BARREN_MAX || !slot) {
        exchange_fail(x, TDA_C_NETWORK, 0,
                      "the stream with the answer to %s broke off, and could not be resumed after %u attempts: %s", x->method,
                      s->barren, why);
    } else {
        s->barren++;
        s->slot = (uint8_t)slot;
        int64_t ms = s->retry_ms < 0 ? RESUME_MS : s->retry_ms < RESUME_MIN_MS ? RESUME_MIN_MS : s->retry_ms;
        conn_timer(c, TOKEN_RESUME + slot, ms);
    }
}

void stream_resume(struct conn *c, uint32_t slot) {
    struct exchange *x = c->exchanges;
    while (x && x->stream.slot != slot) x = x->next;
    if (!x) return;
    struct stream *s = &x->stream;
    s->slot = 0;
    s->resumes = 1;
    free(s->body);
    s->body = NULL;
    s->body_n = 0;
    if (http_open(c, NULL, c->url, ABSENT, s, &s->flow)) exchange_fail(x, TDA_C_NETWORK, 0, "its stream could not be resumed");
}

/* ---- events ---- */

static void take_item(struct exchange *x, const struct tda_flow_event *event) {
    struct stream *s = &x->stream;
    if (!s->has_events)
        take_bytes(x, event->data);
    else if (stream_remember(s, event))
        receive_item(x->conn, event->data, x);
}

static void ended(struct exchange *x) {
    struct stream *s = &x->stream;
    s->flow = 0;
    if (s->resumes && s->status >= 500)
        broke(x, "the server failed");
    else if (!is_good(s))
        refused(x);
    else if (x->is_notification)
        exchange_done(x, &(struct outcome){.retry_ms = -1, .http_status = s->status});
    else if (!x->conn->transport->has_streams)
        return; /* its answer comes another way */
    else if (s->has_events)
        broke(x, "it ended before the answer");
    else if (s->body_n)
        take_body(x);
    else
        exchange_fail(x, TDA_C_PROTOCOL, s->status, "HTTP %d without a body in answer to %s: JSON or an event stream was expected",
                      (int)s->status, x->method);
}

static void failed(struct exchange *x, const struct tda_flow_event *event) {
    struct stream *s = &x->stream;
    char why[300];
    snprintf(why, sizeof why, "%.*s", CUT(event->text, sizeof why - 1));
    s->flow = 0;
    if ((s->has_events || s->resumes) && (event->cls == TDA_C_NETWORK || event->cls == TDA_C_TIMEOUT))
        broke(x, why);
    else
        exchange_fail(x, event->cls, 0, "%s", why);
}

static void keep_session(struct conn *c, const struct tda_flow_event *event) {
    tda_str id = header(event, "mcp-session-id");
    free(c->http.session_id);
    c->http.session_id = id.n && id.n <= EVENT_ID_MAX ? text_dup(id) : NULL;
}

void stream_event(struct exchange *x, const struct tda_flow_event *event) {
    struct conn *c = x->conn;
    switch (event->kind) {
    case TDA_FLOW_STATUS:
        stream_begin(&x->stream, event);
        if (!c->era->is_modern && x == &c->greeting && !x->is_notification && is_good(&x->stream)) keep_session(c, event);
        break;
    case TDA_FLOW_ITEM: take_item(x, event); break;
    case TDA_FLOW_END: ended(x); break;
    case TDA_FLOW_FAIL: failed(x, event); break;
    default: break;
    }
}
