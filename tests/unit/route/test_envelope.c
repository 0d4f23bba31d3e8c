#include <criterion/criterion.h>
#include <stdio.h>

#include "route/envelope.h"
#include "route/request.h"

TestSuite(envelope, .timeout = 20);

Test(envelope, every_malformed_message_has_its_error) {
    static const struct {
        const char *text;
        int code;
        const char *id;
    } rows[] = {
        {"", RPC_PARSE, "null"},
        {"nonsense", RPC_PARSE, "null"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1", RPC_PARSE, "null"},
        {"\xff\xfe", RPC_PARSE, "null"},
        {"{\"a\":\"\xc3\x28\"}", RPC_PARSE, "null"},
        {"[]", RPC_INVALID_REQUEST, "null"},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\"}]", RPC_INVALID_REQUEST, "null"},
        {"1", RPC_INVALID_REQUEST, "null"},
        {"{}", RPC_INVALID_REQUEST, "null"},
        {"{\"id\":7,\"method\":\"host.ping\"}", RPC_INVALID_REQUEST, "7"},
        {"{\"jsonrpc\":\"1.0\",\"id\":\"x\",\"method\":\"host.ping\"}", RPC_INVALID_REQUEST, "\"x\""},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"host.ping\"}", RPC_INVALID_REQUEST, "null"},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"host.ping\"}", RPC_INVALID_REQUEST, "null"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", RPC_INVALID_REQUEST, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\",\"params\":[1]}", RPC_INVALID_REQUEST, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\",\"extra\":1}", RPC_INVALID_REQUEST, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"host.ping\"}", RPC_PARSE, "null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct envelope env;
        struct error e = {0};
        int code = 0;
        cr_assert(envelope_parse(tda_str_of(rows[i].text), &env, &code, &e) != TDA_OK, "%s", rows[i].text);
        cr_assert(code == rows[i].code, "%s: %d", rows[i].text, code);
        cr_assert(tda_str_eq(env.id, tda_str_of(rows[i].id)), "%s: %.*s", rows[i].text, STR_FMT(env.id));
        cr_assert(e.text[0] != 0, "%s", rows[i].text);
        json_free(env.doc);
    }
}

Test(envelope, ids_come_back_byte_for_byte) {
    static const char *const ids[] = {"0", "-1", "1.50", "\"\"", "\"a\\u0041\"", "null", "12345678901234567890"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char text[200];
        struct envelope env;
        struct error e = {0};
        int code = 0;
        snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"host.ping\"}", ids[i]);
        cr_assert(envelope_parse(tda_str_of(text), &env, &code, &e) == TDA_OK, "%s: %s", text, e.text);
        struct buf out;
        buf_init(&out, 1000);
        envelope_write(&out, env.id, TDA_STR("\"result\":{}"));
        snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", ids[i]);
        cr_assert(tda_str_eq(buf_str(&out), tda_str_of(text)), "%.*s", STR_FMT(buf_str(&out)));
        buf_fini(&out);
        json_free(env.doc);
    }
}

Test(envelope, deep_nesting_is_an_error_not_a_crash) {
    enum { N = 10000 };
    static char text[2 * N + 64];
    struct envelope env;
    struct error e = {0};
    int code = 0;
    size_t n = (size_t)snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\",\"params\":{\"a\":");
    memset(text + n, '[', N);
    cr_assert(envelope_parse((tda_str){text, n + N}, &env, &code, &e) != TDA_OK);
    cr_assert(code == RPC_PARSE);
    json_free(env.doc);
}

static tda_status check(const char *method, const char *params, struct error *e) {
    struct json_doc *doc = NULL;
    *e = (struct error){0};
    cr_assert(json_parse(tda_str_of(params), 0, &doc, e) == TDA_OK, "%s", e->text);
    tda_status s = params_check(method_find(tda_str_of(method)), json_root(doc), e);
    json_free(doc);
    return s;
}

Test(methods, parameters_are_checked_by_name_and_type) {
    struct error e;
    cr_assert(check("host.ping", "{}", &e) == TDA_OK);
    cr_assert(check("host.ping", "{\"user\":\"a\"}", &e) == TDA_OK, "common to all, so that a client may send it always");
    cr_assert(check("host.ping", "{\"user\":7}", &e) == TDA_E_INVALID && strcmp(e.kind, "wrong_type") == 0);
    cr_assert(check("agent.run", "{\"user\":\"a\",\"input\":\"x\",\"deadline_ms\":5}", &e) == TDA_OK);
    cr_assert(check("agent.run", "{\"inptu\":\"x\"}", &e) == TDA_E_INVALID);
    cr_assert_str_eq(e.hint, "did you mean input?");
    cr_assert_str_eq(e.field, "inptu");
    cr_assert(check("agent.run", "{\"input\":5}", &e) == TDA_E_INVALID);
    cr_assert_str_eq(e.kind, "wrong_type");
    cr_assert(check("tools.call", "{}", &e) == TDA_E_INVALID);
    cr_assert_str_eq(e.kind, "missing_param");
    cr_assert(check("configure", "{\"mcp_server\":null}", &e) == TDA_OK);
    cr_assert(check("configure", "{\"mcp_server\":[]}", &e) == TDA_E_INVALID);
}

Test(methods, unknown_methods_get_the_nearest_name) {
    struct error e = {0};
    cr_assert_null(method_find(TDA_STR("host.pin")));
    cr_assert(unknown_method(TDA_STR("host.pin"), &e) == TDA_E_NOT_FOUND);
    cr_assert_str_eq(e.hint, "did you mean host.ping?");
}

Test(methods, what_there_is_is_listed) {
    struct buf out;
    struct jw w;
    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    jw_begin_object(&w);
    methods_write(&w);
    jw_end_object(&w);
    cr_assert(str_has(buf_str(&out), TDA_STR("\"config.reload\"")));
    cr_assert(str_has(buf_str(&out), TDA_STR("\"agent.run\"")));
    buf_fini(&out);
}
