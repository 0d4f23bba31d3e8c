/* Acceptance line 31: the retry table of a model call, with an injected clock. The provider counts its attempts, and ends each as
 * the row says; time passes only where a test lets it. */
#include <criterion/criterion.h>

#include "agent/model_call.h"
#include "support/in_process.h"

TestSuite(retry, .timeout = 60);

enum { HANG = 1000, ATTEMPTS_MAX = 8, WINDOW_MS = 1000 /* of jitter */ };

static int64_t now_ns;
static _Atomic int attempts;
static struct {
    uint32_t cls; /* HANG: never ends */
    int64_t retry_ms;
} script[ATTEMPTS_MAX];

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    int i = atomic_fetch_add(&attempts, 1);
    (void)self, (void)request;
    if (script[i].cls == HANG) return host_table.timer(call, 1, 3600 * 1000);
    return host_table.finish(
        call, &(struct tda_result){.size = sizeof(struct tda_result), .cls = script[i].cls, .retry_ms = script[i].retry_ms});
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event;
}

static const struct tda_provider provider = {.size = sizeof provider, .start = start, .on_flow = on_flow};

static struct in_process host = {.config = {.limits_workers = 1,
                                            .limits_user_workers = 1,
                                            .limits_worker_queue = 1,
                                            .calls_attempts = 5,
                                            .calls_retry_base = 2LL * NS_PER_S,
                                            .calls_attempt_timeout = 120LL * NS_PER_S,
                                            .calls_max_answer = 1 << 20}};
static struct agent agent;
static struct arena arena;
static struct work work;
static struct model_call model;
static atomic_int ended; /* 1: well, 2: with `fault` */
static struct error fault;

static void on_done(struct model_call *m, const struct error *e) {
    if (e) fault = *e;
    model_call_fini(m);
    atomic_store(&ended, e ? 2 : 1);
}

static void nothing(void *arg) {
    (void)arg;
}

/* All that is due has run. */
static void settle(void) {
    for (int i = 0; i < 6; i++) loop_call(host.loops[0], nothing, NULL);
}

static void pass_ms(int64_t ms) {
    __atomic_fetch_add(&now_ns, ms * NS_PER_MS, __ATOMIC_SEQ_CST);
    settle();
}

static void start_model(void *arg) {
    (void)arg;
    model_call_start(&model);
}

static void cancel_model(void *arg) {
    (void)arg;
    model_call_cancel(&model);
}

static void begin(int64_t turn_s) {
    now_ns = 1000LL * NS_PER_S;
    clock_fake(&now_ns);
    in_process_start(&host, &provider, 1);
    agent_init(&agent, &host.config, &host.plugins, host.contexts);
    arena_init(&arena, 1 << 20);
    work = (struct work){.agent = &agent,
                         .loop = host.loops[0],
                         .snapshot = in_process_user(&host, "u"),
                         .request_id = "r",
                         .arena = &arena,
                         .deadline_ns = now_ns + turn_s * NS_PER_S};
    model = (struct model_call){.work = &work, .request = {.size = sizeof model.request, .op = TDA_OP_CHAT}, .done = on_done};
    loop_call(host.loops[0], start_model, NULL);
    settle();
}

static void end(void) {
    settle();
    snapshot_unref(work.snapshot);
    arena_fini(&arena);
    in_process_stop(&host);
    agent_fini(&agent);
    cr_assert(host.plugins.started == host.plugins.dropped);
}

static void script_all(uint32_t cls, int64_t retry_ms) {
    for (size_t i = 0; i < ATTEMPTS_MAX; i++) {
        script[i].cls = cls;
        script[i].retry_ms = retry_ms;
    }
}

/* The next attempt comes from `ms` on, and at the latest a second later. */
static void expect_next_after(int64_t ms, const char *what) {
    int before = attempts;
    pass_ms(ms - 1);
    cr_assert(attempts == before, "%s: attempt %d came before %d ms", what, before + 1, (int)ms);
    pass_ms(1 + WINDOW_MS);
    cr_assert(attempts == before + 1, "%s: attempt %d did not come after %d ms", what, before + 1, (int)ms);
}

