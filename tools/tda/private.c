/* A daemon of one's own, to look at a server that no configuration knows yet: what is run is said to nobody but this child of ours,
 * which has a folder and a socket of its own and ends with us. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tda.h"

enum { START_MS = 10000, STOP_MS = 20000, STEP_US = 20 * 1000, TMPDIR_MAX = 64, DIR_SIZE = 96, FILE_SIZE = 112 };

struct private_daemon {
    char dir[DIR_SIZE], yaml[FILE_SIZE], log[FILE_SIZE], url[FILE_SIZE + 8];
    pid_t pid;
};

/* ---- its configuration ---- */

static bool write_file(const char *path, const struct buf *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text->p, text->n) == (ssize_t)text->n;
    if (fd >= 0) close(fd);
    return ok;
}

/* JSON is YAML. */
static bool write_config(const struct private_daemon *d, const char *url, const char *const *argv) {
    struct buf text;
    struct jw w;
    char cwd[PATH_MAX];
    buf_init(&text, 1 << 20);
    jw_init(&w, &text);
    jw_begin_object(&w);
    jw_open_array(&w, "listen");
    jw_str(&w, tda_str_of(d->url));
    jw_end_array(&w);
    jw_put_i64(&w, "loops", 1);
    jw_put_raw(&w, "contexts", TDA_STR("{\"persistence\":false}"));
    jw_put_raw(&w, "sessions", TDA_STR("{\"path\":\"none\"}"));
    jw_put_raw(&w, "identity", TDA_STR("{\"tokens\":\"none\"}"));
    jw_put_raw(&w, "plugins", TDA_STR("{\"load\":[\"mcp\"]}"));
    jw_open_object(&w, "mcp_servers");
    jw_open_object(&w, "probed");
    if (url) jw_put_z(&w, "url", url);
    if (argv) {
        jw_open_array(&w, "command");
        for (; *argv; argv++) jw_str(&w, tda_str_of(*argv));
        jw_end_array(&w);
        if (getcwd(cwd, sizeof cwd)) jw_put_z(&w, "cwd", cwd);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
    bool ok = !text.status && write_file(d->yaml, &text);
    buf_fini(&text);
    return ok;
}

/* ---- its life ---- */

/* What is set for another daemon is not for this one, but for where plugins are. */
static void clean_environment(void) {
    char name[128];
    for (char **e = environ; *e;) {
        size_t n = strcspn(*e, "=");
        bool ours = strncmp(*e, "TDA_", 4) == 0 && n < sizeof name && strncmp(*e, "TDA_PLUGIN_DIR=", 15) != 0 &&
                    strncmp(*e, "TDA_PLUGINS_STRICT_MODES=", 25) != 0;
        if (ours) snprintf(name, sizeof name, "%.*s", (int)n, *e);
        if (!ours || unsetenv(name))
            e++;
        else
            e = environ;
    }
}

static void run_daemon(const struct private_daemon *d, pid_t parent) {
    static const char *const places[] = {"tdad", "../sbin/tdad", "../libexec/tda/tdad"};
    char self[PATH_MAX], path[PATH_MAX + 32];
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    int log = open(d->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    clean_environment();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        if (access(path, X_OK) == 0) execl(path, "tdad", "--config", d->yaml, (char *)NULL);
    }
    dprintf(2, "tdad is not installed beside this program (%s)\n", self);
    _exit(1);
}

static void remove_files(const struct private_daemon *d) {
    unlink(d->yaml);
    unlink(d->log);
    unlink(d->url + strlen("ipc://"));
    rmdir(d->dir);
}

static void stop(struct private_daemon *d) {
    int64_t end = clock_now_ns() + (int64_t)STOP_MS * NS_PER_MS;
    if (d->pid > 0) kill(d->pid, SIGTERM);
    while (d->pid > 0 && waitpid(d->pid, NULL, WNOHANG) == 0) {
        if (clock_now_ns() > end) kill(d->pid, SIGKILL);
        usleep(STEP_US);
    }
    remove_files(d);
}

/* It ended before it was there: its own words. */
static int say_why(const struct private_daemon *d) {
    tda_str text = read_all(d->log, 1 << 20);
    fputs("tda: a daemon to probe with cannot be started:\n", stderr);
    print_word(stderr, "", text);
    free((char *)(uintptr_t)text.p);
    return EXIT_FAILED;
}

static bool answers(const struct options *o) {
    struct tda_client *c;
    struct tda_client_error e;
    struct tda_client_options co = {.size = sizeof co, .url = o->socket, .timeout_ms = 1000};
    char *result = NULL;
    if (tda_client_open(&co, &c, &e)) return false;
    bool ok = tda_client_call(c, "host.ping", "{}", &result, &e) == 0;
    free(result);
    tda_client_close(c);
    return ok;
}

static int start(struct private_daemon *d, const struct options *inside, const char *url, const char *const *argv) {
    int64_t end = clock_now_ns() + (int64_t)START_MS * NS_PER_MS;
    if (!write_config(d, url, argv)) {
        fprintf(stderr, "tda: %s cannot be written: %s\n", d->yaml, strerror(errno));
        return EXIT_FAILED;
    }
    pid_t parent = getpid();
    d->pid = fork();
    if (d->pid == 0) run_daemon(d, parent);
    if (d->pid < 0) {
        fprintf(stderr, "tda: no process can be made: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    while (!answers(inside)) {
        if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            d->pid = 0;
            return say_why(d);
        }
        if (clock_now_ns() > end) return say_why(d);
        usleep(STEP_US);
    }
    return EXIT_OK;
}

static volatile sig_atomic_t asked; /* the daemon's process, while there is one */

/* The daemon ends, so the call that we wait in ends, and we tidy up. */
static void on_interrupt(int sig) {
    (void)sig;
    if (asked > 0) kill(asked, SIGTERM);
}

static int probe_with(const struct options *o, const char *url, const char *const *argv) {
    struct private_daemon d = {0};
    struct options inside = *o;
    const char *tmp = getenv("TMPDIR");
    if (!tmp || tmp[0] != '/' || strlen(tmp) > TMPDIR_MAX) tmp = "/tmp"; /* a socket's path is short */
    snprintf(d.dir, sizeof d.dir, "%s/tda-probe-XXXXXX", tmp);
    if (!mkdtemp(d.dir)) {
        fprintf(stderr, "tda: no folder can be made in %s: %s\n", tmp, strerror(errno));
        return EXIT_FAILED;
    }
    snprintf(d.yaml, sizeof d.yaml, "%s/tda.yaml", d.dir);
    snprintf(d.log, sizeof d.log, "%s/log", d.dir);
    snprintf(d.url, sizeof d.url, "ipc://%s/tda.sock", d.dir);
    inside.socket = d.url;
    inside.user = "probe";
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    int code = start(&d, &inside, url, argv);
    asked = d.pid;
    if (!code && (code = mcp_probe(&inside, "probed")) == EXIT_FAILED && !o->json) mcp_logs(&inside, "probed");
    asked = 0;
    stop(&d);
    return code;
}

int mcp_probe_url(const struct options *o, const char *url) {
    return probe_with(o, url, NULL);
}

int mcp_probe_command(const struct options *o, const char *const *argv) {
    return probe_with(o, NULL, argv);
}
