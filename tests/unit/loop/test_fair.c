/* Users take turns on a loop: whoever has one thing to do does not wait for all that another has asked for. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "loop/loop.h"

TestSuite(fair, .timeout = 30);

static void add(struct fair *t, struct fair_item *items, size_t n, uint32_t lane) {
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct fair_item){.lane = lane};
        fair_add(t, &items[i]);
    }
}

Test(fair, lanes_alternate_and_each_keeps_its_order) {
    static struct fair t;
    struct fair_item a[3], b[2], c[1];
    fair_init(&t);
    add(&t, a, 3, 1);
    add(&t, b, 2, 2);
    add(&t, c, 1, 3);
    struct fair_item *const order[] = {&a[0], &b[0], &c[0], &a[1], &b[1], &a[2]};
    for (size_t i = 0; i < 6; i++) cr_assert(fair_next(&t, false) == order[i], "place %zu", i);
    cr_assert(!fair_next(&t, false) && !fair_waiting(&t));
}

Test(fair, a_lane_that_had_its_time_waits_for_the_next_round) {
    static struct fair t;
    struct fair_item a[3], b[2];
    fair_init(&t);
    fair_begin_round(&t);
    add(&t, a, 3, 1);
    add(&t, b, 2, 2);
    cr_assert(fair_next(&t, false) == &a[0]);
    fair_spent(&t, 1, FAIR_SLICE_NS);
    cr_assert(fair_next(&t, false) == &b[0]);
    fair_spent(&t, 2, FAIR_SLICE_NS / 2);
    cr_assert(fair_next(&t, false) == &b[1]);
    cr_assert(!fair_next(&t, false) && fair_waiting(&t));
    cr_assert(fair_next(&t, true) == &a[1], "all means all");
    fair_begin_round(&t);
    cr_assert(fair_next(&t, false) == &a[2]);
}

Test(fair, one_that_is_removed_does_not_come) {
    static struct fair t;
    struct fair_item a[2], b[1];
    fair_init(&t);
    add(&t, a, 2, 1);
    add(&t, b, 1, 2);
    fair_remove(&t, &a[0]);
    fair_remove(&t, &a[0]);
    fair_remove(&t, &b[0]);
    cr_assert(fair_next(&t, false) == &a[1] && !fair_next(&t, false) && !fair_waiting(&t));
}

/* ---- on a loop ---- */

enum { FLOOD = 500, BUSY_NS = FAIR_SLICE_NS / 2 };

static _Atomic unsigned flooded, flooded_before, done;

static void burn(void) {
    for (int64_t until = clock_now_ns() + BUSY_NS; clock_now_ns() < until;) continue;
}

static void flood(struct task *t) {
    (void)t;
    burn();
    atomic_fetch_add(&flooded, 1);
}

static void neighbour(struct task *t) {
    (void)t;
    flooded_before = flooded;
    done = 1;
}

static struct loop *start(void) {
    static struct config config;
    struct loop *l;
    cr_assert(hash_init() == 0);
    cr_assert(loop_new(&(struct loop_options){.config = &config}, &l) == TDA_OK);
    return l;
}

Test(fair, a_task_behind_another_users_flood_comes_after_a_slice_of_it) {
    static struct task all[FLOOD], one = {.run = neighbour};
    struct loop *l = start();
    for (size_t i = 0; i < FLOOD; i++) {
        all[i] = (struct task){.run = flood, .line.lane = loop_lane(TDA_STR("a"))};
        loop_post(l, &all[i]);
    }
    one.line.lane = loop_lane(TDA_STR("b"));
    loop_post(l, &one);
    cr_assert(loop_start(l) == TDA_OK);
    while (!done) usleep(1000);
    cr_assert(flooded_before < 5, "%u ran before", flooded_before);
    loop_stop(l);
    loop_free(l);
    cr_assert(flooded == FLOOD, "a loop that ends runs what was posted: %u", flooded);
}

static struct loop *loop;
static struct watch watches[100];
static _Atomic unsigned calls_of[100];

/* It stays readable, and the first changes what it waits for in its callback, as curl does. */
static void readable(struct watch *w, uint32_t events) {
    (void)events;
    if (w == &watches[0]) cr_assert(watch_change(loop, w, EPOLLIN) == TDA_OK);
    atomic_fetch_add(&calls_of[w - watches], 1);
    flood(NULL);
}

static void one_readable(struct watch *w, uint32_t events) {
    char byte;
    (void)events;
    cr_assert(recv(w->fd, &byte, 1, 0) == 1);
    neighbour(NULL);
}

static void watch_all(void *arg) {
    for (size_t i = 0; i < 100; i++) cr_assert(watch_add(arg, &watches[i], EPOLLIN) == TDA_OK);
}

static void watch_none(void *arg) {
    for (size_t i = 0; i < 100; i++) watch_remove(arg, &watches[i]);
}

Test(fair, a_descriptor_behind_another_users_comes_after_a_slice_of_them) {
    int pairs[100][2];
    struct loop *l = loop = start();
    for (size_t i = 0; i < 100; i++) {
        cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
        bool last = i == 99;
        watches[i] = (struct watch){
            .fd = pairs[i][0], .line.lane = loop_lane(last ? TDA_STR("b") : TDA_STR("a")), .ready = last ? one_readable : readable};
        if (!last) cr_assert(send(pairs[i][1], "x", 1, 0) == 1);
    }
    cr_assert(loop_start(l) == TDA_OK);
    loop_call(l, watch_all, l);
    while (flooded < 100) usleep(100);
    unsigned before = flooded;
    cr_assert(send(pairs[99][1], "x", 1, 0) == 1);
    while (!done) usleep(100);
    cr_assert(flooded_before - before < 50, "%u ran before", flooded_before - before);
    for (size_t i = 0; i < 99; i++)
        while (calls_of[i] < 10) usleep(100); /* each is armed again after its callback */
    loop_call(l, watch_none, l);
    loop_stop(l);
    loop_free(l);
    for (size_t i = 0; i < 100; i++) close(pairs[i][0]), close(pairs[i][1]);
}
