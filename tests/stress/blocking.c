/* Calls on workers that answer, dawdle, flood, fail, forget, and are cancelled or too late at any moment: events in order and on
 * the call's loop, one end each, nothing after it, one drop for each run, the request readable as long as run goes on. For TSan.
 *
 * usage: stress_blocking [CALLS]   per loop; default 30000, or TDA_STRESS */
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "support/in_process.h"

enum { LOOPS = 2, AT_ONCE = 24, WORDS = 200 };

static struct in_process host = {.config = {.limits_workers = 6, .limits_user_workers = 4, .limits_worker_queue = 20}};
static long calls_per_loop = 30000;
static _Atomic long done, runs, drops, cancels, out_of_order, wrong_thread, after_the_end, spoilt, refused, answered;

/* ---- the plugin ---- */

enum behaviour { ANSWER, DAWDLE, FLOOD, UNTIL_STOPPED, FORGET, FAIL, BEHAVIOURS };

struct state {
    atomic_bool cancelled;
};

static tda_status emit(tda_call call, uint32_t number) {
    char text[64];
    snprintf(text, sizeof text, "event %u", number);
    return host_table.emit(
        call,
        &(struct tda_event){.size = sizeof(struct tda_event), .kind = TDA_EV_TEXT, .index = number, .text = tda_str_of(text)});
}

static bool request_is_whole(const struct tda_request *r) {
    const struct tda_part *p = r->msgs[0]->parts[0];
    bool whole = p->text.n == WORDS && r->n_tools == 1 && r->tools[0]->name.n == WORDS;
    for (size_t i = 0; i < WORDS && whole; i++) whole = p->text.p[i] == 'a' + (char)(r->max_tokens % 26);
    return whole;
}

static void work(tda_call call, const struct tda_request *r, struct state *state) {
    uint32_t n = 0, kind = (uint32_t)(r->max_tokens % BEHAVIOURS), most = kind == FLOOD ? 300 : 5;
    for (; n < most; n++)
        if (emit(call, n)) return;
    if (kind == DAWDLE) usleep((useconds_t)(r->max_tokens % 700));
    while (kind == UNTIL_STOPPED && !atomic_load(&state->cancelled)) {
        if (emit(call, n++)) break;
        usleep(50);
    }
}

static tda_status run(void *self, tda_call call, const struct tda_request *r) {
    struct state *state = host_table.state(call);
    (void)self;
    atomic_fetch_add(&runs, 1);
    work(call, r, state);
    if (!request_is_whole(r)) atomic_fetch_add(&spoilt, 1);
    if (r->max_tokens % BEHAVIOURS == FORGET) return TDA_OK;
    if (r->max_tokens % BEHAVIOURS == FAIL) return TDA_E_IO;
    host_table.finish(call, &(struct tda_result){.size = sizeof(struct tda_result), .retry_ms = -1, .text = TDA_STR("well")});
    return TDA_OK;
}

static void cancel(void *self, tda_call call) {
    struct state *state = host_table.state(call);
    (void)self;
    atomic_fetch_add(&cancels, 1);
    atomic_store(&state->cancelled, true);
}

static void drop(void *self, tda_call call) {
    (void)self, (void)call;
    atomic_fetch_add(&drops, 1);
}

static const struct tda_provider provider = {.size = sizeof provider,
                                             .flags = TDA_P_BLOCKING,
                                             .call_state_size = sizeof(struct state),
                                             .cancel = cancel,
                                             .drop = drop,
                                             .run = run};

/* ---- those who call: AT_ONCE on each loop, each call after the other ---- */

struct caller {
    struct task task;
    struct timer timer; /* cancels, or tries again */
    struct loop *loop;
    struct snapshot *snapshot;
    struct call *call;
    uint32_t seed, next_event;
    long left;
    bool running;
};

static struct caller callers[LOOPS][AT_ONCE];
static _Atomic long idle;

static void begin(struct task *t);

static void on_event(void *arg, const struct tda_event *event) {
    struct caller *c = arg;
    if (loop_self() != c->loop) atomic_fetch_add(&wrong_thread, 1);
    if (!c->running) atomic_fetch_add(&after_the_end, 1);
    if (event->index != c->next_event++) atomic_fetch_add(&out_of_order, 1);
}

static void on_done(void *arg, const struct tda_result *r) {
    struct caller *c = arg;
    if (loop_self() != c->loop) atomic_fetch_add(&wrong_thread, 1);
    if (!c->running) atomic_fetch_add(&after_the_end, 1);
    c->running = false;
    timer_stop(c->loop, &c->timer);
    atomic_fetch_add(&done, 1);
    if (r->cls == TDA_C_OK) atomic_fetch_add(&answered, 1);
    if (--c->left)
        loop_defer(c->loop, &c->task);
    else
        atomic_fetch_add(&idle, 1);
}

