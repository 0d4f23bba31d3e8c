/* Threads post to loops while timers fire and tasks defer: order per poster, nothing lost, nothing after the end. For TSan.
 *
 * usage: stress_loops [POSTS]   per thread; default 100000, or TDA_STRESS */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "loop/loop.h"

enum { POSTERS = 4, LOOPS = 2 };

static struct config config;
static struct loop *loops[LOOPS];
static long posts = 100000;
static _Atomic long out_of_order, wrong_thread, ran, deferred_ran, fired;

struct message {
    struct task task, later;
    int poster, loop;
    long number;
};

static long last_seen[LOOPS][POSTERS]; /* touched on the loop alone: a race here is a finding */

static void run_later(struct task *t) {
    struct message *m = CONTAINER_OF(t, struct message, later);
    if (loop_self() != loops[m->loop]) atomic_fetch_add(&wrong_thread, 1);
    atomic_fetch_add(&deferred_ran, 1);
    free(m);
}

static void run(struct task *t) {
    struct message *m = CONTAINER_OF(t, struct message, task);
    if (loop_self() != loops[m->loop]) atomic_fetch_add(&wrong_thread, 1);
    if (m->number <= last_seen[m->loop][m->poster]) atomic_fetch_add(&out_of_order, 1);
    last_seen[m->loop][m->poster] = m->number;
    atomic_fetch_add(&ran, 1);
    m->later.run = run_later;
    loop_defer(loop_self(), &m->later);
}

static void *post(void *arg) {
    int poster = (int)(intptr_t)arg;
    for (long i = 1; i <= posts; i++) {
        struct message *m = calloc(1, sizeof *m);
        if (!m) abort();
        *m = (struct message){.task = {.run = run}, .poster = poster, .loop = (int)(i % LOOPS), .number = i};
        loop_post(loops[m->loop], &m->task);
    }
    return NULL;
}

struct ticking {
    struct task task;
    struct timer timer;
};

static void tick(struct timer *t) {
    atomic_fetch_add(&fired, 1);
    timer_set(loop_self(), t, clock_now_ns() + NS_PER_MS / 10);
}

static void begin_ticking(struct task *t) {
    struct ticking *k = CONTAINER_OF(t, struct ticking, task);
    k->timer.fire = tick;
    timer_set(loop_self(), &k->timer, clock_now_ns());
}

int main(int argc, char **argv) {
    static struct ticking ticking[LOOPS];
    pthread_t threads[POSTERS];
    const char *given = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (given) posts = strtol(given, NULL, 10);
    if (hash_init()) return 2;
    for (unsigned i = 0; i < LOOPS; i++) {
        if (loop_new(&(struct loop_options){.index = i, .config = &config}, &loops[i]) || loop_start(loops[i])) return 2;
        ticking[i].task.run = begin_ticking;
        loop_post(loops[i], &ticking[i].task);
    }
    for (intptr_t i = 0; i < POSTERS; i++)
        if (pthread_create(&threads[i], NULL, post, (void *)i)) return 2;
    for (size_t i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < LOOPS; i++) loop_stop(loops[i]);
    for (size_t i = 0; i < LOOPS; i++) loop_free(loops[i]);
    printf("%ld posted, %ld ran, %ld deferred, %ld timers fired, %ld out of order, %ld on a wrong thread\n", posts * POSTERS, ran,
           deferred_ran, fired, out_of_order, wrong_thread);
    return ran == posts * POSTERS && deferred_ran == ran && fired > 0 && !out_of_order && !wrong_thread ? 0 : 1;
}
