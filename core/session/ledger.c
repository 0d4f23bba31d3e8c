#include "session/ledger.h"

#include <pthread.h>

#include "base/hash_table.h"
#include "base/log.h"

enum { KEY_MAX = 1024 }; /* a longer one is kept by itself */

struct entry {
    UT_hash_handle hh;
    struct ledger *ledger;
    struct store_job job;
    struct usage_row row;
    bool taken;  /* the writer has it: out of the table, its sums stand */
    char text[]; /* the key, then the row's strings */
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

/* User, provider, model, each with its NUL, and the day. 0: there is no room. */
static size_t write_key(const struct usage_row *row, char key[KEY_MAX]) {
    const tda_str parts[] = {row->user, row->provider, row->model};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].n >= KEY_MAX - sizeof row->day - n) return 0;
        if (parts[i].n) memcpy(key + n, parts[i].p, parts[i].n);
        n += parts[i].n;
        key[n++] = 0;
    }
    memcpy(key + n, &row->day, sizeof row->day);
    return n + sizeof row->day;
}

static tda_str put(char **to, tda_str s) {
    tda_str kept = {*to, s.n};
    if (s.n) memcpy(*to, s.p, s.n);
    *to += s.n;
    return kept;
}

static struct entry *entry_new(struct ledger *l, const struct usage_row *row, const char *key, size_t key_n) {
    struct entry *x = calloc(1, sizeof *x + key_n + row->user.n + row->provider.n + row->model.n);
    if (!x) return NULL;
    char *to = x->text + key_n;
    memcpy(x->text, key, key_n);
    x->ledger = l;
    x->row = *row;
    x->row.user = put(&to, row->user);
    x->row.provider = put(&to, row->provider);
    x->row.model = put(&to, row->model);
    x->job = (struct store_job){.can_wait = true, .run = run, .done = done};
    return x;
}

struct store_job *ledger_add(struct ledger *l, const struct usage_row *row) {
    struct entry *there = NULL, *x = NULL;
    char key[KEY_MAX];
    size_t n = write_key(row, key);
    pthread_mutex_lock(&l->lock);
    if (n) HASH_FIND(hh, l->waiting, key, n, there);
    if (there) {
        usage_sums_add(&there->row.sums, &row->sums);
    } else if ((x = entry_new(l, row, key, n))) {
        if (n) HASH_ADD(hh, l->waiting, text, n, x);
        x->taken = !x->hh.tbl; /* no room in the table: it goes by itself */
    }
    pthread_mutex_unlock(&l->lock);
    if (!there && !x) log_error("out of memory: the usage of a call is lost");
    return x ? &x->job : NULL;
}
