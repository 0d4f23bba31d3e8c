/* Tokens are checked by many threads while others make, use and revoke them and one writes the file: a good one is good all the
 * time, a revoked one never again. For TSan.
 *
 * usage: stress_identity [ROUNDS]   default 100, or TDA_STRESS / 300 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "identity/identity.h"

enum { CHECKERS = 3 };

static struct identity *identity;
static char kept[TOKEN_TEXT_SIZE];
static atomic_bool over;
static _Atomic long checks, wrong;

static tda_status ask(const char *text) {
    struct principal p;
    atomic_fetch_add(&checks, 1);
    return identity_check(identity, false, 0, tda_str_of(text), &p, NULL);
}

static void *checker(void *arg UNUSED) {
    while (!atomic_load(&over)) atomic_fetch_add(&wrong, ask(kept) != TDA_OK);
    return NULL;
}

static void *saver(void *arg UNUSED) {
    char note[200];
    while (!atomic_load(&over))
        if (identity_save(identity, note, sizeof note)) atomic_fetch_add(&wrong, 1);
    return NULL;
}

static void make(char text[TOKEN_TEXT_SIZE], struct token *t) {
    *t = (struct token){.is_service = true};
    if (identity_create(identity, t, text, NULL)) abort();
}

static void round_of_one(void) {
    struct token t;
    char text[TOKEN_TEXT_SIZE];
    make(text, &t);
    while (ask(text)) usleep(100); /* until it is saved */
    if (identity_revoke(identity, tda_str_of(t.id), NULL)) abort();
    for (int i = 0; i < 10; i++) atomic_fetch_add(&wrong, ask(text) == TDA_OK);
}

int main(int argc, char **argv) {
    const char *env = getenv("TDA_STRESS");
    long rounds = argc > 1 ? atol(argv[1]) / 1000 : env ? atol(env) / 300 : 100;
    char folder[] = "/tmp/tda-stress-XXXXXX", path[64], note[200];
    pthread_t threads[CHECKERS + 1];
    struct token t;
    if (hash_init() || !mkdtemp(folder)) return 2;
    snprintf(path, sizeof path, "%s/tokens.db", folder);
    if (identity_new(&(struct identity_options){.path = path, .max_tokens = 1000}, &identity, NULL)) return 2;
    make(kept, &t);
    if (identity_save(identity, note, sizeof note)) return 2;
    for (int i = 0; i <= CHECKERS; i++) pthread_create(&threads[i], NULL, i < CHECKERS ? checker : saver, NULL);
    for (long i = 0; i < rounds; i++) round_of_one();
    atomic_store(&over, true);
    for (int i = 0; i <= CHECKERS; i++) pthread_join(threads[i], NULL);
    if (identity_save(identity, note, sizeof note) || identity_count(identity) != 1) atomic_fetch_add(&wrong, 1);
    identity_free(identity);
    unlink(path);
    rmdir(folder);
    printf("%ld tokens made and revoked, %ld checks, %ld wrong\n", rounds, (long)checks, (long)wrong);
    return wrong ? 1 : 0;
}
