/* The table: users, and each one's credentials at servers. One lock, a leaf, held for a look-up or a copy. What is secret stands in
 * secret memory and is copied out only into what is about to be sent. */
#include "oauth/oauth_impl.h"

#include <stdio.h>

#include "base/clock.h"
#include "context/secret_memory.h"

enum { RENEW_BEFORE_S = 30 };

struct pin {
    UT_hash_handle hh;
    char issuer[ISSUER_MAX];
    char server[];
};

tda_status oauth_new(struct oauth **ret) {
    struct oauth *oa = calloc(1, sizeof *oa);
    if (!oa) return TDA_E_NOMEM;
    pthread_mutex_init(&oa->lock, NULL);
    *ret = oa;
    return TDA_OK;
}

/* ---- life ---- */

static void drop_token(struct credential *c) {
    secret_free(c->access, c->vault->access_n + 1);
    secret_free(c->refresh, c->vault->refresh_n + 1);
    c->access = c->refresh = NULL;
    c->vault->access_n = c->vault->refresh_n = 0;
    c->vault->source = TOKEN_NONE;
}

static void drop_client(struct credential *c) {
    c->vault->has_client = false;
    wipe(&c->vault->client, sizeof c->vault->client);
}

void credential_unref(struct credential *c) {
    if (!c || !ref_drop(&c->ref)) return;
    if (c->vault) drop_token(c);
    secret_free(c->vault, sizeof *c->vault);
    free(c->key);
    free(c);
}

/* Under the lock. Whoever still works with it works for nothing. */
static void strip(struct credential *c) {
    c->owner = NULL;
    c->oauth->n_servers--;
    drop_token(c);
    drop_client(c);
}

/* Under the lock. The table's reference is the caller's then. */
static void take_out(struct credential *c) {
    TAILQ_REMOVE(&c->owner->list, c, entry);
    c->owner->n--;
    strip(c);
}

/* Under the lock; it is off the table. */
static void user_free(struct user_entry *u) {
    struct credential *c = u ? TAILQ_FIRST(&u->list) : NULL;
    while (c) {
        struct credential *next = TAILQ_NEXT(c, entry);
        strip(c);
        attempt_stop(c->attempt, "cancelled", "this user's credentials were dropped");
        credential_unref(c);
        c = next;
    }
    free(u);
}

void oauth_forget(struct oauth *oa, tda_str user) {
    struct user_entry *u = NULL;
    pthread_mutex_lock(&oa->lock);
    HASH_FIND(hh, oa->users, user.p ? user.p : "", user.n, u);
    if (u) HASH_DEL(oa->users, u);
    user_free(u);
    pthread_mutex_unlock(&oa->lock);
}

static void pins_free(struct oauth *oa) {
    struct pin *p = oa->pins;
    HASH_CLEAR(hh, oa->pins); /* they are on a list still */
    while (p) {
        struct pin *next = p->hh.next;
        free(p);
        p = next;
    }
}

void oauth_free(struct oauth *oa) {
    if (!oa) return;
    struct user_entry *u = oa->users;
    HASH_CLEAR(hh, oa->users);
    while (u) {
        struct user_entry *next = u->hh.next;
        user_free(u);
        u = next;
    }
    pins_free(oa);
    pthread_mutex_destroy(&oa->lock);
    free(oa);
}

void oauth_stats(struct oauth *oa, struct oauth_stats *ret) {
    pthread_mutex_lock(&oa->lock);
    *ret = (struct oauth_stats){HASH_COUNT(oa->users), oa->n_servers, oa->running, oa->granted, oa->failed};
    pthread_mutex_unlock(&oa->lock);
}

/* ---- finding ---- */

/* Name and url both: the operator's server and a user's own at the same place are two, for their clients are. */
static char *key_of(const struct oauth_server *s) {
    struct buf b;
    buf_init(&b, 2 * OAUTH_URL_MAX);
    buf_addf(&b, "%c%s\n%s", s->user_given ? 'u' : 'o', s->name, s->url);
    char *key = buf_take(&b, NULL);
    buf_fini(&b);
    return key;
}

