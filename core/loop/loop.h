/* The loop threads: everything that waits, waits here.
 *
 * A loop is one thread with epoll, a curl multi, a timer heap and an inbox that other threads post to. What belongs to a user is
 * touched on his loop only, so nothing above needs a lock for it. Nothing here may block.
 * Functions are [loop] (the loop's own thread) unless marked [any]. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/base.h"
#include "config/config.h"
#include "loop/fair.h"

struct loop;
struct launcher;

struct loop_options {
    unsigned index;
    const struct config *config; /* timeouts, caps; outlives the loop */
    struct launcher *launcher;   /* NULL: no child processes */
};

/* Make it, start its thread, ask it to end (it runs what is posted, aborts its flows, frees), wait for that. [any] */
tda_status loop_new(const struct loop_options *o, struct loop **ret_loop);
tda_status loop_start(struct loop *l);
void loop_stop(struct loop *l); /* [any] asks; flows end with CANCELLED */
void loop_join(struct loop *l);
void loop_free(struct loop *l); /* joins; runs here what was posted after the thread ended; NULL is fine */

struct loop *loop_self(void); /* [any] the loop whose thread this is, or NULL */
unsigned loop_index(const struct loop *l);
const struct config *loop_config(const struct loop *l);
bool loop_stopping(const struct loop *l); /* [any] loop_stop was called: no new flow is opened */

/* Whose code the current callback is about to run ("provider openai"), for the line that is logged when it takes over 10 ms.
 * Borrowed until the callback returns to the loop. */
/* [any] How long the callback that runs now has been running, and whose it is ("plugin x", "core"); 0: the loop waits. */
int64_t loop_busy(const struct loop *l, const char **ret_label);
/* [any] Sends the loop's thread LOOP_DUMP_SIGNAL, whose handler is the caller's. The loop runs. */
#define LOOP_DUMP_SIGNAL SIGUSR2
void loop_dump(struct loop *l);
void loop_label(struct loop *l, const char *label);

/* ---- inbox ---- */

/* Whose turn it is, for what is posted and for descriptors (fair.h). [any] Never 0, which is the host's own. */
uint32_t loop_lane(tda_str user);

/* Intrusive: lives in the poster's object until it has run. */
struct task {
    struct task *next;
    void (*run)(struct task *t); /* [loop] may free the object that holds t */
    struct fair_item line;       /* the poster sets its lane */
};
void loop_post(struct loop *l, struct task *t); /* [any] never fails, keeps order per poster and lane */
/* [any] but the loop's own thread: runs fn there and waits until it has returned. */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);
/* After the current callback has returned to the loop; what a deferred task defers, after the next one. For "finish is deferred".
 */
void loop_defer(struct loop *l, struct task *t);

/* ---- timers ---- */

struct timer {
    int64_t at_ns;
    size_t heap_at; /* 0: not set, also while it fires */
    void (*fire)(struct timer *t);
};
/* t->fire is the caller's. Moves a set one, which cannot fail. Never fires from inside, not even when at_ns has passed. */
tda_status timer_set(struct loop *l, struct timer *t, int64_t at_ns);
void timer_stop(struct loop *l, struct timer *t); /* fine when not set */

/* ---- descriptors ---- */

/* One that has a lane is told of once, and then waits for its turn among us: epoll would go through all that are ready again in
 * each round. It is armed again after its callback. */
struct watch {
    int fd;
    void (*ready)(struct watch *w, uint32_t epoll_events);
    struct fair_item line; /* its owner sets the lane */
    uint32_t wanted, seen; /* from here the loop's own */
    bool armed;
};
tda_status watch_add(struct loop *l, struct watch *w, uint32_t epoll_events);
tda_status watch_change(struct loop *l, struct watch *w, uint32_t epoll_events);
void watch_set_lane(struct loop *l, struct watch *w, uint32_t lane); /* before watch_change */
void watch_remove(struct loop *l, struct watch *w);                  /* no event of it comes later, not even from this round */

/* ---- figures [any] ---- */

struct loop_stats {
    uint64_t flows_open, flows_total, posts, longest_callback_ns;
    int64_t busy_ns; /* how long the callback that runs now has been running: for a watchdog; 0: the loop waits */
};
void loop_stats(const struct loop *l, struct loop_stats *ret);

#endif
