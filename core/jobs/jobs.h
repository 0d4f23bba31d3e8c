/* The maintenance scheduler: a thread that runs each job when it is due, one after the other.
 *
 * A job first runs one interval after the start. A failing job is logged and runs again next time; it never stops the others. A job
 * never overlaps itself. Times are monotonic. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/base.h"
#include "json/json.h"

struct jobs;

struct job_spec {
    const char *name;
    const char *help;
    int64_t interval_ns;
    bool enabled;     /* false: listed, runs only when asked to */
    bool logs_itself; /* why it failed, better than the note */
    /* [job thread] `note` gets one short line for people ("3 contexts removed"). */
    tda_status (*run)(void *arg, char *note, size_t note_size);
    void *arg;
};

tda_status jobs_new(struct jobs **ret);
tda_status jobs_add(struct jobs *js, const struct job_spec *spec); /* before jobs_start; strings are borrowed */
tda_status jobs_start(struct jobs *js);
void jobs_stop(struct jobs *js); /* waits for the running one */
void jobs_free(struct jobs *js);

/* [any] Run it soon, whatever its interval says. `done` comes on the job thread with what it came to, or with E_CANCELLED from
 * jobs_stop. E_NOT_FOUND (lists the known names); E_BUSY when too many wait already. */
typedef void (*job_done_fn)(void *arg, tda_status status, const char *note);
tda_status jobs_run_now(struct jobs *js, tda_str name, job_done_fn done, void *arg, struct error *e);

void jobs_write(struct jobs *js, struct jw *w); /* [any] an array */

/* What is due at now_ns runs now, on this thread; returns when the next one is due (INT64_MAX: none). The thread's step, and a
 * test's. */
int64_t jobs_tick(struct jobs *js, int64_t now_ns);

#endif