static struct user_entry *user_get(struct oauth *oa, const char *user, bool make) {
    struct user_entry *u = NULL;
    size_t n = strlen(user);
    HASH_FIND(hh, oa->users, user, n, u);
    if (u || !make) return u;
    u = calloc(1, sizeof *u + n + 1);
    if (!u) return NULL;
    memcpy(u->user, user, n);
    TAILQ_INIT(&u->list);
    HASH_ADD_KEYPTR(hh, oa->users, u->user, n, u);
    if (u->hh.tbl) return u;
    free(u); /* memory is out */
    return NULL;
}

static struct credential *find(struct user_entry *u, const char *key) {
    struct credential *c;
    TAILQ_FOREACH(c, &u->list, entry)
    if (strcmp(c->key, key) == 0) return c;
    return NULL;
}

/* His longest unused one that nobody waits at makes room. */
static tda_status make_room(struct oauth *oa, struct user_entry *u) {
    if (u->n < USER_SERVERS_MAX) return oa->n_servers < SERVERS_MAX ? TDA_OK : TDA_E_LIMIT;
    struct credential *c = TAILQ_LAST(&u->list, credential_list);
    while (c && c->attempt) c = TAILQ_PREV(c, credential_list, entry);
    if (!c) return TDA_E_LIMIT;
    take_out(c);
    credential_unref(c);
    return TDA_OK;
}

static struct credential *credential_new(struct oauth *oa, struct user_entry *u, char *key) {
    struct credential *c = calloc(1, sizeof *c);
    struct vault *v = c ? secret_alloc(sizeof *v) : NULL;
    if (!v) {
        free(c);
        return NULL;
    }
    ref_init(&c->ref);
    memset(v, 0, sizeof *v);
    c->oauth = oa;
    c->key = key;
    c->vault = v;
    c->owner = u;
    TAILQ_INSERT_HEAD(&u->list, c, entry);
    u->n++;
    oa->n_servers++;
    return c;
}

/* Under the lock; takes the key. */
static tda_status get(struct oauth *oa, const char *user, char *key, bool make, struct credential **ret) {
    struct user_entry *u = user_get(oa, user, make);
    struct credential *c = u ? find(u, key) : NULL;
    if (c) {
        TAILQ_REMOVE(&u->list, c, entry);
        TAILQ_INSERT_HEAD(&u->list, c, entry);
    }
    if (c || !make) {
        free(key);
        *ret = c;
        return c ? TDA_OK : TDA_E_NOT_FOUND;
    }
    tda_status s = u ? make_room(oa, u) : TDA_E_NOMEM;
    *ret = s ? NULL : credential_new(oa, u, key);
    if (!*ret) free(key);
    return s ? s : *ret ? TDA_OK : TDA_E_NOMEM;
}

tda_status credential_get(struct oauth *oa, const char *user, const struct oauth_server *server, bool make,
                          struct credential **ret) {
    char *key = key_of(server);
    if (!key) return TDA_E_NOMEM;
    pthread_mutex_lock(&oa->lock);
    tda_status s = get(oa, user, key, make, ret);
    if (!s) ref_take(&(*ret)->ref);
    pthread_mutex_unlock(&oa->lock);
    return s;
}

/* ---- which issuer an operator's client is for ---- */

static struct pin *pin_new(struct oauth *oa, const char *server, const char *issuer) {
    size_t n = strlen(server);
    struct pin *p = calloc(1, sizeof *p + n + 1);
    if (!p) return NULL;
    memcpy(p->server, server, n);
    snprintf(p->issuer, sizeof p->issuer, "%s", issuer);
    HASH_ADD_KEYPTR(hh, oa->pins, p->server, n, p);
    if (p->hh.tbl) return p;
    free(p);
    return NULL;
}

