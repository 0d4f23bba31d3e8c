/* A case in a process of its own. Whatever a plugin does to its process, the checker goes on and says what happened. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"

enum { MEMORY_MAX_MB = 2048 };

void found(struct result *r, enum severity severity, const char *fmt, ...) {
    char text[FINDING_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->findings[i].text, text) == 0) return;
    if (r->n == FINDINGS_MAX) return;
    r->findings[r->n].severity = severity;
    memcpy(r->findings[r->n++].text, text, sizeof text);
}

void step(struct result *r, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->step, sizeof r->step, fmt, args);
    va_end(args);
}

bool has_failed(const struct result *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->findings[i].severity == FAILURE) return true;
    return false;
}

static void limit(int what, rlim_t value) {
    struct rlimit l = {value, value};
    setrlimit((__rlimit_resource_t)what, &l);
}

static void set_limits(unsigned deadline_s) {
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 256);
    limit(RLIMIT_FSIZE, 64 << 20);
    limit(RLIMIT_CPU, deadline_s + 5);
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_DATA, (rlim_t)MEMORY_MAX_MB << 20);
#endif
}

/* Standard streams are not a plugin's: what it prints is not mixed with the report. */
static void silence(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || getenv("TDA_TEST_LOG")) return;
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    close(null);
}

static const char *where(const struct result *r, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s", r->callback[0] ? "in its " : "", r->callback, r->callback[0] && r->step[0] ? ", " : "",
             r->step);
    return out;
}

/* Computing or waiting? */
static void judge_late(struct result *r, const char *place, unsigned deadline_s, time_t cpu_s, const char *again) {
    if (cpu_s * 4 > (time_t)deadline_s)
        found(r, FAILURE,
              "it did not come to an end within %u s (%s): does a callback compute for ever? If the machine is slow, say "
              "--deadline%s",
              deadline_s, place, again);
    else
        found(r, FAILURE, "it blocks: no return within %u s (%s): never wait in a callback%s", deadline_s, place, again);
}

static void judge_end(struct result *r, int status, bool late, time_t cpu_s, unsigned deadline_s) {
    char place[STEP_SIZE + 64], again[80] = "";
    where(r, place, sizeof place);
    if (r->seed) snprintf(again, sizeof again, "; again with --reproduce 0x%llx", (unsigned long long)r->seed);
    r->hopeless |= late;
    if (late)
        judge_late(r, place, deadline_s, cpu_s, again);
    else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
        found(r, FAILURE, "it uses up its processor time or memory (%s)%s", place, again);
    else if (WIFSIGNALED(status))
        found(r, FAILURE, "it crashes with signal %d, %s (%s): run the case in a debugger, or build with -fsanitize=address%s",
              WTERMSIG(status), strsignal(WTERMSIG(status)), place, again);
#if defined(__SANITIZE_ADDRESS__)
    else if (!r->finished && WEXITSTATUS(status) == 1)
        found(r, FAILURE, "a sanitizer stopped it (%s): TDA_TEST_LOG=1 shows what it says%s", place, again);
#endif
    else if (!r->finished)
        found(r, FAILURE, "it ends the process with exit code %d (%s): never call exit; return an error, or finish the call%s",
              WEXITSTATUS(status), place, again);
}

/* True: it ended by itself. */
static bool wait_for(pid_t pid, unsigned deadline_s, int *ret_status, time_t *ret_cpu_s) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct rusage used = {0};
    int n;
    do n = poll(&p, 1, (int)deadline_s * 1000);
    while (n < 0 && errno == EINTR);
    if (fd >= 0) close(fd);
    if (n == 0) kill(pid, SIGKILL);
    wait4(pid, ret_status, 0, &used);
    *ret_cpu_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec;
    return n != 0;
}

static void in_child(const struct check *c, case_fn fn, unsigned deadline_s, struct result *r) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a plugin that hangs would outlive a check that somebody ended */
    set_limits(deadline_s);
    silence();
    kit_mark = r->callback;
    fn(c, r);
    const char *foreign = kit_fault_from_elsewhere();
    if (foreign) found(r, FAILURE, "%s", foreign);
    r->finished = true;
    _exit(0);
}

void run_case(const struct check *c, const char *name, case_fn fn, unsigned deadline_s, struct result *r) {
    int status = 0;
    time_t cpu_s = 0;
    r->name = name;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        found(r, FAILURE, "the case could not be run: %s", strerror(errno));
        return;
    }
    if (pid == 0) in_child(c, fn, deadline_s, r);
    bool in_time = wait_for(pid, deadline_s, &status, &cpu_s);
    judge_end(r, status, !in_time, cpu_s, deadline_s);
}
