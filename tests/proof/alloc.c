/* Memory that is refused: each allocation of a request fails in turn, once, and then it and all after it until the reply. Each
 * reply is right or an error, well-formed; the same request works afterwards; what failed once leaves nothing behind. In this
 * process: router, loops, plugins, sessions, but no front door, for libnng ends the process itself when memory is refused.
 *
 * usage: proof_alloc [STRIDE [REQUEST [AT MODE]]]   every STRIDE-th allocation (default 1), of one request, one alone with the
 * place that asked for it (MODE: once or ever) */
#include <arpa/inet.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/limits.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "loop/flow.h"
#include "plugin/calls.h"
#include "route/request.h"
#include "session/open.h"

enum { LOOPS = 2, STEPS = 4, TEXT = 1 << 17, WARM = 4, REPEATS = 5, REPLY_S = 10, SETTLE_MS = 300 };

/* ---- the allocator under test: glibc's, behind a counter ---- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static _Atomic long live, count, fail_at; /* fail_at 0: none */
static _Atomic bool armed, ever, trace;

/* Whose allocation that is; backtrace has been called before and allocates no more. */
static void show_place(void) {
    void *frames[24];
    backtrace_symbols_fd(frames, backtrace(frames, 24), 2);
}

static bool refused(void) {
    if (!atomic_load(&armed)) return false;
    long n = atomic_fetch_add(&count, 1) + 1, at = atomic_load(&fail_at);
    if (!at || (atomic_load(&ever) ? n < at : n != at)) return false;
    if (n == at && atomic_load(&trace)) show_place();
    return true;
}

