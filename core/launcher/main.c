/* tda-launcher: starts the host's child processes, reaps them, and outlives nobody.
 *
 * The host is large and has threads, and a parent-death signal is sent when a *thread* ends; so this small process of one thread is
 * the parent. It is the subreaper of everything below it: nothing escapes by forking twice. When the socket to the host closes, for
 * whatever reason, every descendant is killed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/descend.h"
#include "launcher/protocol.h"

struct child {
    struct child *next;
    pid_t pid;
    uint64_t id;
    int control;
};

static struct child *children;
static size_t n_children;

/* ---- starting one ---- */

struct order {
    struct spawn_head head;
    char *cwd;
    char **argv, **env;
    int fds[SPAWN_FDS];
};

static void close_all(const int *fds, int n) {
    for (int i = 0; i < n; i++) close(fds[i]);
}

static char *next_string(char **at, const char *end) {
    char *s = *at;
    char *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;
    if (!nul) return NULL;
    *at = nul + 1;
    return s;
}

/* Points into `text`. */
static bool parse_order(char *text, size_t n, struct order *o) {
    static char mark[40];
    char *at = text + sizeof o->head;
    const char *end = text + n;
    if (n < sizeof o->head) return false;
    memcpy(&o->head, text, sizeof o->head);
    size_t n_args = o->head.n_args, n_env = o->head.n_env;
    if (o->head.magic != SPAWN_MAGIC || n_args == 0 || n_args > n || n_env > n) return false;
    o->argv = calloc(n_args + 1, sizeof *o->argv);
    o->env = calloc(n_env + 2, sizeof *o->env);
    if (!o->argv || !o->env || !(o->cwd = next_string(&at, end))) return false;
    for (size_t i = 0; i < n_args; i++)
        if (!(o->argv[i] = next_string(&at, end))) return false;
    for (size_t i = 0; i < n_env; i++)
        if (!(o->env[i] = next_string(&at, end))) return false;
    snprintf(mark, sizeof mark, "TDA_CHILD=%llu", (unsigned long long)o->head.id);
    o->env[n_env] = mark;
    return true;
}

/* In the child. The program is looked up in the launcher's PATH, which is the host's. */
__attribute__((noreturn)) static void become(const struct order *o) {
    struct rlimit none = {0, 0};
    sigset_t empty;
    for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_DFL);
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    int control = fcntl(o->fds[3], F_DUPFD_CLOEXEC, 10);
    bool ready = control >= 0;
    for (int i = 0; i < 3 && ready; i++) ready = dup2(o->fds[i], i) == i;
    ready = ready && chdir(o->cwd[0] ? o->cwd : "/") == 0;
    if (ready) {
        close_range(3, (unsigned)control - 1, 0);
        close_range((unsigned)control + 1, ~0u, 0);
        execvpe(o->argv[0], o->argv, o->env);
    }
    struct control_news news = {CONTROL_EXEC_FAILED, errno};
    if (control >= 0) (void)!send(control, &news, sizeof news, MSG_NOSIGNAL);
    _exit(127);
}

static void spawn(const struct order *o) {
    struct child *c = calloc(1, sizeof *c);
    struct control_news failed = {CONTROL_EXEC_FAILED, ENOMEM};
    pid_t pid = c ? fork() : -1;
    if (pid == 0) become(o);
    if (pid < 0) {
        if (c) failed.value = errno;
        (void)!send(o->fds[3], &failed, sizeof failed, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(o->fds[3]);
        free(c);
    } else {
        *c = (struct child){children, pid, o->head.id, o->fds[3]};
        children = c;
        n_children++;
    }
    close_all(o->fds, 3);
}

/* One message of the host's; false when the host is gone. */
static bool take_order(void) {
    static char text[SPAWN_MAX];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * SPAWN_FDS)];
    } control;
    struct iovec iov = {text, sizeof text};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    struct order o = {0};
    ssize_t n = recvmsg(LAUNCHER_FD, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) return false;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int n_fds = c && c->cmsg_type == SCM_RIGHTS ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    if (n_fds) memcpy(o.fds, CMSG_DATA(c), (size_t)n_fds * sizeof(int));
    if (n_fds == SPAWN_FDS && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && parse_order(text, (size_t)n, &o))
        spawn(&o);
    else
        close_all(o.fds, n_fds);
    free(o.argv);
    free(o.env);
    explicit_bzero(text, (size_t)n); /* the environment may hold credentials */
    return true;
}

