/* Threads of plugins wake connections while their loops come and go: late is stale, never a loop that is gone. For TSan and ASan.
 *
 * usage: stress_wakes [ROUNDS]   default 200, or TDA_STRESS / 500 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "plugin/plugin_impl.h"

enum { THREADS = 3, PAUSE_US = 300 };

static struct config config;
static struct plugins plugins;
static atomic_bool over;
static _Atomic long taken, stale, other;

static void *wake(void *arg) {
    (void)arg;
    const tda_handle h = (uint64_t)1 << 32 | 1; /* of loop 0; nobody has it, so that it is stale there too */
    while (!over) {
        tda_status s = owner_wake(h, 7);
        atomic_fetch_add(s == TDA_OK ? &taken : s == TDA_E_STALE ? &stale : &other, 1);
        usleep(1); /* the machine may have one core */
    }
    return NULL;
}

static void come(void *arg) {
    struct plugin_loop *pl = calloc(1, sizeof *pl);
    if (!pl) abort();
    *pl = (struct plugin_loop){.plugins = &plugins, .loop = arg, .index = loop_index(arg)};
    plugin_loop_bind(pl);
}

static void go(void *arg) {
    (void)arg;
    struct plugin_loop *pl = plugin_loop_here();
    plugin_loop_unbind(pl);
    free(pl);
}

static void round_of(void) {
    struct loop *l;
    if (loop_new(&(struct loop_options){.config = &config}, &l) || loop_start(l)) abort();
    loop_call(l, come, l);
    usleep(PAUSE_US);
    loop_call(l, go, NULL);
    loop_stop(l);
    loop_free(l);
}

int main(int argc, char **argv) {
    const char *more = getenv("TDA_STRESS");
    long rounds = argc > 1 ? atol(argv[1]) : more ? atol(more) / 500 + 1 : 200;
    pthread_t threads[THREADS];
    if (hash_init()) return 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, wake, NULL)) return 1;
    for (long i = 0; i < rounds; i++) round_of();
    over = true;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("%ld rounds: %ld wakes taken, %ld stale, %ld otherwise\n", rounds, taken, stale, other);
    return !taken || !stale || other;
}
