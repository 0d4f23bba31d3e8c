/* HTTP+SSE, the transport of 2024-11-05: a GET opens the stream on which everything comes, and its first event says where to post.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conn.h"

/* ---- the endpoint ---- */

/* Scheme, host and port of an address. 0: it is none. */
static size_t origin_length(tda_str url) {
    size_t at = url.n > 8 && memcmp(url.p, "https://", 8) == 0 ? 8 : url.n > 7 && memcmp(url.p, "http://", 7) == 0 ? 7 : 0;
    if (!at) return 0;
    while (at < url.n && !strchr("/?#", url.p[at])) at++;
    return at;
}

static char *join(tda_str head, tda_str tail) {
    char *text = (char *)malloc(head.n + tail.n + 1);
    if (!text) return NULL;
    if (head.n) memcpy(text, head.p, head.n);
    if (tail.n) memcpy(text + head.n, tail.p, tail.n);
    text[head.n + tail.n] = 0;
    return text;
}

/* The address that `place` names, seen from `base`: whole, or a path, or relative. NULL: another server's, or no memory. */
static char *resolve(tda_str base, tda_str place) {
    size_t origin = origin_length(base), own = origin_length(place), end = origin;
    for (size_t i = 0; i < place.n; i++)
        if ((unsigned char)place.p[i] <= ' ') return NULL;
    if (own) return own == origin && memcmp(base.p, place.p, own) == 0 ? text_dup(place) : NULL;
    if (!place.n || (place.n > 1 && place.p[0] == '/' && place.p[1] == '/')) return NULL;
    if (place.p[0] == '/') return join((tda_str){base.p, origin}, place);
    for (size_t i = origin; i < base.n && !strchr("?#", base.p[i]); i++)
        if (base.p[i] == '/') end = i + 1;
    return join((tda_str){base.p, end}, place);
}

static void endpoint_came(struct conn *c, tda_str place) {
    if (c->http.endpoint) return;
    c->http.endpoint = resolve(tda_str_of(c->url), place);
    if (!c->http.endpoint)
        conn_fail(c, TDA_C_PROTOCOL, "the server wants messages posted to \"%.*s\", which is not at its own origin",
                  CUT(place, 120));
    else
        era_opened(c);
}

/* ---- the stream ---- */

static tda_status open_stream(struct conn *c) {
    struct http *h = &c->http;
    stream_clear(&h->standing);
    free(h->endpoint);
    h->endpoint = NULL;
    return http_open(c, NULL, c->url, ABSENT, NULL, &h->standing.flow);
}

static void stream_over(struct conn *c, const struct tda_flow_event *event) {
    struct stream *s = &c->http.standing;
    char text[300];
    s->flow = 0;
    if (event->kind == TDA_FLOW_FAIL)
        snprintf(text, sizeof text, "%.*s", CUT(event->text, sizeof text - 1));
    else if (!s->has_events)
        snprintf(text, sizeof text, "HTTP %d, content-type %s; an event stream was expected", (int)s->status,
                 s->content_type[0] ? s->content_type : "missing");
    else
        snprintf(text, sizeof text, "the server closed its event stream%s", c->http.endpoint ? "" : " before it named an endpoint");
    uint32_t cls = event->kind == TDA_FLOW_FAIL ? event->cls : s->has_events ? TDA_C_NETWORK : http_class(s->status);
    if (c->http.endpoint)
        conn_fail(c, cls, "%s", text);
    else
        era_no_sse(c, cls, s->status, text);
}

static void stream_event_of(struct conn *c, const struct tda_flow_event *event) {
    struct stream *s = &c->http.standing;
    if (event->kind == TDA_FLOW_STATUS) {
        stream_begin(s, event);
    } else if (event->kind == TDA_FLOW_ITEM && s->has_events) {
        if (text_is(event->name, "endpoint"))
            endpoint_came(c, event->data);
        else if (c->http.endpoint && stream_remember(s, event))
            receive_item(c, event->data, NULL);
    } else if (event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL) {
        stream_over(c, event);
    }
}

static void flow(struct conn *c, const struct tda_flow_event *event) {
    struct exchange *x = stream_of(c, event->flow);
    if (x)
        stream_event(x, event);
    else if (event->flow == c->http.standing.flow)
        stream_event_of(c, event);
    else
        http_other(c, event);
}

/* ---- the rest ---- */

static tda_status send(struct conn *c, struct exchange *x, tda_str text) {
    return http_post(c, x, c->http.endpoint, text);
}

static void close_stream(struct conn *c) {
    http_abort(c);
    conn_end(c);
}

const struct transport transport_sse = {.name = "HTTP+SSE",
                                        .open = open_stream,
                                        .send = send,
                                        .release = http_release,
                                        .settle = conn_ready,
                                        .flow = flow,
                                        .close = close_stream};
