#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/meter.h"

Test(meter, quantiles_are_right_to_an_eighth) {
    static struct meter m;
    for (int64_t us = 1; us <= 100000; us++) meter_record(&m, us * 1000, us % 10 == 0);
    const double qs[] = {0.01, 0.5, 0.9, 0.99, 1};
    for (size_t i = 0; i < ARRAY_LEN(qs); i++) {
        double want = qs[i] * 100000, got = (double)meter_quantile_us(&m, qs[i]);
        cr_assert(got >= want * 0.999 && got <= want * 1.126, "%g: %g instead of %g", qs[i], got, want);
    }
    cr_assert(m.count == 100000 && m.failed == 10000 && m.max_us == 100000);
}

Test(meter, extremes_have_a_place) {
    static struct meter m;
    meter_record(&m, -5, false);
    cr_assert(meter_quantile_us(&m, 0.5) == 0);
    meter_record(&m, INT64_MAX, false);
    cr_assert(meter_quantile_us(&m, 1) <= (uint64_t)INT64_MAX / 1000);
    cr_assert(m.count == 2);
}

Test(meter, an_empty_one_says_zero) {
    static struct meter m;
    cr_assert(meter_quantile_us(&m, 0.99) == 0);
}

static void *add_many(void *arg) {
    for (int i = 0; i < 20000; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i % 12);
        meter_record(meters_get(arg, tda_str_of(name)), 1000, false);
    }
    return NULL;
}

Test(meters, names_are_found_by_all_threads_and_the_table_has_an_end) {
    struct meters *ms;
    pthread_t threads[4];
    uint64_t sum = 0;
    size_t n = 0;
    cr_assert(meters_new(8, &ms) == TDA_OK);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) pthread_create(&threads[i], NULL, add_many, ms);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) pthread_join(threads[i], NULL);
    for (const struct meter *m; (m = meters_at(ms, n)); n++) sum += m->count;
    cr_assert(n == 9 && sum == 80000, "%zu meters, %llu", n, (unsigned long long)sum);
    cr_assert_str_eq(meters_at(ms, 0)->name, "(other)");
    cr_assert(meters_at(ms, 0)->count > 0);
    char longer[200];
    memset(longer, 'x', sizeof longer);
    cr_assert(meters_get(ms, (tda_str){longer, sizeof longer}) == meters_get(ms, TDA_STR("")), "no place: other");
    meters_free(ms);
}
