/* User id -> context: 256 shards, each a mutex, an open-addressed table and a list by last use.
 *
 * The list is ordered by the tick (1/15 s) of the last use, so the sweep looks at what has expired and at nothing else; a context
 * that is used often moves in it once a tick. Snapshots are released outside of the lock. */
#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"
#include "context/context_impl.h"

enum { SHARD_BITS = 8, SHARDS = 1 << SHARD_BITS, FIRST_CAP = 8, SWEEP_CHUNK = 32, TICK_SHIFT = 26 };

struct slot {
    uint64_t hash;
    struct context *context; /* NULL: empty */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct slot *slots;
    size_t cap, n;       /* cap: a power of two */
    uint64_t gone_epoch; /* the highest of a context that is gone */
    struct context *oldest, *newest;
};

struct map {
    struct shard shards[SHARDS];
    _Atomic uint64_t count;
    uint64_t max;
};

tda_status map_new(uint64_t max, struct map **ret) {
    struct map *m = aligned_alloc(64, sizeof *m);
    if (!m) return TDA_E_NOMEM;
    memset(m, 0, sizeof *m);
    m->max = max;
    for (size_t i = 0; i < SHARDS; i++) pthread_mutex_init(&m->shards[i].lock, NULL);
    *ret = m;
    return TDA_OK;
}

static void context_free(struct context *c) {
    snapshot_unref(c->snapshot);
    free(c->user);
    free(c);
}

void map_free(struct map *m) {
    if (!m) return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *sh = &m->shards[i];
        while (sh->oldest) {
            struct context *c = sh->oldest;
            sh->oldest = c->next;
            context_free(c);
        }
        free(sh->slots);
        pthread_mutex_destroy(&sh->lock);
    }
    free(m);
}

uint64_t map_count(const struct map *m) {
    return atomic_load_explicit(&m->count, memory_order_relaxed);
}

static struct shard *shard_of(struct map *m, uint64_t hash) {
    return &m->shards[hash >> (64 - SHARD_BITS)];
}

/* ---- the list by use ---- */

static void list_remove(struct shard *sh, struct context *c) {
    if (c->prev)
        c->prev->next = c->next;
    else
        sh->oldest = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        sh->newest = c->prev;
}

static void list_add(struct shard *sh, struct context *c) {
    c->next = NULL;
    c->prev = sh->newest;
    if (sh->newest)
        sh->newest->next = c;
    else
        sh->oldest = c;
    sh->newest = c;
}

/* Threads read the clock before they get the lock, so `now` may be a little older than what the list's end holds: it is taken up to
 * that, which keeps the order. */
static void use(struct shard *sh, struct context *c, int64_t now) {
    if (now > c->used_ns) c->used_ns = now;
    if (c->used_ns >> TICK_SHIFT == c->tick) return;
    list_remove(sh, c);
    if (sh->newest && sh->newest->tick > c->used_ns >> TICK_SHIFT) c->used_ns = sh->newest->used_ns;
    c->tick = c->used_ns >> TICK_SHIFT;
    list_add(sh, c);
}

/* ---- the table ---- */

static struct slot *table_find(const struct shard *sh, uint64_t hash, tda_str user) {
    if (!sh->cap) return NULL;
    for (size_t i = hash & (sh->cap - 1);; i = (i + 1) & (sh->cap - 1)) {
        struct slot *s = &sh->slots[i];
        if (!s->context) return NULL;
        if (s->hash == hash && tda_str_eq(tda_str_of(s->context->user), user)) return s;
    }
}

static void table_put(struct slot *slots, size_t cap, struct context *c) {
    size_t i = c->hash & (cap - 1);
    while (slots[i].context) i = (i + 1) & (cap - 1);
    slots[i] = (struct slot){c->hash, c};
}

static tda_status table_grow(struct shard *sh) {
    if (sh->n * 4 < sh->cap * 3) return TDA_OK;
    size_t cap = sh->cap ? sh->cap * 2 : FIRST_CAP;
    struct slot *slots = calloc(cap, sizeof *slots);
    if (!slots) return TDA_E_NOMEM;
    for (size_t i = 0; i < sh->cap; i++)
        if (sh->slots[i].context) table_put(slots, cap, sh->slots[i].context);
    free(sh->slots);
    sh->slots = slots;
    sh->cap = cap;
    return TDA_OK;
}

/* Backward shift: no tombstones, so a table that saw a million users pass is as good as a new one. */
static void table_remove(struct shard *sh, struct slot *s) {
    size_t mask = sh->cap - 1, hole = (size_t)(s - sh->slots);
    for (size_t i = (hole + 1) & mask; sh->slots[i].context; i = (i + 1) & mask) {
        size_t home = sh->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        sh->slots[hole] = sh->slots[i];
        hole = i;
    }
    sh->slots[hole] = (struct slot){0};
    sh->n--;
}

/* Off the table and the list; the caller frees it outside of the lock. */
static struct context *take_out(struct map *m, struct shard *sh, struct slot *s) {
    struct context *c = s->context;
    if (c->snapshot->epoch > sh->gone_epoch) sh->gone_epoch = c->snapshot->epoch;
    table_remove(sh, s);
    list_remove(sh, c);
    atomic_fetch_sub_explicit(&m->count, 1, memory_order_relaxed);
    return c;
}

/* ---- operations ---- */

