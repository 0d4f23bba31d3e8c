/* tdad: reads the configuration, puts the parts together, waits for a signal, takes them apart.
 *
 * Signals are blocked before any thread starts and waited for here. Exit codes: 0 stopped as asked, 1 failed while running,
 * 2 wrong use, 78 wrong configuration (EX_CONFIG). */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/profile.h"
#include "base/clock.h"
#include "base/environment.h"
#include "base/hash.h"
#include "base/log.h"
#include "host.h"
#include "identity/open.h"
#include "life.h"
#include "loop/flow.h"
#include "manual.h"
#include "plugin/calls.h"
#include "session/open.h"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78, LOOPS_AUTO_MAX = 4, FLAGS_MAX = 64 };
#define DRAIN_GRACE_NS (5LL * NS_PER_S)
#define WORKERS_GRACE_NS (2LL * NS_PER_S) /* after the last caller has his answer */

#ifndef TDA_VERSION
#define TDA_VERSION "0.1.0"
#endif

static const char usage_text[] =
    "tdad - hosts LLM agents for many users at once\n"
    "\n"
    "usage: tdad [--config FILE] [--set PATH=VALUE ...]\n"
    "\n"
    "  -c, --config FILE     YAML to read; default: $TDA_CONFIG, else none (defaults and environment only)\n"
    "  -s, --set PATH=VALUE  a setting, over file and environment; may be repeated\n"
    "      --check           read and check everything, print what is wrong, end (78: something is)\n"
    "      --explain[=json]  print every effective setting and where it came from, end\n"
    "      --reference WHAT  print what is known of 'settings' or 'methods' as Markdown, a man page ('tdad.8',\n"
    "                        'tda.yaml.5', 'tda-protocol.7') or a completion ('bash', 'zsh', 'fish'), end\n"
    "  -V, --version         print the version, end\n"
    "  -h, --help            print this, end\n"
    "\n"
    "examples:\n"
    "  tdad --config configs/team.yaml --check\n"
    "  tdad --config configs/demo.yaml --set log.level=debug\n"
    "  TDA_CONFIGURATION_PERSISTENCE=false tdad --set listen=ipc:///tmp/tda.sock\n"
    "\n"
    "signals: TERM and INT end it after the requests in flight have been answered; HUP reads the configuration again.\n";

struct options {
    const char *config;
    const char *flags[FLAGS_MAX];
    size_t n_flags;
    bool check, explain, explain_json;
    const char *reference;
};

/* ---- command line ---- */

enum { OPT_CHECK = 256, OPT_EXPLAIN, OPT_REFERENCE };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, 's'},
    {"check", no_argument, NULL, OPT_CHECK},
    {"explain", optional_argument, NULL, OPT_EXPLAIN},
    {"reference", required_argument, NULL, OPT_REFERENCE},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what, const char *arg) {
    fprintf(stderr, "tdad: %s%s%s\ntry: tdad --help\n", what, arg ? ": " : "", arg ? arg : "");
    return EXIT_USAGE;
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *o) {
    int opt;
    *o = (struct options){.config = getenv("TDA_CONFIG")};
    while ((opt = getopt_long(argc, argv, "c:s:Vh", long_options, NULL)) != -1) switch (opt) {
        case 'c': o->config = optarg; break;
        case 's':
            if (o->n_flags == FLAGS_MAX) return usage_error("too many --set", NULL);
            if (!optarg || !strchr(optarg, '=')) return usage_error("--set wants PATH=VALUE", optarg);
            o->flags[o->n_flags++] = optarg;
            break;
        case OPT_CHECK: o->check = true; break;
        case OPT_EXPLAIN:
            o->explain = true;
            o->explain_json = optarg && strcmp(optarg, "json") == 0;
            if (optarg && !o->explain_json) return usage_error("--explain takes nothing or =json, not", optarg);
            break;
        case OPT_REFERENCE: o->reference = optarg; break;
        case 'V': printf("tdad %s (plugin interface %u.%u)\n", TDA_VERSION, TDA_ABI_MAJOR, TDA_ABI_MINOR); return 0;
        case 'h': fputs(usage_text, stdout); return 0;
        default: return usage_error("see the line above", NULL);
        }
    if (optind < argc) return usage_error("unexpected argument", argv[optind]);
    return -1;
}

