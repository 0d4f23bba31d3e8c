/* What the tests of the adapter `mcp` share: a server that a test plays line by line or request by request. */
#ifndef MCP_PEER_H
#define MCP_PEER_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tda/test.h"

#define URL "http://127.0.0.1:9/mcp"
#define JSON "content-type: application/json"
#define SSE "content-type: text/event-stream"
#define DISCOVERED                                                                                                                 \
    "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{}},\"resultType\":"      \
    "\"complete\"}"
#define INITIALIZED                                                                                                                \
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{\"listChanged\":true},\"logging\":{}},\"serverInfo\":{"      \
    "\"name\":\"s\",\"version\":\"1\"}}"

static inline int has(const char *text, const char *word) {
    return text && strstr(text, word) != NULL;
}

/* Without a word of it, a failed assertion says nothing. */
#define must_have(text, word) cr_assert(has(text, word), "no <%s> in <%s>", word, (text) ? (text) : "nothing")
#define must_lack(text, word) cr_assert(0 == has(text, word), "<%s> in <%s>", word, text)

static inline long long id_of(const char *message) {
    const char *at = message ? strstr(message, "\"id\":") : NULL;
    cr_assert(at != NULL, "no id in <%s>", message ? message : "nothing");
    return strtoll(at + 5, NULL, 10);
}

/* ---- a process ---- */

static inline void say(struct tda_test_flow *f, const char *text) {
    tda_test_bytes(f, tda_str_of(text));
    tda_test_bytes(f, TDA_STR("\n"));
}

static inline void reply_to(struct tda_test_flow *f, long long id, const char *member, const char *value) {
    char head[64];
    snprintf(head, sizeof head, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"%s\":", id, member);
    tda_test_bytes(f, tda_str_of(head));
    tda_test_bytes(f, tda_str_of(value));
    say(f, "}");
}

/* The next line, which must hold `word`. */
static inline const char *line_with(struct tda_test_flow *f, const char *word) {
    const char *line = tda_test_next_line(f);
    must_have(line, word);
    return line;
}

static inline void answer_line(struct tda_test_flow *f, const char *word, const char *member, const char *value) {
    reply_to(f, id_of(line_with(f, word)), member, value);
}

/* A connection to a process of that era, ready. */
static inline struct tda_test_conn *connect_modern(struct tda_test *t) {
    struct tda_test_conn *c = tda_test_connect(t, "modern", NULL);
    answer_line(tda_test_conn_flow_of(c, 0), "server/discover", "result", DISCOVERED);
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    return c;
}

static inline struct tda_test_conn *connect_legacy(struct tda_test *t) {
    struct tda_test_conn *c = tda_test_connect(t, "legacy", NULL);
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 0);
    const char *line = tda_test_next_line(f);
    if (has(line, "server/discover")) {
        reply_to(f, id_of(line), "error", "{\"code\":-32601,\"message\":\"no\"}");
        line = tda_test_next_line(f);
    }
    must_have(line, "\"initialize\"");
    reply_to(f, id_of(line), "result", INITIALIZED);
    line_with(f, "notifications/initialized");
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    return c;
}

/* ---- a server at a url ---- */

/* The connection's newest flow. */
static inline struct tda_test_flow *newest(struct tda_test_conn *c) {
    size_t n = 0;
    while (tda_test_conn_flow_of(c, n)) n++;
    return n ? tda_test_conn_flow_of(c, n - 1) : NULL;
}

static inline const char *body_of(const struct tda_test_flow *f) {
    const char *body = tda_test_request(f)->body.p;
    return body ? body : "";
}

static inline void answer_http(struct tda_test_flow *f, int32_t status, const char *headers, const char *member,
                               const char *value) {
    char text[4096];
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"%s\":%s}", id_of(body_of(f)), member, value);
    tda_test_answer(f, status, headers, tda_str_of(text));
}

/* Ready, with the session "one" and no standing stream. */
static inline struct tda_test_conn *connect_session(struct tda_test *t) {
    struct tda_test_conn *c = tda_test_connect(t, "http", URL);
    if (has(body_of(newest(c)), "server/discover")) tda_test_answer(newest(c), 400, JSON, TDA_STR("{}"));
    must_have(body_of(newest(c)), "\"initialize\"");
    answer_http(newest(c), 200, JSON "\nmcp-session-id: one", "result", INITIALIZED);
    must_have(body_of(newest(c)), "notifications/initialized");
    tda_test_answer(newest(c), 202, "", TDA_STR(""));
    cr_assert(strcmp(tda_test_request(newest(c))->method.p, "GET") == 0);
    tda_test_answer(newest(c), 405, "", TDA_STR(""));
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    return c;
}

#endif
