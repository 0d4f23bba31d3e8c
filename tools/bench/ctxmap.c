/* The context map beside a bare one: look-up with a reference, by one and two threads; and how long a look-up takes at worst while
 * a sweep removes contexts (acceptance line 42). usage: bench_ctxmap [USERS]    prints JSON */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "context/context.h"
#include "tda/host.h"

enum { LOOKUPS = 1000000, SWEPT = 100000, SHARDS = 256, SAMPLES = 1 << 22, QUIET = 200000 };

static long users = 1000000;
static struct contexts *cs;
static char (*names)[40];

/* ---- a bare map: 256 mutexes, open addressing, a counter for a reference ---- */

struct bare_slot {
    uint64_t hash;
    const char *name;
    _Atomic uint32_t refs;
};

static struct bare_shard {
    _Alignas(64) pthread_mutex_t lock;
    struct bare_slot *slots;
    size_t cap;
} bare[SHARDS];

static struct bare_slot *bare_find(struct bare_shard *sh, uint64_t hash, const char *name) {
    for (size_t i = hash & (sh->cap - 1);; i = (i + 1) & (sh->cap - 1)) {
        struct bare_slot *s = &sh->slots[i];
        if (!s->name || (s->hash == hash && strcmp(s->name, name) == 0)) return s;
    }
}

static void bare_fill(void) {
    size_t cap = 1;
    while (cap < (size_t)users / SHARDS * 2) cap *= 2;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&bare[i].lock, NULL);
        bare[i].cap = cap;
        bare[i].slots = calloc(cap, sizeof *bare[i].slots);
    }
    for (long i = 0; i < users; i++) {
        uint64_t hash = hash_keyed(tda_str_of(names[i]));
        struct bare_slot *s = bare_find(&bare[hash >> 56], hash, names[i]);
        s->hash = hash;
        s->name = names[i];
    }
}

static void bare_touch(const char *name) {
    uint64_t hash = hash_keyed(tda_str_of(name));
    struct bare_shard *sh = &bare[hash >> 56];
    pthread_mutex_lock(&sh->lock);
    struct bare_slot *s = bare_find(sh, hash, name);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&sh->lock);
    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
}

/* ---- ours ---- */

static tda_status change(struct draft *d, void *arg, struct error *e) {
    (void)arg;
    return draft_set(d, TDA_CTX_MODEL, TDA_STR("m"), e);
}

static void fill(long from, long to) {
    struct error e;
    uint64_t epoch;
    for (long i = from; i < to; i++)
        if (contexts_update(cs, &principal_host, tda_str_of(names[i]), change, NULL, &epoch, &e)) abort();
}

static void touch(const char *name) {
    struct snapshot *s;
    struct error e;
    if (contexts_acquire(cs, &principal_host, tda_str_of(name), &s, &e) == TDA_OK) snapshot_unref(s);
}

/* ---- measuring ---- */

struct runner {
    void (*fn)(const char *name);
    uint32_t seed;
};

static void *run(void *arg) {
    struct runner *r = arg;
    for (long i = 0; i < LOOKUPS; i++) {
        r->seed = r->seed * 1664525u + 1013904223u;
        r->fn(names[(r->seed >> 2) % (uint32_t)users]);
    }
    return NULL;
}

static double rate(void (*fn)(const char *name), int threads) {
    pthread_t ids[2];
    struct runner runners[2] = {{fn, 1}, {fn, 77}};
    int64_t t = clock_now_ns();
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, run, &runners[i]);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    return (double)LOOKUPS * threads / ((double)(clock_now_ns() - t) / 1e9);
}

static atomic_bool swept;
static uint64_t removed;

static void *sweep(void *arg) {
    contexts_sweep(cs, *(int64_t *)arg, &removed);
    atomic_store(&swept, true);
    return NULL;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Look-ups until the sweep is over, or there are enough. */
static size_t sample(uint32_t *samples, size_t most) {
    size_t n = 0;
    uint32_t seed = 9;
    while (!atomic_load(&swept) && n < most) {
        seed = seed * 1664525u + 1013904223u;
        int64_t t = clock_now_ns();
        touch(names[SWEPT + (seed >> 2) % (uint32_t)(users - SWEPT)]);
        samples[n++] = (uint32_t)(clock_now_ns() - t);
    }
    return n;
}

static double us_of(uint32_t ns) {
    return ns / 1e3;
}

static void print_times(uint32_t *samples, size_t n) {
    size_t p99 = n * 99 / 100, p999 = n * 999 / 1000;
    qsort(samples, n, sizeof *samples, by_value);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.1f", us_of(samples[n / 2]), us_of(samples[p99]),
           us_of(samples[p999]), us_of(samples[n - 1]));
}

/* Half of the first SWEPT users have just been used; the other contexts are old enough to go. */
static void print_sweep(void) {
    static uint32_t samples[SAMPLES];
    pthread_t id;
    struct timespec pause = {1, 0};
    nanosleep(&pause, NULL);
    int64_t begin = clock_now_ns();
    for (long i = SWEPT; i < users; i++) touch(names[i]);
    printf("\"quiet\": {");
    print_times(samples, sample(samples, QUIET));
    int64_t age = clock_now_ns() - begin + NS_PER_S / 2, t0 = clock_now_ns();
    pthread_create(&id, NULL, sweep, &age);
    size_t n = sample(samples, SAMPLES);
    pthread_join(id, NULL);
    printf("}, \"sweep\": {\"removed\": %lu, \"ms\": %.1f, \"lookups_meanwhile\": %zu, ", (unsigned long)removed,
           (double)(clock_now_ns() - t0) / 1e6, n);
    print_times(samples, n);
    puts("}}");
}

static long resident_kib(void) {
    char line[256];
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fgets(line, sizeof line, f) && strchr(line, ' ')) pages = strtol(strchr(line, ' '), NULL, 10);
    if (f) fclose(f);
    return pages * 4;
}

int main(int argc, char **argv) {
    if (argc > 1) users = strtol(argv[1], NULL, 10);
    names = calloc((size_t)users, sizeof *names);
    if (!names || users < 2 * SWEPT || hash_init()) return 2;
    for (long i = 0; i < users; i++) snprintf(names[i], sizeof names[i], "user-%030ld", i);
    struct contexts_options o = {.max_users = (uint64_t)users, .n_loops = 2};
    if (contexts_new(&o, &cs)) return 2;
    bare_fill();
    long before = resident_kib();
    int64_t t = clock_now_ns();
    fill(0, users);
    double insert = (double)users / ((double)(clock_now_ns() - t) / 1e9);
    double bytes = (double)(resident_kib() - before) * 1024 / (double)users;
    printf("{\"users\": %ld, \"bytes_per_context\": %.0f, \"insert_per_s\": %.0f, ", users, bytes, insert);
    double best[2][2] = {{0}};
    for (int round = 0; round < 3; round++)
        for (int threads = 1; threads <= 2; threads++) {
            double a = rate(bare_touch, threads), b = rate(touch, threads);
            if (a > best[0][threads - 1]) best[0][threads - 1] = a;
            if (b > best[1][threads - 1]) best[1][threads - 1] = b;
        }
    printf("\"bare\": [%.0f, %.0f], \"contexts\": [%.0f, %.0f], ", best[0][0], best[0][1], best[1][0], best[1][1]);
    print_sweep();
    return 0;
}