/* ---- bridges between the front door and the router ---- */

static void on_request(void *arg, struct server_request *sr, const struct peer *peer, tda_str text) {
    struct host *h = arg;
    struct caller caller = {peer->connection, peer->is_ipc, peer->uid};
    route_request(h->router, sr, &caller, text);
}

static void on_oversize(void *arg, struct server_request *sr, const struct peer *peer, uint64_t claimed) {
    struct host *h = arg;
    struct caller caller = {peer->connection, peer->is_ipc, peer->uid};
    route_oversize(h->router, sr, &caller, claimed);
}

static void on_gone(void *arg, uint64_t connection) {
    struct host *h = arg;
    route_gone(h->router, connection);
}

static void send_reply(void *token, tda_str text) {
    server_reply(token, text);
}

static void identified(void *token) {
    server_identified(token);
}

static void write_server_stats(void *arg, struct jw *w) {
    struct host *h = arg;
    if (h->sessions) sessions_write(h->sessions, w);
    if (h->server) front_door_write(h->server, w);
}

static void write_server_info(void *arg, struct jw *w) {
    struct host *h = arg;
    jw_put_bool(w, "sessions", h->sessions != NULL);
    if (h->kept_aside[0]) jw_put_z(w, "damaged_context_kept_as", h->kept_aside);
    if (!h->server) return;
    jw_open_array(w, "listeners");
    for (const char *const *url = server_urls(h->server); *url; url++) jw_str(w, tda_str_of(*url));
    jw_end_array(w);
}

/* ---- posting to loops ---- */

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

/* What is posted here frees something, so it must not fail: wait for memory rather than leak or run on the wrong thread. */
static void post_to_loop(void *arg, unsigned loop, void (*fn)(void *), void *fn_arg) {
    struct host *h = arg;
    struct posted *p;
    while (!(p = malloc(sizeof *p))) usleep(1000);
    *p = (struct posted){.task = {.run = run_posted}, .fn = fn, .arg = fn_arg};
    loop_post(h->loops[loop], &p->task);
}

/* ---- jobs ---- */

static tda_status job_cleanup(void *arg, char *note, size_t note_size) {
    struct host *h = arg;
    uint64_t removed = 0;
    tda_status s = contexts_sweep(h->contexts, config_now(h->config)->cleanup_max_age, &removed);
    snprintf(note, note_size, "%llu contexts removed, %llu kept", (unsigned long long)removed,
             (unsigned long long)contexts_count(h->contexts));
    if (removed) log_info("idle contexts removed", LOG_INT("count", (int64_t)removed));
    return s;
}

static tda_status load_context(struct host *h, struct error *e) {
    if (h->config->contexts_persistence)
        state_path(h->config->contexts_file, "context.json", h->context_file, sizeof h->context_file);
    if (!h->context_file[0]) return TDA_OK;
    tda_status s = contexts_load(h->contexts, h->context_file, &h->saved_epoch, e);
    if (!s) return TDA_OK;
    char why[sizeof e->text];
    snprintf(why, sizeof why, "%s", e->text);
    bool damaged = strcmp(e->kind, "damaged") == 0;
    if (damaged && !contexts_keep_aside(h->context_file, h->kept_aside, sizeof h->kept_aside)) {
        log_error("the file of the shared context is damaged; it is kept aside, and the context is empty",
                  LOG_Z("file", h->context_file), LOG_Z("kept_as", h->kept_aside), LOG_Z("reason", why));
        return TDA_OK;
    }
    error_set(e, s, "not_read", "the shared context in %s cannot be read: %s", h->context_file, why);
    error_hint(e, "repair the file, or move it away to begin with an empty context");
    return s;
}

static tda_status job_save(void *arg, char *note, size_t note_size) {
    struct host *h = arg;
    struct error e = {.retry_ms = -1};
    tda_status s = contexts_save(h->contexts, h->context_file, &h->saved_epoch, &e);
    snprintf(note, note_size, "%s", s ? e.text : h->context_file);
    return s;
}

