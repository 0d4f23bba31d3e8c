/* Threads submit tasks, poll, list and cancel them, forget their users and hang up, all at once, on a router with its loops: each
 * task comes to one end, and nothing is left of any. For TSan.
 *
 * usage: stress_tasks [ROUNDS]   of each thread; default 100000 / 200, or TDA_STRESS / 200 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugin/calls.h"
#include "route/request.h"

enum { THREADS = 4, LOOPS = 2, TASKS = 8, POLLS_MAX = 1000 };

static long rounds = 500;
static struct config *config;
static struct plugins *plugins;
static struct contexts *contexts;
static struct loop *loops[LOOPS];
static struct agent agent;
static struct identity *identity;
static struct router *router;
static _Atomic long ended, cancelled, forgotten, wrong;

/* ---- one request and its reply ---- */

struct exchange {
    sem_t done;
    char text[16384];
};

static void on_reply(void *token, tda_str text) {
    struct exchange *x = token;
    snprintf(x->text, sizeof x->text, "%.*s", STR_FMT(text));
    sem_post(&x->done);
}

static void begin(struct exchange *x, uint64_t connection, const char *method, const char *params) {
    char text[1024];
    struct caller caller = {.connection = connection, .is_ipc = true, .uid = geteuid()};
    sem_init(&x->done, 0, 0);
    int n = snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
    route_request(router, x, &caller, (tda_str){text, (size_t)n});
}

static void end(struct exchange *x) {
    sem_wait(&x->done);
    sem_destroy(&x->done);
}

static bool says(const struct exchange *x, const char *word) {
    return strstr(x->text, word) != NULL;
}

static void call(struct exchange *x, uint64_t connection, const char *method, const char *params) {
    begin(x, connection, method, params);
    end(x);
}

/* ---- a thread ---- */

static void follow(struct exchange *x, uint64_t connection, const char *user, const char *task) {
    char params[512];
    for (int polls = 0; polls < POLLS_MAX; polls++) {
        snprintf(params, sizeof params, "{\"user\":\"%s\",\"task\":\"%s\",\"after\":%d,\"wait_ms\":1000}", user, task, polls);
        call(x, connection, "task.poll", params);
        if (says(x, "\"state\":\"complete\"")) atomic_fetch_add(&ended, 1);
        if (says(x, "\"state\":\"cancelled\"")) atomic_fetch_add(&cancelled, 1);
        if (says(x, "\"not_found\"")) atomic_fetch_add(&forgotten, 1);
        if (says(x, "\"state\":\"pending\"") || says(x, "\"state\":\"running\"")) continue;
        if (!says(x, "\"not_found\"") && !says(x, "\"complete\"") && !says(x, "\"cancelled\"")) {
            fprintf(stderr, "%s\n", x->text);
            atomic_fetch_add(&wrong, 1);
        }
        return;
    }
    atomic_fetch_add(&wrong, 1);
}

static bool take_id(const struct exchange *x, char id[TASK_ID_SIZE]) {
    const char *at = strstr(x->text, "\"task\":\"");
    return at && sscanf(at + 8, "%39[^\"]", id) == 1;
}

/* Users are shared between threads, so that one forgets what another polls. */
static void one_round(struct exchange *x, uint64_t connection, long round) {
    char params[512], user[8], ids[TASKS][TASK_ID_SIZE];
    snprintf(user, sizeof user, "u%ld", round % 3);
    for (size_t i = 0; i < TASKS; i++) {
        snprintf(params, sizeof params, "{\"user\":\"%s\",\"method\":\"agent.run\",\"params\":{\"input\":\"hello\"}}", user);
        call(x, connection, "task.submit", params);
        if (!take_id(x, ids[i])) {
            fprintf(stderr, "%s\n", x->text);
            atomic_fetch_add(&wrong, 1);
            return;
        }
    }
    snprintf(params, sizeof params, "{\"user\":\"%s\",\"task\":\"%s\"}", user, ids[TASKS - 1]);
    call(x, connection, "task.cancel", params);
    snprintf(params, sizeof params, "{\"user\":\"%s\"}", user);
    if (round % 5 == 0) call(x, connection, "task.list", params);
    if (round % 17 == 0) router_forget(router, tda_str_of(user), round % 2);
    struct exchange hung_up;
    snprintf(params, sizeof params, "{\"user\":\"%s\",\"task\":\"%s\",\"wait_ms\":1000}", user, ids[0]);
    begin(&hung_up, connection + THREADS, "task.poll", params);
    route_gone(router, connection + THREADS);
    end(&hung_up);
    for (size_t i = 0; i < TASKS; i++) follow(x, connection, user, ids[i]);
}