static void fire(struct timer *t) {
    struct caller *c = CONTAINER_OF(t, struct caller, timer);
    if (c->running)
        call_cancel(c->call);
    else
        begin(&c->task);
}

/* All that the request points to is gone, and overwritten, when this returns. */
static tda_status ask(struct caller *c, int64_t deadline_ns) {
    char text[WORDS];
    memset(text, 'a' + (int)(c->seed % 26), sizeof text);
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = {text, sizeof text}};
    const struct tda_part *parts[] = {&part};
    struct tda_msg msg = {.size = sizeof msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = parts};
    const struct tda_msg *msgs[] = {&msg};
    struct tda_tool tool = {.size = sizeof tool, .name = {text, sizeof text}};
    const struct tda_tool *tools[] = {&tool};
    struct tda_request request = {
        .size = sizeof request, .op = TDA_OP_CHAT, .msgs = msgs, .n_msgs = 1, .tools = tools, .n_tools = 1, .max_tokens = c->seed};
    struct call_spec spec = {.plugins = &host.plugins,
                             .loop = c->loop,
                             .snapshot = c->snapshot,
                             .deadline_ns = deadline_ns,
                             .on_event = on_event,
                             .on_done = on_done,
                             .arg = c};
    tda_status s = provider_call(&spec, &request, &c->call, NULL);
    memset(text, '!', sizeof text);
    memset(&part, 0, sizeof part);
    return s;
}

static void begin(struct task *t) {
    struct caller *c = CONTAINER_OF(t, struct caller, task);
    c->seed = c->seed * 1664525u + 1013904223u;
    c->next_event = 0;
    c->timer.fire = fire;
    bool hurried = c->seed >> 8 & 1, fickle = c->seed >> 9 & 1;
    int64_t now = clock_now_ns(), short_ns = (c->seed >> 10) % 3000 * 1000LL;
    bool must_end = c->seed % BEHAVIOURS == UNTIL_STOPPED && !fickle;
    c->running = true;
    if (ask(c, now + (hurried || must_end ? short_ns : 60LL * NS_PER_S))) {
        c->running = false;
        atomic_fetch_add(&refused, 1);
        must(timer_set(c->loop, &c->timer, now + NS_PER_MS), "a timer");
    } else if (fickle) {
        must(timer_set(c->loop, &c->timer, now + short_ns), "a timer");
    }
}

int main(int argc, char **argv) {
    const char *given = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (given) calls_per_loop = strtol(given, NULL, 10);
    log_setup(LOG_LEVEL_ERROR, false, open("/dev/null", O_WRONLY | O_CLOEXEC)); /* forgotten ends are logged, each of them */
    in_process_start(&host, &provider, LOOPS);
    struct snapshot *snapshots[] = {in_process_user(&host, "u"), in_process_user(&host, "v")};
    for (uint32_t l = 0; l < LOOPS; l++)
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            callers[l][i] = (struct caller){.task = {.run = begin},
                                            .loop = host.loops[l],
                                            .snapshot = snapshots[i % 2],
                                            .seed = l * 1000 + i,
                                            .left = calls_per_loop / AT_ONCE + 1};
            loop_post(host.loops[l], &callers[l][i].task);
        }
    for (int ms = 0; atomic_load(&idle) < LOOPS * AT_ONCE && ms < 60000 + calls_per_loop; ms++) usleep(1000);
    snapshot_unref(snapshots[0]);
    snapshot_unref(snapshots[1]);
    in_process_stop(&host);
    long asked = LOOPS * AT_ONCE * (calls_per_loop / AT_ONCE + 1);
    printf("%ld asked, %ld done, %ld answered, %ld runs, %ld drops, %ld cancels, %ld refused; %ld out of order, %ld on a wrong "
           "thread, "
           "%ld after the end, %ld requests spoilt, %lu started, %lu dropped\n",
           asked, done, answered, runs, drops, cancels, refused, out_of_order, wrong_thread, after_the_end, spoilt,
           (unsigned long)host.plugins.started, (unsigned long)host.plugins.dropped);
    bool all =
        done == asked && host.plugins.started == host.plugins.dropped && runs == drops && host.plugins.started == (uint64_t)asked;
    bool some = answered > 0 && cancels > 0 && refused > 0 && runs < asked;
    return all && some && !out_of_order && !wrong_thread && !after_the_end && !spoilt ? 0 : 1;
}