static void *counted(void *p) {
    if (p) atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *malloc(size_t n) {
    return refused() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size) {
    return refused() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n) {
    if (!p) return malloc(n);
    return refused() ? NULL : __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n) {
    return refused() ? NULL : counted(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n) {
    return memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n) {
    void *p = memalign(align, n);
    if (p) *ret = p;
    return p ? 0 : 12;
}

void free(void *p) {
    if (p) atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    __libc_free(p);
}

static void arm(long at, bool for_ever) {
    atomic_store(&count, 0);
    atomic_store(&fail_at, at);
    atomic_store(&ever, for_ever);
    atomic_store(&armed, true);
}

static long disarm(void) {
    atomic_store(&armed, false);
    return atomic_load(&count);
}

/* ---- the host ---- */

static struct config *config;
static struct plugins *plugins;
static struct contexts *contexts;
static struct loop *loops[LOOPS];
static struct launcher *launcher;
static struct sessions *sessions;
static struct limits *limits;
static struct agent agent;
static struct identity *identity;
static struct jobs *jobs;
static struct router *router;

static void open_plugins(void *arg) {
    if (plugins_open_loop(plugins, arg)) abort();
}

struct posted {
    struct task task;
    void (*fn)(void *);
    void *arg;
};

static void run_posted(struct task *t) {
    struct posted *p = CONTAINER_OF(t, struct posted, task);
    p->fn(p->arg);
    __libc_free(p);
}

/* main.c's never fails either. */
static void post(void *arg UNUSED, unsigned loop, void (*fn)(void *), void *fn_arg) {
    struct posted *p = __libc_malloc(sizeof *p);
    if (!p) abort();
    *p = (struct posted){.task = {.run = run_posted}, .fn = fn, .arg = fn_arg};
    loop_post(loops[loop], &p->task);
}

static int fail(const char *what, const struct error *e) {
    fprintf(stderr, "%s: %s\n", what, e ? e->text : "failed");
    return 2;
}

static int load(int port, const char *dir) {
    static char flags[12][512];
    const char *list[ARRAY_LEN(flags)];
    char *none[] = {NULL};
    size_t n = 0;
    struct buf report, notes;
    snprintf(flags[n++], sizeof flags[0], "plugins.dir=%s", PLUGIN_DIR);
    snprintf(flags[n++], sizeof flags[0], "plugins.load=[offline,openai,mcp]");
    snprintf(flags[n++], sizeof flags[0], "plugins.strict_modes=false");
    snprintf(flags[n++], sizeof flags[0], "contexts.persistence=false");
    snprintf(flags[n++], sizeof flags[0], "limits.requests_per_user=1000");
    snprintf(flags[n++], sizeof flags[0], "sessions.path=%s/sessions.db", dir);
    snprintf(flags[n++], sizeof flags[0], "providers={Fake: {plugin: openai, base_url: \"http://127.0.0.1:%d/v1\"}}", port);
    snprintf(flags[n++], sizeof flags[0], "mcp_servers={db: {command: [%s, %s]}}", BIN_DIR "/mcp-sqlite", SAMPLE);
    for (size_t i = 0; i < n; i++) list[i] = flags[i];
    struct config_source source = {.env = none, .flags = list, .n_flags = n};
    buf_init(&report, 1 << 20);
    buf_init(&notes, 1 << 20);
    int failed = config_load(&source, &config, &report, &notes) || plugins_new(config, none, &plugins, &report);
    if (failed) fprintf(stderr, "%.*s", STR_FMT(buf_str(&report)));
    buf_fini(&report);
    buf_fini(&notes);
    return failed;
}

static void on_reply(void *token, tda_str text);

static int start(int port, const char *dir) {
    struct error e;
    char path[512];
    if (load(port, dir)) return 2;
    if (launcher_start(BIN_DIR "/tda-launcher", &launcher, &e)) return fail("launcher", &e);
    for (unsigned i = 0; i < LOOPS; i++) {
        if (loop_new(&(struct loop_options){.index = i, .config = config, .launcher = launcher}, &loops[i]) || loop_start(loops[i]))
            return fail("loop", NULL);
        loop_call(loops[i], open_plugins, loops[i]);
    }
    struct contexts_options co = {.max_users = 100, .max_profiles = 10, .n_loops = LOOPS, .post = post};
    if (contexts_new(&co, &contexts) || agent_init(&agent, config, plugins, contexts) || limits_new(config, &limits))
        return fail("contexts", NULL);
    snprintf(path, sizeof path, "%s/sessions.db", dir);
    if (sessions_open(config, path, &sessions, &e)) return fail("sessions", &e);
    agent.limits = limits;
    agent.sessions = sessions;
    if (identity_new(&(struct identity_options){0}, &identity, &e)) return fail("identity", &e);
    if (jobs_new(&jobs)) return fail("jobs", NULL);
    struct router_options ro = {.config = config,
                                .identity = identity,
                                .contexts = contexts,
                                .plugins = plugins,
                                .agent = &agent,
                                .jobs = jobs,
                                .loops = loops,
                                .n_loops = LOOPS,
                                .launcher = launcher,
                                .reply = on_reply};
    return router_new(&ro, &router) ? fail("router", NULL) : 0;
}

/* ---- a model service: one connection at a time, on the stack ---- */

static void serve(int fd) {
    static const char models[] = "{\"data\":[{\"id\":\"m\"}]}";
    static const char stream[] =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"pong\"},\"finish_reason\":\"stop\"}]}"
        "\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    char in[16384], out[1024];
    size_t n = 0;
    for (ssize_t got; (got = read(fd, in + n, sizeof in - 1 - n)) > 0;) {
        n += (size_t)got;
        in[n] = 0;
        const char *end = strstr(in, "\r\n\r\n"), *length = strcasestr(in, "content-length:");
        if (!end || (length && n < (size_t)(end + 4 - in) + strtoul(length + 15, NULL, 10))) continue;
        bool chat = strncmp(in, "POST", 4) == 0;
        const char *body = chat ? stream : models;
        int m = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                         chat ? "text/event-stream" : "application/json", strlen(body), body);
        if (write(fd, out, (size_t)m) != m) break;
        n = 0;
    }
    close(fd);
}

static void *serve_one(void *arg) {
    serve((int)(intptr_t)arg);
    return NULL;
}

static void *accept_all(void *arg) {
    for (;;) {
        int fd = accept((int)(intptr_t)arg, NULL, NULL);
        pthread_t t;
        if (fd < 0) return NULL;
        if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd))
            close(fd);
        else
            pthread_detach(t);
    }
}

static int upstream_start(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    pthread_t t;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 64) || getsockname(fd, (struct sockaddr *)&a, &n)) return 0;
    return pthread_create(&t, NULL, accept_all, (void *)(intptr_t)fd) ? 0 : ntohs(a.sin_port);
}

/* ---- one request and its reply ---- */

static struct {
    sem_t done;
    char text[TEXT];
    _Atomic int replies;
} reply;

static void on_reply(void *token UNUSED, tda_str text) {
    if (atomic_load(&ever)) disarm();
    snprintf(reply.text, sizeof reply.text, "%.*s", STR_FMT(text));
    atomic_fetch_add(&reply.replies, 1);
    sem_post(&reply.done);
}

