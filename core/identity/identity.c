#include "identity/identity.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash_table.h"
#include "identity/token_store.h"

#define EXPIRED_KEPT_NS (30 * DAY_MS * NS_PER_MS)

struct entry {
    UT_hash_handle hh;
    struct token t;
    _Atomic int64_t used_ms; /* in place of t.used_ms; t's is what the file has */
    bool saved;
};

struct revoked {
    struct revoked *next;
    char id[TOKEN_ID_SIZE];
};

struct identity {
    struct identity_options o;
    char *path; /* NULL: no tokens */
    uint32_t own;
    struct token_store *store; /* identity_save's; NULL before there is a file */

    pthread_rwlock_t lock; /* of what follows */
    struct entry *table;   /* by hash */
    struct revoked *revoked;
    struct clock_age expired; /* how long those are kept */
    int64_t expired_before_ms;
};

/* ---- life ---- */

static tda_status add(struct identity *id, const struct token *t, bool saved) {
    struct entry *x = calloc(1, sizeof *x);
    if (!x) return TDA_E_NOMEM;
    x->t = *t;
    x->saved = saved;
    atomic_init(&x->used_ms, t->used_ms);
    HASH_ADD(hh, id->table, t.hash, TOKEN_HASH_SIZE, x);
    if (x->hh.tbl) return TDA_OK;
    free(x);
    return TDA_E_NOMEM;
}

struct reading {
    struct identity *identity;
    tda_status status;
};

static void add_read(void *arg, const struct token *t) {
    struct reading *r = arg;
    if (!r->status) r->status = add(r->identity, t, true);
}

static tda_status read_file(struct identity *id, struct error *e) {
    struct reading r = {.identity = id};
    tda_status s = token_store_open(id->path, false, &id->store, e);
    if (s) return s == TDA_E_NOT_FOUND ? TDA_OK : s;
    s = token_store_each(id->store, add_read, &r, e);
    return s ? s : r.status ? error_set(e, r.status, "out_of_memory", "out of memory") : TDA_OK;
}

/* Checks that never pause must not keep a revocation waiting. */
static void init_lock(pthread_rwlock_t *lock) {
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

tda_status identity_new(const struct identity_options *o, struct identity **ret, struct error *e) {
    struct identity *id = calloc(1, sizeof *id);
    bool keeps = o->path && o->path[0];
    if (id && keeps) id->path = str_dup(tda_str_of(o->path));
    if (!id || (keeps && !id->path)) {
        free(id);
        return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    }
    id->o = *o;
    id->own = geteuid();
    init_lock(&id->lock);
    clock_age_begin(&id->expired, clock_wall_ms(), clock_now_ns());
    tda_status s = keeps ? read_file(id, e) : TDA_OK;
    if (s)
        identity_free(id);
    else
        *ret = id;
    return s;
}

void identity_free(struct identity *id) {
    if (!id) return;
    struct entry *x = id->table, *next;
    HASH_CLEAR(hh, id->table);
    for (; x; x = next) {
        next = x->hh.next;
        free(x);
    }
    for (struct revoked *r; (r = id->revoked);) {
        id->revoked = r->next;
        free(r);
    }
    token_store_close(id->store);
    pthread_rwlock_destroy(&id->lock);
    free(id->path);
    free(id);
}

bool identity_keeps_tokens(const struct identity *id) {
    return id->path != NULL;
}

uint64_t identity_count(struct identity *id) {
    pthread_rwlock_rdlock(&id->lock);
    uint64_t n = HASH_COUNT(id->table);
    pthread_rwlock_unlock(&id->lock);
    return n;
}

bool identity_has_saved(struct identity *id, tda_str token_id) {
    bool has = false;
    pthread_rwlock_rdlock(&id->lock);
    for (const struct entry *x = id->table; x && !has; x = x->hh.next) has = x->saved && tda_str_eq(tda_str_of(x->t.id), token_id);
    pthread_rwlock_unlock(&id->lock);
    return has;
}

/* ---- checking ---- */

static bool has_uid(const uint32_t *list, size_t n, uint32_t uid) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == uid) return true;
    return false;
}

static tda_status check_peer(const struct identity *id, uint32_t uid, struct principal *ret, struct error *e) {
    bool operates = uid == id->own || uid == 0 || has_uid(id->o.operators, id->o.n_operators, uid);
    if (operates || has_uid(id->o.front_ends, id->o.n_front_ends, uid)) {
        *ret = (struct principal){.kind = PRINCIPAL_PEER, .is_operator = operates, .uid = uid};
        return TDA_OK;
    }
    error_set(e, TDA_E_DENIED, "not_trusted", "the unix user %u may not speak for users here", uid);
    error_hint(e, "run the client as the daemon's user, list this one under identity.front_ends, or give it a token");
    return TDA_E_DENIED;
}

