/* Sessions: the threads between the loops and a store.
 *
 *   loops, front door --jobs--> writer (groups, one commit for many)  --> store
 *                     --jobs--> reader (one after the other)          -->   "
 *                     --jobs--> aside  (backup)                       -->   "
 *
 * A job is the caller's until `done`. Each queue is bounded: one more is BUSY, at once. Who cannot take BUSY for an answer later
 * reserves a place first: a turn, before its model is paid. [any] unless marked. */
#ifndef SESSION_SESSIONS_H
#define SESSION_SESSIONS_H

#include "base/principal.h"
#include "session/store.h"
#include "json/json.h"

struct sessions;

struct store_job {
    struct store_job *next;
    bool can_wait; /* a writer's for which nobody waits: goes with the next group, a moment later at the latest */
    tda_str user;  /* whose rows: sessions_submit has judged that */
    /* [its thread] What it does with the store. A writer's may run again after its group was taken back: it keeps no sums. */
    tda_status (*run)(struct store_job *j, struct store *s);
    /* [its thread] Once, after the commit of what it wrote: status and error say what it came to. */
    void (*done)(struct store_job *j);
    tda_status status;
    struct error error;
};

enum sessions_lane { LANE_WRITE, LANE_READ, LANE_ASIDE, LANES };

struct sessions_stats {
    uint64_t queued, groups, written, failed, refused, reads;
};

/* Takes the store, also when it fails. */
tda_status sessions_new(struct store *store, uint64_t queue, struct sessions **ret);
void sessions_free(struct sessions *ss); /* does what is queued, then closes the store. NULL is fine */

/* The way to the store: DENIED when `who` may not act for the user, who becomes the job's; "" for what is nobody's own. BUSY. */
tda_status sessions_submit(struct sessions *ss, const struct principal *who, tda_str user, enum sessions_lane lane,
                           struct store_job *j, struct error *e);
tda_status sessions_reserve(struct sessions *ss, struct error *e); /* BUSY; a place among the writer's */
void sessions_unreserve(struct sessions *ss);
void sessions_write_reserved(struct sessions *ss, struct store_job *j);

/* A turn that no session keeps: its usage, in the reserved place. Nobody waits for it, so many share one commit: it is in the store
 * at the latest when a job is done that came to the writer after it, and when sessions_free returns. */
void sessions_add_usage(struct sessions *ss, const struct usage_row *row);

/* A job and a wait for it: for threads that may block (start, jobs). */
tda_status sessions_run(struct sessions *ss, enum sessions_lane lane,
                        tda_status (*run)(void *arg, struct store *s, struct error *e), void *arg, struct error *e);

/* One turn at a time in a session. `entry` is the caller's, until he leaves; user and id are borrowed. BUSY "session_busy". */
struct session_entry {
    struct session_entry *next;
    tda_str user, id;
};
tda_status sessions_enter(struct sessions *ss, struct session_entry *entry, tda_str user, tda_str id, struct error *e);
void sessions_leave(struct sessions *ss, struct session_entry *entry);

void sessions_stats(struct sessions *ss, struct sessions_stats *ret);
void sessions_write(struct sessions *ss, struct jw *w); /* them, as the member session_store */

/* ---- ids and titles ---- */

enum { SESSION_ID_SIZE = 35, TITLE_MAX = 200, TITLE_AUTO = 60 };

void session_id_new(char out[SESSION_ID_SIZE]); /* "s-" and 32 hex digits: cannot be guessed */
/* The beginning of a question as a title: one line, whole characters, "..." where it was cut. */
void session_title_from(tda_str question, char out[TITLE_MAX + 1]);

#endif
