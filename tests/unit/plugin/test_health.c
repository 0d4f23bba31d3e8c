/* What is remembered of a server: parking by an injected clock, whose record is whose, and that nothing grows. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "plugin/health.h"
#include "tda/message.h"

static int64_t now = 1000LL * NS_PER_S;
static const struct config config = {.mcp_park_after = 3, .mcp_park_for = 10LL * NS_PER_S, .mcp_steady_after = 30LL * NS_PER_S};
static struct health_table table;

static void begin(void) {
    cr_assert(hash_init() == TDA_OK);
    clock_fake(&now);
    health_table_init(&table);
}

static void end(void) {
    health_table_fini(&table);
    clock_fake(NULL);
}

TestSuite(health, .timeout = 30, .init = begin, .fini = end);
TestSuite(conn_log, .timeout = 30);

static struct health *get(const char *user, const char *name) {
    struct health *h = health_get(&table, &(struct health_id){.user = user, .name = tda_str_of(name)});
    cr_assert(h);
    return h;
}

static void fail(struct health *h) {
    health_ended(h, &config, TDA_C_NETWORK, "it fell over", -1);
}

static bool admitted(const struct health *h) {
    struct error e = {.retry_ms = -1};
    tda_status s = health_admit(h, &e);
    cr_assert(s == TDA_OK || (strcmp(e.kind, "mcp_parked") == 0 && e.retry_ms > 0 && strstr(e.text, "it fell over")));
    return s == TDA_OK;
}

Test(health, parked_after_so_many_failures_and_let_through_when_its_time_is_over) {
    struct health *h = get("a", "s");
    fail(h);
    fail(h);
    cr_assert(admitted(h));
    fail(h);
    cr_assert(!admitted(h) && health_parked_ms(h) == 10000 + 1);
    now += config.mcp_park_for - 1;
    cr_assert(!admitted(h), "not a nanosecond before");
    now += 1;
    cr_assert(admitted(h));
    health_unref(h);
}

Test(health, each_further_failure_doubles_the_time_up_to_a_bound) {
    struct health *h = get("a", "s");
    int64_t waits[9];
    fail(h);
    fail(h);
    for (size_t i = 0; i < 9; i++) {
        fail(h);
        waits[i] = (h->parked_until_ns - now) / NS_PER_S;
        now = h->parked_until_ns;
    }
    for (size_t i = 0; i < 9; i++) cr_assert(waits[i] == 10 << (i < 5 ? i : 5), "%zu: %lld", i, (long long)waits[i]);
    health_unref(h);
}

Test(health, only_a_long_life_makes_failures_forgotten) {
    struct health *h = get("a", "s");
    fail(h);
    fail(h);
    health_ended(h, &config, TDA_C_CANCELLED, "closed", config.mcp_steady_after - 1);
    cr_assert(h->failures == 2, "an end that was asked for is no failure, and a short life no proof");
    health_ended(h, &config, TDA_C_NETWORK, "it fell over", config.mcp_steady_after);
    cr_assert(h->failures == 1, "the first after a long life");
    health_restart(h);
    cr_assert(h->failures == 0 && admitted(h));
    health_unref(h);
}

Test(health, what_is_no_fault_of_the_server_does_not_count) {
    static const uint32_t classes[] = {TDA_C_OK, TDA_C_CANCELLED, TDA_C_OVERLOADED, TDA_C_AUTH, TDA_C_PERMISSION};
    struct health *h = get("a", "s");
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < ARRAY_LEN(classes); i++) health_ended(h, &config, classes[i], "no fault", -1);
    cr_assert(h->failures == 0 && admitted(h));
    health_unref(h);
}

Test(health, a_record_is_one_user_s_and_one_server_s) {
    static const struct config_server first = {.digest = {1}}, second = {.digest = {2}};
    struct health_id ids[] = {{"a", TDA_STR("s"), &first, {0}},
                              {"b", TDA_STR("s"), &first, {0}},
                              {"a", TDA_STR("s"), &second, {0}},
                              {"a", TDA_STR("s"), NULL, TDA_STR("http://x")},
                              {"a", TDA_STR("s"), NULL, TDA_STR("http://y")},
                              {"a", TDA_STR("t"), &first, {0}},
                              {"", TDA_STR("s"), &first, {0}}};
    struct health *h[ARRAY_LEN(ids)];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        h[i] = health_get(&table, &ids[i]);
        for (size_t k = 0; k < i; k++) cr_assert(h[i] != h[k], "%zu and %zu", i, k);
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        cr_assert(health_find(&table, &ids[i]) == h[i]);
        health_unref(h[i]);
    }
}

Test(health, ended_ones_are_kept_for_an_hour_and_not_without_end) {
    char user[16];
    const struct health_id first = {.user = "u0", .name = TDA_STR("s")};
    struct health *live = get("live", "s");
    for (int i = 0; i < 5000; i++) {
        snprintf(user, sizeof user, "u%d", i);
        struct health *h = get(user, "s");
        conn_log_add(&h->log, LOG_FROM_STDERR, TDA_STR(""), TDA_STR("something"));
        health_unref(h);
        now += NS_PER_MS;
    }
    cr_assert(table.n_ended == 1024 && !health_find(&table, &first), "%zu", table.n_ended);
    const struct health_id last = {.user = user, .name = TDA_STR("s")};
    cr_assert(health_find(&table, &last));
    now += 3600LL * NS_PER_S + 1;
    cr_assert(!health_find(&table, &last) && table.n_ended == 0);
    cr_assert(HASH_COUNT(table.all) == 1, "the live one stays");
    health_unref(live);
}

Test(health, one_who_is_erased_is_forgotten_his_live_ones_too) {
    const struct health_id a = {.user = "a", .name = TDA_STR("s")}, b = {.user = "b", .name = TDA_STR("s")};
    struct health *live = get("a", "s"), *other = get("b", "s");
    health_unref(get("a", "t"));
    health_forget_user(&table, "a");
    cr_assert(!health_find(&table, &a) && health_find(&table, &b) == other);
    fail(live); /* what still ends has somewhere to say so */
    health_unref(live);
    health_unref(other);
    cr_assert(HASH_COUNT(table.all) == 1);
}

