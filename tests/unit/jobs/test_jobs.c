#include <criterion/criterion.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "jobs/jobs.h"

TestSuite(jobs, .timeout = 20);

struct counter {
    int runs;
    tda_status answer;
};

static tda_status count(void *arg, char *note, size_t size) {
    struct counter *c = arg;
    c->runs++;
    if (size) note[0] = 0;
    return c->answer;
}

static int64_t now = 1000 * (int64_t)NS_PER_S;

static struct jobs *scheduler(struct counter *a, struct counter *b) {
    struct jobs *js = NULL;
    clock_fake(&now);
    cr_assert(jobs_new(&js) == TDA_OK);
    struct job_spec first = {.name = "first", .help = "", .interval_ns = 300LL * NS_PER_S, .enabled = true, .run = count, .arg = a};
    struct job_spec second = {
        .name = "second", .help = "", .interval_ns = 60LL * NS_PER_S, .enabled = true, .run = count, .arg = b};
    cr_assert(jobs_add(js, &first) == TDA_OK);
    if (b) cr_assert(jobs_add(js, &second) == TDA_OK);
    return js;
}

Test(jobs, a_job_first_runs_after_one_interval) {
    struct counter a = {0, TDA_OK};
    struct jobs *js = scheduler(&a, NULL);
    int64_t began = now;
    jobs_tick(js, now);
    cr_assert(a.runs == 0);
    now = began + 300LL * NS_PER_S - 1;
    jobs_tick(js, now);
    cr_assert(a.runs == 0);
    now = began + 300LL * NS_PER_S;
    cr_assert(jobs_tick(js, now) == now + 300LL * NS_PER_S);
    cr_assert(a.runs == 1);
    jobs_free(js);
}

Test(jobs, a_failing_job_runs_again_and_stops_nobody) {
    struct counter a = {0, TDA_E_IO}, b = {0, TDA_OK};
    struct jobs *js = scheduler(&a, &b);
    char said[8192];
    int log[2];
    cr_assert(pipe(log) == 0);
    log_setup(LOG_LEVEL_ERROR, false, log[1]);
    for (int i = 0; i < 10; i++) {
        now += 300LL * NS_PER_S;
        jobs_tick(js, now);
    }
    cr_assert(a.runs == 10);
    cr_assert(b.runs == 10);
    log_setup(LOG_LEVEL_ERROR, false, 2);
    close(log[1]);
    ssize_t n = read(log[0], said, sizeof said);
    close(log[0]);
    int failures = 0;
    for (ssize_t i = 0; i < n; i++) failures += said[i] == '\n';
    cr_assert(failures == 10 && memmem(said, (size_t)n, "job=first", 9) && !memmem(said, (size_t)n, "job=second", 10));
    jobs_free(js);
}

struct seen {
    int calls;
    tda_status status;
};

static void on_done(void *arg, tda_status status, const char *note) {
    struct seen *s = arg;
    (void)note;
    s->calls++;
    s->status = status;
}

Test(jobs, run_now_runs_now_and_says_what_it_came_to) {
    struct counter a = {0, TDA_E_IO};
    struct jobs *js = scheduler(&a, NULL);
    struct seen seen = {0, 0};
    struct error e;
    cr_assert(jobs_run_now(js, TDA_STR("first"), on_done, &seen, &e) == TDA_OK);
    jobs_tick(js, now);
    cr_assert(a.runs == 1 && seen.calls == 1 && seen.status == TDA_E_IO);
    cr_assert(jobs_run_now(js, TDA_STR("frist"), on_done, &seen, &e) == TDA_E_NOT_FOUND);
    cr_assert_str_eq(e.hint, "did you mean first?");
    jobs_free(js);
}

Test(jobs, whoever_waits_at_the_stop_is_told) {
    struct counter a = {0, TDA_OK};
    struct jobs *js = scheduler(&a, NULL);
    struct seen seen = {0, 0};
    cr_assert(jobs_run_now(js, TDA_STR("first"), on_done, &seen, NULL) == TDA_OK);
    jobs_stop(js);
    cr_assert(seen.calls == 1 && seen.status == TDA_E_CANCELLED);
    cr_assert(jobs_run_now(js, TDA_STR("first"), on_done, &seen, NULL) == TDA_E_CANCELLED);
    jobs_free(js);
}

Test(jobs, the_thread_runs_what_is_due) {
    struct counter a = {0, TDA_OK};
    struct jobs *js = NULL;
    cr_assert(jobs_new(&js) == TDA_OK);
    struct job_spec fast = {.name = "fast", .help = "", .interval_ns = 5 * NS_PER_MS, .enabled = true, .run = count, .arg = &a};
    cr_assert(jobs_add(js, &fast) == TDA_OK);
    cr_assert(jobs_start(js) == TDA_OK);
    struct timespec wait = {0, 200 * NS_PER_MS};
    nanosleep(&wait, NULL);
    jobs_stop(js);
    cr_assert(a.runs >= 3, "%d", a.runs);
    jobs_free(js);
}
