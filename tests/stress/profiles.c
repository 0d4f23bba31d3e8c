/* Many threads derive from one user's context while others change it: each request runs under the profile it named, on one
 * configuration, and what was made for it goes once.
 *
 * usage: stress_profiles [ROUNDS]   per thread; default 200000, or TDA_STRESS */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "context/profile.h"
#include "tda/host.h"

enum { THREADS = 4, PROFILES = 6, RUN = 64, PAUSE_US = 500 };

static struct contexts *cs;
static int rounds = 200000;
static atomic_bool done;
static atomic_int failures, made, dropped, derived;

static void drop(void *owner, void *object) {
    (void)owner, (void)object;
    atomic_fetch_add(&dropped, 1);
}

static void fail(const char *what) {
    if (atomic_fetch_add(&failures, 1) < 5) fprintf(stderr, "profiles: %s\n", what);
}

/* Model and tag of a profile end in the same digit; the context's region says in which configuration all of it was made. */
static tda_status change(struct draft *d, void *arg, struct error *e) {
    char region[16], tag[8], model[8];
    snprintf(region, sizeof region, "r%d", *(int *)arg);
    tda_status s = draft_set(d, TDA_CTX_PROVIDER, TDA_STR("A"), e);
    if (!s) s = draft_set(d, TDA_CTX_MODEL, tda_str_of(region), e);
    if (!s) s = draft_set(d, TDA_CTX_AWS_REGION, tda_str_of(region), e);
    for (int i = 0; i < PROFILES && !s; i++) {
        struct snapshot *definition = NULL;
        struct profile *p = NULL;
        struct draft *own;
        snprintf(tag, sizeof tag, "P%d", i);
        snprintf(model, sizeof model, "m%d", i);
        s = draft_new(cs, TDA_STR("u"), NULL, &own);
        if (s) return s;
        s = draft_set(own, TDA_CTX_MODEL, tda_str_of(model), e);
        if (!s) s = draft_preview(own, &definition);
        if (!s) s = profile_new(tda_str_of(tag), definition, false, false, &p);
        if (!s) s = draft_put_profile(d, p, e);
        profile_unref(p);
        snapshot_unref(definition);
        draft_free(own);
    }
    return s;
}

/* Until the readers are through. */
static void *writer(void *arg) {
    (void)arg;
    for (int i = 1; !done; i++) {
        if (contexts_update(cs, &principal_host, TDA_STR("u"), change, &i, NULL, NULL)) fail("no update");
        usleep(PAUSE_US);
        if (i % 16 == 0 && contexts_delete(cs, &principal_host, TDA_STR("u"), NULL)) fail("no delete");
    }
    return NULL;
}

static void check(struct snapshot *base, struct snapshot *s, const char *tag, unsigned loop) {
    tda_str model = snapshot_get(s, TDA_CTX_MODEL);
    if (strcmp(snapshot_profile(s), tag) != 0 || model.n != 2 || model.p[1] != tag[1]) fail("another profile");
    if (!tda_str_eq(snapshot_get(s, TDA_CTX_AWS_REGION), snapshot_get(base, TDA_CTX_AWS_REGION))) fail("another configuration");
    if (snapshot_epoch(s) != snapshot_epoch(base)) fail("another epoch");
    if (snapshot_profile(base)[0]) fail("the context became a profile");
    struct live *box = snapshot_live(s, CTX_GROUP_TOOLS); /* this thread is the loop of that number */
    if (!live_get(box, loop, &cs, 0) && !live_put(box, loop, &cs, 0, s, drop)) atomic_fetch_add(&made, 1);
}

static void *reader(void *arg) {
    unsigned loop = (unsigned)(uintptr_t)arg;
    char tag[8];
    for (int i = 0; i < rounds; i++) {
        struct snapshot *base, *s;
        snprintf(tag, sizeof tag, "P%u", ((unsigned)i / RUN + loop) % PROFILES);
        if (contexts_acquire(cs, &principal_host, TDA_STR("u"), &base, NULL)) continue; /* deleted just now */
        struct profile *p = profile_find(cs, base, tda_str_of(tag));
        if (!p || snapshot_derive(cs, base, p, &s, NULL)) {
            fail("not derived");
        } else {
            check(base, s, tag, loop);
            atomic_fetch_add(&derived, 1);
            snapshot_unref(s);
        }
        snapshot_unref(base);
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct contexts_options o = {.max_users = 10, .max_profiles = PROFILES, .n_loops = THREADS};
    pthread_t threads[THREADS + 1];
    int first = 0;
    const char *given = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (given) rounds = atoi(given);
    if (hash_init() || contexts_new(&o, &cs) || contexts_update(cs, &principal_host, TDA_STR("u"), change, &first, NULL, NULL))
        return 1;
    for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, reader, (void *)i);
    pthread_create(&threads[THREADS], NULL, writer, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    done = true;
    pthread_join(threads[THREADS], NULL);
    contexts_free(cs);
    if (made != dropped) fail("live objects are not dropped as often as they are made");
    printf("profiles: %d times derived, %d live objects made, %d dropped, %d failures\n", derived, made, dropped, failures);
    return failures || derived < rounds || made == derived;
}
