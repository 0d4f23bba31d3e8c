#include <criterion/criterion.h>

#include "agent/limits.h"
#include "base/clock.h"
#include "base/hash.h"

TestSuite(limits, .timeout = 20);

static int64_t now;
static struct config config;

static struct limits *start(int64_t rate, int64_t tokens, int64_t tasks) {
    struct limits *l = NULL;
    hash_init();
    now = 1000LL * NS_PER_S;
    clock_fake(&now);
    config.limits_user_rate = rate;
    config.limits_user_tokens = tokens;
    config.limits_user_tasks = tasks;
    cr_assert(limits_new(&config, &l) == TDA_OK);
    return l;
}

static const tda_str u = {"u", 1}, v = {"v", 1};

Test(limits, a_minutes_worth_at_once_then_as_the_minute_gives) {
    struct limits *l = start(6, 0, 0);
    struct error e = {.retry_ms = -1};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 6; i++) cr_assert(limits_begin(l, u, &e) == TDA_OK, "%d", i);
        cr_assert(limits_begin(l, u, &e) == TDA_E_BUSY);
        cr_assert_str_eq(e.kind, "rate_limited");
        cr_assert_eq(e.retry_ms, 10001);
        cr_assert(limits_begin(l, v, &e) == TDA_OK, "another user is not concerned");
        now += e.retry_ms * NS_PER_MS;
        cr_assert(limits_begin(l, u, &e) == TDA_OK, "when it said");
        cr_assert(limits_begin(l, u, &e) == TDA_E_BUSY);
        now += 61LL * NS_PER_S;
    }
    limits_free(l);
}

Test(limits, tokens_of_a_day) {
    struct limits *l = start(0, 100, 0);
    struct error e = {.retry_ms = -1};
    int64_t today = clock_wall_ms() / DAY_MS;
    limits_tokens(l, u, today - 1, 1000);
    cr_assert(limits_begin(l, u, &e) == TDA_OK, "yesterday is over");
    limits_tokens(l, u, today, 99);
    cr_assert(limits_begin(l, u, &e) == TDA_OK);
    limits_tokens(l, u, today, 1);
    cr_assert(limits_begin(l, u, &e) == TDA_E_LIMIT);
    cr_assert_str_eq(e.kind, "quota_exceeded");
    cr_assert(e.retry_ms > 0 && e.retry_ms <= DAY_MS);
    cr_assert(limits_begin(l, v, &e) == TDA_OK);
    cr_assert_eq(limits_clean(l), 1, "v is at rest, u is not");
    cr_assert(limits_begin(l, u, &e) == TDA_E_LIMIT);
    limits_forget(l, u);
    cr_assert(limits_begin(l, u, &e) == TDA_OK);
    limits_free(l);
}

Test(limits, a_wall_clock_that_jumps_and_comes_back_finds_its_day_again) {
    struct limits *l = start(0, 100, 0);
    struct error e = {.retry_ms = -1};
    int64_t today = clock_wall_ms() / DAY_MS;
    limits_tokens(l, u, today, 100);
    limits_tokens(l, u, today + 365, 7);
    cr_assert(limits_begin(l, u, &e) == TDA_E_LIMIT, "used up stays used up");
    limits_tokens(l, v, today + 1, 7);
    limits_tokens(l, v, today, 60);
    limits_tokens(l, v, today + 1, 7);
    limits_tokens(l, v, today, 60);
    cr_assert(limits_begin(l, v, &e) == TDA_E_LIMIT, "no more for jumping to and fro");
    limits_forget(l, u);
    limits_tokens(l, u, today + 1, 100);
    cr_assert_eq(limits_clean(l), 0, "a day that is not today's may be today's soon");
    now += 25LL * 3600 * NS_PER_S;
    cr_assert_eq(limits_clean(l), 1, "but not for ever");
    limits_free(l);
}

Test(limits, tasks_in_flight) {
    struct limits *l = start(0, 0, 2);
    struct error e = {.retry_ms = -1};
    cr_assert(limits_task_begin(l, u, &e) == TDA_OK);
    cr_assert(limits_task_begin(l, u, &e) == TDA_OK);
    cr_assert(limits_task_begin(l, u, &e) == TDA_E_BUSY);
    cr_assert_str_eq(e.kind, "too_many_tasks");
    cr_assert(e.retry_ms > 0);
    cr_assert(limits_task_begin(l, v, &e) == TDA_OK);
    limits_forget(l, u);
    cr_assert(limits_task_begin(l, u, &e) == TDA_E_BUSY, "what runs goes on counting");
    limits_task_end(l, u);
    cr_assert(limits_task_begin(l, u, &e) == TDA_OK);
    for (int i = 0; i < 2; i++) limits_task_end(l, u);
    limits_task_end(l, v);
    cr_assert_eq(limits_clean(l), 2);
    limits_free(l);
}
