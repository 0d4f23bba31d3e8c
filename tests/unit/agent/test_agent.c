#include <criterion/criterion.h>
#include <stdio.h>

#include "agent/answer.h"
#include "agent/message.h"
#include "agent/model_call.h"
#include "agent/tool_names.h"
#include "base/clock.h"
#include "base/hash.h"

TestSuite(agent, .timeout = 20);

/* ---- retry ---- */

static const struct config retry_config = {.calls_attempts = 5, .calls_retry_base = 2LL * NS_PER_S};

Test(agent, retries_wait_2_4_8_16_seconds_and_a_little) {
    static const int64_t seconds[] = {2, 4, 8, 16};
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(retry_wait_ns(&retry_config, i + 1, TDA_C_OVERLOADED, -1, 0) == seconds[i] * NS_PER_S);
        int64_t most = retry_wait_ns(&retry_config, i + 1, TDA_C_OVERLOADED, -1, 0.9999);
        cr_assert(most > seconds[i] * NS_PER_S && most <= (seconds[i] + 1) * NS_PER_S);
    }
    cr_assert(retry_wait_ns(&retry_config, 5, TDA_C_OVERLOADED, -1, 0) == -1, "five attempts and no more");
}

Test(agent, the_services_own_wait_wins) {
    cr_assert(retry_wait_ns(&retry_config, 1, TDA_C_RATE, 7000, 0.5) == 7LL * NS_PER_S);
    cr_assert(retry_wait_ns(&retry_config, 1, TDA_C_RATE, 0, 0.5) == 0);
}

Test(agent, what_no_retry_can_mend_is_never_tried_again) {
    static const uint32_t never[] = {TDA_C_AUTH,      TDA_C_PERMISSION, TDA_C_NOT_FOUND, TDA_C_REQUEST,
                                     TDA_C_TOO_LARGE, TDA_C_QUOTA,      TDA_C_CANCELLED, TDA_C_CONTEXT_FULL,
                                     TDA_C_FILTER,    TDA_C_INTERNAL,   TDA_C_PROTOCOL,  999};
    static const uint32_t again[] = {TDA_C_RATE, TDA_C_OVERLOADED, TDA_C_UPSTREAM, TDA_C_NETWORK, TDA_C_TIMEOUT};
    for (size_t i = 0; i < ARRAY_LEN(never); i++) cr_assert(retry_wait_ns(&retry_config, 1, never[i], 5, 0) == -1, "%u", never[i]);
    for (size_t i = 0; i < ARRAY_LEN(again); i++) cr_assert(retry_wait_ns(&retry_config, 1, again[i], -1, 0) > 0, "%u", again[i]);
}

/* ---- aliases ---- */

static const char *alias(const char *server, const char *name) {
    static char out[TOOL_ALIAS_MAX + 1];
    tool_alias(tda_str_of(server), tda_str_of(name), 0, out);
    return out;
}

Test(agent, aliases_are_prefixed_legal_short_unique_and_stable) {
    hash_init();
    cr_assert_str_eq(alias("sales", "query"), "sales__query");
    char a[TOOL_ALIAS_MAX + 1], b[TOOL_ALIAS_MAX + 1];
    snprintf(a, sizeof a, "%s", alias("s", "a.b"));
    snprintf(b, sizeof b, "%s", alias("s", "a/b"));
    cr_assert_str_neq(a, b);
    cr_assert_str_eq(a, alias("s", "a.b"));
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[199] = 0;
    cr_assert(strlen(alias("server", long_name)) <= TOOL_ALIAS_MAX);
    for (const char *p = alias("\xc3\xa9", "t\n"); *p; p++) cr_assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", *p) != NULL);
}

/* ---- answers ---- */

static void event(struct answer *a, uint32_t kind, uint32_t index, uint32_t part_kind, const char *text) {
    struct tda_event e = {.size = sizeof e,
                          .kind = kind,
                          .index = index,
                          .part_kind = part_kind,
                          .text = tda_str_of(text),
                          .id = TDA_STR("i"),
                          .name = TDA_STR("n")};
    answer_event(a, &e);
}

Test(agent, an_answer_is_put_together_from_its_events) {
    struct arena arena;
    struct answer a;
    arena_init(&arena, 1 << 20);
    answer_init(&a, &arena, 1000);
    event(&a, TDA_EV_TEXT, 0, 0, "Hel");
    event(&a, TDA_EV_TEXT, 0, 0, "lo");
    event(&a, TDA_EV_PART_START, 1, TDA_PART_TOOL_USE, NULL);
    event(&a, TDA_EV_ARGS, 1, 0, "{\"a\":");
    event(&a, TDA_EV_ARGS, 1, 0, "1}");
    event(&a, TDA_EV_THINK, 2, 0, "hm");
    event(&a, TDA_EV_SIGNATURE, 2, 0, "sig==");
    event(&a, TDA_EV_ARGS, 9, 0, "lost");
    cr_assert(a.n_parts == 3 && answer_tool_uses(&a) == 1);
    const struct tda_msg *m = answer_message(&a, TDA_STR("p/m"));
    cr_assert(m->n_parts == 3 && m->role == TDA_ROLE_ASSISTANT);
    cr_assert(tda_str_eq(m->parts[1]->text, TDA_STR("{\"a\":1}")));
    cr_assert(tda_str_eq(m->parts[2]->opaque, TDA_STR("sig==")) && tda_str_eq(m->parts[2]->opaque_tag, TDA_STR("p/m")));
    struct buf out;
    buf_init(&out, 10000);
    struct jw w;
    jw_init(&w, &out);
    jw_begin_object(&w);
    answer_write(&a, TDA_STR("p/m"), &w);
    jw_end_object(&w);
    cr_assert(json_check(buf_str(&out), 0, NULL) == TDA_OK, "%.*s", STR_FMT(buf_str(&out)));
    cr_assert(str_has(buf_str(&out), TDA_STR("\"text\":\"Hello\"")));
    buf_fini(&out);
    answer_fini(&a);
    arena_fini(&arena);
}

