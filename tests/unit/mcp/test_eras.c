/* Which era a server lives in, and what is remembered of it. */
#include "../../../plugins/mcp/era_cache.c"

#include "peer.h"

TestSuite(eras, .timeout = 20);
TestSuite(verdicts, .timeout = 20);

/* ---- a process ---- */

Test(eras, an_error_is_legacy_and_known_from_then_on) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = connect_legacy(t);
    must_have(tda_test_conn_transcript(c), "\\\"era\\\":\\\"legacy\\\"");
    c = tda_test_connect(t, "legacy", NULL);
    line_with(tda_test_conn_flow_of(c, 0), "\"initialize\"");
    c = tda_test_connect(t, "another", NULL);
    line_with(tda_test_conn_flow_of(c, 0), "server/discover");
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, a_verdict_that_does_not_hold_is_asked_for_anew) {
    struct tda_test *t = tda_test_open(PLUGIN);
    connect_legacy(t);
    struct tda_test_conn *c = tda_test_connect(t, "legacy", NULL);
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 0);
    answer_line(f, "\"initialize\"", "error", "{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2026-07-28\"]}}");
    answer_line(f, "server/discover", "result", DISCOVERED);
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    c = tda_test_connect(t, "legacy", NULL);
    line_with(tda_test_conn_flow_of(c, 0), "server/discover");
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, silence_is_legacy_after_a_while) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "silent", NULL);
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 0);
    line_with(f, "server/discover");
    tda_test_advance(t, 3000);
    cr_assert(tda_test_next_line(f) == NULL);
    tda_test_advance(t, 2000);
    answer_line(f, "\"initialize\"", "result", INITIALIZED);
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, who_ends_when_asked_is_started_again) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "dies", NULL);
    tda_test_exit(tda_test_conn_flow_of(c, 0), 1);
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 1);
    cr_assert(f != NULL);
    answer_line(f, "\"initialize\"", "result", INITIALIZED);
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    tda_test_exit(f, 3);
    must_have(tda_test_conn_transcript(c), "exit code 3");
    cr_assert(tda_test_conn_flow_of(c, 2) == NULL);
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, a_refused_version_is_asked_for_again_a_few_times) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "s", NULL);
    struct tda_test_flow *f = tda_test_conn_flow_of(c, 0);
    for (int i = 0; i < 3; i++)
        answer_line(f, "server/discover", "error",
                    "{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2026-07-28\"]}}");
    cr_assert(tda_test_conn_state(c) == TDA_CONN_FAILED);
    c = tda_test_connect(t, "s", NULL);
    answer_line(tda_test_conn_flow_of(c, 0), "server/discover", "error",
                "{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2099-01-01\"]}}");
    must_have(tda_test_conn_transcript(c), "2099-01-01");
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, the_operator_may_know) {
    struct tda_test *t = tda_test_open(PLUGIN);
    tda_test_server(t, TDA_ERA_LEGACY, 0);
    struct tda_test_conn *c = tda_test_connect(t, "s", NULL);
    line_with(tda_test_conn_flow_of(c, 0), "\"initialize\"");
    tda_test_server(t, TDA_ERA_MODERN, 0);
    c = tda_test_connect(t, "s", NULL);
    answer_line(tda_test_conn_flow_of(c, 0), "server/discover", "error", "{\"code\":-32601,\"message\":\"what?\"}");
    cr_assert(tda_test_conn_state(c) == TDA_CONN_FAILED);
    must_have(tda_test_conn_transcript(c), "configured as modern");
    cr_assert(tda_test_close(t) == 0);
}

/* ---- at a url ---- */

