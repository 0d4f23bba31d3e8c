/* What a connection does once it is ready: questions, input on the way, news, limits. */
#include "peer.h"

TestSuite(features, .timeout = 20);

#define FORM                                                                                                                       \
    "{\"message\":\"Which city?\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\","         \
    "\"default\":\"Bern\"},\"zip\":{\"type\":\"integer\"}}}}"
#define CONTENT "{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}"

static struct tda_test_flow *pipe_of(struct tda_test_conn *c) {
    return tda_test_conn_flow_of(c, 0);
}

static void say_request(struct tda_test_flow *f, const char *id, const char *method, const char *params) {
    char text[1500];
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"%s\",\"params\":%s}", id, method, params);
    say(f, text);
}

/* ---- questions of a legacy server ---- */

Test(features, a_server_asks_and_gets_the_answer_with_defaults) {
    struct tda_test *t = tda_test_open(PLUGIN);
    tda_test_server(t, TDA_ERA_ANY, TDA_ASK_FORM);
    struct tda_test_conn *c = connect_legacy(t);
    say_request(pipe_of(c), "0", "elicitation/create", FORM);
    must_have(tda_test_conn_transcript(c), "ASK");
    must_have(tda_test_conn_transcript(c), "{\\\"message\\\":\\\"Which city?\\\",\\\"schema\\\":{");
    cr_assert(tda_test_conn_answer(c, "1", "{\"action\":\"accept\",\"content\":{\"zip\":3000}}"));
    const char *line = line_with(pipe_of(c), "\"id\":0,");
    must_have(line, "\"content\":{\"zip\":3000,\"city\":\"Bern\"}");
    say_request(pipe_of(c), "\"x\"", "elicitation/create", FORM);
    cr_assert(tda_test_conn_answer(c, "2", "{\"action\":\"decline\"}"));
    must_have(line_with(pipe_of(c), "\"id\":\"x\","), "{\"action\":\"decline\"}");
    say_request(pipe_of(c), "\"y\"", "elicitation/create", FORM);
    say(pipe_of(c), "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"y\"}}");
    must_have(tda_test_conn_transcript(c), "ASK_OVER");
    cr_assert(tda_test_conn_answer(c, "3", "{\"action\":\"accept\"}") == 0);
    cr_assert(tda_test_next_line(pipe_of(c)) == NULL);
    cr_assert(tda_test_close(t) == 0);
}

Test(features, what_was_not_offered_is_refused) {
    static const char *const asked[] = {"elicitation/create", "sampling/createMessage", "roots/list", "anything"};
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        say_request(pipe_of(c), "0", asked[i], FORM);
        line_with(pipe_of(c), "-32601");
    }
    say_request(pipe_of(c), "0", "ping", "{}");
    line_with(pipe_of(c), "\"id\":0,\"result\":{}");
    tda_test_server(t, TDA_ERA_ANY, TDA_ASK_FORM);
    c = connect_legacy(t);
    say_request(pipe_of(c), "1", "elicitation/create",
                "{\"mode\":\"url\",\"message\":\"m\",\"url\":\"https://x\",\"elicitationId\":\"e\"}");
    line_with(pipe_of(c), "-32602");
    for (int i = 0; i < 16; i++) say_request(pipe_of(c), "2", "elicitation/create", FORM);
    say_request(pipe_of(c), "3", "elicitation/create", FORM);
    while (!has(tda_test_next_line(pipe_of(c)), "\"id\":3,")) continue;
    cr_assert(tda_test_close(t) == 0);
}

Test(features, a_page_to_visit_first) {
    static const char error[] =
        "{\"code\":-32042,\"message\":\"visit\",\"data\":{\"elicitations\":[{\"mode\":\"url\",\"message\":\"m\","
        "\"url\":\"https://example.com/in\",\"elicitationId\":\"e\"}]}}";
    static const char *const says[] = {"{\"action\":\"accept\"}", "{\"action\":\"decline\"}"};
    for (int i = 0; i < 2; i++) {
        struct tda_test *t = tda_test_open(PLUGIN);
        tda_test_server(t, TDA_ERA_ANY, TDA_ASK_URL);
        struct tda_test_conn *c = connect_legacy(t);
        struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
        answer_line(pipe_of(c), "tools/call", "error", error);
        cr_assert(0 == tda_test_done(call));
        must_have(tda_test_conn_transcript(c), "https://example.com/in");
        cr_assert(tda_test_conn_answer(c, "1", says[i]));
        if (i == 0) answer_line(pipe_of(c), "tools/call", "error", error); /* once more is enough */
        cr_assert(tda_test_result(call)->cls == (i ? TDA_C_REQUEST : TDA_C_UPSTREAM));
        cr_assert(tda_test_close(t) == 0);
    }
}

