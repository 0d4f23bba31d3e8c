#include "loop/fair.h"

#include <stddef.h>

void fair_init(struct fair *t) {
    TAILQ_INIT(&t->busy);
    for (int i = 0; i < FAIR_LANES; i++) TAILQ_INIT(&t->lanes[i].waiting);
}

void fair_begin_round(struct fair *t) {
    t->round++;
}

static struct lane *lane_of(struct fair *t, uint32_t lane) {
    return &t->lanes[lane % FAIR_LANES];
}

void fair_add(struct fair *t, struct fair_item *item) {
    struct lane *l = lane_of(t, item->lane);
    if (TAILQ_EMPTY(&l->waiting)) TAILQ_INSERT_TAIL(&t->busy, l, entry);
    TAILQ_INSERT_TAIL(&l->waiting, item, entry);
    item->waits = true;
}

void fair_remove(struct fair *t, struct fair_item *item) {
    struct lane *l = lane_of(t, item->lane);
    if (!item->waits) return;
    item->waits = false;
    TAILQ_REMOVE(&l->waiting, item, entry);
    if (TAILQ_EMPTY(&l->waiting)) TAILQ_REMOVE(&t->busy, l, entry);
}

static bool has_time(const struct fair *t, const struct lane *l) {
    return l->round != t->round || l->spent_ns < FAIR_SLICE_NS;
}

/* A lane that is looked at goes to the end of the line, so the lanes alternate also within a round. */
struct fair_item *fair_next(struct fair *t, bool all) {
    struct lane *l, *last = TAILQ_LAST(&t->busy, lane_list);
    while ((l = TAILQ_FIRST(&t->busy))) {
        TAILQ_REMOVE(&t->busy, l, entry);
        TAILQ_INSERT_TAIL(&t->busy, l, entry);
        if (all || has_time(t, l)) {
            struct fair_item *item = TAILQ_FIRST(&l->waiting);
            fair_remove(t, item);
            return item;
        }
        if (l == last) break;
    }
    return NULL;
}

void fair_spent(struct fair *t, uint32_t lane, int64_t ns) {
    struct lane *l = lane_of(t, lane);
    if (l->round != t->round) l->spent_ns = 0;
    l->round = t->round;
    l->spent_ns += ns;
}

bool fair_waiting(const struct fair *t) {
    return !TAILQ_EMPTY(&t->busy);
}