static void *run_thread(void *arg) {
    struct exchange *x = malloc(sizeof *x);
    if (!x) abort();
    for (long i = 0; i < rounds; i++) one_round(x, (uint64_t)(intptr_t)arg + 1, i);
    free(x);
    return NULL;
}

/* ---- the host around it ---- */

struct step {
    struct task task;
    sem_t done;
    bool open;
    struct loop *loop;
};

static void run_step(struct task *t) {
    struct step *s = CONTAINER_OF(t, struct step, task);
    if (s->open && plugins_open_loop(plugins, s->loop)) abort();
    if (!s->open) plugins_close_loop(plugins, s->loop);
    sem_post(&s->done);
}

static void on_loop(struct loop *l, bool open) {
    struct step s = {.task = {.run = run_step}, .open = open, .loop = l};
    sem_init(&s.done, 0, 0);
    loop_post(l, &s.task);
    sem_wait(&s.done);
    sem_destroy(&s.done);
}

struct posted {
    struct task task;
    void (*fn)(void *);
    void *arg;
};

static void run_posted(struct task *t) {
    struct posted *p = CONTAINER_OF(t, struct posted, task);
    p->fn(p->arg);
    free(p);
}

static void post(void *arg UNUSED, unsigned loop, void (*fn)(void *), void *fn_arg) {
    struct posted *p = malloc(sizeof *p);
    if (!p) abort();
    *p = (struct posted){.task = {.run = run_posted}, .fn = fn, .arg = fn_arg};
    loop_post(loops[loop], &p->task);
}

static int start(void) {
    static const char dir[] = "plugins.dir=" PLUGIN_DIR;
    const char *flags[] = {dir,
                           "plugins.load=[offline]",
                           "plugins.strict_modes=false",
                           "contexts.persistence=false",
                           "limits.requests_per_user=1000",
                           "tasks.per_user=1000",
                           "tasks.events=2"};
    struct buf report, notes;
    char *none[] = {NULL};
    struct config_source source = {.env = none, .flags = flags, .n_flags = ARRAY_LEN(flags)};
    buf_init(&report, 1 << 20);
    buf_init(&notes, 1 << 20);
    if (config_load(&source, &config, &report, &notes) || plugins_new(config, none, &plugins, &report)) {
        fprintf(stderr, "%.*s", STR_FMT(buf_str(&report)));
        return 2;
    }
    buf_fini(&report);
    buf_fini(&notes);
    for (unsigned i = 0; i < LOOPS; i++) {
        if (loop_new(&(struct loop_options){.index = i, .config = config}, &loops[i]) || loop_start(loops[i])) return 2;
        on_loop(loops[i], true);
    }
    struct contexts_options co = {.max_users = 100, .n_loops = LOOPS, .post = post};
    if (contexts_new(&co, &contexts)) return 2;
    agent_init(&agent, config, plugins, contexts);
    if (identity_new(&(struct identity_options){0}, &identity, NULL)) return 2;
    struct router_options ro = {.config = config,
                                .identity = identity,
                                .contexts = contexts,
                                .plugins = plugins,
                                .agent = &agent,
                                .loops = loops,
                                .n_loops = LOOPS,
                                .reply = on_reply};
    return router_new(&ro, &router) ? 2 : 0;
}

static void stop(void) {
    router_drain(router, NS_PER_S);
    contexts_free(contexts);
    for (unsigned i = 0; i < LOOPS; i++) on_loop(loops[i], false);
    for (unsigned i = 0; i < LOOPS; i++) loop_stop(loops[i]);
    for (unsigned i = 0; i < LOOPS; i++) loop_free(loops[i]);
    router_free(router);
    identity_free(identity);
    agent_fini(&agent);
    plugins_free(plugins);
    config_free(config);
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    struct exchange x;
    struct task_stats left;
    const char *asked = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (asked) rounds = strtol(asked, NULL, 10) / 200;
    if (rounds < 1 || hash_init()) return 2;
    log_setup(LOG_LEVEL_ERROR, false, 2);
    if (start()) return 2;
    for (int i = 0; i < 3; i++) {
        char params[128];
        snprintf(params, sizeof params, "{\"user\":\"u%d\",\"provider\":\"offline\",\"model\":\"offline-1\"}", i);
        call(&x, 99, "configure", params);
        if (!says(&x, "configured")) return 2;
    }
    for (intptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run_thread, (void *)i)) return 2;
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    tasks_stats(router_tasks(router), &left);
    stop();
    long want = rounds * THREADS * TASKS;
    printf("%ld tasks: %ld complete, %ld cancelled, %ld forgotten, %ld wrong; %llu still run\n", want, ended, cancelled, forgotten,
           wrong, (unsigned long long)left.running);
    return ended + cancelled + forgotten == want && !wrong && !left.running && ended && forgotten ? 0 : 1;
}
