/* One child process, from SPAWN to reaped: its control socket, the ladder that ends it, and its place in the limits. The
 * descriptors of stdin, stdout and stderr are the flow's. */
#ifndef LOOP_CHILD_H
#define LOOP_CHILD_H

#include "loop/loop_impl.h"

struct child;
struct child_events {
    void (*exec_failed)(void *arg, int error);
    void (*exited)(void *arg, int status); /* the last; -1: the launcher is gone, nobody knows */
};

/* Our ends of the three pipes, non-blocking. E_LIMIT, E_IO, E_NOMEM, E_INVALID. */
tda_status child_start(struct loop *l, const struct proc_spec *spec, int ret_fds[3], struct child **ret, struct error *e);
void child_listen(struct child *c, const struct child_events *events, void *arg);
/* The owner has closed stdin. Grace, TERM, grace, KILL. */
void child_stop(struct child *c);
/* The owner loses interest: no event comes any more, the ladder goes on in the background. */
void child_disown(struct child *c);
/* [loop] At the loop's end: whoever is left is killed by the launcher. */
void children_kill(struct loop *l);

#endif