static tda_status job_retention(void *arg, char *note, size_t note_size) {
    struct host *h = arg;
    return sessions_retain(h->sessions, config_now(h->config), &h->ages, note, note_size);
}

static void count_tokens(void *arg, tda_str user, uint64_t tokens) {
    limits_tokens(arg, user, clock_wall_ms() / DAY_MS, tokens);
}

static tda_status start_sessions(struct host *h, struct error *e) {
    char path[512];
    tda_status s = limits_new(h->config, &h->limits);
    if (s) return error_set(e, s, NULL, "out of memory");
    retention_begin(&h->ages);
    state_path(h->config->sessions_path, "sessions.db", path, sizeof path);
    if (path[0]) s = sessions_open(h->config, path, &h->sessions, e);
    if (s) return s;
    if (!path[0]) log_info("no sessions are kept, and usage is not");
    h->agent.limits = h->limits;
    h->agent.sessions = h->sessions;
    return h->sessions ? sessions_tokens_today(h->sessions, count_tokens, h->limits, e) : TDA_OK;
}

/* Shared mode schedules no sweep. */
static tda_status start_jobs(struct host *h) {
    bool per_user = !h->config->contexts_persistence;
    struct job_spec cleanup = {.name = "context_cleanup",
                               .help = "removes contexts that nobody used for maintenance.context_cleanup.max_age",
                               .interval_ns = h->config->cleanup_interval,
                               .enabled = per_user && h->config->cleanup_enabled,
                               .run = job_cleanup,
                               .arg = h};
    struct job_spec replies = {.name = "reply_cleanup",
                               .help = "drops replies stored for idempotency keys that are older than idempotency.keep",
                               .interval_ns = 60LL * NS_PER_S,
                               .enabled = true,
                               .run = router_clean,
                               .arg = h->router};
    struct job_spec tasks = {.name = "task_cleanup",
                             .help = "drops what is kept of tasks that ended longer than tasks.keep ago",
                             .interval_ns = 10LL * NS_PER_S,
                             .enabled = true,
                             .run = router_clean_tasks,
                             .arg = h->router};
    struct job_spec save = {.name = "context_save",
                            .help = "keeps the shared context in contexts.file when it has changed",
                            .interval_ns = NS_PER_S,
                            .enabled = true,
                            .run = job_save,
                            .arg = h};
    struct job_spec retention = {.name = "session_retention",
                                 .help = "removes sessions, keys and usage that are beyond maintenance.session_retention",
                                 .interval_ns = h->config->retention_interval,
                                 .enabled = h->config->retention_enabled,
                                 .run = job_retention,
                                 .arg = h};
    struct job_spec reload = {.name = "config_reload",
                              .help = "reads the configuration again, as SIGHUP and config.reload ask for",
                              .logs_itself = true,
                              .run = host_reload,
                              .arg = h};
    struct job_spec report = {.name = "report",
                              .help = "says in the log how the host fares",
                              .interval_ns = h->config->report_interval,
                              .enabled = h->config->report_enabled,
                              .run = host_report,
                              .arg = h};
    struct job_spec tokens = {.name = "token_save",
                              .help = "keeps new and revoked tokens, and when each was last used",
                              .interval_ns = 60LL * NS_PER_S,
                              .enabled = true,
                              .run = identity_save,
                              .arg = h->identity};
    tda_status s = per_user ? jobs_add(h->jobs, &cleanup) : TDA_OK;
    if (!s) s = jobs_add(h->jobs, &report);
    if (!s) s = jobs_add(h->jobs, &reload);
    if (!s && identity_keeps_tokens(h->identity)) s = jobs_add(h->jobs, &tokens);
    if (!s && h->context_file[0]) s = jobs_add(h->jobs, &save);
    if (!s) s = jobs_add(h->jobs, &replies);
    if (!s && h->sessions) s = jobs_add(h->jobs, &retention);
    if (!s) s = jobs_add(h->jobs, &tasks);
    return s ? s : jobs_start(h->jobs);
}

/* ---- loops ---- */

static unsigned loop_count(const struct config *c) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (c->loops) return (unsigned)c->loops;
    return cores < 1 ? 1 : cores > LOOPS_AUTO_MAX ? LOOPS_AUTO_MAX : (unsigned)cores;
}