static bool call(const char *method, const char *params) {
    char text[1024];
    struct caller caller = {.connection = 1, .is_ipc = true, .uid = geteuid()};
    struct timespec until;
    atomic_store(&reply.replies, 0);
    int n = snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REPLY_S;
    route_request(router, &reply, &caller, (tda_str){text, (size_t)n});
    return sem_timedwait(&reply.done, &until) == 0;
}

/* ---- requests ---- */

struct step {
    const char *method, *params; /* $ in them: the id that an earlier reply gave */
};

static const struct request_spec {
    const char *name;
    struct step before; /* memory is refused in the steps alone */
    struct step steps[STEPS];
    struct step after;
    const char *id;   /* the member of the first reply that is $ */
    bool varies;      /* figures: replies are not compared */
    const char * or ; /* part of an answer that is right too */
} specs[] = {
    {.name = "host.stats", .steps = {{"host.stats", "{}"}}, .varies = true},
    {.name = "config.explain", .steps = {{"config.explain", "{}"}}},
    {.name = "context.set",
     .steps = {{"context.set", "{\"user\":\"n\",\"fields\":{\"provider\":\"offline\",\"model\":\"offline-1\"}}"}},
     .after = {"context.delete", "{\"user\":\"n\"}"}},
    {.name = "context.get", .steps = {{"context.get", "{\"user\":\"u\"}"}}},
    {.name = "configure",
     .steps = {{"configure", "{\"user\":\"n\",\"provider\":\"offline\",\"model\":\"offline-1\"}"}},
     .after = {"context.delete", "{\"user\":\"n\"}"}},
    {.name = "chat.complete", .steps = {{"chat.complete", "{\"user\":\"u\",\"input\":\"hello\"}"}}},
    {.name = "chat.keyed",
     .steps = {{"chat.complete", "{\"user\":\"n\",\"input\":\"hello\",\"idempotency_key\":\"k\"}"},
               {"chat.complete", "{\"user\":\"n\",\"input\":\"hello\",\"idempotency_key\":\"k\"}"}},
     .before = {"context.set", "{\"user\":\"n\",\"fields\":{\"provider\":\"offline\",\"model\":\"offline-1\"}}"},
     .after = {"context.delete", "{\"user\":\"n\"}"}},
    {.name = "openai", .steps = {{"chat.complete", "{\"user\":\"f\",\"input\":\"ping\",\"deadline_ms\":3000}"}}},
    {.name = "agent.run",
     .before = {"session.create", "{\"user\":\"u\"}"},
     .id = "session",
     .steps = {{"agent.run", "{\"user\":\"u\",\"session\":\"$\",\"input\":\"hello\",\"deadline_ms\":3000}"}},
     .after = {"session.delete", "{\"user\":\"u\",\"session\":\"$\"}"}},
    {.name = "session.list", .steps = {{"session.list", "{\"user\":\"u\"}"}}},
    {.name = "session.export", .steps = {{"session.export", "{\"user\":\"s\",\"session\":\"@\"}"}}},
    {.name = "task",
     .id = "task",
     .steps = {{"task.submit", "{\"user\":\"u\",\"method\":\"agent.run\",\"params\":{\"input\":\"hello\"}}"},
               {"task.poll", "{\"user\":\"u\",\"task\":\"$\",\"wait_ms\":500}"},
               {"task.cancel", "{\"user\":\"u\",\"task\":\"$\"}"}},
     .varies = true,
     .or = "already_finished"},
    {.name = "tools.list", .steps = {{"tools.list", "{\"user\":\"t\",\"deadline_ms\":3000}"}}},
    {.name = "tools.call",
     .steps = {{"tools.call", "{\"user\":\"t\",\"name\":\"query\",\"arguments\":{\"sql\":\"select 41+1\"},\"deadline_ms\":3000}"}}},
    {.name = "mcp.run",
     .steps = {{"agent.run", "{\"user\":\"t\",\"input\":\"How many customers are there?\",\"deadline_ms\":3000}"}},
     .varies = true}, /* the offline provider chooses otherwise when it cannot read, and hears of a tool that failed */
    {.name = "profile.put",
     .steps = {{"profile.put", "{\"user\":\"u\",\"tag\":\"p\",\"provider\":\"offline\",\"model\":\"offline-1\"}"}},
     .after = {"profile.delete", "{\"user\":\"u\",\"tag\":\"p\"}"}},
};

static struct { long points, right, errors, timeouts, wrong, leaks, hangs; } figures;

static char kept_session[64]; /* of user s, with turns: what @ stands for */
static char id[64];
static char plain[STEPS][TEXT]; /* the replies where nothing fails */
static bool last_failed;        /* the last step of the last shot */
static const char *now_name;
static long now_at;

