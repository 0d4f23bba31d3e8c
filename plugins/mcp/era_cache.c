/* What was found out about servers, for the connections that come later, whichever loop they are on: a server that keeps silent
 * when it is asked costs each who asks some seconds. The instances share it, so it has the plugin's one lock; nothing of a user is
 * in it. */
#include <pthread.h>
#include <stdlib.h>

#include "era.h"

enum { VERDICTS_MAX = 256, KEY_MAX = 1024, DAY_MS = 24 * 60 * 60 * 1000 };

struct entry {
    char *key; /* name, newline, url */
    size_t key_n;
    enum verdict verdict;
    int64_t at_ms;
};

static struct {
    struct entry list[VERDICTS_MAX];
    size_t n;
    unsigned instances;
} all;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void verdicts_open(void) {
    pthread_mutex_lock(&lock);
    all.instances++;
    pthread_mutex_unlock(&lock);
}

void verdicts_close(void) {
    pthread_mutex_lock(&lock);
    if (--all.instances == 0)
        while (all.n) free(all.list[--all.n].key);
    pthread_mutex_unlock(&lock);
}

/* ---- with the lock ---- */

static int is_key(const struct entry *e, tda_str name, tda_str url) {
    return e->key_n == name.n + 1 + url.n && memcmp(e->key, name.p ? name.p : "", name.n) == 0 && e->key[name.n] == '\n' &&
           memcmp(e->key + name.n + 1, url.p ? url.p : "", url.n) == 0;
}

static struct entry *find(tda_str name, tda_str url) {
    for (size_t i = 0; i < all.n; i++)
        if (is_key(&all.list[i], name, url)) return &all.list[i];
    return NULL;
}

static int is_old(const struct entry *e, int64_t at_ms) {
    return e->verdict != VERDICT_MODERN && at_ms - e->at_ms >= DAY_MS;
}

static void forget(struct entry *e) {
    free(e->key);
    *e = all.list[--all.n];
}

static struct entry *oldest(void) {
    struct entry *old = &all.list[0];
    for (size_t i = 1; i < all.n; i++)
        if (all.list[i].at_ms < old->at_ms) old = &all.list[i];
    return old;
}

static void add(tda_str name, tda_str url, enum verdict verdict, int64_t at_ms) {
    size_t n = name.n + 1 + url.n;
    char *key = n <= KEY_MAX ? (char *)malloc(n) : NULL;
    if (!key) return;
    if (all.n == VERDICTS_MAX) forget(oldest());
    if (name.n) memcpy(key, name.p, name.n);
    key[name.n] = '\n';
    if (url.n) memcpy(key + name.n + 1, url.p, url.n);
    all.list[all.n++] = (struct entry){key, n, verdict, at_ms};
}

/* ---- without it ---- */

enum verdict verdict_get(tda_str name, tda_str url, int64_t at_ms) {
    pthread_mutex_lock(&lock);
    const struct entry *e = find(name, url);
    enum verdict verdict = e && !is_old(e, at_ms) ? e->verdict : VERDICT_NONE;
    pthread_mutex_unlock(&lock);
    return verdict;
}

/* The date is that of the finding: who only uses a verdict does not make it younger. */
void verdict_put(tda_str name, tda_str url, enum verdict verdict, int64_t at_ms) {
    pthread_mutex_lock(&lock);
    struct entry *e = find(name, url);
    if (!e || e->verdict != verdict || is_old(e, at_ms)) {
        if (e) forget(e);
        if (verdict != VERDICT_NONE) add(name, url, verdict, at_ms);
    }
    pthread_mutex_unlock(&lock);
}
