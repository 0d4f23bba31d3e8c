/* Time. Ages and deadlines are monotonic and count suspend (CLOCK_BOOTTIME); wall time is for display only. Every thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000
#define DAY_MS (24 * 3600 * INT64_C(1000)) /* wall time: UTC days since 1970 */

int64_t clock_now_ns(void);
int64_t clock_wall_ms(void); /* since 1970 */

/* For tests: from now on clock_now_ns answers what fake_ns says (atomically read); NULL ends it. */
void clock_fake(const int64_t *fake_ns);

/* "2026-11-23T20:15:02.123Z" into out[25]. */
void clock_format_wall(int64_t wall_ms, char *out, size_t size);

#endif
