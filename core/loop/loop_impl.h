/* Inside of core/loop: what a loop holds. loop.c owns it; timer.c, flow.c and the engines see the parts they keep here. */
#ifndef LOOP_LOOP_IMPL_H
#define LOOP_LOOP_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "loop/flow_impl.h"

enum { READY_MAX = 128 }; /* descriptors looked at in one round */

/* timer.c: a binary heap, earliest first; slots[0] is unused so that `heap_at` 0 can mean "not set". */
struct timer_heap {
    struct timer **slots;
    size_t n, cap;
};

/* In order of arrival. */
struct task_list {
    struct task *first, *last;
};

struct loop {
    unsigned index;
    const struct config *config;
    struct launcher *launcher;
    struct http_engine *http;
    int epoll_fd, wake_fd;

    pthread_t thread; /* of whoever starts and joins the loop */
    bool started;

    _Alignas(64) _Atomic(struct task *) inbox; /* [any] newest first */
    atomic_bool stop_asked;                    /* [any] */

    /* Figures: the loop writes, anybody reads. */
    _Alignas(64) _Atomic uint64_t flows_open, flows_total, posts, longest_ns;
    _Atomic int64_t busy_since_ns; /* 0: waiting */

    /* The loop's thread only. */
    struct watch wake;
    struct task_list deferred;
    struct fair posted, readable; /* tasks and watches that wait for their turn */
    struct watch *running;        /* whose callback runs; NULL: it was removed meanwhile */
    struct timer_heap timers;
    struct flow *flows;          /* open ones */
    struct child *children;      /* not reaped yet, with or without a flow */
    _Atomic(const char *) label; /* of the callback that runs; a text that stays */
    int64_t began_ns;            /* when it began */
    struct epoll_event ready[READY_MAX];
    int n_ready, at_ready;
};

int64_t timers_next_ns(const struct loop *l);               /* INT64_MAX: none */
struct timer *timers_take_due(struct loop *l, int64_t now); /* takes it out; NULL: none is due */
void timers_fini(struct loop *l);

/* Every open flow hears CANCELLED. */
void flows_cancel(struct loop *l);

#endif
