#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "loop/launcher_client.h"

#define NOBODY " " /* no user's id */

enum ladder { LADDER_UP, LADDER_ASKED, LADDER_TERM, LADDER_KILL };

struct child {
    struct loop *loop;
    struct child *prev, *next; /* of the loop's list */
    struct watch control;
    struct timer timer;
    enum ladder ladder;
    const struct child_events *events; /* NULL: disowned */
    void *arg;
    struct task gone;
    char *user;
    char label[64];
};

/* ---- the end ---- */

static void free_child(struct task *t) {
    struct child *c = CONTAINER_OF(t, struct child, gone);
    free(c->user);
    free(c);
}

static void end(struct child *c) {
    struct loop *l = c->loop;
    timer_stop(l, &c->timer);
    watch_remove(l, &c->control);
    close(c->control.fd);
    if (c->prev)
        c->prev->next = c->next;
    else
        l->children = c->next;
    if (c->next) c->next->prev = c->prev;
    launcher_release(l->launcher, c->user);
    loop_defer(l, &c->gone);
}

static void exited(struct child *c, int status) {
    const struct child_events *events = c->events;
    end(c);
    if (events) events->exited(c->arg, status);
}

void children_kill(struct loop *l) {
    while (l->children) exited(l->children, -1);
}

/* ---- the ladder ---- */

static void send_signal(struct child *c, int sig) {
    struct control_signal s = {sig};
    (void)!send(c->control.fd, &s, sizeof s, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void step_down(struct timer *t) {
    struct child *c = CONTAINER_OF(t, struct child, timer);
    bool first = c->ladder == LADDER_ASKED;
    c->ladder = first ? LADDER_TERM : LADDER_KILL;
    send_signal(c, first ? SIGTERM : SIGKILL);
    if (first)
        timer_set(c->loop, t, clock_now_ns() + loop_config(c->loop)->mcp_stop_grace);
    else
        LOG_SOME(LOG_LEVEL_INFO, "a child had to be killed", LOG_Z("child", c->label));
}

void child_stop(struct child *c) {
    if (c->ladder != LADDER_UP) return;
    c->ladder = LADDER_ASKED;
    if (timer_set(c->loop, &c->timer, clock_now_ns() + loop_config(c->loop)->mcp_stop_grace)) send_signal(c, SIGKILL);
}

void child_disown(struct child *c) {
    c->events = NULL;
    child_stop(c);
}

void child_listen(struct child *c, const struct child_events *events, void *arg) {
    c->events = events;
    c->arg = arg;
}

static void control_ready(struct watch *w, uint32_t epoll_events UNUSED) {
    struct child *c = CONTAINER_OF(w, struct child, control);
    struct control_news news;
    ssize_t n = recv(w->fd, &news, sizeof news, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n != sizeof news)
        exited(c, -1);
    else if (news.kind == CONTROL_EXITED)
        exited(c, news.value);
    else if (news.kind == CONTROL_EXEC_FAILED && c->events)
        c->events->exec_failed(c->arg, news.value);
}

/* ---- starting ---- */

static void write_order(struct buf *order, const struct proc_spec *spec, uint64_t id) {
    struct spawn_head head = {.magic = SPAWN_MAGIC, .id = id};
    while (spec->argv[head.n_args]) head.n_args++;
    while (spec->env && spec->env[head.n_env]) head.n_env++;
    buf_add(order, &head, sizeof head);
    const char *cwd = spec->cwd ? spec->cwd : "/";
    buf_add(order, cwd, strlen(cwd) + 1);
    for (uint32_t i = 0; i < head.n_args; i++) buf_add(order, spec->argv[i], strlen(spec->argv[i]) + 1);
    for (uint32_t i = 0; i < head.n_env; i++) buf_add(order, spec->env[i], strlen(spec->env[i]) + 1);
}

struct ends {
    int ours[SPAWN_FDS], theirs[SPAWN_FDS];
};

static void close_ends(int *fds) {
    for (int i = 0; i < SPAWN_FDS; i++)
        if (fds[i] >= 0) close(fds[i]);
}

static int open_ends(struct ends *x) {
    for (int i = 0; i < SPAWN_FDS; i++) x->ours[i] = x->theirs[i] = -1;
    for (int i = 0; i < 3; i++) {
        int pipe_fds[2];
        if (pipe2(pipe_fds, O_CLOEXEC)) return errno;
        x->ours[i] = pipe_fds[i == 0];
        x->theirs[i] = pipe_fds[i != 0];
        fcntl(x->ours[i], F_SETFL, O_NONBLOCK);
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    x->ours[3] = pair[0];
    x->theirs[3] = pair[1];
    return 0;
}

static int send_order(struct loop *l, const struct proc_spec *spec, const struct ends *x) {
    struct buf order;
    buf_init(&order, SPAWN_MAX);
    write_order(&order, spec, launcher_next_id(l->launcher));
    int error = order.status ? E2BIG : launcher_send(l->launcher, &order, x->theirs);
    wipe(order.p, order.n); /* the environment may hold credentials */
    buf_fini(&order);
    return error;
}

static struct child *child_new(struct loop *l, const struct proc_spec *spec, int control) {
    struct child *c = calloc(1, sizeof *c);
    char *user = str_dup(tda_str_of(spec->owner ? spec->owner : NOBODY));
    if (!c || !user) {
        free(c);
        free(user);
        return NULL;
    }
    *c = (struct child){.loop = l,
                        .control = {.fd = control, .ready = control_ready},
                        .timer = {.fire = step_down},
                        .gone = {.run = free_child},
                        .user = user};
    snprintf(c->label, sizeof c->label, "%s", spec->label ? spec->label : spec->argv[0]);
    return c;
}

static void link_child(struct loop *l, struct child *c) {
    c->next = l->children;
    if (l->children) l->children->prev = c;
    l->children = c;
}

static tda_status admit(struct loop *l, const char *owner, struct error *e) {
    int64_t max_of_user = owner ? loop_config(l)->limits_user_children : INT64_MAX;
    return launcher_admit(l->launcher, owner ? owner : NOBODY, loop_config(l)->limits_children, max_of_user, e);
}

tda_status flow_may_open_proc(struct loop *l, const char *owner, struct error *e) {
    tda_status s = l->launcher ? admit(l, owner, e) : TDA_OK; /* else it is refused for another reason */
    if (!s && l->launcher) launcher_release(l->launcher, owner ? owner : NOBODY);
    return s;
}

tda_status child_start(struct loop *l, const struct proc_spec *spec, int ret_fds[3], struct child **ret, struct error *e) {
    struct ends x;
    const char *user = spec->owner ? spec->owner : NOBODY;
    tda_status s = admit(l, spec->owner, e);
    if (s) return s;
    int error = open_ends(&x);
    struct child *c = error ? NULL : child_new(l, spec, x.ours[3]);
    if (c) error = watch_add(l, &c->control, EPOLLIN) ? ENOMEM : send_order(l, spec, &x);
    close_ends(x.theirs);
    if (!c || error) {
        if (c) watch_remove(l, &c->control);
        close_ends(x.ours);
        launcher_release(l->launcher, user);
        if (c) free(c->user);
        free(c);
        return error_set(e, error == E2BIG ? TDA_E_LIMIT : TDA_E_IO, "cannot_start", "%s cannot be started: %s", spec->argv[0],
                         error == E2BIG ? "its arguments and environment are longer than 96 KiB"
                                        : strerror(error ? error : ENOMEM));
    }
    link_child(l, c);
    memcpy(ret_fds, x.ours, 3 * sizeof *ret_fds);
    *ret = c;
    return TDA_OK;
}
