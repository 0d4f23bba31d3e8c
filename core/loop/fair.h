/* Fair queueing: what has arrived for one user in a round does not keep the others waiting.
 *
 * Work has a lane, which is its user's (loop_lane). In each round a lane has FAIR_SLICE_NS of the loop's time; what is left over
 * waits for the next round, in which all others had theirs. So whoever has one thing to do waits for a slice of each other user,
 * not for all that they have asked for. Two users who share a lane by their hash share its time. The loop's thread only. */
#ifndef LOOP_FAIR_H
#define LOOP_FAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { FAIR_LANES = 256, FAIR_SLICE_NS = 50000 };

/* Part of what waits for its turn. */
struct fair_item {
    TAILQ_ENTRY(fair_item) entry;
    uint32_t lane; /* 0: the host's own, that does not wait */
    bool waits;
};

struct lane {
    TAILQ_HEAD(fair_list, fair_item) waiting; /* in order of arrival */
    TAILQ_ENTRY(lane) entry;                  /* of `busy`, while something is waiting */
    uint64_t round;                           /* in which the time was spent */
    int64_t spent_ns;                         /* in that round */
};

struct fair {
    struct lane lanes[FAIR_LANES];
    TAILQ_HEAD(lane_list, lane) busy;
    uint64_t round;
};

void fair_init(struct fair *t);
void fair_begin_round(struct fair *t); /* a new round: every lane has its time again */
void fair_add(struct fair *t, struct fair_item *item);
void fair_remove(struct fair *t, struct fair_item *item); /* fine when it does not wait */
/* Takes the first of the next lane that has time left, or with `all` of the next lane. NULL: there is none. */
struct fair_item *fair_next(struct fair *t, bool all);
void fair_spent(struct fair *t, uint32_t lane, int64_t ns);
bool fair_waiting(const struct fair *t);

#endif
