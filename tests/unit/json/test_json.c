/* Reading is strict, what is written reads back, what passes through is the same bytes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "json/json.h"

TestSuite(json, .timeout = 20);

static tda_status check(const char *text) {
    return json_check(tda_str_of(text), 0, NULL);
}

Test(json, what_is_no_json_is_refused) {
    static const char *const bad[] = {"",
                                      "{",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "'a'",
                                      "01",
                                      "1.",
                                      "+1",
                                      ".5",
                                      "nul",
                                      "[1 2]",
                                      "1 2",
                                      "{\"a\" 1}",
                                      "\"\\x\"",
                                      "\"a\nb\"",
                                      "\"\\ud800\"",
                                      "NaN",
                                      "Infinity",
                                      "1e999",
                                      "\"\xff\"",
                                      "\"\xc0\xaf\"",
                                      "\"\xed\xa0\x80\"",
                                      "[1]]",
                                      "{\"a\":1,\"a\":2}",
                                      "/**/1",
                                      "\xef\xbb\xbf{}x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) cr_assert(check(bad[i]) != TDA_OK, "taken: %s", bad[i]);
}

Test(json, what_is_json_is_taken) {
    static const char *const good[] = {"null",
                                       "true",
                                       "0",
                                       "-0",
                                       "1e5",
                                       "-1.25E-3",
                                       "\"\"",
                                       "\"\\u00e9\\n\"",
                                       "[]",
                                       "{}",
                                       "[[],{}]",
                                       " {\"a\" : [1, 2] } \n",
                                       "\"\\ud83d\\ude00\"",
                                       "18446744073709551615"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) cr_assert(check(good[i]) == TDA_OK, "refused: %s", good[i]);
}

Test(json, depth_is_bounded) {
    char text[400];
    for (int depth = 1; depth < 190; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        cr_assert((check(text) == TDA_OK) == (depth <= JSON_DEPTH_MAX), "%d", depth);
    }
}

Test(json, views) {
    struct json_doc *doc;
    const char *text = "{\"a\":{\"b\":[10, {\"c\":\"x\\u0041\"}, -5, 2.5, true]}, \"raw\": { \"keep\" :  1e2 }, \"\":7}";
    cr_assert(json_parse(tda_str_of(text), 0, &doc, NULL) == TDA_OK);
    struct json root = json_root(doc);
    int64_t i;
    double f;
    bool b;
    cr_assert(tda_str_eq(json_str(json_get(root, "a.b.1.c")), TDA_STR("xA")));
    cr_assert(json_i64(json_get(root, "a.b.0"), &i) && i == 10 && json_i64(json_get(root, "a.b.2"), &i) && i == -5);
    cr_assert(json_f64(json_get(root, "a.b.3"), &f) && f == 2.5 && !json_i64(json_get(root, "a.b.3"), &i));
    cr_assert(json_bool(json_get(root, "a.b.4"), &b) && b);
    cr_assert(tda_str_eq(json_raw(json_get(root, "raw")), TDA_STR("{ \"keep\" :  1e2 }")), "byte for byte");
    cr_assert(json_type(json_key(root, TDA_STR(""))) == TDA_JSON_NUMBER);
    cr_assert(json_type(json_get(root, "a.b.9")) == TDA_JSON_NONE && json_type(json_get(root, "a.x.y")) == TDA_JSON_NONE);
    cr_assert(json_count(root) == 3 && json_count(json_get(root, "a.b")) == 5);
    cr_assert(!json_str(JSON_ABSENT).p && !json_i64(JSON_ABSENT, &i) && json_type(json_first(JSON_ABSENT)) == TDA_JSON_NONE);
    json_free(doc);
}

