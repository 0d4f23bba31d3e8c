/* Timers of a loop: a binary heap of pointers into the owners' objects, so that a timer costs no allocation of its own. Each timer
 * knows its slot (heap_at), which makes moving and stopping O(log n). The loop's thread only. */
#include "loop/loop_impl.h"

enum { TIMERS_MAX = 1 << 22 };

static void put(struct timer_heap *h, size_t at, struct timer *t) {
    h->slots[at] = t;
    t->heap_at = at;
}

static void sift_up(struct timer_heap *h, size_t at, struct timer *t) {
    for (; at > 1 && h->slots[at / 2]->at_ns > t->at_ns; at /= 2) put(h, at, h->slots[at / 2]);
    put(h, at, t);
}

static void sift_down(struct timer_heap *h, size_t at, struct timer *t) {
    for (size_t child; (child = at * 2) <= h->n; at = child) {
        if (child < h->n && h->slots[child + 1]->at_ns < h->slots[child]->at_ns) child++;
        if (h->slots[child]->at_ns >= t->at_ns) break;
        put(h, at, h->slots[child]);
    }
    put(h, at, t);
}

/* Into the slot at `at`, which is free, wherever its time belongs from there. */
static void place(struct timer_heap *h, size_t at, struct timer *t) {
    if (at > 1 && h->slots[at / 2]->at_ns > t->at_ns)
        sift_up(h, at, t);
    else
        sift_down(h, at, t);
}

static tda_status grow(struct timer_heap *h) {
    if (h->n + 1 < h->cap) return TDA_OK;
    if (h->n >= TIMERS_MAX) return TDA_E_LIMIT;
    size_t cap = h->cap ? h->cap * 2 : 64;
    struct timer **slots = realloc(h->slots, cap * sizeof *slots);
    if (!slots) return TDA_E_NOMEM;
    h->slots = slots;
    h->cap = cap;
    return TDA_OK;
}

tda_status timer_set(struct loop *l, struct timer *t, int64_t at_ns) {
    struct timer_heap *h = &l->timers;
    if (t->heap_at) {
        t->at_ns = at_ns;
        place(h, t->heap_at, t);
        return TDA_OK;
    }
    tda_status s = grow(h);
    if (s) return s;
    t->at_ns = at_ns;
    sift_up(h, ++h->n, t);
    return TDA_OK;
}

void timer_stop(struct loop *l, struct timer *t) {
    struct timer_heap *h = &l->timers;
    size_t at = t->heap_at;
    if (!at) return;
    t->heap_at = 0;
    struct timer *last = h->slots[h->n--];
    if (last != t) place(h, at, last);
}

int64_t timers_next_ns(const struct loop *l) {
    return l->timers.n ? l->timers.slots[1]->at_ns : INT64_MAX;
}

struct timer *timers_take_due(struct loop *l, int64_t now) {
    if (timers_next_ns(l) > now) return NULL;
    struct timer *t = l->timers.slots[1];
    timer_stop(l, t);
    return t;
}

void timers_fini(struct loop *l) {
    free(l->timers.slots);
    l->timers = (struct timer_heap){0};
}
