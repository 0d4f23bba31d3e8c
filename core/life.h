/* The daemon under a supervisor: what it is told, and what becomes of a loop that hangs. Main thread only. */
#ifndef LIFE_H
#define LIFE_H

#include <signal.h>

#include "host.h"

/* Before any thread starts. */
void life_init(void);
/* "READY=1", "STOPPING=1": to the supervisor that started the daemon (systemd's NOTIFY_SOCKET), if there is one. */
void life_notify(const char *state);
/* Until a signal of `set` comes, which is returned. Meanwhile the supervisor's watchdog is fed, and loops are watched: one that
 * does not come back from a callback is named in the log, and after watchdog.timeout the process dumps where it hangs and aborts,
 * for a loop that hangs holds up every user on it. */
int life_wait(const struct host *h, const sigset_t *set);

#endif
