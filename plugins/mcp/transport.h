/* How messages travel. A transport knows neither eras nor features: text goes down, text comes up by `receive` (conn.h), and what
 * becomes of an exchange by exchange_done and exchange_fail. */
#ifndef MCP_TRANSPORT_H
#define MCP_TRANSPORT_H

#include "exchange.h"

struct transport {
    const char *name;
    /* A request may be given up by closing its stream, where the era says so. */
    uint8_t has_streams;
    /* May be called again once what it opened has ended. When it is open it calls era_opened, at once or later. */
    tda_status (*open)(struct conn *c);
    /* One message, without an end of line. x: the request or notification that it is; NULL: nobody waits for what becomes of it. */
    tda_status (*send)(struct conn *c, struct exchange *x, tda_str text);
    void (*release)(struct conn *c, struct exchange *x, int is_answered); /* x is over */
    void (*settle)(struct conn *c);                                       /* after a legacy handshake: calls conn_ready */
    void (*flow)(struct conn *c, const struct tda_flow_event *event);
    void (*close)(struct conn *c); /* goodbye; conn_end follows */
};

extern const struct transport transport_stdio, transport_http, transport_sse;

/* ---- stdio.c ---- */

struct pipe {
    tda_flow flow;
    char *queue; /* what the pipe had no room for */
    size_t queue_n;
    char last_words[STDERR_KEPT]; /* of stderr, for "the server ended" */
};

/* ---- http.c: Streamable HTTP. sse.c: HTTP+SSE ---- */

enum { LINGER_MAX = 8, NOTES_MAX = 32, RESUME_SLOTS = 8, BARREN_MAX = 5 };

struct http {
    char *session_id;               /* NULL: none */
    char *endpoint;                 /* where HTTP+SSE posts to */
    struct stream standing;         /* the GET stream of a session, or of HTTP+SSE */
    uint32_t delay_ms;              /* until the standing stream is opened again */
    uint32_t stand_failures;        /* of it in a row; as many as there may be: it rests until the next request */
    uint8_t is_settling;            /* the connection becomes ready once the standing stream is there, or is not */
    uint8_t is_reopening;           /* a new session is being made */
    tda_flow lingering[LINGER_MAX]; /* answered, but not ended: so that their connection can be used again */
    uint32_t next_linger;
    uint32_t notes; /* messages that nobody waits for, under way */
    tda_flow goodbye;
};

void http_stand(struct conn *c);   /* TOKEN_STAND: the standing stream, anew */
void http_settled(struct conn *c); /* it is there, or TOKEN_SETTLE: it takes its time */
void http_session_lost(struct conn *c, struct exchange *x);
int http_is_lost_session(const struct conn *c, const struct exchange *x, tda_json error);

/* ---- http_request.c ---- */

/* A POST of `text`; without one, a GET, which goes on with the stream `from` where that has ids. x: the request that text is; NULL:
 * none, or it does not matter. */
tda_status http_open(struct conn *c, const struct exchange *x, const char *url, tda_str text, const struct stream *from,
                     tda_flow *ret_flow);
tda_status http_post(struct conn *c, struct exchange *x, const char *url, tda_str text);
tda_status http_delete(struct conn *c, tda_flow *ret_flow); /* the session */
void http_release(struct conn *c, struct exchange *x, int is_answered);
void http_other(struct conn *c, const struct tda_flow_event *event); /* of a flow that nobody waits for any more */
void http_abort(struct conn *c);                                     /* all of it */
void http_drop(struct conn *c);

/* ---- http_stream.c: answers ---- */

struct exchange *stream_of(struct conn *c, tda_flow flow); /* NULL: of none */
void stream_event(struct exchange *x, const struct tda_flow_event *event);
void stream_begin(struct stream *s, const struct tda_flow_event *event);   /* STATUS */
int stream_remember(struct stream *s, const struct tda_flow_event *event); /* id and retry; 1: and it holds a message */
void stream_clear(struct stream *s);
void stream_resume(struct conn *c, uint32_t slot); /* TOKEN_RESUME + slot */
uint32_t http_class(int32_t status);

/* ---- params.c: what of a request goes into headers ---- */

/* A header value as it is, or as =?base64?...?=. NULL: no memory. The caller frees. */
char *header_value(tda_str value);

struct header_list {
    tda_kv kv[HEADERS_MAX];
    uint32_t n;
    char *owned[2 * HEADERS_MAX]; /* freed by header_list_fini */
    uint32_t n_owned;
    tda_status status;
};
void header_add(struct header_list *h, const char *name, tda_str value);                     /* lives until the request is opened */
void header_add_dup(struct header_list *h, const char *prefix, tda_str name, tda_str value); /* encodes the value */
void header_list_fini(struct header_list *h);

/* The Mcp-Param-* headers of a call, by the schema's x-mcp-header annotations. */
void params_headers(struct header_list *h, tda_json schema, tda_json args);
enum params_verdict { PARAMS_NONE, PARAMS_SOME, PARAMS_INVALID };
enum params_verdict params_check(tda_json schema, const char **ret_why);

/* The schemas of tools that have such annotations. */
struct schemas {
    struct schema *first;
    size_t bytes;
};
void schemas_clear(struct schemas *s);
void schemas_add(struct schemas *s, tda_str tool, tda_str schema);
tda_str schemas_find(const struct schemas *s, tda_str tool); /* absent: none is known */

#endif
