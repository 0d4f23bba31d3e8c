/* Streamable HTTP: what requests carry, streams cut anywhere, streams that are resumed, sessions that are lost. */
#include "peer.h"

TestSuite(http, .timeout = 20);

static struct tda_test_conn *connect_http_modern(struct tda_test *t) {
    struct tda_test_conn *c = tda_test_connect(t, "http", URL);
    answer_http(newest(c), 200, JSON, "result", DISCOVERED);
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    return c;
}

static void header_is(const struct tda_test_flow *f, const char *name, const char *value) {
    const char *got = tda_test_header(f, name);
    cr_assert(value ? got && strcmp(got, value) == 0 : got == NULL, "%s: <%s>, not <%s>", name, got ? got : "none",
              value ? value : "none");
}

/* ---- what a modern request carries ---- */

#define SCHEMA                                                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"},\"n\":{\"type\":"           \
    "\"integer\",\"x-mcp-header\":\"N\"},\"on\":{\"type\":\"boolean\",\"x-mcp-header\":\"On\"},\"in\":{\"type\":\"object\","       \
    "\"properties\":{\"deep\":{\"type\":\"string\",\"x-mcp-header\":\"Deep\"}}},\"plain\":{\"type\":\"string\"}}}"

static void list_tools(struct tda_test_conn *c, const char *tools, struct tda_test_call **ret_call) {
    char text[4000];
    *ret_call = tda_test_conn_start(c, TDA_AOP_LIST_TOOLS, NULL, NULL);
    snprintf(text, sizeof text, "{\"tools\":[%s]}", tools);
    answer_http(newest(c), 200, JSON, "result", text);
    cr_assert(tda_test_done(*ret_call));
}

Test(http, headers_of_a_call) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call;
    list_tools(c, "{\"name\":\"t\\u00e4t\",\"inputSchema\":" SCHEMA "}", &call);
    call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t\xc3\xa4t",
                               "{\"region\":\"a\\r\\nX-Evil: 1\",\"n\":-7,\"on\":true,\"in\":{\"deep\":\" x\"},\"plain\":\"p\"}");
    struct tda_test_flow *f = newest(c);
    header_is(f, "MCP-Protocol-Version", "2026-07-28");
    header_is(f, "Mcp-Method", "tools/call");
    header_is(f, "Mcp-Name", "=?base64?dMOkdA==?=");
    header_is(f, "Mcp-Param-Region", "=?base64?YQ0KWC1FdmlsOiAx?=");
    header_is(f, "Mcp-Param-N", "-7");
    header_is(f, "Mcp-Param-On", "true");
    header_is(f, "Mcp-Param-Deep", "=?base64?IHg=?=");
    header_is(f, "Mcp-Param-plain", NULL);
    must_have(body_of(f), "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"");
    must_have(body_of(f), "\"io.modelcontextprotocol/clientCapabilities\":{}");
    tda_test_cancel(call);
    cr_assert(0 == tda_test_is_open(f), "a modern request is cancelled by closing its stream");
    must_lack(body_of(newest(c)), "notifications/cancelled");
    call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t\xc3\xa4t", "{\"region\":null,\"n\":9007199254740993}");
    header_is(newest(c), "Mcp-Param-Region", NULL);
    header_is(newest(c), "Mcp-Param-N", NULL);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, tools_whose_annotations_cannot_be_followed_are_left_out) {
    static const char *const wrong[] = {
        "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"a b\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":7}}}",
        "{\"properties\":{\"a\":{\"type\":\"number\",\"x-mcp-header\":\"A\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"object\",\"x-mcp-header\":\"A\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"},\"b\":{\"type\":\"string\",\"x-mcp-header\":\"a\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}}}",
        "{\"anyOf\":[{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}}]}",
        "{\"type\":\"string\",\"x-mcp-header\":\"A\"}",
    };
    static const char *const right[] = {
        SCHEMA,
        "{\"properties\":{\"x-mcp-header\":{\"type\":\"string\"}}}",
        "{\"properties\":{\"a\":{\"type\":\"string\",\"default\":{\"x-mcp-header\":\"\"}}}}",
        "{\"properties\":{\"properties\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}}",
    };
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call;
    char tool[1500];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(tool, sizeof tool, "{\"name\":\"bad\",\"inputSchema\":%s},{\"name\":\"good\",\"inputSchema\":{}}", wrong[i]);
        list_tools(c, tool, &call);
        cr_assert(tda_test_events(call) == 1, "%s", wrong[i]);
        must_have(tda_test_conn_transcript(c), "\\\"bad\\\" is left out");
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(tool, sizeof tool, "{\"name\":\"good\",\"inputSchema\":%s}", right[i]);
        list_tools(c, tool, &call);
        cr_assert(tda_test_events(call) == 1, "%s", right[i]);
    }
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_header_that_was_not_known_is_learnt_and_the_call_made_once_more) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", "{\"region\":\"here\"}");
    for (int i = 0; i < 2; i++) {
        must_have(body_of(newest(c)), "tools/call");
        header_is(newest(c), "Mcp-Param-Region", i ? "here" : NULL);
        answer_http(newest(c), 400, JSON, "error", "{\"code\":-32020,\"message\":\"Mcp-Param-Region is missing\"}");
        if (i) break;
        must_have(body_of(newest(c)), "tools/list");
        answer_http(newest(c), 200, JSON, "result", "{\"tools\":[{\"name\":\"t\",\"inputSchema\":" SCHEMA "}]}");
    }
    cr_assert(tda_test_done(call));
    cr_assert(tda_test_result(call)->cls == TDA_C_REQUEST);
    cr_assert(tda_test_close(t) == 0);
}