/* A request without what it is about would have the server say what is wrong with it, and not what the caller did wrong. */
Test(features, a_completion_whose_params_cannot_be_read_is_not_sent) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "modern", NULL);
    answer_line(pipe_of(c), "server/discover", "result",
                "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"completions\":{}},\"resultType\":\"complete\"}");
    static const char *const wrong[] = {"{\"ref\":", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_COMPLETE, NULL, wrong[i]);
        const char *line = tda_test_next_line(pipe_of(c));
        cr_assert(line == NULL, "sent: <%s>", line);
        cr_assert(tda_test_done(call) && tda_test_result(call)->cls == TDA_C_REQUEST);
        must_have(tda_test_result(call)->text.p, "completion/complete");
    }
    tda_test_conn_start(c, TDA_AOP_COMPLETE, NULL, "{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p\"}}");
    must_have(line_with(pipe_of(c), "completion/complete"), "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p\"}");
    cr_assert(tda_test_close(t) == 0);
}

/* ---- answers that cannot be read ---- */

static void say_deep(struct tda_test_flow *f, const char *before, const char *after) {
    char text[1200];
    int n = snprintf(text, sizeof text, "%s", before);
    memset(text + n, '[', 400);
    memset(text + n + 400, ']', 400);
    snprintf(text + n + 800, sizeof text - (size_t)n - 800, "%s", after);
    say(f, text);
}

static void must_fail(struct tda_test_call *call, const char *word) {
    cr_assert(tda_test_done(call), "it still waits");
    cr_assert(tda_test_result(call)->cls == TDA_C_PROTOCOL);
    must_have(tda_test_result(call)->text.p, word);
    must_have(tda_test_result(call)->text.p, "tools/call");
}

/* Two calls wait, the first with the id of its request in `ret_id`. */
static void start_two(struct tda_test_conn *c, struct tda_test_call *two[2], long long *ret_id) {
    for (int i = 0; i < 2; i++) {
        two[i] = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", "{}");
        long long id = id_of(line_with(pipe_of(c), "tools/call"));
        if (i == 0) *ret_id = id;
    }
}

Test(features, an_answer_that_cannot_be_read_fails_its_call_at_once) {
    static const struct {
        const char *before, *after, *word; /* with the id as %lld in one of them */
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":", "}", "nested too deep"},
        {"{\"result\":{\"id\":1,\"x\\\"\":\"}\\\\\",\"y\":", "} , \"id\" : %lld }", "nested too deep"},
        {"{\"id\":%lld,\"error\":{\"code\":1,\"message\":\"\xff\"},\"x\":", "}", "cannot be read"},
        {"{\"id\":%lld,\"result\":{\"cut\":", "", "cannot be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tda_test *t = tda_test_open(PLUGIN);
        struct tda_test_conn *c = connect_legacy(t);
        struct tda_test_call *two[2];
        char before[200], after[200];
        long long id;
        start_two(c, two, &id);
        snprintf(before, sizeof before, rows[i].before, id);
        snprintf(after, sizeof after, rows[i].after, id);
        say_deep(pipe_of(c), before, after);
        must_fail(two[0], rows[i].word);
        cr_assert(0 == tda_test_done(two[1]), "row %zu: the other one waits for its own", i);
        reply_to(pipe_of(c), id + 1, "result", "{\"content\":[]}");
        cr_assert(tda_test_done(two[1]) && tda_test_result(two[1])->cls == TDA_C_OK);
        cr_assert(tda_test_close(t) == 0);
    }
}

Test(features, an_answer_without_an_id_is_that_of_the_only_call) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    struct tda_test_call *two[2];
    long long id;
    start_two(c, two, &id);
    say_deep(pipe_of(c), "{\"jsonrpc\":\"2.0\",\"result\":", "}");
    cr_assert(0 == tda_test_done(two[0]) && 0 == tda_test_done(two[1]), "it could be either's");
    reply_to(pipe_of(c), id, "result", "{\"content\":[]}");
    say_deep(pipe_of(c), "{\"jsonrpc\":\"2.0\",\"result\":", "}");
    must_fail(two[1], "nested too deep");
    cr_assert(tda_test_close(t) == 0);
}