bool oauth_pin(struct oauth *oa, const char *server, const char *issuer) {
    struct pin *p = NULL;
    pthread_mutex_lock(&oa->lock);
    HASH_FIND_STR(oa->pins, server, p);
    if (!p) p = pin_new(oa, server, issuer);
    bool same = p && strcmp(p->issuer, issuer) == 0;
    pthread_mutex_unlock(&oa->lock);
    return same;
}

/* ---- tokens out ---- */

static tda_status token_of(const struct credential *c, tda_str url, struct buf *out, uint64_t *ret_serial) {
    const struct vault *v = c->vault;
    if (!c->access || !resource_covers(tda_str_of(c->resource), url)) return TDA_E_NOT_FOUND;
    bool renewable = c->refresh || v->source == TOKEN_BY_CLIENT;
    if (v->renew_ns && clock_now_ns() >= (renewable ? v->renew_ns : v->expires_ns))
        return renewable ? TDA_E_AGAIN : TDA_E_NOT_FOUND;
    *ret_serial = v->serial;
    buf_reserve(out, v->access_n + sizeof "Bearer "); /* growing would leave copies behind */
    buf_add_str(out, TDA_STR("Bearer "));
    return buf_add(out, c->access, v->access_n);
}

tda_status oauth_token(struct oauth *oa, const char *user, const struct oauth_server *server, tda_str url, struct buf *out,
                       uint64_t *ret_serial) {
    struct credential *c;
    tda_status s = credential_get(oa, user, server, false, &c);
    if (s) return s;
    pthread_mutex_lock(&oa->lock);
    s = token_of(c, url, out, ret_serial);
    pthread_mutex_unlock(&oa->lock);
    credential_unref(c);
    return s;
}

void oauth_let_in(struct oauth *oa, const char *user, const struct oauth_server *server, uint64_t serial) {
    struct credential *c;
    if (credential_get(oa, user, server, false, &c)) return;
    pthread_mutex_lock(&oa->lock);
    if (c->vault->serial == serial) c->vault->let_in = true;
    pthread_mutex_unlock(&oa->lock);
    credential_unref(c);
}

/* Under the lock. */
static bool note_refused(struct credential *c, uint64_t serial) {
    struct vault *v = c->vault;
    if (v->serial == serial && v->source == TOKEN_BY_USER && !v->let_in) {
        drop_token(c);
        v->in_vain = serial;
        c->oauth->failed++;
    }
    return v->in_vain == serial;
}

bool oauth_refused(struct oauth *oa, const char *user, const struct oauth_server *server, uint64_t serial, struct error *e) {
    struct credential *c;
    if (!serial || credential_get(oa, user, server, false, &c)) return false;
    pthread_mutex_lock(&oa->lock);
    bool in_vain = note_refused(c, serial);
    if (in_vain)
        error_set(e, TDA_E_DENIED, "authorization_failed",
                  "authorisation at %.100s: the server %.64s refuses (401) the token that the user's consent has just brought; its "
                  "operator must say why, and another call asks anew",
                  c->vault->issuer, server->name);
    pthread_mutex_unlock(&oa->lock);
    credential_unref(c);
    return in_vain;
}

tda_status credential_refresh_token(struct credential *c, struct buf *out) {
    pthread_mutex_lock(&c->oauth->lock);
    tda_status s = c->refresh ? TDA_OK : TDA_E_NOT_FOUND;
    if (!s) s = buf_reserve(out, c->vault->refresh_n + 1);
    if (!s) s = buf_add(out, c->refresh, c->vault->refresh_n);
    pthread_mutex_unlock(&c->oauth->lock);
    return s;
}

bool credential_client(struct credential *c, const char *issuer, struct client *ret) {
    pthread_mutex_lock(&c->oauth->lock);
    bool there = c->vault->has_client && strcmp(c->vault->issuer, issuer) == 0;
    if (there) *ret = c->vault->client;
    pthread_mutex_unlock(&c->oauth->lock);
    return there;
}

int64_t credential_requested(struct credential *c, char out[OAUTH_SCOPE_MAX]) {
    pthread_mutex_lock(&c->oauth->lock);
    memcpy(out, c->requested, OAUTH_SCOPE_MAX);
    int64_t asked_ns = c->requested[0] ? c->asked_ns : 0;
    pthread_mutex_unlock(&c->oauth->lock);
    return asked_ns;
}

