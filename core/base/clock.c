#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic(const int64_t *) fake;

int64_t clock_now_ns(void) {
    const int64_t *f = atomic_load_explicit(&fake, memory_order_acquire);
    if (f) return __atomic_load_n(f, __ATOMIC_ACQUIRE);
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_wall_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / NS_PER_MS;
}

void clock_fake(const int64_t *fake_ns) {
    atomic_store_explicit(&fake, fake_ns, memory_order_release);
}

void clock_format_wall(int64_t wall_ms, char *out, size_t size) {
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[32];
    gmtime_r(&s, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03dZ", date, (int)(wall_ms % 1000));
}
