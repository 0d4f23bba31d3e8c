#include "life.h"

#include <execinfo.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

enum { TICK_S = 1, FRAMES_MAX = 64, LOOPS_WATCHED = 64, SAID_AFTER_S = 1, DUMP_WAIT_US = 200000 };

/* ---- the supervisor ---- */

/* One datagram, as sd_notify(3) describes it; without libsystemd, whose whole is a lot for this. */
void life_notify(const char *state) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
        log_warn("the supervisor does not hear", LOG_Z("socket", path));
    close(fd);
}

/* How often it wants to hear, halved; 0: it does not. */
static int64_t feed_interval(void) {
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtoll(pid, NULL, 10) != getpid())) return 0;
    return strtoll(usec, NULL, 10) * 1000 / 2;
}

/* ---- loops that hang ---- */

/* Writes where the thread stands. backtrace is safe here once it has been called before: life_init does. */
static void dump_here(int sig UNUSED) {
    void *frames[FRAMES_MAX] = {NULL};
    int n = backtrace(frames, FRAMES_MAX);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

void life_init(void) {
    void *frames[1];
    struct sigaction dump = {.sa_handler = dump_here, .sa_flags = SA_RESTART};
    backtrace(frames, 1);
    sigaction(LOOP_DUMP_SIGNAL, &dump, NULL);
}

static void end_it(struct loop *l, const char *label, int64_t busy_ns) {
    log_error("a loop hangs: here is where, and the daemon aborts, for its users cannot be served", LOG_Z("what", label),
              LOG_INT("ms", busy_ns / NS_PER_MS));
    loop_dump(l);
    usleep(DUMP_WAIT_US);
    abort();
}

static void look_at(struct loop *l, unsigned index, bool *said, int64_t timeout_ns) {
    const char *label = "";
    int64_t busy_ns = loop_busy(l, &label);
    bool hangs = busy_ns >= (int64_t)SAID_AFTER_S * NS_PER_S;
    if (hangs && !*said) log_error("a callback does not return", LOG_Z("what", label), LOG_INT("loop", index));
    *said = hangs;
    if (timeout_ns && busy_ns >= timeout_ns) end_it(l, label, busy_ns);
}

int life_wait(const struct host *h, const sigset_t *set) {
    bool said[LOOPS_WATCHED] = {false};
    int64_t interval = feed_interval(), fed = clock_now_ns();
    for (;;) {
        int sig = sigtimedwait(set, NULL, &(struct timespec){.tv_sec = TICK_S});
        if (sig > 0) return sig;
        for (unsigned i = 0; i < h->n_started && i < LOOPS_WATCHED; i++)
            look_at(h->loops[i], i, &said[i], config_now(h->config)->watchdog_timeout);
        if (!interval || clock_now_ns() - fed < interval - (int64_t)TICK_S * NS_PER_S) continue;
        life_notify("WATCHDOG=1");
        fed = clock_now_ns();
    }
}