/* ---- tokens in ---- */

/* Under the lock. */
static void bind_issuer(struct credential *c, const char *issuer) {
    if (strcmp(c->vault->issuer, issuer) == 0) return;
    drop_token(c);
    drop_client(c);
    c->requested[0] = 0;
    snprintf(c->vault->issuer, sizeof c->vault->issuer, "%s", issuer);
}

void credential_bind(struct credential *c, const char *issuer) {
    pthread_mutex_lock(&c->oauth->lock);
    bind_issuer(c, issuer);
    pthread_mutex_unlock(&c->oauth->lock);
}

void credential_drop_client(struct credential *c) {
    pthread_mutex_lock(&c->oauth->lock);
    drop_client(c);
    pthread_mutex_unlock(&c->oauth->lock);
}

void credential_drop_refresh(struct credential *c) {
    pthread_mutex_lock(&c->oauth->lock);
    secret_free(c->refresh, c->vault->refresh_n + 1);
    c->refresh = NULL;
    c->vault->refresh_n = 0;
    pthread_mutex_unlock(&c->oauth->lock);
}

void credential_keep_client(struct credential *c, const char *issuer, const struct client *client) {
    pthread_mutex_lock(&c->oauth->lock);
    bind_issuer(c, issuer);
    if (c->owner) {
        c->vault->client = *client;
        c->vault->has_client = true;
    }
    pthread_mutex_unlock(&c->oauth->lock);
}

static char *secret_copy(tda_str s) {
    char *p = s.n && s.n <= OAUTH_TOKEN_MAX ? secret_alloc(s.n + 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

/* Renewed a little before, so that it does not expire on its way; the better half of a short life is used. */
static void set_expiry(struct vault *v, int64_t life_ns) {
    const int64_t before_ns = (int64_t)RENEW_BEFORE_S * NS_PER_S;
    v->expires_ns = clock_now_ns() + life_ns;
    v->renew_ns = v->expires_ns - (before_ns < life_ns / 2 ? before_ns : life_ns / 2);
}

/* Under the lock. */
static void put_token(struct credential *c, const struct grant *g, char *access, char *refresh) {
    struct vault *v = c->vault;
    bind_issuer(c, g->issuer);
    if (refresh || g->source != TOKEN_BY_REFRESH) { /* a renewal without a new one goes on with the old one */
        secret_free(c->refresh, v->refresh_n + 1);
        c->refresh = refresh;
        v->refresh_n = refresh ? g->refresh.n : 0;
    }
    secret_free(c->access, v->access_n + 1);
    c->access = access;
    v->access_n = g->access.n;
    v->source = g->source;
    v->serial = ++c->oauth->serial;
    v->let_in = false;
    v->expires_ns = v->renew_ns = 0;
    if (g->expires_in_s) set_expiry(v, g->expires_in_s * NS_PER_S);
    snprintf(c->resource, sizeof c->resource, "%s", g->resource);
    if (g->source == TOKEN_BY_REFRESH) return;
    snprintf(c->requested, sizeof c->requested, "%s", g->requested);
    c->asked_ns = clock_now_ns();
}

tda_status credential_keep_token(struct credential *c, const struct grant *g) {
    char *access = secret_copy(g->access), *refresh = g->refresh.n ? secret_copy(g->refresh) : NULL;
    tda_status s = access && (refresh || !g->refresh.n) ? TDA_OK : TDA_E_NOMEM;
    pthread_mutex_lock(&c->oauth->lock);
    if (!s && !c->owner) s = TDA_E_CANCELLED; /* forgotten meanwhile */
    if (!s) put_token(c, g, access, refresh);
    if (!s) c->oauth->granted++;
    pthread_mutex_unlock(&c->oauth->lock);
    if (s) {
        secret_free(access, g->access.n + 1);
        secret_free(refresh, g->refresh.n + 1);
    }
    return s;
}
