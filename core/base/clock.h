/* Time. Ages and deadlines are monotonic and count suspend (CLOCK_BOOTTIME); wall time may jump, so it
 * is for what people read and for what outlives the process. Every thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000
#define DAY_MS (24 * 3600 * INT64_C(1000)) /* wall time: UTC days since 1970 */

int64_t clock_now_ns(void);
int64_t clock_wall_ms(void); /* since 1970 */

/* How far back of now something that is kept on disk may lie, by the wall's time and for `age_ns`. A jump of the wall clock forward
 * is followed when once or twice age_ns have passed, one back at once: nothing is old before it is so by both clocks. One for each
 * age, begun by clock_age_begin; not for two threads at once. */
struct clock_age {
    int64_t least_ms, next_ms, last_ms; /* the wall's time less the machine's: the least, the least since turned_ns, the last */
    int64_t turned_ns;
};

void clock_age_begin(struct clock_age *a, int64_t wall_ms, int64_t now_ns);
int64_t clock_age_before_ms(struct clock_age *a, int64_t wall_ms, int64_t now_ns, int64_t age_ns);

/* For tests: from now on clock_now_ns answers what fake_ns says (atomically read); NULL ends it. */
void clock_fake(const int64_t *fake_ns);

/* "2026-11-23T20:15:02.123Z" into out[25]. */
void clock_format_wall(int64_t wall_ms, char *out, size_t size);

#endif
