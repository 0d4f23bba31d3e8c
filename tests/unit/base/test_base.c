#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

TestSuite(base, .timeout = 20);

static tda_str repeat(char *out, char c, size_t n) {
    memset(out, c, n);
    return (tda_str){out, n};
}

Test(base, user_ids_are_taken_or_rejected_never_altered) {
    static const struct {
        const char *id;
        bool ok;
    } rows[] = {{"alice", true}, {"a", true},     {"A9._@:-z", true},  {"bob@example.com", true},
                {"", false},     {"../a", false}, {"al/ice", false},   {"a..b", false},
                {".a", false},   {"-a", false},   {"@x", false},       {"a b", false},
                {"a\n", false},  {"a%00", false}, {"\xc3\xa9", false}, {"a\\b", false},
                {"a,b", false},  {"x..", false},  {"_a", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) cr_assert(user_id_valid(tda_str_of(rows[i].id)) == rows[i].ok, "%s", rows[i].id);
    char big[10240];
    cr_assert(user_id_valid(repeat(big, 'a', 128)));
    cr_assert_not(user_id_valid(repeat(big, 'a', 129)));
    cr_assert_not(user_id_valid(repeat(big, 'a', sizeof big)));
    cr_assert_not(user_id_valid((tda_str){"a\0b", 3}));
    cr_assert_not(user_id_valid((tda_str){NULL, 0}));
}

Test(base, a_buffer_stops_at_its_maximum_and_remembers) {
    struct buf b;
    buf_init(&b, 10);
    cr_assert(buf_add_z(&b, "12345") == TDA_OK);
    cr_assert(buf_add_z(&b, "67890") == TDA_OK);
    cr_assert(buf_add_char(&b, 'x') == TDA_E_LIMIT);
    cr_assert(buf_add(&b, NULL, 0) == TDA_E_LIMIT, "a failure sticks");
    cr_assert(b.n == 10);
    buf_clear(&b);
    cr_assert(buf_addf(&b, "%d-%s", 7, "ab") == TDA_OK);
    size_t n;
    char *text = buf_take(&b, &n);
    cr_assert_str_eq(text, "7-ab");
    cr_assert(n == 4);
    free(text);
    buf_fini(&b);
}

Test(base, a_buffer_drops_its_front) {
    struct buf b;
    buf_init(&b, 100);
    buf_add_z(&b, "abcdef");
    buf_drop_front(&b, 2);
    cr_assert(tda_str_eq(buf_str(&b), TDA_STR("cdef")));
    buf_drop_front(&b, 99);
    cr_assert(b.n == 0);
    buf_fini(&b);
}

Test(base, an_arena_gives_zeroed_aligned_memory_up_to_its_bound) {
    struct arena a;
    arena_init(&a, 100000);
    for (size_t i = 1; i < 300; i++) {
        unsigned char *p = arena_alloc(&a, i);
        cr_assert(p && (uintptr_t)p % 16 == 0);
        for (size_t k = 0; k < i; k++) cr_assert(p[k] == 0);
        memset(p, 0xff, i);
    }
    cr_assert_null(arena_alloc(&a, 100000));
    cr_assert_null(arena_alloc(&a, SIZE_MAX));
    cr_assert_str_eq(arena_printf(&a, "%s %d", "x", 5), "x 5");
    arena_fini(&a);
    cr_assert(a.used == 0);
}

Test(base, errors_carry_text_field_and_hint_and_start_clean) {
    struct error e;
    memset(&e, 0xaa, sizeof e);
    cr_assert(error_set(&e, TDA_E_LIMIT, "too_many", "%d of %d", 3, 2) == TDA_E_LIMIT);
    cr_assert_str_eq(e.text, "3 of 2");
    cr_assert_str_eq(e.kind, "too_many");
    cr_assert(e.hint[0] == 0 && e.field[0] == 0 && e.retry_ms == -1 && e.http_status == 0);
    cr_assert(error_set(NULL, TDA_E_IO, NULL, "x") == TDA_E_IO);
    cr_assert_str_eq(status_name(TDA_E_STALE), "E_STALE");
    cr_assert_str_eq(status_name(-12345), "E_UNKNOWN");
}

Test(base, the_nearest_word_is_near_or_none) {
    static const char *const words[] = {"provider", "model", "contexts"};
    cr_assert_str_eq(nearest_word(TDA_STR("provder"), words, 3), "provider");
    cr_assert_str_eq(nearest_word(TDA_STR("modle"), words, 3), "model");
    cr_assert_null(nearest_word(TDA_STR("zebra"), words, 3));
    cr_assert_null(nearest_word(TDA_STR(""), words, 0));
}

Test(base, hashes_are_stable_where_they_must_be) {
    char a[33], b[33];
    hash_init();
    hash_user_hex(TDA_STR("alice"), a);
    hash_user_hex(TDA_STR("alice"), b);
    cr_assert_str_eq(a, b);
    hash_user_hex(TDA_STR("bob"), b);
    cr_assert_str_neq(a, b);
    cr_assert(strlen(a) == 32);
    cr_assert(hash_keyed(TDA_STR("x")) == hash_keyed(TDA_STR("x")));
}

Test(base, the_clock_can_be_faked) {
    int64_t now = 42;
    clock_fake(&now);
    cr_assert(clock_now_ns() == 42);
    clock_fake(NULL);
    cr_assert(clock_now_ns() > 42);
}

Test(base, nothing_is_old_before_it_is_so_by_both_clocks) {
    const int64_t hour = 3600LL * NS_PER_S, hour_ms = 3600 * 1000, age = 10 * hour;
    int64_t boot = 500 * hour, wall = 400000 * hour_ms, written = wall;
    struct clock_age a;
    clock_age_begin(&a, wall, boot);
    cr_assert_eq(clock_age_before_ms(&a, wall, boot, age), wall - 10 * hour_ms);
    for (int i = 0; i < 9; i++) { /* a day ahead for nine hours */
        boot += hour;
        wall += hour_ms;
        cr_assert(clock_age_before_ms(&a, wall + DAY_MS, boot, age) < written, "%d hours", i + 1);
    }
    boot += hour; /* and back: as if nothing had been */
    wall += hour_ms;
    cr_assert_eq(clock_age_before_ms(&a, wall, boot, age), wall - 10 * hour_ms);
    cr_assert_eq(clock_age_before_ms(&a, wall - DAY_MS, boot, age), wall - DAY_MS - 10 * hour_ms, "back is followed at once");
    for (int i = 0; i < 10; i++, boot += hour, wall += hour_ms)
        cr_assert_eq(clock_age_before_ms(&a, wall, boot, age), wall - DAY_MS - 10 * hour_ms, "right again, but not yet believed");
    for (int i = 0; i < 11; i++, boot += hour, wall += hour_ms) clock_age_before_ms(&a, wall, boot, age);
    cr_assert_eq(clock_age_before_ms(&a, wall, boot, age), wall - 10 * hour_ms, "after twice the age it is");
    for (int i = 0; i < 100; i++) { /* a machine that is stopped for two minutes in each hour is not in the way for ever */
        boot += hour;
        wall += hour_ms + 120000;
        cr_assert(clock_age_before_ms(&a, wall, boot, age) >= wall - 31 * hour_ms, "%d hours", i);
    }
}

Test(base, log_lines_are_escaped_and_never_broken) {
    int fds[2];
    char text[8192];
    cr_assert(pipe(fds) == 0);
    log_setup(LOG_LEVEL_INFO, false, fds[1]);
    log_info("hello", LOG_Z("evil", "a\nb=\"c\""), LOG_INT("n", -5), LOG_Z("empty", ""));
    log_debug("not shown", LOG_Z("k", "v"));
    ssize_t n = read(fds[0], text, sizeof text - 1);
    cr_assert(n > 0);
    text[n] = 0;
    cr_assert(strstr(text, "info hello evil=\"a\\u000ab=\\\"c\\\"\" n=-5 empty=\"\"\n") != NULL, "%s", text);
    cr_assert_null(strstr(text, "not shown"));
    static char big[5000];
    memset(big, '"', sizeof big - 1);
    log_setup(LOG_LEVEL_INFO, true, fds[1]);
    log_info("big", LOG_Z("v", big), LOG_Z("after", "x"));
    n = read(fds[0], text, sizeof text - 1);
    cr_assert(n > 0 && n <= 2048);
    cr_assert(text[n - 1] == '\n' && text[n - 2] == '}' && text[n - 3] == '"', "a cut line is still JSON");
    log_setup(LOG_LEVEL_INFO, false, 2);
}
