#include "loop/turns.h"

void task_list_add(struct task_list *list, struct task *t) {
    t->next = NULL;
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
}

struct task *task_list_take(struct task_list *list) {
    struct task *t = list->first;
    if (!t) return NULL;
    list->first = t->next;
    if (!list->first) list->last = NULL;
    return t;
}

void turns_init(struct turns *t) {
    TAILQ_INIT(&t->busy);
    t->round = 1;
}

void turns_begin(struct turns *t) {
    t->round++;
}

/* With its times of this round. */
static struct lane *lane_of(struct turns *t, uint32_t lane) {
    struct lane *l = &t->lanes[lane % LANES];
    if (l->round != t->round) {
        l->round = t->round;
        l->tasks_ns = l->ready_ns = 0;
    }
    return l;
}

void turns_add(struct turns *t, struct task *task) {
    struct lane *l = lane_of(t, task->lane);
    if (!l->waiting.first) TAILQ_INSERT_TAIL(&t->busy, l, entry);
    task_list_add(&l->waiting, task);
}

/* The lane whose turn it is goes to the end of the line, so the lanes alternate also within a round. */
struct task *turns_next(struct turns *t, bool all) {
    struct lane *l, *last = TAILQ_LAST(&t->busy, lane_list);
    while ((l = TAILQ_FIRST(&t->busy))) {
        TAILQ_REMOVE(&t->busy, l, entry);
        bool has_time = all || l->round != t->round || l->tasks_ns < TURN_NS;
        struct task *task = has_time ? task_list_take(&l->waiting) : NULL;
        if (l->waiting.first) TAILQ_INSERT_TAIL(&t->busy, l, entry);
        if (task || l == last) return task;
    }
    return NULL;
}

bool turns_waiting(const struct turns *t) {
    return !TAILQ_EMPTY(&t->busy);
}

void turns_spent(struct turns *t, uint32_t lane, int64_t ns) {
    lane_of(t, lane)->tasks_ns += ns;
}

bool turns_ready(struct turns *t, uint32_t lane) {
    return !lane || lane_of(t, lane)->ready_ns < TURN_NS;
}

void turns_ready_spent(struct turns *t, uint32_t lane, int64_t ns) {
    if (lane) lane_of(t, lane)->ready_ns += ns;
}
