/* Turns: what has arrived for one user in a round does not keep the others waiting.
 *
 * Work has a lane, which is its user's (loop_lane). In each round a lane has TURN_NS of the loop's time for what is posted and as
 * much for what its descriptors bring; what is left over waits for the next round, in which all others had theirs. So whoever has
 * one thing to do waits for a slice of each other user, not for all that they have asked for. Lane 0 is the host's own: it never
 * waits. Two users who share a lane by their hash share its time. The loop's thread only. */
#ifndef LOOP_TURNS_H
#define LOOP_TURNS_H

#include <sys/queue.h>

#include "loop/loop.h"

enum { LANES = 256, TURN_NS = 50000 };

/* In order of arrival. */
struct task_list {
    struct task *first, *last;
};

struct lane {
    struct task_list waiting;   /* posted */
    TAILQ_ENTRY(lane) entry;    /* of `busy`, while something is waiting */
    uint64_t round;             /* in which the times were spent */
    int64_t tasks_ns, ready_ns; /* spent in that round, on what was posted and on descriptors */
};

struct turns {
    struct lane lanes[LANES];
    TAILQ_HEAD(lane_list, lane) busy;
    uint64_t round;
};

void task_list_add(struct task_list *list, struct task *t);
struct task *task_list_take(struct task_list *list); /* NULL: empty */

void turns_init(struct turns *t);
void turns_begin(struct turns *t); /* a new round: every lane has its time again */

/* Posted tasks. turns_next takes one whose lane has time left, or any with `all`; NULL: there is none. */
void turns_add(struct turns *t, struct task *task);
struct task *turns_next(struct turns *t, bool all);
bool turns_waiting(const struct turns *t);
void turns_spent(struct turns *t, uint32_t lane, int64_t ns);

/* A descriptor that may not have its turn now is told of again in the next round: epoll is level-triggered here. */
bool turns_ready(struct turns *t, uint32_t lane);
void turns_ready_spent(struct turns *t, uint32_t lane, int64_t ns);

#endif
