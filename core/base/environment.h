/* The process's environment, where nobody outside can read it. */
#ifndef BASE_ENVIRONMENT_H
#define BASE_ENVIRONMENT_H

#include "base/base.h"

/* Moves the environment into memory that is locked and left out of dumps, and overwrites the strings that the kernel handed over:
 * those are what /proc/PID/environ shows, whatever unsetenv does. getenv and environ go on as before; what they returned earlier is
 * empty now. Once, before any thread. */
tda_status environment_move(void);

#endif
