/* SPDX-License-Identifier: Apache-2.0
 *
 * libtda-client: a tdad from C. Parameters go in and results come out as JSON text; bring the JSON library you like.
 *
 *     struct tda_client_options o = {.size = sizeof o, .url = "ipc:///run/tda/tda.sock", .user = "alice"};
 *     struct tda_client *c;
 *     struct tda_client_error e;
 *     char *result;
 *     if (tda_client_open(&o, &c, &e)) ...
 *     if (tda_client_call(c, "agent.run", "{\"input\": \"Which tables are there?\"}", &result, &e)) ...
 *
 * What is done once: every call that changes something carries an idempotency key of its own. When the connection breaks before
 * the reply is there, the same request goes out again over a new one, and the daemon answers it from the first run. A daemon that
 * was restarted meanwhile knows no keys: then what changes something is not sent again, and the status is TDA_CLIENT_UNKNOWN.
 *
 * A client and its streams belong to one thread at a time; several clients share nothing. What opens, calls and
 * streams waits at most timeout_ms and reconnect_ms; everything else returns at once. */
#ifndef TDA_CLIENT_H
#define TDA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TDA_CLIENT_API __attribute__((visibility("default")))

/* 0 succeeds. Numbers are never reused. */
enum tda_client_status {
    TDA_CLIENT_OK = 0,
    TDA_CLIENT_REFUSED = -1,     /* the daemon answered with an error: kind, field, hint, retry_ms are its */
    TDA_CLIENT_UNREACHABLE = -2, /* no daemon; or lost and not back within reconnect_ms. kind "unreachable" */
    TDA_CLIENT_TIMEOUT = -3,     /* no reply within timeout_ms; the call may go on in the daemon. kind "timeout" */
    TDA_CLIENT_INTERRUPTED = -4, /* `waiting` said so; the call may go on in the daemon. kind "interrupted" */
    TDA_CLIENT_PROTOCOL = -5,    /* what answered is no tdad. kind "protocol" */
    TDA_CLIENT_INVALID = -6,     /* an argument of this very call. kind "invalid" */
    TDA_CLIENT_NOMEM = -7,       /* kind "out_of_memory" */
    TDA_CLIENT_UNKNOWN = -8,     /* the daemon was restarted before it replied: was it done? kind "outcome_unknown" */
};

/* Why something failed. Texts are NUL-terminated and cut to fit, empty when there is nothing to say. */
struct tda_client_error {
    enum tda_client_status status;
    int32_t code; /* JSON-RPC's; 0 when the error is not the daemon's */
    char kind[32];
    char field[64];
    char message[320];
    char hint[192];
    int64_t retry_ms; /* worth trying again after so long; -1: not, or nobody knows when */
};

/* Members may be added at the end: set `size`. Texts are copied. Zero means the default. */
struct tda_client_options {
    size_t size;
    const char *url;      /* "ipc:///path"; "tcp", "tls+tcp", "ws" or "wss" "://host:port", with a path behind ws and wss */
    const char *user;     /* put into every call whose params name none; may be NULL */
    const char *auth;     /* likewise: a token, which all but ipc want; may be NULL */
    int64_t timeout_ms;   /* the longest wait for one reply (600000) */
    int64_t reconnect_ms; /* how long to go on trying when a connection is lost (10000). The first one is tried once. */
    /* Called about five times a second while something is awaited; false gives up. May be NULL. */
    bool (*waiting)(void *arg, int64_t waited_ms);
    void *arg;
    const char *ca_file; /* PEM of the authorities that judge the daemon's certificate (default: the system's) */
};

struct tda_client;

/* Connects and asks who is there: REFUSED when the token is not good. On OK the caller closes *ret. `e` may be NULL here and
 * everywhere. */
TDA_CLIENT_API enum tda_client_status tda_client_open(const struct tda_client_options *o, struct tda_client **ret,
                                                      struct tda_client_error *e);
TDA_CLIENT_API void tda_client_close(struct tda_client *c); /* takes NULL; its streams are freed before */

/* One call. `params` is the text of a JSON object, or NULL. On OK *ret_result is the result's text, NUL-terminated, and the
 * caller frees it. An idempotency_key in params is kept: that one call may then be repeated by the program itself. */
TDA_CLIENT_API enum tda_client_status tda_client_call(struct tda_client *c, const char *method, const char *params,
                                                      char **ret_result, struct tda_client_error *e);

/* The error object of the last call that the daemon refused, whole, as it came; "" when there was none. Until the next call. */
TDA_CLIENT_API const char *tda_client_error_json(const struct tda_client *c);

/* ---- streams: a method as a task, its events as they come ---- */

struct tda_client_stream;

/* Submits `method` with `params` as a task. The caller frees *ret. */
TDA_CLIENT_API enum tda_client_status tda_client_stream_open(struct tda_client *c, const char *method, const char *params,
                                                             struct tda_client_stream **ret, struct tda_client_error *e);
/* Waits for the next event: a JSON object's text, the stream's until the next call. OK with *ret_event NULL: the end, and
 * tda_client_stream_result has what came of it. REFUSED: the task ended with this error (kind "cancelled" after a cancel), or is
 * lost. INTERRUPTED, TIMEOUT, UNREACHABLE: the task goes on, and so may the stream: call again, or cancel. */
TDA_CLIENT_API enum tda_client_status tda_client_stream_next(struct tda_client_stream *s, const char **ret_event,
                                                             struct tda_client_error *e);
/* Ends the task in the daemon; the events that remain, and the end, still come from _next. OK also when it has ended already. */
TDA_CLIENT_API enum tda_client_status tda_client_stream_cancel(struct tda_client_stream *s, struct tda_client_error *e);
TDA_CLIENT_API const char *tda_client_stream_task(const struct tda_client_stream *s);   /* its id */
TDA_CLIENT_API const char *tda_client_stream_result(const struct tda_client_stream *s); /* JSON text; NULL before a good end */
TDA_CLIENT_API int64_t tda_client_stream_dropped(const struct tda_client_stream *s);    /* events that the daemon had to drop */
TDA_CLIENT_API void tda_client_stream_free(struct tda_client_stream *s);                /* takes NULL; cancels nothing */

#ifdef __cplusplus
}
#endif
#endif
