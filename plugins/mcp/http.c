/* Streamable HTTP: each message is a POST, and its answer comes on it. Legacy servers have sessions as well, and a stream that
 * stands open for what they say unasked (2025-11-25, basic/transports). */
#include <stdio.h>
#include <stdlib.h>

#include "conn.h"

enum { SETTLE_MS = 1000, STAND_MIN_MS = 1000, STAND_MAX_MS = 60000, STAND_GOOD_MS = 30000, STAND_FAILURES_MAX = 8 };

static tda_status open_http(struct conn *c) {
    era_opened(c);
    return TDA_OK;
}

/* ---- the standing stream ---- */

void http_settled(struct conn *c) {
    if (!c->http.is_settling) return;
    c->http.is_settling = 0;
    conn_timer(c, TOKEN_SETTLE, 0);
    conn_ready(c);
}

static void standing_is_good(struct http *h) {
    h->delay_ms = 0;
    h->stand_failures = 0;
}

void http_stand(struct conn *c) {
    struct stream *s = &c->http.standing;
    if (s->flow) { /* it has stood for STAND_GOOD_MS */
        standing_is_good(&c->http);
        return;
    }
    s->status = 0;
    s->has_events = 0;
    if (http_open(c, NULL, c->url, ABSENT, s, &s->flow)) http_settled(c);
}

/* Servers may ask their user on it, so it should be there before the first call. */
static void settle(struct conn *c) {
    c->http.is_settling = 1;
    standing_is_good(&c->http);
    conn_timer(c, TOKEN_SETTLE, SETTLE_MS);
    http_stand(c);
}

/* Used anew, a server is asked anew for the stream that it kept refusing, and before the call: it may ask its user on it. */
static tda_status send(struct conn *c, struct exchange *x, tda_str text) {
    if (x && c->http.stand_failures == STAND_FAILURES_MAX) {
        standing_is_good(&c->http);
        http_stand(c);
    }
    return http_post(c, x, c->url, text);
}

static void rest(struct conn *c, tda_str why) {
    char status[32];
    snprintf(status, sizeof status, "HTTP %d", (int)c->http.standing.status);
    if (c->http.standing.status) why = tda_str_of(status);
    conn_log(c, TDA_LOG_WARN,
             "the stream for what the server says unasked has failed %d times in a row (%.*s); it rests until the next request",
             STAND_FAILURES_MAX, CUT(why, 200));
}

/* That a server has none is its right: 405, and 404 of some. What ends comes again: soon when the server says so or sends
 * something, else later and later, and no more once it has often been in vain. */
static void standing_over(struct conn *c, tda_str why) {
    struct http *h = &c->http;
    struct stream *s = &h->standing;
    s->flow = 0;
    conn_timer(c, TOKEN_STAND, 0);
    http_settled(c);
    if (s->status >= 300 && s->status < 500) return;
    if (++h->stand_failures == STAND_FAILURES_MAX) {
        rest(c, why);
        return;
    }
    if (s->has_events && s->retry_ms >= 0 && s->barren < BARREN_MAX) {
        conn_timer(c, TOKEN_STAND, s->retry_ms < 100 ? 100 : s->retry_ms);
    } else {
        h->delay_ms = h->delay_ms ? h->delay_ms * 2 : STAND_MIN_MS;
        if (h->delay_ms > STAND_MAX_MS) h->delay_ms = STAND_MAX_MS;
        conn_timer(c, TOKEN_STAND, h->delay_ms);
    }
    if (s->barren < BARREN_MAX) s->barren++;
}

static void standing_event(struct conn *c, const struct tda_flow_event *event) {
    struct stream *s = &c->http.standing;
    if (event->kind == TDA_FLOW_STATUS) {
        stream_begin(s, event);
        if (s->has_events) conn_timer(c, TOKEN_STAND, STAND_GOOD_MS);
        http_settled(c);
    } else if (event->kind == TDA_FLOW_ITEM && s->has_events) {
        standing_is_good(&c->http);
        if (stream_remember(s, event)) receive_item(c, event->data, NULL);
    } else if (event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL) {
        standing_over(c, event->text);
    }
}

/* ---- lost sessions ---- */

/* 404 says the specification; 400 with words about the session, or that it has not been initialised, is what many servers say. */
int http_is_lost_session(const struct conn *c, const struct exchange *x, tda_json error) {
    const struct stream *s = &x->stream;
    tda_str said = mcp_json->str(mcp_json->get(error, "message"));
    int64_t code = 0;
    if (c->era->is_modern || c->state != CONN_READY || !c->http.session_id || x == &c->greeting || s->resumes) return 0;
    mcp_json->i64(mcp_json->get(error, "code"), &code);
    if (s->status == 404) return code != -32601;
    if (!said.n && s->body_n) said = (tda_str){s->body, s->body_n};
    return s->status == 400 && (text_has_nocase(said, "session") || text_has_nocase(said, "not initialized"));
}

/* The server has not done what it refused: it is asked again in a new session, once. */
void http_session_lost(struct conn *c, struct exchange *x) {
    struct http *h = &c->http;
    if (x->is_reopened) {
        exchange_fail(x, TDA_C_NETWORK, x->stream.status, "the server forgot its session, and the new one as well");
        return;
    }
    x->is_reopened = x->is_parked = 1;
    stream_clear(&x->stream);
    if (x == &c->listen) exchange_forget(x); /* the new session begins with it */
    if (h->is_reopening) return;
    h->is_reopening = 1;
    free(h->session_id);
    h->session_id = NULL;
    if (h->standing.flow) mcp_host->flow_abort(c->handle, h->standing.flow);
    stream_clear(&h->standing);
    conn_timer(c, TOKEN_STAND, 0);
    conn_log(c, TDA_LOG_INFO, "the server forgot its session; a new one is made");
    if (c->era->greet(c)) conn_fail(c, TDA_C_NETWORK, "the server forgot its session, and no new one can be asked for");
}

/* ---- the rest ---- */

static void flow(struct conn *c, const struct tda_flow_event *event) {
    struct exchange *x = stream_of(c, event->flow);
    int is_end = event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL;
    if (event->flow == c->http.goodbye && is_end)
        conn_end(c);
    else if (c->is_closing)
        return;
    else if (x)
        stream_event(x, event);
    else if (event->flow == c->http.standing.flow)
        standing_event(c, event);
    else
        http_other(c, event);
}

/* A session is ended by DELETE; a server may not know how. */
static void close_http(struct conn *c) {
    http_abort(c);
    if (!c->http.session_id || http_delete(c, &c->http.goodbye)) conn_end(c);
}

const struct transport transport_http = {.name = "Streamable HTTP",
                                         .has_streams = 1,
                                         .open = open_http,
                                         .send = send,
                                         .release = http_release,
                                         .settle = settle,
                                         .flow = flow,
                                         .close = close_http};