/* Classes are a parameter of the test's processes, not rows of a loop: each has a host of its own. */
static void retried(uint32_t cls, const char *kind) {
    script_all(cls, -1);
    begin(600);
    cr_assert(attempts == 1);
    expect_next_after(2000, kind);
    expect_next_after(4000, kind);
    expect_next_after(8000, kind);
    cr_assert(!ended);
    expect_next_after(16000, kind);
    cr_assert(attempts == 5 && ended == 2, "five attempts and no more");
    cr_assert_str_eq(fault.kind, kind);
    cr_assert(work.meta.attempts == 5);
    end();
}

Test(retry, line_31_rate_limits_wait_2_4_8_16_seconds) {
    retried(TDA_C_RATE, "rate_limited");
}
Test(retry, line_31_an_overloaded_service) {
    retried(TDA_C_OVERLOADED, "overloaded");
}
Test(retry, line_31_a_service_that_failed) {
    retried(TDA_C_UPSTREAM, "upstream_failed");
}
Test(retry, line_31_a_service_that_is_not_reached) {
    retried(TDA_C_NETWORK, "unreachable");
}

static void never_again(uint32_t cls, const char *kind) {
    script_all(cls, 10); /* even when the service says when */
    begin(600);
    cr_assert(attempts == 1 && ended == 2, "%s", kind);
    pass_ms(100000);
    cr_assert(attempts == 1, "%s", kind);
    cr_assert_str_eq(fault.kind, kind);
    end();
}

Test(retry, line_31_400_is_final) {
    never_again(TDA_C_REQUEST, "upstream_refused");
}
Test(retry, line_31_401_is_final) {
    never_again(TDA_C_AUTH, "credentials_refused");
}
Test(retry, line_31_403_is_final) {
    never_again(TDA_C_PERMISSION, "permission");
}
Test(retry, line_31_404_is_final) {
    never_again(TDA_C_NOT_FOUND, "model_not_found");
}
Test(retry, line_31_a_used_up_quota_is_final) {
    never_again(TDA_C_QUOTA, "quota");
}

Test(retry, line_31_the_services_own_wait_wins) {
    script_all(TDA_C_RATE, 7000);
    script[1].retry_ms = 0;
    script[2].cls = TDA_C_OK;
    begin(600);
    pass_ms(6999);
    cr_assert(attempts == 1);
    pass_ms(1); /* to the millisecond: no jitter on what the service says; 0 is at once */
    pass_ms(0);
    cr_assert(attempts == 3 && ended == 1);
    end();
}

Test(retry, line_31_success_ends_it) {
    script_all(TDA_C_OVERLOADED, -1);
    script[1].cls = TDA_C_OK;
    begin(600);
    expect_next_after(2000, "success");
    cr_assert(ended == 1 && work.meta.attempts == 2);
    pass_ms(100000);
    cr_assert(attempts == 2);
    end();
}

Test(retry, line_31_cancel_ends_a_wait_at_once) {
    script_all(TDA_C_OVERLOADED, -1);
    begin(600);
    pass_ms(500);
    loop_call(host.loops[0], cancel_model, NULL);
    settle();
    cr_assert(attempts == 1 && ended == 2);
    cr_assert_str_eq(fault.kind, "cancelled");
    pass_ms(100000);
    cr_assert(attempts == 1);
    end();
}

Test(retry, line_31_an_attempt_has_120_seconds) {
    script_all(HANG, -1);
    script[1].cls = TDA_C_OK;
    begin(600);
    pass_ms(119999);
    cr_assert(attempts == 1 && !ended);
    pass_ms(1);
    cr_assert(attempts == 1 && !ended);
    expect_next_after(2000, "after a timeout");
    cr_assert(ended == 1);
    end();
}

Test(retry, line_31_the_turn_has_its_deadline_and_no_retry_passes_it) {
    script_all(TDA_C_OVERLOADED, -1);
    begin(5); /* attempts at 0 and 2 to 3 s; the third would come at 6 to 8 */
    expect_next_after(2000, "within the turn");
    cr_assert(attempts == 2 && ended == 2, "told at once, not when the wait would be over");
    cr_assert_str_eq(fault.kind, "overloaded");
    end();
}

Test(retry, line_31_a_hanging_service_ends_with_the_turn) {
    script_all(HANG, -1);
    begin(10);
    pass_ms(9999);
    cr_assert(!ended);
    pass_ms(1);
    cr_assert(attempts == 1 && ended == 2);
    cr_assert_str_eq(fault.kind, "timeout");
    end();
}
