/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_TEST_H
#define TDA_TEST_H

#include "tda/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A host for tests: loads one plugin, plays the services it talks to, and writes down what it asked for and said. No network, no
 * process, no clock but the one that the test turns. Link with `pkg-config --libs tda-plugin-test`.
 *
 *     struct tda_test *t = tda_test_open("./hello.so");
 *     struct tda_test_call *c = tda_test_chat(t, "model-1", "Say hello", 1);
 *     tda_test_answer(tda_test_flow_of(c, 0), 200, "content-type: text/event-stream", TDA_STR("data: {...}\n\n"));
 *     assert(strcmp(tda_test_text(c), "Hello") == 0);
 *     return tda_test_close(t);                          // 0: the plugin kept every promise
 *
 * Like the host, it calls the plugin only from within the functions below, one call at a time, and never from inside a function of
 * the host's that the plugin called. What it holds against the plugin (a stale handle, a second finish, a call without an end...)
 * is written down as a sentence. What a function returns as a pointer lives until tda_test_close, unless said otherwise.
 *
 * Threads: a tda_test belongs to the thread that opened it. Several may be open, one for each thread, of the same plugin: that is
 * how the host runs it. */
struct tda_test;
struct tda_test_call;
struct tda_test_conn;
struct tda_test_flow;

/* NULL: it cannot be loaded, and stderr says why. */
struct tda_test *tda_test_open(const char *file);
/* Ends what still runs, closes the instance, and prints what is held against the plugin. Returns how many sentences that were. */
int tda_test_close(struct tda_test *t);

/* What is held against the plugin up to now: each fault once. NULL beyond the last. */
const char *tda_test_fault(const struct tda_test *t, size_t i);

/* ---- the user's configuration: before the call that reads it ---- */

void tda_test_setting(struct tda_test *t, const char *name, const char *value); /* NULL: unset, so that the note's default counts */
void tda_test_context(struct tda_test *t, uint32_t key, const char *value);     /* enum tda_ctx_key; NULL: unset */
/* Which credentials the user has. Without a call of this he has every one that the note names. */
void tda_test_secret(struct tda_test *t, const char *name, int32_t present);

/* ---- calls of a provider ---- */

/* A copy of nothing is made: `request` is the plugin's until start returns, as in the host. NULL: start failed. */
struct tda_test_call *tda_test_start(struct tda_test *t, const struct tda_request *request);
/* One user message. */
struct tda_test_call *tda_test_chat(struct tda_test *t, const char *model, const char *text, uint32_t stream);
void tda_test_cancel(struct tda_test_call *c);
void tda_test_time_out(struct tda_test_call *c); /* the call's deadline has passed */

int32_t tda_test_done(const struct tda_test_call *c);                    /* finished and dropped */
const struct tda_result *tda_test_result(const struct tda_test_call *c); /* NULL: it still runs */
size_t tda_test_events(const struct tda_test_call *c);
const struct tda_event *tda_test_event(const struct tda_test_call *c, size_t i); /* NULL beyond the last */
const char *tda_test_text(const struct tda_test_call *c);                        /* TEXT of all parts, joined */
/* Everything the call asked for and said, a line each; pieces of one text are joined, so that it does not depend on how an answer
 * was cut. */
const char *tda_test_transcript(const struct tda_test_call *c);
void tda_test_forget(struct tda_test_call *c); /* frees a call that is done */

/* ---- the services it talks to ---- */

/* The call's n-th flow, from 0. NULL: it has not opened that many. */
struct tda_test_flow *tda_test_flow_of(const struct tda_test_call *c, size_t n);
/* What was asked for. `auth` names the secret, as in the plugin's request (of a chain, the first); NULL when there was none. */
const struct tda_flow_request *tda_test_request(const struct tda_test_flow *f);
const char *tda_test_header(const struct tda_test_flow *f, const char *name); /* NULL: not sent */

/* Headers: "name: value" lines. Bytes go through the framing that the plugin asked for, for answers of 200 to 299. */
void tda_test_status(struct tda_test_flow *f, int32_t status, const char *headers);
void tda_test_bytes(struct tda_test_flow *f, tda_str bytes);
void tda_test_end(struct tda_test_flow *f);
void tda_test_fail(struct tda_test_flow *f, uint32_t cls, const char *text);
/* Status, bytes and end at once. */
void tda_test_answer(struct tda_test_flow *f, int32_t status, const char *headers, tda_str body);
int32_t tda_test_is_open(const struct tda_test_flow *f); /* neither ended nor aborted */

/* ---- connections of an adapter ---- */

/* url NULL: the server is a process, which the plugin opens as a flow of kind TDA_FLOW_SERVER. NULL: connect failed. */
struct tda_test_conn *tda_test_connect(struct tda_test *t, const char *name, const char *url);
/* What the next connections' tda_server says: enum tda_server_era, bits of enum tda_server_asks. At first: ANY, and nothing. */
void tda_test_server(struct tda_test *t, uint32_t era, uint32_t asks);
/* Last kind of enum tda_conn_event_kind among READY, FAILED and CLOSED; 0: none yet. */
uint32_t tda_test_conn_state(const struct tda_test_conn *c);
void tda_test_conn_close(struct tda_test_conn *c); /* the host says goodbye */
struct tda_test_flow *tda_test_conn_flow_of(const struct tda_test_conn *c, size_t n);
const char *tda_test_conn_transcript(const struct tda_test_conn *c);
/* args: one JSON object, or NULL. NULL: start failed. */
struct tda_test_call *tda_test_conn_start(struct tda_test_conn *c, uint32_t op, const char *name, const char *args);
/* The user's answer to a TDA_CONN_ASK of this id. 0: there is no such question. */
int32_t tda_test_conn_answer(struct tda_test_conn *c, const char *id, const char *json);
/* What the plugin wrote to its process since the last time, a line without its end; NULL: nothing more. Until the next call. */
const char *tda_test_next_line(struct tda_test_flow *f);
void tda_test_stderr(struct tda_test_flow *f, const char *line);
void tda_test_exit(struct tda_test_flow *f, int32_t code); /* the process ends: 128 + signal */

/* ---- time, and events that are refused ---- */

void tda_test_advance(struct tda_test *t, int64_t ms); /* timers that are due fire, in their order */
/* The emit after `after` more answers `status`, a failure, instead of taking the event. */
void tda_test_refuse_emit(struct tda_test *t, uint64_t after, tda_status status);

#ifdef __cplusplus
}
#endif
#endif