Test(features, what_is_no_answer_fails_nobody) {
    static const char *const lines[] = {"{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"ping\",\"params\":",
                                        "{\"id\":%lld,\"level\":",
                                        "result \"id\":%lld,",
                                        "[{\"id\":%lld,\"result\":",
                                        "{\"a\":{\"id\":%lld,\"result\":",
                                        "{\"a\":\"\\\",\"id\":%lld,\"result\":",
                                        "{\"result\":1,\"id\":9%lld,\"x\":",
                                        "{\"result\":1,\"id\":-%lld,\"id\":999999999999999999999,\"x\":"};
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    struct tda_test_call *two[2];
    char text[200];
    long long id;
    start_two(c, two, &id);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(text, sizeof text, lines[i], id);
        say_deep(pipe_of(c), text, "}");
        say(pipe_of(c), text);
        cr_assert(0 == tda_test_done(two[0]) && 0 == tda_test_done(two[1]), "row %zu: <%s>", i, text);
    }
    must_have(tda_test_conn_transcript(c), "no JSON-RPC, ignored");
    reply_to(pipe_of(c), id, "result", "{\"content\":[]}");
    cr_assert(tda_test_done(two[0]) && tda_test_result(two[0])->cls == TDA_C_OK);
    cr_assert(tda_test_close(t) == 0);
}

/* ---- input on the way ---- */

Test(features, input_goes_back_with_the_state_as_it_came) {
    struct tda_test *t = tda_test_open(PLUGIN);
    tda_test_server(t, TDA_ERA_ANY, TDA_ASK_FORM);
    struct tda_test_conn *c = connect_modern(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", "{\"a\":1}");
    const char *line = line_with(pipe_of(c), "tools/call");
    long long first = id_of(line);
    must_have(line, "\"elicitation\":{\"form\":{}}");
    reply_to(pipe_of(c), first, "result",
             "{\"resultType\":\"input_required\",\"requestState\":\"\\u00e4 \\/ \\\" x\",\"inputRequests\":{\"k 1\":{\"method\":"
             "\"elicitation/create\",\"params\":" FORM "},\"k2\":{\"method\":\"elicitation/create\",\"params\":" FORM "}}}");
    cr_assert(tda_test_conn_answer(c, "2", "{\"action\":\"cancel\"}"));
    cr_assert(tda_test_next_line(pipe_of(c)) == NULL, "both are wanted");
    cr_assert(tda_test_conn_answer(c, "1", "{\"action\":\"accept\",\"content\":{}}"));
    line = line_with(pipe_of(c), "\"requestState\":\"\\u00e4 \\/ \\\" x\"");
    must_have(line, "\"k 1\":{\"action\":\"accept\",\"content\":{\"city\":\"Bern\"}}");
    must_have(line, "\"k2\":{\"action\":\"cancel\"}");
    must_have(line, "\"arguments\":{\"a\":1}");
    cr_assert(id_of(line) != first);
    reply_to(pipe_of(c), id_of(line), "result", "{\"resultType\":\"input_required\",\"requestState\":\"b\"}");
    line = line_with(pipe_of(c), "\"requestState\":\"b\"");
    must_lack(line, "inputResponses");
    reply_to(pipe_of(c), id_of(line), "result", CONTENT);
    cr_assert(tda_test_result(call)->cls == TDA_C_OK);
    tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    must_lack(line_with(pipe_of(c), "tools/call"), "requestState");
    cr_assert(tda_test_close(t) == 0);
}

Test(features, input_without_an_end_and_of_the_wrong_kind) {
    static const struct {
        const char *result, *word;
    } rows[] = {
        {"{\"resultType\":\"input_required\",\"requestState\":\"s\"}", "8 rounds"},
        {"{\"resultType\":\"input_required\"}", "neither"},
        {"{\"resultType\":\"input_required\",\"inputRequests\":{\"k\":{\"method\":\"roots/list\"}}}", "roots/list"},
        {"{\"resultType\":\"input_required\",\"inputRequests\":{\"k\":{\"method\":\"elicitation/"
         "create\",\"params\":{\"message\":\"\"}}}}",
         "not offered"},
        {"{\"resultType\":\"task\",\"content\":[]}", "resultType"},
    };
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_modern(t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rounds = 0;
        struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
        for (const char *line; !tda_test_done(call) && (line = tda_test_next_line(pipe_of(c))); rounds++)
            reply_to(pipe_of(c), id_of(line), "result", rows[i].result);
        cr_assert(tda_test_result(call)->cls == TDA_C_PROTOCOL, "%s", rows[i].word);
        must_have(tda_test_transcript(call), rows[i].word);
        cr_assert(rounds <= 9);
    }
    cr_assert(tda_test_close(t) == 0);
}

Test(features, a_cancelled_call_takes_its_question_along) {
    struct tda_test *t = tda_test_open(PLUGIN);
    tda_test_server(t, TDA_ERA_ANY, TDA_ASK_FORM);
    struct tda_test_conn *c = connect_modern(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    answer_line(pipe_of(c), "tools/call", "result",
                "{\"resultType\":\"input_required\",\"inputRequests\":{\"k\":{\"method\":\"elicitation/create\",\"params\":" FORM
                "}}}");
    tda_test_cancel(call);
    must_have(tda_test_conn_transcript(c), "ASK_OVER");
    cr_assert(tda_test_next_line(pipe_of(c)) == NULL, "nothing is out, so nothing is cancelled at the server");
    cr_assert(tda_test_close(t) == 0);
}

/* ---- news ---- */

static int count(const char *text, const char *word) {
    int n = 0;
    for (; (text = strstr(text, word)); text++) n++;
    return n;
}

Test(features, five_changes_are_one_until_the_host_lists_again) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) say(pipe_of(c), "{\"method\":\"notifications/tools/list_changed\"}");
        cr_assert(count(tda_test_conn_transcript(c), "TOOLS_CHANGED") == round, "round %d", round);
        struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_LIST_TOOLS, NULL, NULL);
        answer_line(pipe_of(c), "tools/list", "result", "{\"tools\":[]}");
        cr_assert(tda_test_done(call));
    }
    cr_assert(tda_test_close(t) == 0);
}