/* Found by its hash, which says nothing of the text; then compared in constant time all the same. */
static tda_status check_token(struct identity *id, const unsigned char *hash, struct principal *ret) {
    struct entry *x = NULL;
    int64_t now = clock_wall_ms();
    tda_status s = TDA_E_NOT_FOUND;
    pthread_rwlock_rdlock(&id->lock);
    HASH_FIND(hh, id->table, hash, TOKEN_HASH_SIZE, x);
    if (x && x->saved && equal_constant_time(x->t.hash, hash, TOKEN_HASH_SIZE)) {
        s = x->t.expires_ms && now >= x->t.expires_ms ? TDA_E_TIMEOUT : TDA_OK;
        *ret = (struct principal){.kind = x->t.is_service ? PRINCIPAL_SERVICE : PRINCIPAL_USER, .is_operator = x->t.is_operator};
        memcpy(ret->token, x->t.id, sizeof ret->token);
        memcpy(ret->label, x->t.label, sizeof ret->label);
        memcpy(ret->user, x->t.user, sizeof ret->user);
        if (!s) atomic_store_explicit(&x->used_ms, now, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&id->lock);
    if (s) *ret = (struct principal){.kind = PRINCIPAL_NOBODY};
    return s;
}

static tda_status refuse(struct error *e, const char *kind, const char *text, const char *hint) {
    error_set(e, TDA_E_DENIED, kind, "%s", text);
    error_field(e, "auth");
    error_hint(e, "%s", hint);
    return TDA_E_DENIED;
}

tda_status identity_check(struct identity *id, bool is_ipc, uint32_t uid, tda_str auth, struct principal *ret, struct error *e) {
    unsigned char hash[TOKEN_HASH_SIZE];
    if (!auth.p && is_ipc) return check_peer(id, uid, ret, e);
    if (!auth.p)
        return refuse(e, "token_required", "a token is wanted in each request here",
                      "put it into params.auth; tda takes it from TDA_TOKEN or --token-file FILE");
    tda_status s = token_read(auth, hash);
    if (!s) s = check_token(id, hash, ret);
    if (!s) return TDA_OK;
    if (s == TDA_E_TIMEOUT) return refuse(e, "token_expired", "this token has expired", "ask the operator for another one");
    return refuse(e, "token_invalid", "there is no such token", "it may have been revoked: ask the operator for another one");
}

/* ---- changing ---- */

tda_status identity_create(struct identity *id, struct token *t, char ret_text[TOKEN_TEXT_SIZE], struct error *e) {
    tda_status s = token_check(t, e);
    if (s) return s;
    if (!id->path) {
        error_set(e, TDA_E_UNSUPPORTED, "tokens_off", "this host keeps no tokens");
        error_hint(e, "the operator's setting is identity.tokens");
        return TDA_E_UNSUPPORTED;
    }
    t->created_ms = clock_wall_ms();
    t->used_ms = 0;
    token_draw(t, ret_text);
    pthread_rwlock_wrlock(&id->lock);
    s = HASH_COUNT(id->table) >= id->o.max_tokens ? TDA_E_LIMIT : add(id, t, false);
    pthread_rwlock_unlock(&id->lock);
    if (s == TDA_E_LIMIT) {
        error_set(e, s, "too_many_tokens", "there are %llu tokens, which is the limit", (unsigned long long)id->o.max_tokens);
        error_hint(e, "revoke some; the operator's limit is limits.tokens");
    } else if (s) {
        error_set(e, s, "out_of_memory", "out of memory");
    }
    return s;
}

/* Under the lock. The file forgets it with the next save. */
static tda_status forget(struct identity *id, struct entry *x) {
    struct revoked *r = calloc(1, sizeof *r);
    if (!r) return TDA_E_NOMEM;
    memcpy(r->id, x->t.id, sizeof r->id);
    r->next = id->revoked;
    id->revoked = r;
    HASH_DEL(id->table, x);
    free(x);
    return TDA_OK;
}

tda_status identity_revoke(struct identity *id, tda_str token_id, struct error *e) {
    tda_status s = TDA_E_NOT_FOUND;
    pthread_rwlock_wrlock(&id->lock);
    for (struct entry *x = id->table; x; x = x->hh.next)
        if (tda_str_eq(tda_str_of(x->t.id), token_id)) {
            s = forget(id, x);
            break;
        }
    pthread_rwlock_unlock(&id->lock);
    if (s == TDA_E_NOT_FOUND) {
        error_set(e, s, "unknown_token", "there is no token with this id");
        error_field(e, "token");
        error_hint(e, "token.list shows them");
    } else if (s) {
        error_set(e, s, "out_of_memory", "out of memory");
    }
    return s;
}

tda_status identity_revoke_user(struct identity *id, tda_str user, uint64_t *ret_n, struct error *e) {
    tda_status s = TDA_OK;
    *ret_n = 0;
    pthread_rwlock_wrlock(&id->lock);
    for (struct entry *x = id->table, *next; x && !s; x = next) {
        next = x->hh.next;
        if (!tda_str_eq(tda_str_of(x->t.user), user)) continue;
        s = forget(id, x);
        *ret_n += !s;
    }
    pthread_rwlock_unlock(&id->lock);
    return s ? error_set(e, s, "out_of_memory", "out of memory") : TDA_OK;
}

/* Copies of all that `wanted` picks; NULL with *n 0: none, or no memory. */
static struct token *pick(struct identity *id, bool (*wanted)(const struct entry *x, const struct identity *id), size_t *n) {
    struct token *list = calloc(HASH_COUNT(id->table) + 1, sizeof *list);
    *n = 0;
    for (struct entry *x = id->table; x && list; x = x->hh.next) {
        if (!wanted(x, id)) continue;
        list[*n] = x->t;
        list[(*n)++].used_ms = atomic_load_explicit(&x->used_ms, memory_order_relaxed);
    }
    return list;
}

static bool is_saved(const struct entry *x, const struct identity *id UNUSED) {
    return x->saved;
}

tda_status identity_list(struct identity *id, void (*visit)(void *arg, const struct token *t), void *arg) {
    size_t n;
    pthread_rwlock_rdlock(&id->lock);
    struct token *list = pick(id, is_saved, &n);
    pthread_rwlock_unlock(&id->lock);
    if (!list) return TDA_E_NOMEM;
    for (size_t i = 0; i < n; i++) visit(arg, &list[i]);
    free(list);
    return TDA_OK;
}

/* ---- saving ---- */

struct changes {
    struct token *put;
    size_t n_put;
    struct revoked *removed;
};

static bool is_changed(const struct entry *x, const struct identity *id UNUSED) {
    return !x->saved || x->t.used_ms != atomic_load_explicit(&x->used_ms, memory_order_relaxed);
}

static bool is_old(const struct entry *x, const struct identity *id) {
    return x->saved && x->t.expires_ms && x->t.expires_ms < id->expired_before_ms;
}

/* Under the lock. What there is no memory for goes the next time. */
static void forget_old(struct identity *id) {
    size_t n;
    id->expired_before_ms = clock_age_before_ms(&id->expired, clock_wall_ms(), clock_now_ns(), EXPIRED_KEPT_NS);
    struct token *old = pick(id, is_old, &n);
    for (size_t i = 0; i < n; i++) {
        struct entry *x = NULL;
        HASH_FIND(hh, id->table, old[i].hash, TOKEN_HASH_SIZE, x);
        if (x) forget(id, x);
    }
    free(old);
}

static tda_status collect(struct identity *id, struct changes *c) {
    pthread_rwlock_wrlock(&id->lock);
    forget_old(id);
    c->put = pick(id, is_changed, &c->n_put);
    c->removed = id->revoked;
    id->revoked = NULL;
    pthread_rwlock_unlock(&id->lock);
    return c->put ? TDA_OK : TDA_E_NOMEM;
}

static tda_status write_all(struct identity *id, const struct changes *c, struct error *e) {
    tda_status s = id->store ? TDA_OK : token_store_open(id->path, true, &id->store, e);
    if (s) return s;
    s = token_store_begin(id->store, e);
    for (const struct revoked *r = c->removed; r && !s; r = r->next) s = token_store_remove(id->store, r->id, e);
    for (size_t i = 0; i < c->n_put && !s; i++) s = token_store_put(id->store, &c->put[i], e);
    if (!s) s = token_store_commit(id->store, e);
    if (s) token_store_rollback(id->store);
    return s;
}

/* One that was revoked while it was written is on the list again. */
static void settle(struct identity *id, struct changes *c, bool written) {
    pthread_rwlock_wrlock(&id->lock);
    for (size_t i = 0; i < c->n_put; i++) {
        struct entry *x = NULL;
        HASH_FIND(hh, id->table, c->put[i].hash, TOKEN_HASH_SIZE, x);
        if (x && written) {
            x->saved = true;
            x->t.used_ms = c->put[i].used_ms;
        } else if (x && !x->saved) {
            HASH_DEL(id->table, x);
            free(x);
        }
    }
    for (struct revoked *r; (r = c->removed);) {
        c->removed = r->next;
        r->next = id->revoked;
        if (written)
            free(r);
        else
            id->revoked = r;
    }
    pthread_rwlock_unlock(&id->lock);
}

tda_status identity_save(void *identity, char *note, size_t note_size) {
    struct identity *id = identity;
    struct error e = {.retry_ms = -1};
    struct changes c = {0};
    tda_status s = collect(id, &c);
    bool changed = c.n_put || c.removed;
    if (!s && changed) s = write_all(id, &c, &e);
    settle(id, &c, !s);
    snprintf(note, note_size, "%s", s ? (e.text[0] ? e.text : status_text(s)) : changed ? id->path : "nothing to write");
    free(c.put);
    return s;
}
