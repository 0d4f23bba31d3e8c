/* Memory that is freed together: one arena per request, dropped with the reply. One owner at a time; not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* in all blocks, for the bound */
    size_t max;
    bool refused; /* the system gave no memory: something may be missing from what was built here */
};

void arena_init(struct arena *a, size_t max);
void arena_fini(struct arena *a);

void *arena_alloc(struct arena *a, size_t n);  /* zeroed, 16-aligned; NULL when memory or the bound is out */
char *arena_dup(struct arena *a, tda_str s);   /* NUL-terminated copy */
tda_str arena_str(struct arena *a, tda_str s); /* copy; {NULL,0} for absent or out of memory */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