static void fill(const char *params, char *out, size_t size) {
    size_t n = 0;
    for (const char *p = params; *p && n < size - 64; p++) {
        if (*p == '$' || *p == '@')
            n += (size_t)snprintf(out + n, size - n, "%s", *p == '$' ? id : kept_session);
        else
            out[n++] = *p;
    }
    out[n] = 0;
}

static void take_id(const struct request_spec *s) {
    char want[40];
    if (!s->id || id[0]) return;
    snprintf(want, sizeof want, "\"%s\":\"", s->id);
    const char *at = strstr(reply.text, want);
    if (at) snprintf(id, sizeof id, "%.*s", (int)strcspn(at + strlen(want), "\""), at + strlen(want));
}

static bool do_step(const struct step *step) {
    char params[800];
    fill(step->params, params, sizeof params);
    return call(step->method, params);
}

/* Figures and ids are not compared. */
static void without_digits(char *text) {
    char *to = text;
    for (const char *p = text; *p; p++)
        if (!strchr("0123456789abcdef.-", *p)) *to++ = *p;
    *to = 0;
}

static void complain(const char *what) {
    fprintf(stderr, "%s %ld %s: %s: %.6000s\n", now_name, now_at, atomic_load(&ever) ? "ever" : "once", what, reply.text);
}

static bool is_error(void) {
    return strstr(reply.text, "\"error\":{\"code\":") && strstr(reply.text, "\"kind\":\"");
}

/* One JSON object, once; right, or an error. */
static void judge(const struct request_spec *s, int step) {
    static char text[TEXT];
    if (json_check(tda_str_of(reply.text), 0, NULL)) {
        complain("not JSON");
        figures.wrong++;
    } else if (atomic_load(&reply.replies) != 1) {
        complain("more than one reply");
        figures.wrong++;
    } else if (is_error()) {
        figures.errors++;
        if (!strstr(reply.text, "\"timeout\"")) return;
        complain("time went by");
        figures.timeouts++;
    } else {
        snprintf(text, sizeof text, "%s", reply.text);
        without_digits(text);
        if (s->or &&strstr(reply.text, s->or)) {
            figures.right++;
            return;
        }
        if (s->varies ? strstr(text, "\"rsult\":{") != NULL : strcmp(text, plain[step]) == 0) {
            figures.right++;
            return;
        }
        complain("a false answer");
        figures.wrong++;
    }
}

/* Whether all steps were answered; `count` says how many allocations there were. */
static bool shoot(const struct request_spec *s, long at, bool for_ever, bool learn) {
    id[0] = 0;
    now_name = s->name;
    now_at = at;
    if (s->before.method) do_step(&s->before);
    take_id(s);
    bool answered = true;
    arm(at, for_ever);
    for (int i = 0; i < STEPS && s->steps[i].method && answered; i++) {
        if (i && s->id && !id[0]) break;
        answered = do_step(&s->steps[i]);
        bool was_armed = atomic_load(&armed);
        long n = disarm();
        take_id(s);
        if (answered && learn) {
            snprintf(plain[i], TEXT, "%s", reply.text);
            without_digits(plain[i]);
        } else if (answered && at) {
            judge(s, i);
        }
        atomic_store(&armed, was_armed || !at);
        atomic_store(&count, n);
    }
    disarm();
    if (!answered) {
        snprintf(reply.text, sizeof reply.text, "nothing within %d s", REPLY_S);
        complain("no reply");
        figures.hangs++;
        exit(1);
    }
    last_failed = is_error() && !(s->or &&strstr(reply.text, s->or));
    if (s->after.method) do_step(&s->after);
    if (s->id) router_forget(router, TDA_STR("u"), true); /* ended tasks are kept, and are no leak */
    return true;
}

/* It works again, at the latest when the host says so: what failed may have been a server's connection. */
static bool works(const struct request_spec *s) {
    for (int i = 0; i < 100; i++) {
        shoot(s, 0, false, false);
        if (!last_failed) return true;
        if (strstr(reply.text, "mcp_parked"))
            call("mcp.restart", "{\"user\":\"t\"}"); /* what failed often in a row is left alone for a while */
        usleep(50000);
    }
    return false;
}

/* Threads are at rest when the number has not changed for a while. */
static long settled(void) {
    long n = atomic_load(&live);
    for (int still = 0, i = 0; still < 4 && i < SETTLE_MS; i++) {
        usleep(500);
        long now = atomic_load(&live);
        still = now == n ? still + 1 : 0;
        n = now;
    }
    return n;
}