/* What the user has said goes with the call that is made once more for want of a header. */
Test(http, a_header_that_was_not_known_costs_no_answer_of_the_user) {
    struct tda_test *t = tda_test_open(PLUGIN);
    tda_test_server(t, TDA_ERA_ANY, TDA_ASK_FORM);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", "{\"region\":\"here\"}");
    answer_http(newest(c), 200, JSON, "result",
                "{\"resultType\":\"input_required\",\"requestState\":\"s\",\"inputRequests\":{\"k\":{\"method\":\"elicitation/"
                "create\",\"params\":{\"message\":\"Which?\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"city\":{"
                "\"type\":\"string\"}}}}}}}");
    cr_assert(tda_test_conn_answer(c, "1", "{\"action\":\"accept\",\"content\":{\"city\":\"Bern\"}}"));
    must_have(body_of(newest(c)), "\"city\":\"Bern\"");
    answer_http(newest(c), 400, JSON, "error", "{\"code\":-32020,\"message\":\"Mcp-Param-Region is missing\"}");
    must_have(body_of(newest(c)), "tools/list");
    must_lack(body_of(newest(c)), "Bern");
    answer_http(newest(c), 200, JSON, "result", "{\"tools\":[{\"name\":\"t\",\"inputSchema\":" SCHEMA "}]}");
    must_have(body_of(newest(c)), "tools/call");
    header_is(newest(c), "Mcp-Param-Region", "here");
    must_have(body_of(newest(c)), "\"requestState\":\"s\"");
    must_have(body_of(newest(c)), "\"inputResponses\":{\"k\":{\"action\":\"accept\",\"content\":{\"city\":\"Bern\"}}}");
    answer_http(newest(c), 200, JSON, "result", "{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}");
    cr_assert(tda_test_done(call) && tda_test_result(call)->cls == TDA_C_OK);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_call_whose_headers_cannot_be_made_is_not_sent) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call;
    list_tools(c, "{\"name\":\"t\",\"inputSchema\":" SCHEMA "}", &call);
    struct tda_test_flow *last = newest(c);
    char deep[600] = "{\"region\":\"here\",\"plain\":";
    size_t n = strlen(deep);
    memset(deep + n, '[', 250);
    memset(deep + n + 250, ']', 250);
    strcpy(deep + n + 500, "}");
    call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", deep);
    cr_assert(newest(c) == last, "sent: <%s>", body_of(newest(c)));
    cr_assert(tda_test_done(call) && tda_test_result(call)->cls != TDA_C_OK);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_modern_server_gets_no_answer_on_a_stream) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_http_modern(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    struct tda_test_flow *f = newest(c);
    tda_test_status(f, 200, SSE);
    tda_test_bytes(f, TDA_STR("data: {\"id\":1,\"method\":\"ping\"}\n\n"));
    cr_assert(newest(c) == f);
    tda_test_end(f);
    cr_assert(tda_test_result(call)->cls == TDA_C_NETWORK, "and nothing is resumed");
    cr_assert(tda_test_close(t) == 0);
}

