/* What an MCP server sends, to the adapter in the kit's host: the first byte says how it is connected; the rest comes as lines, as
 * an HTTP body or as a stream, while calls wait (their ids begin at 21). Whatever it is, the plugin keeps its contract. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tda/test.h"

#define URL "http://127.0.0.1:9/mcp"
#define LEGACY                                                                                                                     \
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{\"subscribe\":true},"        \
    "\"logging\":{}}}"
#define MODERN                                                                                                                     \
    "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{\"subscribe\":true},"    \
    "\"logging\":{}}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_reply(char *text, size_t size, const char *request, const char *result) {
    const char *id = strstr(request, "\"id\":");
    snprintf(text, size, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":%s}\n", id ? strtol(id + 5, NULL, 10) : 0, result);
}

static void greet_process(struct tda_test_conn *c, const char *method, const char *result) {
    char text[600];
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 0);
    for (const char *line; f && (line = tda_test_next_line(f));) {
        if (!strstr(line, method)) continue;
        write_reply(text, sizeof text, line, result);
        tda_test_bytes(f, tda_str_of(text));
    }
}

/* Everything that is open is answered until the connection is ready: the greeting, 202 for what follows it, and no standing stream.
 */
static void greet_http(struct tda_test_conn *c, const char *result) {
    char text[600];
    for (size_t n = 0; n < 8 && tda_test_conn_state(c) == 0; n++) {
        struct tda_test_flow *f = tda_test_conn_flow_of(c, n);
        if (!f) return;
        const char *body = tda_test_request(f)->body.p;
        write_reply(text, sizeof text, body ? body : "", result);
        if (!body)
            tda_test_answer(f, 405, "", TDA_STR(""));
        else if (strstr(body, "\"id\":"))
            tda_test_answer(f, 200, "content-type: application/json\nmcp-session-id: s", tda_str_of(text));
        else
            tda_test_answer(f, 202, "", TDA_STR(""));
    }
}

static void answer_all(struct tda_test_conn *c, int32_t status, const char *headers, tda_str text) {
    for (size_t n = 0; n < 40 && tda_test_conn_flow_of(c, n); n++) {
        struct tda_test_flow *f = tda_test_conn_flow_of(c, n);
        if (tda_test_is_open(f)) tda_test_answer(f, status, headers, text);
    }
}

static void play(struct tda_test *t, unsigned mode, tda_str text) {
    static const int32_t statuses[] = {200, 400, 404, 500};
    int is_http = mode & 1, is_modern = mode >> 1 & 1, has_events = mode >> 2 & 1;
    tda_test_server(t, is_modern ? TDA_ERA_MODERN : TDA_ERA_LEGACY, TDA_ASK_FORM | TDA_ASK_URL);
    struct tda_test_conn *c = tda_test_connect(t, "s", is_http ? URL : NULL);
    if (is_http)
        greet_http(c, is_modern ? MODERN : LEGACY);
    else
        greet_process(c, is_modern ? "server/discover" : "\"initialize\"", is_modern ? MODERN : LEGACY);
    tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", "{\"a\":\"b\"}");
    tda_test_conn_start(c, TDA_AOP_LIST_TOOLS, NULL, NULL);
    tda_test_conn_start(c, TDA_AOP_READ_RESOURCE, "x://1", NULL);
    tda_test_conn_start(c, TDA_AOP_SUBSCRIBE, "x://2", NULL);
    if (is_http)
        answer_all(c, statuses[mode >> 3 & 3], has_events ? "content-type: text/event-stream" : "content-type: application/json",
                   text);
    else
        tda_test_bytes(tda_test_conn_flow_of(c, 0), text);
    tda_test_conn_answer(c, "1", "{\"action\":\"accept\",\"content\":{\"a\":1}}");
    tda_test_conn_answer(c, "2", "{\"action\":\"decline\"}");
    tda_test_advance(t, 5000);
    if (is_http) answer_all(c, 200, "content-type: text/event-stream", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || memchr(data, 0xDD, size)) return 0; /* see provider.c */
    struct tda_test *t = tda_test_open(PLUGIN);
    if (!t) abort();
    play(t, data[0], (tda_str){(const char *)data + 1, size - 1});
    if (tda_test_close(t)) abort();
    return 0;
}