Test(agent, an_answer_is_bounded) {
    struct arena arena;
    struct answer a;
    arena_init(&arena, 1 << 20);
    answer_init(&a, &arena, 5);
    event(&a, TDA_EV_TEXT, 0, 0, "123");
    cr_assert_not(a.too_large);
    event(&a, TDA_EV_TEXT, 0, 0, "456");
    cr_assert(a.too_large);
    answer_reset(&a);
    for (int i = 0; i < 2000; i++) event(&a, TDA_EV_PART_START, (uint32_t)i, TDA_PART_TEXT, NULL);
    cr_assert(a.too_large && a.n_parts <= 1024);
    answer_fini(&a);
    arena_fini(&arena);
}

Test(agent, unknown_usage_is_not_zero) {
    struct tda_usage sum = {.size = sizeof sum}, one = {sizeof one, 0, 10, 5, 0, 0, TDA_UNKNOWN};
    usage_add(&sum, &one, true);
    usage_add(&sum, &one, false);
    cr_assert(sum.input == 20 && sum.output == 10 && sum.reasoning == TDA_UNKNOWN);
}

/* ---- messages ---- */

static tda_status parse(const char *params, struct history *h, struct arena *arena, struct error *e, struct json_doc **doc) {
    *e = (struct error){0};
    *h = (struct history){.arena = arena};
    cr_assert(json_parse(tda_str_of(params), 0, doc, e) == TDA_OK, "%s: %s", params, e->text);
    return history_from_params(h, json_root(*doc), e);
}

Test(agent, an_opaque_blob_goes_back_to_its_maker_only) {
    static const char params[] = "{\"messages\":[{\"role\":\"assistant\",\"content\":["
                                 "{\"type\":\"thinking\",\"text\":\"hm\",\"opaque\":\"mine==\",\"opaque_tag\":\"p/m\"},"
                                 "{\"type\":\"thinking\",\"text\":\"hm\",\"opaque\":\"theirs\",\"opaque_tag\":\"p/other\"},"
                                 "{\"type\":\"text\",\"text\":\"hm\",\"opaque\":\"nobody's\"}]}]}";
    struct arena arena;
    struct error e = {0};
    struct json_doc *doc;
    arena_init(&arena, 1 << 20);
    struct history h = {.arena = &arena, .tag = TDA_STR("p/m")};
    cr_assert(json_parse(tda_str_of(params), 0, &doc, &e) == TDA_OK);
    cr_assert(history_from_params(&h, json_root(doc), &e) == TDA_OK, "%s", e.text);
    cr_assert(tda_str_eq(h.msgs[0]->parts[0]->opaque, TDA_STR("mine==")));
    cr_assert(!h.msgs[0]->parts[1]->opaque.p && !h.msgs[0]->parts[2]->opaque.p);
    json_free(doc);
    arena_fini(&arena);
}

Test(agent, conversations_are_checked) {
    static const struct {
        const char *params;
        uint32_t n; /* 0: refused */
        const char *field;
    } rows[] = {
        {"{\"input\":\"hi\"}", 1, ""},
        {"{\"input\":\"hi\",\"system\":\"s\"}", 2, ""},
        {"{}", 0, "input"},
        {"{\"input\":\"\"}", 0, "input"},
        {"{\"input\":\"x\",\"messages\":[]}", 0, "input"},
        {"{\"messages\":[]}", 0, "messages"},
        {"{\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}", 0, "messages.0.role"},
        {"{\"messages\":[{\"role\":\"user\"}]}", 0, "messages.0.content"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"smell\"}]}]}", 0, "messages.0.type"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"mime\":\"image/png\"}]}]}", 0, "messages.0"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"aGk=\"}]}]}", 1, ""},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"t\",\"arguments\":{"
         "\"a\":1}}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"id\":\"1\",\"name\":\"t\",\"content\":\"ok\"}]}]}",
         2, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena;
        struct history h;
        struct error e;
        struct json_doc *doc = NULL;
        arena_init(&arena, 1 << 20);
        tda_status s = parse(rows[i].params, &h, &arena, &e, &doc);
        cr_assert((s == TDA_OK) == (rows[i].n > 0), "%s: %s", rows[i].params, e.text);
        if (s == TDA_OK)
            cr_assert(h.n == rows[i].n, "%s", rows[i].params);
        else
            cr_assert_str_eq(e.field, rows[i].field, "%s: %s", rows[i].params, e.field);
        json_free(doc);
        arena_fini(&arena);
    }
}
