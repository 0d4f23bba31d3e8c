/* Memory for credentials: locked where the system lets us, left out of core files and of forked children, wiped when given back.
 * Every thread. A page of its own for each secret would use up the process's mappings at some ten thousand users; this is a pool.
 */
#ifndef CONTEXT_SECRET_MEMORY_H
#define CONTEXT_SECRET_MEMORY_H

#include <stddef.h>

void *secret_alloc(size_t n); /* zeroed; NULL when memory is out or n is above 16 KiB */
void secret_free(void *p, size_t n);

#endif
