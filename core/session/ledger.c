#include "session/ledger.h"

#include <pthread.h>

#include "base/hash_table.h"
#include "base/log.h"

struct entry {
    UT_hash_handle hh;
    struct ledger *ledger;
    struct store_job job;
    struct usage_row row;
    bool taken; /* the writer has it: out of the table, its sums stand */
    size_t key_n;
    char key[]; /* user, provider, model, each with its NUL, and the day */
};

struct ledger {
    pthread_mutex_t lock;
    struct entry *waiting;
};

tda_status ledger_new(struct ledger **ret) {
    struct ledger *l = calloc(1, sizeof *l);
    if (!l) return TDA_E_NOMEM;
    pthread_mutex_init(&l->lock, NULL);
    *ret = l;
    return TDA_OK;
}

void ledger_free(struct ledger *l) {
    if (!l) return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static tda_status run(struct store_job *j, struct store *s) {
    struct entry *x = CONTAINER_OF(j, struct entry, job);
    pthread_mutex_lock(&x->ledger->lock);
    if (!x->taken) HASH_DEL(x->ledger->waiting, x);
    x->taken = true;
    pthread_mutex_unlock(&x->ledger->lock);
    return s->ops->add_usage(s, &x->row, &j->error);
}

static void done(struct store_job *j) {
    free(CONTAINER_OF(j, struct entry, job));
}

static tda_str put(struct entry *x, tda_str s) {
    tda_str kept = {x->key + x->key_n, s.n};
    if (s.n) memcpy(x->key + x->key_n, s.p, s.n);
    x->key_n += s.n + 1; /* zeroed before */
    return kept;
}

static struct entry *entry_new(struct ledger *l, const struct usage_row *row) {
    struct entry *x = calloc(1, sizeof *x + row->user.n + row->provider.n + row->model.n + 3 + sizeof row->day);
    if (!x) return NULL;
    x->ledger = l;
    x->row = *row;
    x->row.user = put(x, row->user);
    x->row.provider = put(x, row->provider);
    x->row.model = put(x, row->model);
    memcpy(x->key + x->key_n, &row->day, sizeof row->day);
    x->key_n += sizeof row->day;
    x->job = (struct store_job){.can_wait = true, .run = run, .done = done};
    return x;
}

struct store_job *ledger_add(struct ledger *l, const struct usage_row *row) {
    struct entry *x = entry_new(l, row), *there = NULL;
    if (!x) {
        log_error("out of memory: the usage of a call is lost");
        return NULL;
    }
    pthread_mutex_lock(&l->lock);
    HASH_FIND(hh, l->waiting, x->key, x->key_n, there);
    if (there)
        usage_sums_add(&there->row.sums, &row->sums);
    else
        HASH_ADD(hh, l->waiting, key, x->key_n, x);
    if (!there && !x->hh.tbl) x->taken = true; /* no room in the table: it goes by itself */
    pthread_mutex_unlock(&l->lock);
    if (!there) return &x->job;
    free(x);
    return NULL;
}