/* ---- streams ---- */

/* The transcript of a call whose answer comes as these bytes in two pieces. */
static char *played(struct tda_test_conn *c, const char *bytes, size_t cut) {
    char text[2000];
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    struct tda_test_flow *f = newest(c);
    size_t n = 0;
    for (const char *p = bytes; *p; p++) {
        if (*p == '@')
            n += (size_t)snprintf(text + n, sizeof text - n, "%lld", id_of(body_of(f)));
        else
            text[n++] = *p;
    }
    if (cut > n) return NULL;
    tda_test_status(f, 200, SSE);
    tda_test_bytes(f, (tda_str){text, cut});
    tda_test_bytes(f, (tda_str){text + cut, n - cut});
    tda_test_end(f);
    cr_assert(tda_test_done(call), "cut at %zu", cut);
    char *said = malloc(4000);
    n = 0;
    for (size_t i = 0; i < tda_test_events(call); i++) {
        const struct tda_event *e = tda_test_event(call, i);
        n += (size_t)snprintf(said + n, 4000 - n, "%u %.*s;", e->kind, e->part ? (int)e->part->text.n : (int)e->text.n,
                              e->part ? e->part->text.p : e->text.p);
    }
    snprintf(said + n, 4000 - n, "end %u", tda_test_result(call)->cls);
    tda_test_forget(call);
    return said;
}

Test(http, a_stream_says_the_same_wherever_it_is_cut) {
    static const char stream[] =
        ": hello\n\nid: a\ndata:\n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
        "\"params\":{\"progressToken\":@,\"progress\":1,\r\ndata: \"message\":\"half\"}}\r\n\r\n"
        "event: other\ndata: x\n\ndata: not json\n\n"
        "data: {\"id\":@,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"d\xc3\xb6ne\"}]}}\n\n";
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_session(t);
    char *whole = played(c, stream, 0), *again;
    must_have(whole, "half");
    must_have(whole, "d\xc3\xb6ne");
    for (size_t cut = 1; (again = played(c, stream, cut)); cut++) {
        cr_assert(strcmp(whole, again) == 0, "cut at %zu: <%s>, not <%s>", cut, again, whole);
        free(again);
    }
    free(whole);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_stream_that_ends_early_is_resumed_when_its_server_said) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_session(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    struct tda_test_flow *post = newest(c);
    char text[200];
    tda_test_answer(post, 200, SSE, TDA_STR("id: e1\nretry: 500\ndata:\n\n"));
    tda_test_advance(t, 499);
    cr_assert(newest(c) == post);
    tda_test_advance(t, 1);
    struct tda_test_flow *get = newest(c);
    cr_assert(strcmp(tda_test_request(get)->method.p, "GET") == 0);
    header_is(get, "Last-Event-ID", "e1");
    header_is(get, "Mcp-Session-Id", "one");
    snprintf(text, sizeof text, "id: e2\ndata: {\"id\":%lld,\"result\":{\"content\":[]}}\n\n", id_of(body_of(post)));
    tda_test_answer(get, 200, SSE, tda_str_of(text));
    cr_assert(tda_test_result(call)->cls == TDA_C_OK);

    call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    tda_test_answer(newest(c), 200, SSE, TDA_STR("id: e3\nretry: 10\ndata:\n\n"));
    for (int i = 0; i < 20 && !tda_test_done(call); i++) {
        tda_test_advance(t, 10);
        tda_test_fail(newest(c), TDA_C_NETWORK, "connection refused");
    }
    cr_assert(tda_test_result(call)->cls == TDA_C_NETWORK);
    must_have(tda_test_transcript(call), "after 5 attempts");

    call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    tda_test_answer(newest(c), 200, SSE, TDA_STR(": nothing to resume by\n\n"));
    cr_assert(tda_test_result(call)->cls == TDA_C_NETWORK);
    cr_assert(tda_test_close(t) == 0);
}