struct loop_step {
    struct plugins *plugins;
    struct loop *loop;
    tda_status status;
};

static void open_instances(void *arg) {
    struct loop_step *s = arg;
    s->status = plugins_open_loop(s->plugins, s->loop);
}

static void end_conns(void *arg) {
    struct loop_step *s = arg;
    plugins_end_conns(s->plugins, s->loop);
}

static void close_instances(void *arg) {
    struct loop_step *s = arg;
    plugins_close_loop(s->plugins, s->loop);
}

static tda_status on_loop(struct host *h, struct loop *l, void (*step)(void *)) {
    struct loop_step s = {.plugins = h->plugins, .loop = l};
    loop_call(l, step, &s);
    return s.status;
}

static void on_swept(void *arg, const char *user) {
    struct host *h = arg;
    router_swept(h->router, tda_str_of(user));
}

static tda_status start_loops(struct host *h) {
    h->n_loops = loop_count(h->config);
    h->loops = calloc(h->n_loops, sizeof *h->loops);
    if (!h->loops) return TDA_E_NOMEM;
    for (unsigned i = 0; i < h->n_loops; i++) {
        struct loop_options o = {.index = i, .config = h->config, .launcher = h->launcher};
        tda_status s = loop_new(&o, &h->loops[i]);
        if (!s) s = loop_start(h->loops[i]);
        if (s) return s;
        h->n_started++;
        s = on_loop(h, h->loops[i], open_instances);
        if (s) return s;
    }
    return TDA_OK;
}

/* ---- life ---- */

/* Secrets stay out of cores, and of the reach of other processes of this user: MCP servers are such. Before anything is read. */
static tda_status shut_the_doors(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    return environment_move();
}

static void allow_all_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static tda_status fail(struct error *e, tda_status s, const char *what) {
    return error_set(e, s, NULL, "%s: %s", what, status_text(s));
}

/* They were checked with the rest of the configuration. */
static tda_status load_profiles(struct host *h, struct error *e) {
    struct buf report;
    buf_init(&report, sizeof e->text);
    tda_status s = profiles_load(&h->agent, &report);
    if (s) error_set(e, s, NULL, "the profiles cannot be made: %.*s", STR_FMT(buf_str(&report)));
    buf_fini(&report);
    return s;
}

/* The listeners first, for theirs is the plainer error. */
static tda_status start_identity(struct host *h, struct error *e) {
    tda_status s = server_check(h->config, e);
    return s ? s : identity_open(h->config, &h->identity, e);
}

static tda_status host_start(struct host *h, struct error *e) {
    tda_status s = start_identity(h, e);
    if (!s) s = launcher_start(NULL, &h->launcher, e);
    if (!s) s = audit_open(h->config->audit_path, &h->audit, e);
    if (s) return s;
    s = start_loops(h);
    if (s) return fail(e, s, "cannot start the loop threads");
    struct contexts_options co = {.persistence = h->config->contexts_persistence,
                                  .mirror_to_shared = h->config->contexts_mirror,
                                  .host_keys = h->config->user_env_keys,
                                  .max_users = (uint64_t)h->config->contexts_max_users,
                                  .max_profiles = (uint64_t)h->config->limits_profiles,
                                  .n_loops = h->n_loops,
                                  .post = post_to_loop,
                                  .post_arg = h,
                                  .swept = on_swept};
    s = contexts_new(&co, &h->contexts);
    if (s) return fail(e, s, "cannot make the contexts");
    s = agent_init(&h->agent, h->config, h->plugins, h->contexts);
    if (s) return fail(e, s, "cannot make the agent");
    s = load_profiles(h, e);
    if (!s) s = load_context(h, e); /* its default may be one of the operator's */
    if (!s) s = start_sessions(h, e);
    if (s) return s;
    s = jobs_new(&h->jobs);
    if (s) return fail(e, s, "cannot make the scheduler");
    struct router_options ro = {.config = h->config,
                                .identity = h->identity,
                                .audit = h->audit,
                                .contexts = h->contexts,
                                .plugins = h->plugins,
                                .agent = &h->agent,
                                .jobs = h->jobs,
                                .loops = h->loops,
                                .n_loops = h->n_loops,
                                .launcher = h->launcher,
                                .reply = send_reply,
                                .identified = identified,
                                .write_stats = write_server_stats,
                                .write_info = write_server_info,
                                .write_reload = host_write_reload,
                                .write_arg = h};
    s = router_new(&ro, &h->router);
    if (!s) s = start_jobs(h);
    if (s) return fail(e, s, "cannot start the scheduler");
    static const struct server_ops ops = {on_request, on_oversize, on_gone};
    return server_start(h->config, &ops, h, &h->server, e);
}

