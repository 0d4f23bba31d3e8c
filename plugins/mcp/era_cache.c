/* What was found out about servers, for the connections of one loop that come later. */
#include <stdlib.h>

#include "era.h"

enum { VERDICTS_MAX = 256, KEY_MAX = 1024, DAY_MS = 24 * 60 * 60 * 1000 };

struct entry {
    char *key; /* name, newline, url */
    size_t key_n;
    enum verdict verdict;
    int64_t at_ms;
};

struct verdicts {
    struct entry list[VERDICTS_MAX];
    size_t n;
};

struct verdicts *verdicts_new(void) {
    return (struct verdicts *)calloc(1, sizeof(struct verdicts));
}

void verdicts_free(struct verdicts *v) {
    for (size_t i = 0; v && i < v->n; i++) free(v->list[i].key);
    free(v);
}

static int is_key(const struct entry *e, tda_str name, tda_str url) {
    return e->key_n == name.n + 1 + url.n && memcmp(e->key, name.p ? name.p : "", name.n) == 0 && e->key[name.n] == '\n' &&
           memcmp(e->key + name.n + 1, url.p ? url.p : "", url.n) == 0;
}

static size_t find(const struct verdicts *v, tda_str name, tda_str url) {
    size_t i = 0;
    while (i < v->n && !is_key(&v->list[i], name, url)) i++;
    return i;
}

enum verdict verdict_get(const struct verdicts *v, tda_str name, tda_str url, int64_t at_ms) {
    size_t i = v ? find(v, name, url) : 0;
    if (!v || i == v->n) return VERDICT_NONE;
    const struct entry *e = &v->list[i];
    return e->verdict != VERDICT_MODERN && at_ms - e->at_ms >= DAY_MS ? VERDICT_NONE : e->verdict;
}

static void forget(struct verdicts *v, size_t i) {
    free(v->list[i].key);
    v->list[i] = v->list[--v->n];
}

static size_t oldest(const struct verdicts *v) {
    size_t old = 0;
    for (size_t i = 1; i < v->n; i++)
        if (v->list[i].at_ms < v->list[old].at_ms) old = i;
    return old;
}

void verdict_put(struct verdicts *v, tda_str name, tda_str url, enum verdict verdict, int64_t at_ms) {
    size_t n = name.n + 1 + url.n;
    if (!v || n > KEY_MAX) return;
    size_t i = find(v, name, url);
    /* The date is that of the finding: who only uses a verdict does not make it younger. */
    if (i < v->n && v->list[i].verdict == verdict && verdict_get(v, name, url, at_ms)) return;
    if (i < v->n) forget(v, i);
    if (verdict == VERDICT_NONE) return;
    char *key = (char *)malloc(n);
    if (!key) return;
    if (v->n == VERDICTS_MAX) forget(v, oldest(v));
    if (name.n) memcpy(key, name.p, name.n);
    key[name.n] = '\n';
    if (url.n) memcpy(key + name.n + 1, url.p, url.n);
    v->list[v->n++] = (struct entry){key, n, verdict, at_ms};
}