/* ---- sessions ---- */

Test(http, a_lost_session_is_made_anew_and_what_was_refused_is_sent_once_more) {
    static const struct {
        int32_t status;
        const char *body;
    } ways[] = {{404, "{\"error\":{\"code\":-32001,\"message\":\"Session not found\"},\"id\":null}"},
                {400, "{\"error\":{\"code\":-32000,\"message\":\"Bad Request: No valid session ID provided\"},\"id\":null}"},
                {404, ""}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct tda_test *t = tda_test_open(PLUGIN);
        struct tda_test_conn *c = connect_session(t);
        struct tda_test_call *first = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "first", NULL);
        tda_test_answer(newest(c), ways[i].status, JSON, tda_str_of(ways[i].body));
        struct tda_test_flow *greeting = newest(c);
        must_have(body_of(greeting), "\"initialize\"");
        header_is(greeting, "Mcp-Session-Id", NULL);
        header_is(greeting, "MCP-Protocol-Version", NULL);
        struct tda_test_call *second = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "second", NULL);
        cr_assert(newest(c) == greeting, "it waits for the session");
        answer_http(greeting, 200, JSON "\nmcp-session-id: two", "result", INITIALIZED);
        tda_test_answer(newest(c), 202, "", TDA_STR(""));
        int sent = 0;
        for (size_t n = 0; tda_test_conn_flow_of(c, n); n++) {
            struct tda_test_flow *f = tda_test_conn_flow_of(c, n);
            if (!tda_test_is_open(f) || !has(body_of(f), "tools/call")) continue;
            sent++;
            header_is(f, "Mcp-Session-Id", "two");
            if (has(body_of(f), "second"))
                answer_http(f, 200, JSON, "result", "{\"content\":[]}");
            else
                tda_test_answer(f, ways[i].status, JSON, tda_str_of(ways[i].body));
        }
        cr_assert(sent == 2);
        cr_assert(tda_test_result(second)->cls == TDA_C_OK);
        cr_assert(tda_test_result(first)->cls == TDA_C_NETWORK, "not for ever");
        cr_assert(tda_test_close(t) == 0);
    }
}

static struct tda_test_conn *connect_with_stream(struct tda_test *t) {
    struct tda_test_conn *c = tda_test_connect(t, "http", URL);
    if (has(body_of(newest(c)), "server/discover")) tda_test_answer(newest(c), 400, JSON, TDA_STR("{}"));
    answer_http(newest(c), 200, JSON "\nmcp-session-id: one", "result", INITIALIZED);
    tda_test_answer(newest(c), 202, "", TDA_STR(""));
    return c;
}

/* Fails each GET that comes within the time; how many came. */
static unsigned fail_standing(struct tda_test *t, struct tda_test_conn *c, unsigned seconds) {
    unsigned n = 0;
    for (unsigned i = 0; i <= seconds * 10; i++) {
        struct tda_test_flow *f = newest(c);
        if (tda_test_is_open(f) && strcmp(tda_test_request(f)->method.p, "GET") == 0) {
            tda_test_answer(f, 503, "", TDA_STR(""));
            n++;
        }
        tda_test_advance(t, 100);
    }
    return n;
}