struct snapshot *map_get(struct map *m, tda_str user, bool touch, int64_t *ret_used_ns) {
    uint64_t hash = hash_keyed(user);
    struct shard *sh = shard_of(m, hash);
    struct snapshot *found = NULL;
    int64_t now = touch ? clock_now_ns() : 0;
    pthread_mutex_lock(&sh->lock);
    struct slot *s = table_find(sh, hash, user);
    if (s) {
        found = s->context->snapshot;
        snapshot_ref(found);
        if (touch) use(sh, s->context, now);
        if (ret_used_ns) *ret_used_ns = s->context->used_ns;
    }
    pthread_mutex_unlock(&sh->lock);
    return found;
}

static tda_status insert(struct map *m, struct shard *sh, uint64_t hash, struct snapshot *next, int64_t now) {
    if (atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed) >= m->max) {
        atomic_fetch_sub_explicit(&m->count, 1, memory_order_relaxed);
        return TDA_E_LIMIT;
    }
    struct context *c = calloc(1, sizeof *c);
    char *user = str_dup(tda_str_of(next->user));
    if (!c || !user || table_grow(sh)) {
        free(c);
        free(user);
        atomic_fetch_sub_explicit(&m->count, 1, memory_order_relaxed);
        return TDA_E_NOMEM;
    }
    *c = (struct context){.user = user, .hash = hash, .snapshot = next, .used_ns = now, .tick = now >> TICK_SHIFT};
    if (sh->newest && sh->newest->tick > c->tick) {
        c->used_ns = sh->newest->used_ns;
        c->tick = sh->newest->tick;
    }
    table_put(sh->slots, sh->cap, c);
    sh->n++;
    list_add(sh, c);
    return TDA_OK;
}

tda_status map_put(struct map *m, struct snapshot *next, uint64_t expect_epoch, uint64_t *ret_epoch) {
    uint64_t hash = hash_keyed(tda_str_of(next->user));
    struct shard *sh = shard_of(m, hash);
    struct snapshot *before = NULL;
    int64_t now = clock_now_ns();
    tda_status status = TDA_OK;
    pthread_mutex_lock(&sh->lock);
    struct slot *s = table_find(sh, hash, tda_str_of(next->user));
    uint64_t epoch = s ? s->context->snapshot->epoch : 0;
    if (expect_epoch != UINT64_MAX && expect_epoch != epoch) {
        status = TDA_E_CONFLICT;
    } else {
        /* A deleted user who comes back starts above what readers and writers of the old one may still hold. */
        uint64_t before_it = s ? epoch : sh->gone_epoch;
        next->epoch = (before_it > next->epoch ? before_it : next->epoch) + 1;
        if (ret_epoch) *ret_epoch = next->epoch;
        if (s) {
            before = s->context->snapshot;
            s->context->snapshot = next;
            use(sh, s->context, now);
        } else {
            status = insert(m, sh, hash, next, now);
        }
    }
    pthread_mutex_unlock(&sh->lock);
    snapshot_unref(before);
    return status;
}

bool map_delete(struct map *m, tda_str user) {
    uint64_t hash = hash_keyed(user);
    struct shard *sh = shard_of(m, hash);
    struct context *c = NULL;
    pthread_mutex_lock(&sh->lock);
    struct slot *s = table_find(sh, hash, user);
    if (s) c = take_out(m, sh, s);
    pthread_mutex_unlock(&sh->lock);
    if (c) context_free(c);
    return c;
}

/* Up to SWEEP_CHUNK that were last used before `cutoff`; the lock is held for no longer. */
static size_t sweep_chunk(struct map *m, struct shard *sh, int64_t cutoff, void (*swept)(void *, const char *), void *arg) {
    struct context *gone[SWEEP_CHUNK];
    size_t n = 0;
    pthread_mutex_lock(&sh->lock);
    for (struct context *c = sh->oldest; c && n < SWEEP_CHUNK && c->tick <= cutoff >> TICK_SHIFT;) {
        struct context *next = c->next;
        if (c->used_ns < cutoff) gone[n++] = take_out(m, sh, table_find(sh, c->hash, tda_str_of(c->user)));
        c = next;
    }
    pthread_mutex_unlock(&sh->lock);
    for (size_t i = 0; i < n; i++) {
        if (swept) swept(arg, gone[i]->user);
        context_free(gone[i]);
    }
    return n;
}

uint64_t map_sweep(struct map *m, int64_t max_age_ns, void (*swept)(void *arg, const char *user), void *arg) {
    int64_t cutoff = clock_now_ns() - max_age_ns;
    uint64_t removed = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        size_t n;
        do removed += n = sweep_chunk(m, &m->shards[i], cutoff, swept, arg);
        while (n == SWEEP_CHUNK);
    }
    return removed;
}

struct seen {
    struct snapshot *snapshot;
    int64_t used_ns;
};

/* References to a shard's snapshots, at most `room`. */
static size_t collect(struct shard *sh, struct seen *seen, size_t room) {
    size_t n = 0;
    pthread_mutex_lock(&sh->lock);
    for (struct context *c = sh->newest; c && n < room; c = c->prev) {
        snapshot_ref(c->snapshot);
        seen[n++] = (struct seen){c->snapshot, c->used_ns};
    }
    pthread_mutex_unlock(&sh->lock);
    return n;
}

tda_status map_each(struct map *m, size_t limit, map_visit visit, void *arg) {
    struct seen *seen = calloc(limit ? limit : 1, sizeof *seen);
    if (!seen) return TDA_E_NOMEM;
    for (size_t i = 0; i < SHARDS && limit; i++) {
        size_t n = collect(&m->shards[i], seen, limit);
        limit -= n;
        for (size_t k = 0; k < n; k++) {
            visit(arg, seen[k].snapshot, seen[k].used_ns);
            snapshot_unref(seen[k].snapshot);
        }
    }
    free(seen);
    return TDA_OK;
}
