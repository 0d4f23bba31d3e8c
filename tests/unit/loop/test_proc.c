/* Flows over child processes, with the real launcher. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/flow.h"

TestSuite(proc, .timeout = 60);

static struct config config = {
    .mcp_max_line = 1 << 20, .mcp_stop_grace = NS_PER_S, .limits_children = 4, .limits_user_children = 2};
static struct launcher *launcher;
static struct loop *l;

static void begin(void) {
    char path[512];
    struct error e = {.retry_ms = -1};
    const char *build = getenv("TDA_BUILD_DIR");
    snprintf(path, sizeof path, "%s/bin/tda-launcher", build ? build : "build/release");
    cr_assert(launcher_start(path, &launcher, &e) == TDA_OK, "%s", e.text);
    cr_assert(loop_new(&(struct loop_options){.config = &config, .launcher = launcher}, &l) == TDA_OK && loop_start(l) == TDA_OK);
}

static void end(void) {
    loop_stop(l);
    loop_free(l);
    launcher_stop(launcher);
}

/* What a flow told, and a script for the one who hears it. */
struct heard {
    char *argv[4];
    const char *owner;
    struct flow *flow;
    bool pauses_much; /* at the first line, and at each of stderr; goes on later */
    struct timer later;
    int lines, pauses;
    _Atomic int ended; /* 1: END; 2: FAIL */
    tda_status status;
    struct error error;
};

static void go_on(struct timer *t) {
    struct heard *h = CONTAINER_OF(t, struct heard, later);
    flow_pause(h->flow, false);
}

static void pause_for(struct heard *h, int64_t ms) {
    h->pauses++;
    flow_pause(h->flow, true);
    h->later.fire = go_on;
    timer_set(loop_self(), &h->later, clock_now_ns() + ms * NS_PER_MS);
}

static void on_event(void *arg, struct flow *f UNUSED, const struct tda_flow_event *event) {
    struct heard *h = arg;
    h->lines += event->kind == TDA_FLOW_ITEM;
    if (h->pauses_much && event->kind == TDA_FLOW_ITEM && h->lines == 1) pause_for(h, 500); /* meanwhile it ends */
    if (h->pauses_much && event->kind == TDA_FLOW_STDERR) pause_for(h, 20);
    if (event->kind == TDA_FLOW_END) h->ended = 1;
    if (event->kind == TDA_FLOW_FAIL) h->ended = 2;
}

static void open_flow(void *arg) {
    struct heard *h = arg;
    char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    struct proc_spec spec = {.argv = h->argv, .env = env, .owner = h->owner};
    h->status = flow_open_proc(loop_self(), &spec, on_event, h, &h->flow, &h->error);
}

static void wait_end(const struct heard *h) {
    for (int i = 0; i < 2000 && !h->ended; i++) usleep(10000);
}

static struct heard shell(const char *script) {
    return (struct heard){.argv = {"sh", "-c", (char *)(uintptr_t)script, NULL}, .error.retry_ms = -1};
}

Test(proc, one_who_pauses_gets_the_rest_of_a_child_that_has_ended) {
    static struct heard h;
    begin();
    h = shell("echo first; sleep 0.1; echo oops >&2; i=0; while [ $i -lt 999 ]; do echo line $i; i=$((i+1)); done");
    h.pauses_much = true;
    loop_call(l, open_flow, &h);
    wait_end(&h);
    cr_assert(h.ended == 1 && h.pauses == 2 && h.lines == 1000, "ended %d, %d pauses, %d lines", h.ended, h.pauses, h.lines);
    end();
}

static void stop_flow(void *arg) {
    flow_stop(((struct heard *)arg)->flow);
}

Test(proc, limits_are_a_user_s_and_what_is_nobody_s_counts_in_all) {
    static struct heard h[5];
    begin();
    for (int i = 0; i < 5; i++) {
        h[i] = shell("read x");
        h[i].owner = i < 3 ? "alice" : NULL;
        loop_call(l, open_flow, &h[i]);
    }
    cr_assert(h[0].status == TDA_OK && h[1].status == TDA_OK);
    cr_assert(h[2].status == TDA_E_LIMIT && strcmp(h[2].error.kind, "too_many_children") == 0);
    cr_assert(h[3].status == TDA_OK && h[4].status == TDA_OK, "two of nobody's in particular");
    struct heard more = shell("read x");
    loop_call(l, open_flow, &more);
    cr_assert(more.status == TDA_E_LIMIT, "four in all");
    for (int i = 0; i < 5; i++) {
        if (h[i].status) continue;
        loop_call(l, stop_flow, &h[i]);
        wait_end(&h[i]);
        cr_assert(h[i].ended == 1);
    }
    cr_assert(launcher_children(launcher) == 0);
    end();
}