/* MCP servers have been told to go: time for what they have to write. Whoever is left is killed with the launcher. */
static void wait_for_children(const struct host *h) {
    struct call_stats stats;
    int64_t until = clock_now_ns() + 2 * h->config->mcp_stop_grace;
    for (;;) {
        calls_stats(h->plugins, &stats);
        if ((!stats.conns_open && !launcher_children(h->launcher)) || clock_now_ns() > until) return;
        usleep(5000);
    }
}

static void save_last(struct host *h) {
    char note[400];
    if (identity_keeps_tokens(h->identity) && identity_save(h->identity, note, sizeof note))
        log_error("the tokens' last uses are not saved", LOG_Z("reason", note));
    if (h->context_file[0] && job_save(h, note, sizeof note)) log_error("the shared context is not saved", LOG_Z("reason", note));
}

static tda_status write_nothing(void *arg UNUSED, struct store *s UNUSED, struct error *e UNUSED) {
    return TDA_OK;
}

/* A plugin's call that never returns may still touch what would be freed now, and cannot be stopped. What waits to be stored is
 * before the last write. */
static void leave_behind(struct host *h, const char *what) {
    if (h->sessions) sessions_run(h->sessions, LANE_WRITE, write_nothing, NULL, NULL);
    log_warn("stopped, with what never returned", LOG_Z("left", what));
    _exit(0);
}

/* The other way round. Every step takes what a failed start left. */
static void host_stop(struct host *h) {
    if (h->server) server_stop_listening(h->server);
    bool drained = !h->router || router_drain(h->router, DRAIN_GRACE_NS);
    if (h->jobs) jobs_stop(h->jobs);
    if (h->server) save_last(h);
    if (!drained) leave_behind(h, "requests"); /* the server would wait for their replies */
    if (h->server) server_stop(h->server, NS_PER_S);
    bool quiet = plugins_stop_workers(h->plugins, WORKERS_GRACE_NS);
    contexts_free(h->contexts);                                                     /* posts the drops of what lives on loops */
    for (unsigned i = 0; i < h->n_started; i++) on_loop(h, h->loops[i], end_conns); /* shared ones are in no context */
    if (h->n_started) wait_for_children(h);
    for (unsigned i = 0; i < h->n_started; i++) on_loop(h, h->loops[i], close_instances);
    for (unsigned i = 0; i < h->n_started; i++) loop_stop(h->loops[i]);
    for (unsigned i = 0; i < h->n_started; i++) loop_join(h->loops[i]);
    if (h->launcher) launcher_stop(h->launcher);
    audit_free(h->audit); /* no request is left that could end */
    if (!quiet) leave_behind(h, "blocking calls");
    for (unsigned i = 0; i < h->n_loops && h->loops; i++) loop_free(h->loops[i]);
    free(h->loops);
    router_free(h->router);
    jobs_free(h->jobs);
    identity_free(h->identity);
    sessions_free(h->sessions); /* with what it still has to write */
    limits_free(h->limits);
    agent_fini(&h->agent);
    host_free_reloads(h);
    plugins_free(h->plugins);
    config_free(h->config);
}

static void say_ready(const struct host *h) {
    const char *mode = contexts_is_shared(h->contexts) ? "shared" : "per-user";
    for (const char *const *url = server_urls(h->server); *url; url++) log_info("listening", LOG_Z("url", *url));
    log_info("ready", LOG_Z("version", TDA_VERSION), LOG_Z("mode", mode), LOG_INT("loops", h->n_loops));
}

