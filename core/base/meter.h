/* How often something happened, how long it took, and how often it failed: counters that any thread may add to without waiting.
 *
 * Times fall into buckets whose width is an eighth of their value, so a quantile is right to 12.5 %. A table of meters is by name
 * (methods, providers, servers), and bounded: what finds no place is counted under "(other)". [any] */
#ifndef BASE_METER_H
#define BASE_METER_H

#include <stdatomic.h>

#include "base/base.h"

enum { METER_BUCKETS = 8 * 40, METER_NAME_MAX = 64 };

struct meter {
    char name[METER_NAME_MAX];
    _Atomic uint64_t count, failed, sum_us, max_us;
    _Atomic uint32_t buckets[METER_BUCKETS];
};

void meter_record(struct meter *m, int64_t took_ns, bool failed);
/* `q` of 0..1: the time in microseconds that so many did not exceed; 0 when nothing was recorded. */
uint64_t meter_quantile_us(const struct meter *m, double q);

struct meters;
tda_status meters_new(size_t max, struct meters **ret); /* beside "(other)" */
void meters_free(struct meters *ms);
struct meter *meters_get(struct meters *ms, tda_str name); /* made when it is new; lives as long as ms. Longer names are cut */
/* In the order in which they came; NULL: no more. */
const struct meter *meters_at(const struct meters *ms, size_t i);

#endif
