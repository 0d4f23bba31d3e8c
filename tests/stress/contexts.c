/* Eight threads set, get, list, delete and sweep contexts at once (acceptance line 9). For TSan and ASan.
 *
 * Oracle: each set publishes one number in four fields and a secret, so a snapshot that shows two numbers is a mixture; each
 * snapshot's live object is dropped exactly once; what is left at the end is what the last sets left.
 *
 * usage: stress_contexts [OPERATIONS]   per thread; default 100000, or TDA_STRESS
 *        TDA_STRESS_BUG=mixture         publishes the number in two steps: the oracle must catch it
 *        TDA_STRESS_BUG=reference       reads a snapshot after giving it back: the sanitizer must catch it */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "context/context.h"
#include "tda/host.h"

enum { THREADS = 8, USERS = 64, IDLE_NS = 1000000 };

static struct contexts *cs;
static long operations = 100000;
static bool mixture_planted, reference_dropped;
static _Atomic long made, dropped, mixtures, sets, gets, sweeps, gone;

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void drop(void *owner, void *object) {
    (void)owner;
    atomic_fetch_add((_Atomic long *)object, 1);
}

static tda_status put(struct draft *d, const char *number, struct error *e) {
    tda_status s = draft_set(d, TDA_CTX_MODEL, tda_str_of(number), e);
    if (!s) s = draft_set(d, TDA_CTX_AWS_REGION, tda_str_of(number), e);
    if (!s) s = draft_set(d, TDA_CTX_MCP_SERVER_NAME, tda_str_of(number), e);
    if (!s) s = draft_set(d, TDA_CTX_MCP_SERVER_ID, tda_str_of(number), e);
    return s ? s : draft_set_secret(d, "api_key", tda_str_of(number), e);
}

static tda_status change(struct draft *d, void *arg, struct error *e) {
    return put(d, arg, e);
}

static tda_status change_half(struct draft *d, void *arg, struct error *e) {
    return draft_set(d, TDA_CTX_MODEL, tda_str_of(arg), e);
}

static void set(tda_str user, const char *number) {
    struct error e;
    uint64_t epoch;
    char copy[48];
    snprintf(copy, sizeof copy, "%s", number);
    if (mixture_planted) contexts_update(cs, &principal_host, user, change_half, copy, &epoch, &e);
    if (contexts_update(cs, &principal_host, user, change, copy, &epoch, &e)) abort();
    atomic_fetch_add(&sets, 1);
}

static void look(struct snapshot *s) {
    tda_str secret = {0}, model = snapshot_get(s, TDA_CTX_MODEL);
    const struct secrets *secrets = snapshot_secrets(s);
    if (secrets) secrets_reveal(secrets, "api_key", &secret);
    bool whole = tda_str_eq(model, snapshot_get(s, TDA_CTX_AWS_REGION)) &&
                 tda_str_eq(model, snapshot_get(s, TDA_CTX_MCP_SERVER_NAME)) &&
                 tda_str_eq(model, snapshot_get(s, TDA_CTX_MCP_SERVER_ID)) && tda_str_eq(model, secret);
    if (!whole) atomic_fetch_add(&mixtures, 1);
}

/* Loop i is thread i here: each touches its own list of a box. */
static void get(tda_str user, unsigned thread, int *owner) {
    struct snapshot *s;
    struct error e;
    if (contexts_acquire(cs, &principal_host, user, &s, &e)) return;
    if (reference_dropped) {
        snapshot_unref(s);
        look(s);
        return;
    }
    look(s);
    if (live_put(snapshot_live(s, CTX_GROUP_MODEL), thread, owner, 0, &dropped, drop) == TDA_OK) atomic_fetch_add(&made, 1);
    snapshot_unref(s);
    atomic_fetch_add(&gets, 1);
}

static void count_one(void *arg, const struct context_info *info) {
    (void)info;
    ++*(long *)arg;
}

static void sweep(void) {
    uint64_t removed;
    contexts_sweep(cs, IDLE_NS, &removed);
    atomic_fetch_add(&gone, (long)removed);
    atomic_fetch_add(&sweeps, 1);
}

static void *work(void *arg) {
    unsigned thread = (unsigned)(uintptr_t)arg;
    uint32_t seed = thread * 7919 + 1;
    int owner = 0;
    for (long i = 0; i < operations; i++) {
        char user[16], number[48];
        uint32_t what = next(&seed) % 100;
        snprintf(user, sizeof user, "u%u", next(&seed) % USERS);
        snprintf(number, sizeof number, "n%u-%ld-long-enough", thread, i);
        tda_str u = tda_str_of(user);
        if (what < 20) {
            set(u, number);
        } else if (what < 96) {
            get(u, thread, &owner);
        } else if (what < 98) {
            contexts_delete(cs, &principal_host, u, NULL);
        } else if (what < 99) {
            long n = 0;
            contexts_list(cs, &principal_host, USERS * 2, count_one, &n, NULL);
            if (n > USERS) abort();
        } else {
            sweep();
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    const char *given = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (given) operations = strtol(given, NULL, 10);
    const char *bug = getenv("TDA_STRESS_BUG");
    mixture_planted = bug && strcmp(bug, "mixture") == 0;
    reference_dropped = bug && strcmp(bug, "reference") == 0;
    struct contexts_options o = {.max_users = USERS, .n_loops = THREADS};
    if (hash_init() || contexts_new(&o, &cs)) return 2;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i)) return 2;
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < USERS; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        if (i % 2)
            contexts_delete(cs, &principal_host, tda_str_of(user), NULL);
        else
            set(tda_str_of(user), "the-last-number");
    }
    bool count_right = contexts_count(cs) == USERS / 2;
    contexts_free(cs);
    printf("%ld sets, %ld gets, %ld sweeps that removed %ld; %ld live objects made, %ld dropped; %ld mixtures; count %s\n", sets,
           gets, sweeps, gone, made, dropped, mixtures, count_right ? "right" : "WRONG");
    bool good = !mixtures && made == dropped && count_right && made > 0;
    if (mixture_planted) return mixtures ? 0 : 1; /* then finding nothing is the failure */
    return good ? 0 : 1;
}