static void reload_ended(void *arg UNUSED, tda_status status UNUSED, const char *note UNUSED) {} /* it is in the log */

static int wait_for_signal(const struct host *h, const sigset_t *set) {
    for (;;) {
        int sig = life_wait(h, set);
        if (sig != SIGHUP) return sig;
        jobs_run_now(h->jobs, TDA_STR("config_reload"), reload_ended, NULL, NULL);
    }
}

static int run(struct host *h, const sigset_t *signals) {
    struct error e = {.retry_ms = -1};
    allow_all_files();
    if (host_start(h, &e)) {
        fprintf(stderr, "tdad: %s%s%s\n", e.text, e.hint[0] ? "\n      " : "", e.hint);
        host_stop(h);
        return 1;
    }
    say_ready(h);
    life_notify("READY=1");
    int sig = wait_for_signal(h, signals);
    log_info("stopping", LOG_Z("signal", sig == SIGINT ? "INT" : "TERM"));
    life_notify("STOPPING=1");
    host_stop(h);
    log_info("stopped");
    return 0;
}

/* --check only: a start finds it by itself. A running daemon has the tokens, so there are some. */
static tda_status check_listeners(struct host *h, struct buf *report) {
    struct error e = {.retry_ms = -1};
    tda_status s = start_identity(h, &e);
    identity_free(h->identity);
    h->identity = NULL;
    if (s && s != TDA_E_BUSY) buf_addf(report, "%s%s%s\n", e.text, e.hint[0] ? "\n      " : "", e.hint);
    return s == TDA_E_BUSY ? TDA_OK : s;
}

static int print_config(const struct options *o, struct host *h) {
    struct buf out;
    buf_init(&out, 4 << 20);
    if (o->explain) config_explain(h->config, o->explain_json, &out);
    if (out.n) fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
    size_t refused = o->check ? plugins_refused(h->plugins) : 0;
    if (refused)
        fprintf(stderr, "tdad: the configuration is valid, but %zu of its plugins %s refused; a start would go on without %s\n",
                refused, refused == 1 ? "is" : "are", refused == 1 ? "it" : "them");
    else if (o->check)
        printf("configuration ok%s%s\n", o->config ? ": " : "", o->config ? o->config : "");
    plugins_free(h->plugins);
    config_free(h->config);
    return refused ? EXIT_CONFIG : 0;
}

static int report_config(struct host *h, struct buf *report, const struct options *o) {
    fprintf(stderr, "tdad: the configuration is not usable%s%s\n%.*s", o->config ? ": " : "", o->config ? o->config : "",
            STR_FMT(buf_str(report)));
    buf_fini(report);
    plugins_free(h->plugins);
    config_free(h->config);
    return EXIT_CONFIG;
}

int main(int argc, char **argv) {
    struct options o;
    struct host h = {0};
    struct buf report, notes;
    sigset_t signals;
    if (shut_the_doors()) return usage_error("out of memory", NULL);
    int code = parse_options(argc, argv, &o);
    if (code >= 0) return code;
    if (o.reference) return manual_print(o.reference, usage_text) ? EXIT_USAGE : 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    life_init();
    if (hash_init()) return usage_error("no source of random numbers", NULL);
    buf_init(&report, 1 << 20);
    buf_init(&notes, 1 << 20);
    const struct config_source source = {.path = o.config, .env = environ, .flags = o.flags, .n_flags = o.n_flags};
    h.source = source;
    if (config_load(&source, &h.config, &report, &notes)) {
        buf_fini(&notes);
        return report_config(&h, &report, &o);
    }
    bool quiet = o.check || o.explain;
    log_setup(quiet ? LOG_LEVEL_WARN : (enum log_level)(h.config->log_level + 1), h.config->log_format == 1, 2);
    if (notes.n) fprintf(stderr, "%.*s", STR_FMT(buf_str(&notes)));
    buf_fini(&notes);
    if (plugins_new(h.config, environ, &h.plugins, &report) || host_check_profiles(h.config, h.plugins, &report) ||
        (o.check && check_listeners(&h, &report)))
        return report_config(&h, &report, &o);
    buf_fini(&report);
    return quiet ? print_config(&o, &h) : run(&h, &signals);
}
