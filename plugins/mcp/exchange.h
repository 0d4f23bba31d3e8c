/* One request of ours and its answer; or a notification whose delivery matters. It lies in the memory of who makes it: a call's
 * state, or the connection's. From exchange_send until its end it stands in the connection's table, under its JSON-RPC id.
 *
 * A server numbers its own requests from 0 as well: they are never looked up here. */
#ifndef MCP_EXCHANGE_H
#define MCP_EXCHANGE_H

#include "mcp.h"

struct conn;
struct exchange;

/* How an exchange ended. Lives as long as the callback. */
struct outcome {
    uint32_t cls;        /* enum tda_class. OK: there is a result or an error (of a notification neither)            */
    int32_t http_status; /* 0: none                                                                                */
    int64_t retry_ms;    /* -1: the server did not say                                                             */
    tda_json result;
    tda_json error;
    tda_str text; /* of a failure, for people */
};

/* What HTTP remembers of the stream that an answer comes on (http_stream.c). */
struct stream {
    tda_flow flow; /* 0: none is open */
    int32_t status;
    uint8_t has_events; /* text/event-stream */
    uint8_t resumes;    /* a GET that goes on with a stream */
    uint8_t barren;     /* attempts to resume in a row that brought nothing */
    uint8_t slot;       /* of the timer until it is resumed; 0: none */
    int64_t retry_ms;   /* as the stream said; -1: it did not */
    int64_t retry_after_ms;
    char *body;
    size_t body_n;
    char *last_id;
    char content_type[64];
};

struct exchange {
    struct exchange *next;
    struct conn *conn;
    tda_call call; /* 0: one of the connection's own */
    int64_t id;    /* 0: not in the table */
    const char *method;
    tda_str arguments; /* of a tool's call; absent: none. The owner's memory */
    tda_str name;      /* the tool, prompt or uri that it is about; absent: none. The owner's memory */
    tda_status (*put_params)(struct exchange *x, tda_json_writer *w); /* on failure nothing is sent */
    /* The end. It may be sent again from here, under a new id. */
    void (*done)(struct exchange *x, const struct outcome *o);
    uint8_t is_notification; /* without an id on the wire: done when it is delivered */
    uint8_t has_progress;    /* ask for progress */
    uint8_t is_listed;
    uint8_t is_parked;   /* waits for a new session */
    uint8_t is_reopened; /* has had its new session */
    struct stream stream;
};

/* On failure it is not in the table, and `done` has not been and will not be called. */
tda_status exchange_send(struct exchange *x);
void exchange_done(struct exchange *x, const struct outcome *o);
void exchange_fail(struct exchange *x, uint32_t cls, int32_t http_status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Off the table without a word: `done` is not called any more. */
void exchange_forget(struct exchange *x);
/* The same, and the server is told. */
void exchange_cancel(struct exchange *x);
struct exchange *exchange_find(struct conn *c, int64_t id);

/* A session has come to take the place of a lost one. */
void exchanges_unpark(struct conn *c);

#endif
