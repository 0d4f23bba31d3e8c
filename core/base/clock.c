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

void clock_age_begin(struct clock_age *a, int64_t wall_ms, int64_t now_ns) {
    int64_t ahead = wall_ms - now_ns / NS_PER_MS;
    *a = (struct clock_age){ahead, ahead, ahead, now_ns};
}

/* The least that the wall clock was ahead of the machine's in the last one to two `age_ns`. */
int64_t clock_age_before_ms(struct clock_age *a, int64_t wall_ms, int64_t now_ns, int64_t age_ns) {
    int64_t ahead = wall_ms - now_ns / NS_PER_MS, since = ahead < a->last_ms ? ahead : a->last_ms;
    if (now_ns - a->turned_ns >= age_ns) {
        a->least_ms = a->next_ms;
        a->next_ms = since;
        a->turned_ns = now_ns;
    }
    if (since < a->next_ms) a->next_ms = since;
    if (a->next_ms < a->least_ms) a->least_ms = a->next_ms;
    a->last_ms = ahead;
    return a->least_ms + (now_ns - age_ns) / NS_PER_MS;
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
