/* Whom to kill: processes that descend from this one, found in /proc. */
#ifndef LAUNCHER_DESCEND_H
#define LAUNCHER_DESCEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Direct children of this process (as a subreaper: orphans too) that carry TDA_CHILD=id get SIGKILL, with their process groups. */
void kill_marked(uint64_t id);
/* Direct children that carry a TDA_CHILD but are not `known` get SIGKILL, with their process groups: what the children of a child
 * left behind. */
void kill_strays(bool (*known)(pid_t pid, uint64_t id));
/* All of them, again and again until there is none. */
void kill_all(void);

#endif