Test(http, a_standing_stream_that_keeps_failing_rests_until_the_server_is_used) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_with_stream(t);
    unsigned n = fail_standing(t, c, 7);
    cr_assert(n == 4, "at once, after 1, 2 and 4 s, not %u times", n);
    n += fail_standing(t, c, 600);
    cr_assert(n == 8, "%u times", n);
    must_have(tda_test_conn_transcript(c), "8 times in a row");
    n = fail_standing(t, c, 3600);
    cr_assert(n == 0, "%u times", n);
    struct tda_test_flow *last = newest(c);
    tda_test_conn_start(c, TDA_AOP_LIST_TOOLS, NULL, NULL);
    must_have(body_of(newest(c)), "tools/list");
    size_t i = 0;
    while (tda_test_conn_flow_of(c, i) != last) i++;
    struct tda_test_flow *get = tda_test_conn_flow_of(c, i + 1);
    cr_assert(strcmp(tda_test_request(get)->method.p, "GET") == 0, "the stream is there before the call");
    tda_test_answer(get, 503, "", TDA_STR(""));
    tda_test_answer(newest(c), 503, "", TDA_STR(""));
    n = fail_standing(t, c, 3600);
    cr_assert(n == 7, "as often as before, not %u times more", n);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_standing_stream_that_stood_for_a_while_has_not_failed) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_with_stream(t);
    for (int i = 0; i < 20; i++) {
        struct tda_test_flow *f = newest(c);
        cr_assert(tda_test_is_open(f) && strcmp(tda_test_request(f)->method.p, "GET") == 0, "attempt %d", i);
        tda_test_status(f, 200, SSE);
        tda_test_advance(t, 60000);
        cr_assert(newest(c) == f && tda_test_is_open(f));
        tda_test_end(f);
        tda_test_advance(t, 1000);
    }
    unsigned n = fail_standing(t, c, 3600);
    cr_assert(n == 7, "and the end of the last that stood, not %u times", n);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, a_session_is_ended_and_nobody_waits_long_for_it) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_session(t);
    tda_test_conn_close(c);
    struct tda_test_flow *f = newest(c);
    cr_assert(strcmp(tda_test_request(f)->method.p, "DELETE") == 0);
    header_is(f, "Mcp-Session-Id", "one");
    cr_assert(tda_test_request(f)->total_ms > 0 && tda_test_request(f)->total_ms <= 2000);
    tda_test_answer(f, 405, "", TDA_STR(""));
    cr_assert(tda_test_conn_state(c) == TDA_CONN_CLOSED);
    cr_assert(tda_test_close(t) == 0);
}

Test(http, each_bad_answer_says_what_it_is) {
    static const struct {
        int32_t status;
        const char *headers, *body, *word;
        uint32_t cls;
    } rows[] = {
        {200, "content-type: text/html", "<html>", "text/html", TDA_C_PROTOCOL},
        {200, JSON, "{\"id\":4711,\"result\":{}}", "not the answer to it", TDA_C_PROTOCOL},
        {200, JSON, "", "without a body", TDA_C_PROTOCOL},
        {202, "", "", "HTTP 202", TDA_C_PROTOCOL},
        {401, "", "", "HTTP 401", TDA_C_AUTH},
        {403, JSON, "{\"error\":{\"code\":-32000,\"message\":\"not you\"}}", "not you", TDA_C_PERMISSION},
        {429, "retry-after: 7", "", "HTTP 429", TDA_C_RATE},
        {307, "location: http://evil.example", "", "redirects are not followed", TDA_C_REQUEST},
        {503, "content-type: text/plain", "down for today", "down for today", TDA_C_OVERLOADED},
    };
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_session(t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
        tda_test_answer(newest(c), rows[i].status, rows[i].headers, tda_str_of(rows[i].body));
        cr_assert(tda_test_done(call), "%s", rows[i].word);
        cr_assert(tda_test_result(call)->cls == rows[i].cls, "%s: class %u", rows[i].word, tda_test_result(call)->cls);
        must_have(tda_test_transcript(call), rows[i].word);
        if (rows[i].status == 429) cr_assert(tda_test_result(call)->retry_ms == 7000);
    }
    cr_assert(tda_test_close(t) == 0);
}
