#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

enum { BLOCK_SIZE = 4096 - 64, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    size_t pad; /* keeps data 16-aligned */
    char data[];
};

void arena_init(struct arena *a, size_t max) {
    *a = (struct arena){.max = max};
}

void arena_fini(struct arena *a) {
    struct arena_block *b = a->blocks;
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    arena_init(a, a->max);
}

static struct arena_block *block_new(struct arena *a, size_t n) {
    size_t size = n > BLOCK_SIZE ? n : BLOCK_SIZE;
    struct arena_block *b = calloc(1, sizeof *b + size);
    if (!b) {
        a->refused = true;
        return NULL;
    }
    b->size = size;
    /* A block made for one large piece goes behind the current one, which may have room left. */
    if (a->blocks && n > BLOCK_SIZE) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t n) {
    if (n > SIZE_MAX - ALIGN) return NULL;
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (n > a->max - a->used) return NULL;
    struct arena_block *b = a->blocks;
    if (!b || n > b->size - b->used) b = block_new(a, n);
    if (!b) return NULL;
    void *p = b->data + b->used;
    b->used += n;
    a->used += n;
    return p;
}

char *arena_dup(struct arena *a, tda_str s) {
    char *p = arena_alloc(a, s.n + 1);
    if (p && s.n) memcpy(p, s.p, s.n);
    return p;
}

tda_str arena_str(struct arena *a, tda_str s) {
    if (!s.p) return (tda_str){0};
    char *p = arena_dup(a, s);
    return (tda_str){p, p ? s.n : 0};
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return NULL;
    char *p = arena_alloc(a, (size_t)n + 1);
    if (!p) return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
