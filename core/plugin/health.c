#include "plugin/health.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tda/message.h"

#define KEPT_NS (3600LL * NS_PER_S)

enum { ENDED_MAX = 1024, ENDED_LOG_MAX = 16 << 10, DOUBLINGS_MAX = 5, KEY_MAX = 4096 };

/* ---- the table ---- */

void health_table_init(struct health_table *t) {
    t->all = NULL;
    t->n_ended = 0;
    TAILQ_INIT(&t->ended);
}

static void destroy(struct health *h) {
    conn_log_fini(&h->log);
    free(h);
}

static void take_off(struct health *h) {
    struct health_table *t = h->table;
    if (!h->refs) {
        TAILQ_REMOVE(&t->ended, h, of_ended);
        t->n_ended--;
    }
    HASH_DEL(t->all, h);
    h->table = NULL;
}

static void forget(struct health *h) {
    take_off(h);
    if (!h->refs) destroy(h);
}

void health_table_fini(struct health_table *t) {
    for (struct health *h = t->all, *next; h; h = next) {
        next = h->hh.next;
        forget(h);
    }
}

static void prune(struct health_table *t) {
    int64_t now = clock_now_ns();
    struct health *h = TAILQ_LAST(&t->ended, health_list), *newer;
    for (; h && (t->n_ended > ENDED_MAX || now - h->ended_ns > KEPT_NS); h = newer) {
        newer = TAILQ_PREV(h, health_list, of_ended);
        forget(h);
    }
}

/* 0: too long. */
static size_t make_key(const struct health_id *id, char out[KEY_MAX]) {
    const struct config_server *c = id->config;
    const tda_str which = c ? (tda_str){(const char *)c->digest, sizeof c->digest} : id->url;
    const tda_str parts[] = {tda_str_of(id->user), id->name, which};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (n + parts[i].n + 1 > KEY_MAX) return 0;
        if (parts[i].n) memcpy(out + n, parts[i].p, parts[i].n);
        n += parts[i].n;
        out[n++] = 0;
    }
    return n;
}

struct health *health_find(struct health_table *t, const struct health_id *id) {
    char key[KEY_MAX];
    struct health *h = NULL;
    size_t n = make_key(id, key);
    prune(t);
    if (n) HASH_FIND(hh, t->all, key, n, h);
    return h;
}

static struct health *health_new(struct health_table *t, const struct health_id *id) {
    char key[KEY_MAX];
    size_t n = make_key(id, key);
    struct health *h = n ? calloc(1, sizeof *h + n) : NULL;
    if (!h) return NULL;
    memcpy(h->key, key, n);
    h->key_n = n;
    h->user = h->key;
    h->name = h->key + strlen(id->user) + 1;
    h->refs = 1;
    conn_log_init(&h->log);
    HASH_ADD_KEYPTR(hh, t->all, h->key, n, h);
    if (!h->hh.tbl) { /* out of memory */
        destroy(h);
        return NULL;
    }
    h->table = t;
    return h;
}

struct health *health_get(struct health_table *t, const struct health_id *id) {
    struct health *h = health_find(t, id);
    if (!h) return health_new(t, id);
    if (h->refs++ == 0) {
        TAILQ_REMOVE(&t->ended, h, of_ended);
        t->n_ended--;
    }
    return h;
}

void health_unref(struct health *h) {
    if (!h || --h->refs) return;
    if (!h->table) {
        destroy(h);
        return;
    }
    conn_log_shrink(&h->log, ENDED_LOG_MAX);
    h->ended_ns = clock_now_ns();
    TAILQ_INSERT_HEAD(&h->table->ended, h, of_ended);
    h->table->n_ended++;
    prune(h->table);
}

void health_forget_user(struct health_table *t, const char *user) {
    for (struct health *h = t->all, *next; h; h = next) {
        next = h->hh.next;
        if (strcmp(h->user, user) == 0) forget(h);
    }
}

/* ---- failures ---- */

int64_t health_parked_ms(const struct health *h) {
    int64_t left = h->parked_until_ns - clock_now_ns();
    return left > 0 ? left / NS_PER_MS + 1 : 0;
}

tda_status health_admit(const struct health *h, struct error *e) {
    int64_t ms = health_parked_ms(h);
    if (!ms) return TDA_OK;
    error_set(e, TDA_E_BUSY, "mcp_parked", "MCP server %s failed %lld times in a row and is not tried for another %lld s: %s",
              h->name, (long long)h->failures, (long long)((ms + 999) / 1000), h->last_error);
    error_hint(e, "mcp.logs shows what it said; mcp.restart tries it at once");
    if (e) e->retry_ms = ms;
    return TDA_E_BUSY;
}

/* A full house, a missing authorisation or an end that was asked for is no fault of the server's. */
static bool is_failure(uint32_t cls) {
    return cls == TDA_C_NETWORK || cls == TDA_C_PROTOCOL || cls == TDA_C_TIMEOUT || cls == TDA_C_NOT_FOUND ||
           cls == TDA_C_INTERNAL || cls == TDA_C_UPSTREAM || cls == TDA_C_TOO_LARGE;
}

static void note(struct health *h, const char *why) {
    tda_str said = conn_log_last(&h->log, LOG_FROM_STDERR);
    bool add = said.n && !str_has(tda_str_of(why), said);
    snprintf(h->last_error, sizeof h->last_error, "%s%s%.*s", why, add ? "; its last line on stderr: " : "", add ? (int)said.n : 0,
             add ? said.p : "");
    h->last_error_ms = clock_wall_ms();
}

void health_ended(struct health *h, const struct config *c, uint32_t cls, const char *why, int64_t lived_ns) {
    if (lived_ns >= c->mcp_steady_after) h->failures = 0;
    if (!is_failure(cls)) return;
    h->failures++;
    note(h, why);
    int64_t times = h->failures - c->mcp_park_after;
    if (times < 0) return;
    h->parked_until_ns = clock_now_ns() + (c->mcp_park_for << (times < DOUBLINGS_MAX ? times : DOUBLINGS_MAX));
}

void health_restart(struct health *h) {
    h->failures = 0;
    h->parked_until_ns = 0;
}