/* Where a string ends in the source is found from its length: escapes must not deceive. */
Test(json, what_stands_behind_escapes_is_found) {
    static const char *const strings[] = {"ab\\\"", "\\\\", "\\\"", "a\\u0022\\\"b", "\\u00e9\\n\\\\\\\"", ""};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        char text[256], quoted[64];
        struct json_doc *doc;
        snprintf(quoted, sizeof quoted, "\"%s\"", strings[i]);
        snprintf(text, sizeof text, "{%s:%s,\"behind\":[%s,-1.5e3,true]}", quoted, quoted, quoted);
        cr_assert(json_parse(tda_str_of(text), 0, &doc, NULL) == TDA_OK, "%s", text);
        struct json root = json_root(doc), behind = json_get(root, "behind");
        cr_assert(tda_str_eq(json_raw(json_first(root)), tda_str_of(quoted)), "%s", text);
        cr_assert(tda_str_eq(json_raw(json_first(behind)), tda_str_of(quoted)), "%s", text);
        cr_assert(tda_str_eq(json_raw(json_get(behind, "1")), TDA_STR("-1.5e3")), "%s", text);
        cr_assert(tda_str_eq(json_raw(json_get(behind, "2")), TDA_STR("true")), "%s", text);
        cr_assert(tda_str_eq(json_name(json_first(root)), json_str(json_first(behind))), "%s", text);
        json_free(doc);
    }
}

Test(json, what_is_written_reads_back) {
    struct buf out;
    struct jw w;
    struct json_doc *doc;
    double numbers[] = {0, 0.1, -1e300, 5e-324, 1.0 / 3};
    buf_init(&out, 1 << 16);
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_put_str(&w, "text", (tda_str){"a\0\x1f\"\\/\xc3\xa9\xff", 9});
    jw_put_u64(&w, "big", UINT64_MAX);
    jw_put_i64(&w, "small", INT64_MIN);
    jw_put_i64(&w, "none", 0);
    jw_open_array(&w, "numbers");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) jw_f64(&w, numbers[i]);
    jw_f64(&w, 1.0 / 0.0);
    jw_end_array(&w);
    jw_put_raw(&w, "raw", TDA_STR("[1 ,2]"));
    jw_end_object(&w);
    cr_assert(json_parse(buf_str(&out), 0, &doc, NULL) == TDA_OK, "%.*s", STR_FMT(buf_str(&out)));
    struct json root = json_root(doc);
    cr_assert(tda_str_eq(json_str(json_get(root, "text")), (tda_str){"a\0\x1f\"\\/\xc3\xa9\xef\xbf\xbd", 11}));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char path[32];
        double f;
        snprintf(path, sizeof path, "numbers.%zu", i);
        cr_assert(json_f64(json_get(root, path), &f) && f == numbers[i], "%zu", i);
    }
    cr_assert(json_type(json_get(root, "numbers.5")) == TDA_JSON_NULL);
    cr_assert(memmem(out.p, out.n, "\"big\":18446744073709551615,\"small\":-9223372036854775808,\"none\":0,", 65));
    json_free(doc);
    buf_fini(&out);
}

Test(json, errors_say_what) {
    struct error e = {.retry_ms = -1};
    struct json_doc *doc;
    cr_assert(json_parse(TDA_STR("{\"a\":1,\"a\":2}"), 0, &doc, &e) != TDA_OK);
    cr_assert(strstr(e.text, "twice") || strstr(e.text, "duplicate"), "%s", e.text);
    cr_assert(json_parse(TDA_STR("\"\xff\""), 0, &doc, &e) != TDA_OK && strstr(e.text, "UTF-8"), "%s", e.text);
}

Test(json, text_is_cleaned) {
    struct buf out;
    buf_init(&out, 100);
    text_sanitise((tda_str){"\xef\xbb\xbf"
                            "a\x07\tb\n\x1b[31m\xff",
                            15},
                  &out);
    cr_assert(tda_str_eq(buf_str(&out), TDA_STR("a\tb\n[31m\xef\xbf\xbd")), "%.*s", STR_FMT(buf_str(&out)));
    buf_fini(&out);
}
