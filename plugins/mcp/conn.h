/* One connection: a server as one user and configuration sees it. It is the memory that the host gives with the connection. */
#ifndef MCP_CONN_H
#define MCP_CONN_H

#include "era.h"
#include "transport.h"

enum list { LIST_TOOLS = 1, LIST_PROMPTS = 2, LIST_RESOURCES = 4 };

enum conn_state { CONN_OPENING, CONN_READY, CONN_OVER };

/* Timers of a connection. At most 16, says the host. */
enum conn_token {
    TOKEN_PROBE = 1, /* silence, after server/discover */
    TOKEN_LOG,       /* a second of log lines is over */
    TOKEN_STAND,     /* open the stream for what the server says unasked; it is open: it has stood for a while */
    TOKEN_SETTLE,    /* the standing stream takes its time: ready without it */
    TOKEN_FRESH,     /* the list of tools is no longer fresh (ttlMs) */
    TOKEN_RESUME     /* + slot, 1 to RESUME_SLOTS */
};

/* What the server says it can do. */
struct abilities {
    uint8_t tools, prompts, resources, completions, logging, subscribe;
    uint8_t tools_change, prompts_change, resources_change;
};

/* How far the search for the era is. */
struct probe {
    uint8_t is_sure;    /* the operator said so */
    uint8_t is_cached;  /* an earlier connection found out */
    uint8_t is_waiting; /* server/discover is out, and silence means something */
    uint8_t did_modern, did_legacy, did_sse;
    uint8_t discovers;     /* how often server/discover went out */
    int32_t legacy_status; /* what initialize got, for the error when HTTP+SSE fails too */
};

struct subscription {
    struct subscription *next;
    char uri[];
};

struct conn {
    tda_conn handle;
    enum conn_state state;
    uint8_t is_closing; /* the host wants it to end */
    char *name;
    char *url; /* NULL: a process */
    int64_t deadline_ms;
    uint32_t asks; /* enum tda_server_asks */
    const struct transport *transport;
    const struct era *era;
    const char *version; /* that is spoken; NULL before it is agreed upon */
    struct probe probe;
    struct abilities can;
    char log_level[16]; /* modern: goes with each request; "": none */

    struct exchange greeting; /* server/discover, initialize, notifications/initialized: one after the other */
    char *ready_json;         /* what READY will say */
    struct exchange listen;   /* subscriptions/listen */
    uint32_t listen_delay_ms;
    struct call *listeners; /* calls that wait for its acknowledgement */
    struct subscription *subscriptions;
    uint32_t n_subscriptions;

    struct exchange *exchanges;
    uint32_t n_exchanges;
    int64_t last_id;

    struct question *questions;
    uint32_t n_questions;
    uint32_t last_question;

    uint32_t garbage; /* lines in a row that were no JSON-RPC */
    uint32_t stale;   /* bits of lists that the host knows to have changed, and has not listed since */
    uint32_t log_lines, log_dropped;

    struct schemas schemas;
    struct pipe pipe;
    struct http http;
};

/* ---- conn.c ---- */

tda_status conn_connect(void *self, tda_conn handle, const struct tda_server *server);
void conn_flow(void *self, tda_conn handle, const struct tda_flow_event *event);
void conn_wake(void *self, tda_conn handle, uint64_t token);
void conn_close(void *self, tda_conn handle);
void conn_drop(void *self, tda_conn handle);

void conn_tell(struct conn *c, uint32_t kind, tda_str text, tda_str json);
void conn_timer(struct conn *c, uint32_t token, int64_t ms);
int conn_is_live(const struct conn *c); /* neither over nor closing */
/* The handshake is done: json is what the server said of itself, in one form for both eras. */
void conn_ready(struct conn *c);
void conn_fail(struct conn *c, uint32_t cls, const char *format, ...) __attribute__((format(printf, 3, 4)));
void conn_end(struct conn *c); /* closed, as was asked for */
void conn_log(struct conn *c, uint32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Abilities, and what READY says, from an InitializeResult or DiscoverResult. */
tda_status conn_describe(struct conn *c, tda_json result, tda_json server_info);
void conn_put_capabilities(const struct conn *c, tda_json_writer *w); /* ours, as the value of an open key */
void conn_put_client(tda_json_writer *w);                             /* the same: who we are */
void conn_subscribe(struct conn *c, tda_str uri);
void conn_unsubscribe(struct conn *c, tda_str uri);

/* ---- receive.c ---- */

/* One message, or a batch of them, that came. via: the exchange on whose stream it came; NULL: not known. E_SYNTAX: it is none;
 * E_LIMIT: it is nested too deep. */
tda_status receive(struct conn *c, tda_str text, struct exchange *via);
/* The same for a line or an event, of which some rubbish is borne. */
void receive_item(struct conn *c, tda_str text, struct exchange *via);
void reply_result(struct conn *c, tda_str id, tda_str result);
void reply_error(struct conn *c, tda_str id, int64_t code, const char *text);
void say_cancelled(struct conn *c, int64_t id);

/* ---- broken.c ---- */

/* Fails who waits for this answer, which cannot be parsed; 0: it is none, or nobody's. */
int broken_answer(struct conn *c, tda_str text, tda_status why, struct exchange *via);

/* ---- notices.c: what a server says unasked ---- */

void notice(struct conn *c, tda_str method, tda_json params);
void list_changed(struct conn *c, enum list what);
void notices_log(struct conn *c); /* TOKEN_LOG */
void tools_fresh_for(struct conn *c, tda_json result);

#endif