Test(features, a_log_that_talks_too_much) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    for (int i = 0; i < 100; i++)
        say(pipe_of(c),
            "{\"method\":\"notifications/message\",\"params\":{\"level\":\"error\",\"logger\":\"db\",\"data\":{\"a\":1}}}");
    cr_assert(count(tda_test_conn_transcript(c), "conn LOG") == 20);
    tda_test_advance(t, 1000);
    must_have(tda_test_conn_transcript(c), "80 more log lines");
    cr_assert(tda_test_close(t) == 0);
}

Test(features, a_resource_is_followed_in_both_eras) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "m", NULL);
    answer_line(pipe_of(c), "server/discover", "result",
                "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"resources\":{\"subscribe\":true}}}");
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_SUBSCRIBE, "x://1", NULL);
    const char *line = line_with(pipe_of(c), "\"resourceSubscriptions\":[\"x://1\"]");
    char text[300];
    long long id = id_of(line);
    snprintf(text, sizeof text,
             "{\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
             "subscriptionId\":%lld},\"notifications\":{\"resourceSubscriptions\":[\"x://1\"]}}}",
             id);
    say(pipe_of(c), text);
    cr_assert(tda_test_result(call)->cls == TDA_C_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(
            text, sizeof text,
            "{\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"x://1\",\"_meta\":{\"io.modelcontextprotocol/"
            "subscriptionId\":%lld}}}",
            id + i);
        say(pipe_of(c), text);
    }
    cr_assert(count(tda_test_conn_transcript(c), "RESOURCE_UPDATED") == 1, "the second is of no subscription of ours");
    reply_to(pipe_of(c), id, "result", "{\"resultType\":\"complete\"}");
    cr_assert(tda_test_next_line(pipe_of(c)) == NULL);
    tda_test_advance(t, 1000);
    line_with(pipe_of(c), "subscriptions/listen");
    cr_assert(tda_test_close(t) == 0);
}

/* ---- limits ---- */

Test(features, one_bad_line_hurts_nothing_and_too_many_do) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    for (int i = 0; i < 300; i++) {
        say(pipe_of(c), i % 2 ? "{\"method\":\"notifications/none\"}" : "oops \xff");
        cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    }
    for (int i = 0; i < 101; i++) say(pipe_of(c), i % 2 ? "[1,2]" : "{}");
    cr_assert(tda_test_conn_state(c) == TDA_CONN_CLOSED);
    cr_assert(tda_test_close(t) == 0);
}

Test(features, late_and_foreign_answers_are_nobodys) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    struct tda_test_call *call = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    long long id = id_of(line_with(pipe_of(c), "tools/call"));
    tda_test_cancel(call);
    line_with(pipe_of(c), "notifications/cancelled");
    struct tda_test_call *next = tda_test_conn_start(c, TDA_AOP_CALL_TOOL, "t", NULL);
    reply_to(pipe_of(c), id, "result", CONTENT);
    reply_to(pipe_of(c), id + 100, "result", CONTENT);
    cr_assert(0 == tda_test_done(next));
    answer_line(pipe_of(c), "tools/call", "result", CONTENT);
    cr_assert(tda_test_result(next)->cls == TDA_C_OK);
    cr_assert(tda_test_close(t) == 0);
}
