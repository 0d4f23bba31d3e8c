#include "route/idempotency.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/hash_table.h"

enum { WAITERS_MAX = 64 };

struct idem {
    UT_hash_handle hh;
    struct idem *older, *newer; /* finished ones by age */
    unsigned char digest[DIGEST_SIZE];
    unsigned char user_digest[DIGEST_SIZE];
    bool running;
    size_t n_waiters;
    struct idem_waiter *waiters;
    int64_t finished_ns;
    char *body;
    size_t body_n;
    size_t key_n;
    char key[];
};

struct idempotency {
    pthread_mutex_t lock; /* of everything below */
    const struct config *config;
    struct idem *table;
    struct idem *oldest, *newest;
    uint64_t finished, bytes;
};

tda_status idempotency_new(const struct config *c, struct idempotency **ret) {
    struct idempotency *s = calloc(1, sizeof *s);
    if (!s) return TDA_E_NOMEM;
    pthread_mutex_init(&s->lock, NULL);
    s->config = c;
    *ret = s;
    return TDA_OK;
}

/* ---- under the lock ---- */

static void unlink_finished(struct idempotency *s, struct idem *i) {
    if (i->older) i->older->newer = i->newer;
    if (i->newer) i->newer->older = i->older;
    if (s->oldest == i) s->oldest = i->newer;
    if (s->newest == i) s->newest = i->older;
    s->finished--;
    s->bytes -= i->body_n + i->key_n;
}

static void drop(struct idempotency *s, struct idem *i) {
    if (s->table) HASH_DEL(s->table, i);
    free(i->body);
    free(i);
}

static void drop_finished(struct idempotency *s, struct idem *i) {
    unlink_finished(s, i);
    drop(s, i);
}

static uint64_t drop_old(struct idempotency *s) {
    int64_t limit = clock_now_ns() - config_now(s->config)->idem_ttl;
    uint64_t n = 0;
    for (; s->oldest && s->oldest->finished_ns < limit; n++) drop_finished(s, s->oldest);
    return n;
}

static void make_room(struct idempotency *s) {
    while (s->oldest &&
           (s->finished > (uint64_t)config_now(s->config)->idem_entries || s->bytes > (uint64_t)config_now(s->config)->idem_bytes))
        drop_finished(s, s->oldest);
}

static struct idem *entry_new(struct idempotency *s, tda_str full, tda_str user, const unsigned char digest[32]) {
    struct idem *i = calloc(1, sizeof *i + full.n + 1);
    if (!i) return NULL;
    memcpy(i->key, full.p, full.n);
    i->key_n = full.n;
    memcpy(i->digest, digest, DIGEST_SIZE);
    hash_digest(user, i->user_digest);
    i->running = true;
    HASH_ADD(hh, s->table, key, full.n, i);
    if (i->hh.tbl) return i;
    free(i);
    return NULL;
}

static enum idem_outcome join(struct idem *i, void *token, tda_str id) {
    struct idem_waiter *w = i->n_waiters < WAITERS_MAX ? malloc(sizeof *w + id.n) : NULL;
    if (!w) return IDEM_FULL;
    memcpy((char *)(w + 1), id.p, id.n);
    *w = (struct idem_waiter){.next = i->waiters, .token = token, .id = {(char *)(w + 1), id.n}};
    i->waiters = w;
    i->n_waiters++;
    return IDEM_JOINED;
}

/* ---- public ---- */

void idempotency_free(struct idempotency *s) {
    if (!s) return;
    while (s->oldest) drop_finished(s, s->oldest);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Lengths stand in front, so that no choice of names makes two keys meet. */
static bool full_key(struct buf *b, tda_str principal, tda_str user, tda_str key) {
    buf_init(b, 4096);
    buf_addf(b, "%zu:%zu:", principal.n, user.n);
    buf_add_str(b, principal);
    buf_add_str(b, user);
    buf_add_str(b, key);
    return b->status == TDA_OK;
}

enum idem_outcome idempotency_begin(struct idempotency *s, tda_str principal, tda_str user, tda_str key,
                                    const unsigned char digest[32], void *token, tda_str id, struct idem **ret_entry,
                                    struct buf *stored) {
    struct buf full;
    struct idem *i = NULL;
    enum idem_outcome outcome = IDEM_FULL;
    if (full_key(&full, principal, user, key)) {
        pthread_mutex_lock(&s->lock);
        drop_old(s);
        HASH_FIND(hh, s->table, full.p, full.n, i);
        if (!i) {
            *ret_entry = entry_new(s, buf_str(&full), user, digest);
            if (*ret_entry) outcome = IDEM_RUN;
        } else if (!equal_constant_time(i->digest, digest, DIGEST_SIZE)) {
            outcome = IDEM_CONFLICT;
        } else if (i->running) {
            outcome = join(i, token, id);
        } else if (buf_add(stored, i->body, i->body_n) == TDA_OK) {
            outcome = IDEM_STORED;
        }
        pthread_mutex_unlock(&s->lock);
    }
    buf_fini(&full);
    return outcome;
}

struct idem_waiter *idempotency_finish(struct idempotency *s, struct idem *i, bool keep, tda_str body) {
    pthread_mutex_lock(&s->lock);
    struct idem_waiter *waiters = i->waiters;
    i->waiters = NULL;
    i->body = keep ? str_dup(body) : NULL;
    if (!i->body) {
        drop(s, i);
    } else {
        i->running = false;
        i->body_n = body.n;
        i->finished_ns = clock_now_ns();
        i->older = s->newest;
        if (s->newest) s->newest->newer = i;
        s->newest = i;
        if (!s->oldest) s->oldest = i;
        s->finished++;
        s->bytes += i->body_n + i->key_n;
        make_room(s);
    }
    pthread_mutex_unlock(&s->lock);
    return waiters;
}

uint64_t idempotency_clean(struct idempotency *s) {
    pthread_mutex_lock(&s->lock);
    uint64_t n = drop_old(s);
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t idempotency_forget(struct idempotency *s, tda_str user) {
    unsigned char digest[DIGEST_SIZE];
    uint64_t n = 0;
    hash_digest(user, digest);
    pthread_mutex_lock(&s->lock);
    for (struct idem *i = s->oldest, *newer; i; i = newer) {
        newer = i->newer;
        if (memcmp(i->user_digest, digest, DIGEST_SIZE)) continue;
        drop_finished(s, i);
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

void idempotency_stats(struct idempotency *s, uint64_t *ret_entries, uint64_t *ret_bytes) {
    pthread_mutex_lock(&s->lock);
    *ret_entries = s->finished;
    *ret_bytes = s->bytes;
    pthread_mutex_unlock(&s->lock);
}
