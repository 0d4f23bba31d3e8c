#include "base/meter.h"

#include <pthread.h>

struct meters {
    pthread_mutex_t lock; /* of adding */
    size_t max;
    _Atomic size_t n;
    struct meter *list[]; /* [0] is "(other)" */
};

/* ---- one ---- */

/* Below 8 us a bucket for each; above, eight for each power of two. */
static unsigned bucket_of(uint64_t us) {
    if (us < 8) return (unsigned)us;
    unsigned power = 63u - (unsigned)__builtin_clzll(us);
    unsigned bucket = (power - 2) * 8 + (unsigned)(us >> (power - 3) & 7);
    return bucket < METER_BUCKETS ? bucket : METER_BUCKETS - 1;
}

static uint64_t upper_end(unsigned bucket) {
    if (bucket < 8) return bucket;
    unsigned power = bucket / 8 + 2;
    return ((8ull + bucket % 8 + 1) << (power - 3)) - 1;
}

static void raise_max(struct meter *m, uint64_t us) {
    uint64_t seen = atomic_load_explicit(&m->max_us, memory_order_relaxed);
    while (us > seen && !atomic_compare_exchange_weak_explicit(&m->max_us, &seen, us, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void meter_record(struct meter *m, int64_t took_ns, bool failed) {
    uint64_t us = took_ns > 0 ? (uint64_t)took_ns / 1000 : 0;
    atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
    if (failed) atomic_fetch_add_explicit(&m->failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->sum_us, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->buckets[bucket_of(us)], 1, memory_order_relaxed);
    raise_max(m, us);
}

uint64_t meter_quantile_us(const struct meter *m, double q) {
    uint64_t total = 0, seen = 0, max = atomic_load_explicit(&m->max_us, memory_order_relaxed);
    for (unsigned i = 0; i < METER_BUCKETS; i++) total += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
    if (!total) return 0;
    uint64_t wanted = (uint64_t)(q * (double)total + 0.5);
    if (wanted < 1) wanted = 1;
    for (unsigned i = 0; i < METER_BUCKETS; i++) {
        seen += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        if (seen >= wanted) return upper_end(i) < max ? upper_end(i) : max;
    }
    return max;
}

/* ---- by name ---- */

static struct meter *add(struct meters *ms, const char *name, size_t n) {
    struct meter *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    memcpy(m->name, name, n);
    size_t at = atomic_load_explicit(&ms->n, memory_order_relaxed);
    ms->list[at] = m;
    atomic_store_explicit(&ms->n, at + 1, memory_order_release);
    return m;
}

tda_status meters_new(size_t max, struct meters **ret) {
    static const char other[] = "(other)";
    struct meters *ms = calloc(1, sizeof *ms + (max + 1) * sizeof *ms->list);
    if (!ms) return TDA_E_NOMEM;
    ms->max = max + 1;
    pthread_mutex_init(&ms->lock, NULL);
    if (!add(ms, other, sizeof other - 1)) {
        meters_free(ms);
        return TDA_E_NOMEM;
    }
    *ret = ms;
    return TDA_OK;
}

void meters_free(struct meters *ms) {
    if (!ms) return;
    for (size_t i = 0; i < atomic_load(&ms->n); i++) free(ms->list[i]);
    pthread_mutex_destroy(&ms->lock);
    free(ms);
}

static struct meter *find(const struct meters *ms, const char *name, size_t n, size_t from) {
    size_t end = atomic_load_explicit(&ms->n, memory_order_acquire);
    for (size_t i = from; i < end; i++)
        if (memcmp(ms->list[i]->name, name, n) == 0 && !ms->list[i]->name[n]) return ms->list[i];
    return NULL;
}

struct meter *meters_get(struct meters *ms, tda_str name) {
    size_t n = name.n < METER_NAME_MAX - 1 ? name.n : METER_NAME_MAX - 1;
    struct meter *m = n ? find(ms, name.p, n, 1) : ms->list[0];
    if (m) return m;
    pthread_mutex_lock(&ms->lock);
    m = find(ms, name.p, n, 1); /* somebody may have come between */
    if (!m && atomic_load(&ms->n) < ms->max) m = add(ms, name.p, n);
    pthread_mutex_unlock(&ms->lock);
    return m ? m : ms->list[0];
}

const struct meter *meters_at(const struct meters *ms, size_t i) {
    return i < atomic_load_explicit(&ms->n, memory_order_acquire) ? ms->list[i] : NULL;
}
