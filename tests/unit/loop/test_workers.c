/* The threads for what blocks, where the order of events counts; under load they are the stress program blocking's. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/workers.h"

TestSuite(workers, .timeout = 30);

enum { SOMEBODY = 1, ANOTHER = 2 };

static sem_t begun, go_on;

static void hold(struct worker_job *j UNUSED) {
    sem_post(&begun);
    sem_wait(&go_on);
}

static void pass(struct worker_job *j UNUSED) {
    sem_post(&begun);
}

static void add(struct workers *w, struct worker_job *j) {
    int64_t retry_ms = -1;
    cr_assert(workers_add(w, j, &retry_ms) == TDA_OK);
}

static void *stop(void *w) {
    return workers_stop(w, 20LL * NS_PER_S) ? w : NULL;
}

static bool is_stopping(struct workers *w) {
    struct worker_job refused = {.label = "refused", .run = pass, .owner = ANOTHER};
    int64_t retry_ms = -1;
    if (workers_add(w, &refused, &retry_ms) == TDA_E_CANCELLED) return true;
    sem_wait(&begun);
    return false;
}

/* One thread waits, for the job that is queued may not run while its owner's other one does. */
Test(workers, a_job_that_is_taken_back_holds_up_no_stop) {
    struct workers *w;
    pthread_t stopper;
    struct worker_job first = {.label = "first", .run = hold, .owner = SOMEBODY};
    struct worker_job queued = first;
    void *ended = NULL;
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    cr_assert(workers_new(2, 1, 10, &w) == TDA_OK);
    add(w, &first);
    sem_wait(&begun);
    add(w, &queued);
    cr_assert(pthread_create(&stopper, NULL, stop, w) == 0);
    while (!is_stopping(w)) usleep(1000);
    usleep(50000); /* the idle thread has looked, and waits again */
    cr_assert(workers_remove(w, &queued));
    sem_post(&go_on);
    pthread_join(stopper, &ended);
    cr_assert(ended == w, "the threads have not ended");
    workers_free(w);
}
