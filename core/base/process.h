/* What the kernel knows of this process. Reads /proc; 0 where that cannot be read. [any] */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

uint64_t process_resident_bytes(void);
uint64_t process_descriptors(void);
/* The one that looks is among them, and closed by then. */
void process_each_descriptor(void (*fn)(void *arg, int fd), void *arg);

#endif
