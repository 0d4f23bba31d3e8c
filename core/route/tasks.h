/* Tasks: what runs for a user, and what has ended and can still be fetched.
 *
 * Every operation on a loop is one. A caller who waits for it (agent.run) gets its end as his reply, and then it is gone; one that
 * was submitted (task.submit) stays until its result is too old, or too many of its user or of all came after it. Ids are
 * t-BOOT-NUMBER: one of another life of the daemon is known as such.
 *
 * Threads: the table and the lists stand under one lock, which is held for a look-up or a move. Events, polls and the result are
 * touched on the task's loop alone (task_poll.c). Whose a task is, and who may act for him, is judged in
 * tasks_find and tasks_write. */
#ifndef ROUTE_TASKS_H
#define ROUTE_TASKS_H

#include "base/hash_table.h"
#include "base/principal.h"
#include "base/ref.h"
#include "loop/loop.h"
#include "route/event_queue.h"

struct tasks;
struct task_owner;
struct request;
struct poll;

enum task_state { TASK_PENDING, TASK_RUNNING, TASK_COMPLETE, TASK_ERROR, TASK_CANCELLED };
enum { TASK_ID_SIZE = 40 };

struct task_entry {
    struct ref ref; /* the table's, its request's, each poll's */
    struct tasks *tasks;
    uint64_t number;
    char id[TASK_ID_SIZE];
    const char *method;
    struct loop *loop;
    bool submitted;
    int64_t began_ns;
    _Atomic int state; /* enum task_state */

    /* under the table's lock */
    UT_hash_handle hh;
    bool listed; /* on the table */
    struct task_owner *owner;
    struct task_entry *own_prev, *own_next;
    struct task_entry *older, *newer; /* ended ones */
    _Atomic int64_t ended_ns;         /* 0: not yet */
    size_t counted;                   /* of the table's bytes */

    /* the loop's */
    struct request *request; /* while it runs */
    struct event_queue events;
    char *body; /* "result":... or "error":..., once it has ended */
    size_t body_n;
    struct poll *polls;
    struct task wake, forget;
    bool waking;
};

tda_status tasks_new(const struct config *c, struct tasks **ret);
const char *tasks_boot(const struct tasks *ts); /* another one each time the daemon starts; part of each id */
void tasks_free(struct tasks *ts);

/* [any] On the table, pending. The reference is the caller's, and is its request's from then on. */
tda_status tasks_add(struct tasks *ts, tda_str user, const char *method, struct loop *l, struct request *q, bool submitted,
                     struct task_entry **ret);
/* [any] Takes a reference. `task_lost`: of another life of the daemon. `denied`: another user's. */
tda_status tasks_find(struct tasks *ts, const struct principal *who, tda_str user, tda_str id, struct task_entry **ret,
                      struct error *e);
void task_unref(struct task_entry *t); /* [any] NULL is fine */
const char *task_state_name(int state);

/* [any] At most `limit` of a user's, the newest first. */
tda_status tasks_write(struct tasks *ts, const struct principal *who, tda_str user, uint64_t limit, struct jw *w, struct error *e);
uint64_t tasks_clean(struct tasks *ts); /* drops what is too old; how many */
/* [any] A user's are gone: ended ones at once, and with `running` those that run are cancelled and keep nothing. How many. */
uint64_t tasks_forget(struct tasks *ts, tda_str user, bool running);

struct task_stats {
    uint64_t running, ended, bytes;
};
void tasks_stats(struct tasks *ts, struct task_stats *ret);

/* ---- [loop] the task's ---- */

void task_event(struct task_entry *t, tda_str json);
/* With the body of its reply. Polls are answered later. */
void task_end(struct task_entry *t, const struct error *e, tda_str body);
void tasks_ended(struct tasks *ts, struct task_entry *t, enum task_state state); /* task_end's: the table's part */
void tasks_recount(struct tasks *ts, struct task_entry *t);                      /* events of an ended one were fetched */
void task_forget(struct task *forget);                                           /* runs t->forget */

#endif