/* ---- the end of one ---- */

/* By pid too: one that was forked just now has the launcher's own environment until it becomes its program. */
static bool is_known(pid_t pid, uint64_t id) {
    for (struct child *c = children; c; c = c->next)
        if (c->pid == pid || c->id == id) return true;
    return false;
}

/* The group does not exist before the child's setsid. */
static void signal_child(const struct child *c, int sig) {
    if (kill(-c->pid, sig)) kill(c->pid, sig);
}

static void child_ended(struct child **link, int status) {
    struct child *c = *link;
    struct control_news news = {CONTROL_EXITED, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
    kill(-c->pid, SIGKILL);
    if (c->control >= 0) {
        (void)!send(c->control, &news, sizeof news, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(c->control);
    }
    *link = c->next;
    n_children--;
    free(c);
}

/* What a child leaves behind comes to us when it ends, and what that leaves behind when that has ended, and so on: after each end,
 * an orphan's too, those are killed whose child is gone. */
static void reap(void) {
    int status;
    bool ended = false;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; ended = true) {
        struct child **link = &children;
        while (*link && (*link)->pid != pid) link = &(*link)->next;
        if (*link) child_ended(link, status);
    }
    if (ended) kill_strays(is_known);
}

static void take_signal(struct child *c) {
    struct control_signal s;
    ssize_t n = recv(c->control, &s, sizeof s, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n == sizeof s && s.signal > 0 && s.signal < NSIG) {
        signal_child(c, s.signal);
        return;
    }
    close(c->control); /* its owner let go */
    c->control = -1;
    signal_child(c, SIGKILL);
    kill_marked(c->id);
}

/* ---- waiting ---- */

static void wait_for_news(struct pollfd *fds, struct child **owners, bool *host_gone) {
    size_t n = 0;
    fds[n++] = (struct pollfd){LAUNCHER_FD, POLLIN, 0};
    n++; /* the signalfd stands there already */
    for (struct child *c = children; c; c = c->next) {
        if (c->control < 0) continue;
        owners[n] = c;
        fds[n++] = (struct pollfd){c->control, POLLIN, 0};
    }
    if (poll(fds, n, -1) < 0) return;
    for (size_t i = 2; i < n; i++)
        if (fds[i].revents) take_signal(owners[i]);
    if (fds[1].revents & POLLIN) {
        struct signalfd_siginfo info;
        (void)!read(fds[1].fd, &info, sizeof info);
        reap();
    }
    if (fds[0].revents) *host_gone = !take_order();
}

int main(void) {
    sigset_t set;
    size_t room = 0;
    struct pollfd *fds = NULL;
    struct child **owners = NULL;
    bool host_gone = false;
    if (fcntl(LAUNCHER_FD, F_GETFD) < 0) {
        fputs("tda-launcher is started by tdad; it is of no use on its own\n", stderr);
        return 2;
    }
    fcntl(LAUNCHER_FD, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0); /* orders pass through here */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int sig = 1; sig < NSIG; sig++) /* the host says when to end, not a terminal */
        if (sig == SIGHUP || sig == SIGINT || sig == SIGTERM || sig == SIGPIPE || sig == SIGQUIT) signal(sig, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    while (!host_gone) {
        if (room < n_children + 2) {
            room = (n_children + 2) * 2;
            struct pollfd *more_fds = realloc(fds, room * sizeof *fds);
            struct child **more_owners = realloc(owners, room * sizeof *owners);
            if (!more_fds || !more_owners) break;
            fds = more_fds;
            owners = more_owners;
        }
        fds[1] = (struct pollfd){signals, POLLIN, 0};
        wait_for_news(fds, owners, &host_gone);
    }
    kill_all();
    free(fds);
    free(owners);
    return 0;
}
