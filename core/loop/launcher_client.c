/* The host's side of the launcher: starting it, handing orders over, counting. Every thread; one mutex for the table of users, and
 * for starting it anew. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "launcher/protocol.h"
#include "loop/launcher_client.h"

struct owner {
    struct owner *next;
    char *user;
    int64_t n;
};

struct launcher {
    pthread_mutex_t lock;
    char path[512];
    int fd;
    pid_t pid;
    struct owner *owners;
    _Atomic int children;
    _Atomic uint64_t last_id;
};

enum { STOP_WAIT_MS = 5000 };

/* ---- the process ---- */

static bool find_program(const char *given, char *out, size_t size) {
    static const char *const places[] = {"tda-launcher", "../libexec/tda/tda-launcher"};
    char self[400];
    if (given) return snprintf(out, size, "%s", given) < (int)size && access(out, X_OK) == 0;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return false;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(out, size, "%s/%s", self, places[i]);
        if (access(out, X_OK) == 0) return true;
    }
    return false;
}

/* "NAME=value", or NULL. */
static char *environment_entry(const char *name) {
    size_t n = strlen(name);
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=') return *e;
    return NULL;
}

static int spawn_program(struct launcher *l, int its_end) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char *argv[] = {(char[]){"tda-launcher"}, NULL};
    char *env[] = {environment_entry("PATH"), NULL}; /* to find programs by; the rest may hold keys */
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, its_end, LAUNCHER_FD);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, LAUNCHER_FD + 1);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int rc = posix_spawn(&l->pid, l->path, &actions, &attr, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return rc;
}

static int start_program(struct launcher *l) {
    int pair[2], size = 4 << 20;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (pair[1] == LAUNCHER_FD) fcntl(pair[1], F_SETFD, 0); /* dup2 onto itself would keep the flag */
    int rc = spawn_program(l, pair[1]);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        l->pid = -1;
        return rc;
    }
    l->fd = pair[0];
    return 0;
}

tda_status launcher_start(const char *path, struct launcher **ret_launcher, struct error *e) {
    struct launcher *l = calloc(1, sizeof *l);
    if (!l) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    pthread_mutex_init(&l->lock, NULL);
    int rc = find_program(path, l->path, sizeof l->path) ? start_program(l) : ENOENT;
    if (rc) {
        error_set(e, TDA_E_IO, "launcher", "tda-launcher, which starts child processes, cannot be started: %s", strerror(rc));
        error_hint(e, "it belongs beside tdad, or in ../libexec/tda/ of it");
        free(l);
        return TDA_E_IO;
    }
    *ret_launcher = l;
    return TDA_OK;
}

/* It ends when the socket closes and its children are dead. */
void launcher_stop(struct launcher *l) {
    if (!l) return;
    if (l->fd >= 0) close(l->fd);
    for (int ms = 0; l->pid > 0 && waitpid(l->pid, NULL, WNOHANG) == 0; ms += 5) {
        if (ms >= STOP_WAIT_MS) {
            log_error("tda-launcher does not end; killing it");
            kill(l->pid, SIGKILL);
            waitpid(l->pid, NULL, 0);
            break;
        }
        usleep(5000);
    }
    while (l->owners) {
        struct owner *o = l->owners;
        l->owners = o->next;
        free(o->user);
        free(o);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int launcher_children(const struct launcher *l) {
    return atomic_load_explicit(&l->children, memory_order_relaxed);
}

/* ---- orders ---- */

static ssize_t hand_over(int fd, const struct buf *order, const int fds[SPAWN_FDS]) {
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * SPAWN_FDS)];
    } control = {0};
    struct iovec iov = {order->p, order->n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * SPAWN_FDS);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * SPAWN_FDS);
    return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

uint64_t launcher_next_id(struct launcher *l) {
    return atomic_fetch_add(&l->last_id, 1) + 1;
}

/* Where there was no room for it before, there may be now. */
static int start_anew(struct launcher *l) {
    log_error("tda-launcher has died; starting it anew");
    if (l->fd >= 0) close(l->fd);
    if (l->pid > 0) waitpid(l->pid, NULL, 0);
    l->fd = l->pid = -1;
    return start_program(l);
}

int launcher_send(struct launcher *l, const struct buf *order, const int fds[SPAWN_FDS]) {
    pthread_mutex_lock(&l->lock);
    int error = l->fd < 0 ? EPIPE : hand_over(l->fd, order, fds) < 0 ? errno : 0;
    if (error == EPIPE || error == ECONNRESET) {
        error = start_anew(l);
        if (!error) error = hand_over(l->fd, order, fds) < 0 ? errno : 0;
    }
    pthread_mutex_unlock(&l->lock);
    return error;
}

/* ---- limits ---- */

enum { FULL_RETRY_MS = 1000 };

static struct owner **find_owner(struct launcher *l, const char *user) {
    struct owner **link = &l->owners;
    while (*link && strcmp((*link)->user, user) != 0) link = &(*link)->next;
    return link;
}

static struct owner *owner_new(const char *user) {
    struct owner *o = calloc(1, sizeof *o);
    char *copy = str_dup(tda_str_of(user));
    if (!o || !copy) {
        free(o);
        free(copy);
        return NULL;
    }
    o->user = copy;
    return o;
}

tda_status launcher_admit(struct launcher *l, const char *user, int64_t max, int64_t max_of_user, struct error *e) {
    tda_status s = TDA_OK;
    pthread_mutex_lock(&l->lock);
    struct owner **link = find_owner(l, user), *o = *link;
    if (launcher_children(l) >= max) {
        s = error_set(e, TDA_E_LIMIT, "too_many_children", "%lld child processes run already", (long long)max);
        error_hint(e, "try again later; the operator may raise limits.children");
    } else if ((o ? o->n : 0) >= max_of_user) {
        s = error_set(e, TDA_E_LIMIT, "too_many_children", "this user has %lld child processes already", (long long)max_of_user);
        error_hint(e, "try again when one has ended; the operator may raise limits.children_per_user");
    } else if (!o && !(o = *link = owner_new(user))) {
        s = TDA_E_NOMEM;
    }
    if (o && !s) {
        o->n++;
        atomic_fetch_add(&l->children, 1);
    } else if (s == TDA_E_LIMIT && e) {
        e->retry_ms = FULL_RETRY_MS;
    }
    pthread_mutex_unlock(&l->lock);
    return s;
}

void launcher_release(struct launcher *l, const char *user) {
    pthread_mutex_lock(&l->lock);
    struct owner **link = find_owner(l, user), *o = *link;
    if (o && --o->n == 0) {
        *link = o->next;
        free(o->user);
        free(o);
    }
    atomic_fetch_sub(&l->children, 1);
    pthread_mutex_unlock(&l->lock);
}