Test(eras, what_says_nothing_about_the_era) {
    static const int32_t statuses[] = {401, 403, 429, 500, 503};
    struct tda_test *t = tda_test_open(PLUGIN);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct tda_test_conn *c = tda_test_connect(t, "s", URL);
        must_have(body_of(newest(c)), "server/discover");
        tda_test_answer(newest(c), statuses[i], "", TDA_STR(""));
        cr_assert(tda_test_conn_state(c) == TDA_CONN_FAILED);
        cr_assert(tda_test_conn_flow_of(c, 1) == NULL, "HTTP %d: initialize was tried", (int)statuses[i]);
    }
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, the_oldest_transport) {
    struct tda_test *t = tda_test_open(PLUGIN);
    struct tda_test_conn *c = tda_test_connect(t, "s", URL);
    tda_test_answer(newest(c), 404, "", TDA_STR(""));
    must_have(body_of(newest(c)), "\"initialize\"");
    tda_test_answer(newest(c), 405, "", TDA_STR(""));
    struct tda_test_flow *stream = newest(c);
    tda_test_status(stream, 200, SSE);
    tda_test_bytes(stream, TDA_STR("event: endpoint\ndata: /message?s=1\n\n"));
    cr_assert(strcmp(tda_test_request(newest(c))->url.p, "http://127.0.0.1:9/message?s=1") == 0);
    tda_test_answer(newest(c), 202, "", TDA_STR(""));
    char text[600];
    snprintf(text, sizeof text, "data: {\"id\":%lld,\"result\":%s}\n\n", id_of(body_of(newest(c))), INITIALIZED);
    tda_test_bytes(stream, tda_str_of(text));
    tda_test_answer(newest(c), 202, "", TDA_STR(""));
    cr_assert(tda_test_conn_state(c) == TDA_CONN_READY);
    c = tda_test_connect(t, "s", URL); /* known */
    cr_assert(strcmp(tda_test_request(newest(c))->method.p, "GET") == 0);
    cr_assert(tda_test_close(t) == 0);
}

Test(eras, an_endpoint_at_another_server_is_refused) {
    static const char *const places[] = {"http://127.0.0.1:10/m", "https://127.0.0.1:9/m", "//evil.example/m",
                                         "http://evil.example"};
    struct tda_test *t = tda_test_open(PLUGIN);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char text[100];
        struct tda_test_conn *c = tda_test_connect(t, "s", URL);
        tda_test_answer(newest(c), 404, "", TDA_STR(""));
        tda_test_answer(newest(c), 404, "", TDA_STR(""));
        struct tda_test_flow *stream = newest(c);
        tda_test_status(stream, 200, SSE);
        snprintf(text, sizeof text, "event: endpoint\ndata: %s\n\n", places[i]);
        tda_test_bytes(stream, tda_str_of(text));
        cr_assert(tda_test_conn_state(c) == TDA_CONN_FAILED, "%s", places[i]);
        must_have(tda_test_conn_transcript(c), "own origin");
    }
    cr_assert(tda_test_close(t) == 0);
}

/* ---- what is remembered ---- */

Test(verdicts, legacy_is_forgotten_after_a_day_and_use_does_not_renew_it) {
    tda_str name = TDA_STR("s"), url = TDA_STR("http://x");
    const int64_t day = DAY_MS;
    verdicts_open();
    verdict_put(name, url, VERDICT_LEGACY, 1000);
    verdict_put(name, url, VERDICT_LEGACY, 1000 + day / 2);
    cr_assert(verdict_get(name, url, 999 + day) == VERDICT_LEGACY);
    cr_assert(verdict_get(name, url, 1000 + day) == VERDICT_NONE);
    verdict_put(name, url, VERDICT_MODERN, 1000);
    cr_assert(verdict_get(name, url, 1000 + 100 * day) == VERDICT_MODERN);
    cr_assert(verdict_get(name, ABSENT, 1000) == VERDICT_NONE);
    cr_assert(verdict_get(TDA_STR("s\nhttp:"), TDA_STR("//x"), 1000) == VERDICT_NONE);
    verdict_put(name, url, VERDICT_NONE, 1000);
    cr_assert(verdict_get(name, url, 1000) == VERDICT_NONE);
    verdicts_close();
}

Test(verdicts, are_bounded_and_the_oldest_goes) {
    char name[16];
    verdicts_open();
    for (int i = 0; i < VERDICTS_MAX + 10; i++) {
        snprintf(name, sizeof name, "s%d", i);
        verdict_put(tda_str_of(name), ABSENT, VERDICT_MODERN, i);
    }
    cr_assert(all.n == VERDICTS_MAX);
    cr_assert(verdict_get(TDA_STR("s9"), ABSENT, 0) == VERDICT_NONE);
    cr_assert(verdict_get(TDA_STR("s10"), ABSENT, 0) == VERDICT_MODERN);
    verdicts_close();
    cr_assert(all.n == 0);
}