/* ---- the log ---- */

static tda_str text_of(const struct conn_log *log, uint64_t after, size_t max, struct buf *out) {
    struct jw w;
    buf_clear(out);
    jw_init(&w, out);
    jw_begin_object(&w);
    conn_log_write(log, after, max, NULL, &w);
    jw_end_object(&w);
    return buf_str(out);
}

Test(conn_log, the_last_lines_are_kept_and_numbered) {
    struct conn_log log;
    struct buf out;
    char line[64];
    conn_log_init(&log);
    buf_init(&out, 1 << 20);
    for (int i = 1; i <= 5000; i++) {
        int n = snprintf(line, sizeof line, "line number %d, with something behind it", i);
        conn_log_add(&log, i % 2 ? LOG_FROM_STDERR : LOG_FROM_SERVER, TDA_STR(""), (tda_str){line, (size_t)n});
        cr_assert(log.lines.n <= CONN_LOG_MAX);
    }
    cr_assert(log.lines.n > CONN_LOG_MAX / 2, "and not too few of them");
    tda_str all = text_of(&log, 4998, 100, &out);
    cr_assert(str_has(all, TDA_STR("\"n\":4999")) && str_has(all, TDA_STR("\"n\":5000")) && !str_has(all, TDA_STR("\"n\":4998")));
    all = text_of(&log, 0, 3, &out);
    cr_assert(str_has(all, TDA_STR("\"n\":4998")) && !str_has(all, TDA_STR("\"n\":4997")) &&
              str_has(all, TDA_STR("\"next\":5000")));
    cr_assert(str_has(all, TDA_STR("line number 5000,")) && str_has(all, TDA_STR("\"from\":\"server\"")));
    cr_assert(tda_str_eq(conn_log_last(&log, LOG_FROM_STDERR), TDA_STR("line number 4999, with something behind it")));
    conn_log_shrink(&log, 1000);
    cr_assert(log.lines.n <= 1000);
    all = text_of(&log, 0, 1000, &out);
    cr_assert(str_has(all, TDA_STR("\"n\":5000")), "numbers go on");
    buf_fini(&out);
    conn_log_fini(&log);
}

Test(conn_log, one_line_is_cut_and_an_empty_one_is_a_line) {
    static char huge[100000];
    struct conn_log log;
    struct buf out;
    memset(huge, 'x', sizeof huge);
    conn_log_init(&log);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < 100; i++) conn_log_add(&log, LOG_FROM_STDERR, TDA_STR(""), (tda_str){huge, sizeof huge});
    conn_log_add(&log, LOG_FROM_HOST, TDA_STR(""), TDA_STR(""));
    cr_assert(log.n == 101 && log.lines.n <= CONN_LOG_MAX);
    cr_assert(str_has(text_of(&log, 100, 1, &out), TDA_STR("\"text\":\"\"")));
    buf_fini(&out);
    conn_log_fini(&log);
}
