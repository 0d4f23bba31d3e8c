/* Threads for what blocks: a bounded number of them, started when they are needed, behind a bounded queue. A job that never
 * returns keeps its thread busy and nothing else; one owner's jobs never take all threads, nor more than half of the queue, while
 * others want some. [any] */
#ifndef LOOP_WORKERS_H
#define LOOP_WORKERS_H

#include "base/base.h"

struct workers;

/* Intrusive: lives in the object of whoever adds it until it has run. */
struct worker_job {
    struct worker_job *next;
    const char *label;                 /* for the log, when it does not return; outlives the job */
    uint64_t owner;                    /* whose share of the threads it takes: a hash of his name; 0: nobody's */
    void (*run)(struct worker_job *j); /* [worker] may free the object that holds j */
};

tda_status workers_new(unsigned max_threads, unsigned per_owner, unsigned max_queue, struct workers **ret);
/* E_BUSY when all threads work and the queue, or the owner's half of it, is full: *ret_retry_ms says when one is likely to be free.
 * E_CANCELLED after workers_stop. Nothing has happened then. */
tda_status workers_add(struct workers *w, struct worker_job *j, int64_t *ret_retry_ms);
/* True: it was waiting, and will not run. False: it runs, or has run. */
bool workers_remove(struct workers *w, struct worker_job *j);

/* Takes no more jobs, and waits for those that wait and run, for at most grace_ns. True: the threads have ended. False: some job
 * does not return; its thread goes on, so nothing that it may touch can be freed, `w` least of all. */
bool workers_stop(struct workers *w, int64_t grace_ns);
void workers_free(struct workers *w); /* NULL is fine; after workers_stop was true */

struct workers_stats {
    uint64_t threads, running, waiting, finished, refused;
    int64_t oldest_ns; /* how long the job that has run longest has been running; 0: none runs */
};
void workers_stats(struct workers *w, struct workers_stats *ret);

#endif
