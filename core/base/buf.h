/* A growing byte buffer that takes its maximum at init. Not thread-safe; one owner. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max;        /* of n */
    tda_status status; /* first failure sticks: LIMIT or NOMEM; later appends do nothing */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; b is empty and usable again, with its max */
void buf_clear(struct buf *b); /* keeps the memory */

tda_status buf_add(struct buf *b, const void *p, size_t n);
tda_status buf_add_str(struct buf *b, tda_str s);
tda_status buf_add_z(struct buf *b, const char *s);
tda_status buf_add_char(struct buf *b, char c);
tda_status buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* At least n more bytes at b->p + b->n; the caller writes there and adds to b->n. */
tda_status buf_reserve(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n); /* moves the rest down */
/* What `from` lacks for want of memory, b lacks too: to be said before from's text goes there. */
void buf_inherit(struct buf *b, const struct buf *from);
tda_str buf_str(const struct buf *b);
char *buf_take(struct buf *b, size_t *ret_n); /* gives the memory away, NUL-terminated; NULL after a failure */

#ifdef __cplusplus
}
#endif
#endif