/* Caches fill once; a leak grows each time. */
static void look_for_leak(const struct request_spec *s, long at) {
    long before = settled();
    for (int i = 0; i < REPEATS; i++) {
        shoot(s, at, false, false);
        works(s);
    }
    long grown = settled() - before;
    if (grown < REPEATS) return;
    snprintf(reply.text, sizeof reply.text, "%ld pieces after %d times", grown, REPEATS);
    atomic_store(&ever, false);
    now_at = at;
    complain("a leak");
    figures.leaks++;
}

static void refuse(const struct request_spec *s, long at, bool for_ever) {
    long before = settled();
    figures.points++;
    shoot(s, at, for_ever, false);
    if (!works(s)) {
        complain("does not work any more");
        figures.wrong++;
    }
    if (!for_ever && settled() > before) look_for_leak(s, at);
}

static void sweep(const struct request_spec *s, long stride) {
    long n = 0;
    for (int i = 0; i < WARM; i++) {
        shoot(s, 0, false, true);
        n = atomic_load(&count);
    }
    if (strstr(reply.text, "\"error\"")) fprintf(stderr, "%s: %.300s\n", s->name, reply.text);
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (long at = 1; at <= n; at += stride) {
        refuse(s, at, false);
        refuse(s, at, true);
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    fprintf(stderr, "%s: %ld allocations, %ld s\n", s->name, n, (long)(t1.tv_sec - t0.tv_sec));
}

static void on_crash(int sig) {
    static char text[200];
    disarm();
    snprintf(text, sizeof text, "%s %ld %s: signal %d\n", now_name, now_at, atomic_load(&ever) ? "ever" : "once", sig);
    if (write(2, text, strlen(text)) < 0) _exit(3);
    show_place();
    _exit(3);
}

static bool prepare(void) {
    static const struct step steps[] = {
        {"configure", "{\"user\":\"u\",\"provider\":\"offline\",\"model\":\"offline-1\"}"},
        {"configure", "{\"user\":\"s\",\"provider\":\"offline\",\"model\":\"offline-1\"}"},
        {"configure", "{\"user\":\"t\",\"provider\":\"offline\",\"model\":\"offline-1\",\"mcp_server\":{\"name\":\"db\"}}"},
        {"configure", "{\"user\":\"f\",\"provider\":\"Fake\",\"model\":\"m\",\"credentials\":{\"api_key\":\"k\"}}"},
        {"session.create", "{\"user\":\"s\"}"},
        {"agent.run", "{\"user\":\"s\",\"session\":\"@\",\"input\":\"hello\"}"},
    };
    static const struct request_spec maker = {.id = "session"};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (!do_step(&steps[i]) || is_error()) {
            fprintf(stderr, "%s: %.400s\n", steps[i].method, reply.text);
            return false;
        }
        take_id(&maker);
        snprintf(kept_session, sizeof kept_session, "%s", id);
    }
    return true;
}

int main(int argc, char **argv) {
    char dir[] = "/tmp/tda-alloc-XXXXXX", command[64];
    void *frame[1];
    long stride = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    backtrace(frame, 1);
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGPIPE, SIG_IGN);
    sem_init(&reply.done, 0, 0);
    if (stride < 1 || hash_init() || !mkdtemp(dir)) return 2;
    log_setup(getenv("ALLOC_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, false, 2);
    int port = upstream_start();
    if (!port || start(port, dir) || !prepare()) return 2;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        if (argc > 2 && strcmp(argv[2], specs[i].name) != 0) continue;
        if (argc <= 4) {
            sweep(&specs[i], stride);
            continue;
        }
        for (int k = 0; k < WARM; k++) shoot(&specs[i], 0, false, true);
        atomic_store(&trace, true);
        refuse(&specs[i], strtol(argv[3], NULL, 10), strcmp(argv[4], "ever") == 0);
        fprintf(stderr, "%.6000s\n", reply.text);
    }
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command)) return 2;
    printf("%ld refusals of memory in %zu requests, each once and for ever: %ld right answers, %ld errors, %ld of them late; %ld "
           "wrong, "
           "%ld leaks, %ld without a reply\n",
           figures.points, ARRAY_LEN(specs), figures.right, figures.errors, figures.timeouts, figures.wrong, figures.leaks,
           figures.hangs);
    fflush(stdout);
    _exit(figures.wrong || figures.leaks || figures.hangs ? 1 : 0);
}
