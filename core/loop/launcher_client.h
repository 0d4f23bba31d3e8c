/* What core/loop asks of the launcher; the rest of its face is in flow.h. [any] */
#ifndef LOOP_LAUNCHER_CLIENT_H
#define LOOP_LAUNCHER_CLIENT_H

#include "base/buf.h"
#include "launcher/protocol.h"
#include "loop/flow.h"

uint64_t launcher_next_id(struct launcher *l);
/* 0 or errno; EAGAIN: too many orders wait. The descriptors stay the caller's. */
int launcher_send(struct launcher *l, const struct buf *order, const int fds[SPAWN_FDS]);
/* A place among the children of all and of the user; given back with launcher_release. */
tda_status launcher_admit(struct launcher *l, const char *user, int64_t max, int64_t max_of_user, struct error *e);
void launcher_release(struct launcher *l, const char *user);

#endif
