#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b) {
    free(b->p);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b) {
    b->n = 0;
    b->status = TDA_OK;
}

tda_status buf_reserve(struct buf *b, size_t n) {
    if (b->status) return b->status;
    if (n > b->max - b->n) return b->status = TDA_E_LIMIT;
    if (b->n + n < b->cap) return TDA_OK; /* one byte stays free for buf_take's NUL */
    size_t cap = b->cap ? b->cap : 64;
    while (cap <= b->n + n) cap *= 2;
    char *p = realloc(b->p, cap);
    if (!p) return b->status = TDA_E_NOMEM;
    b->p = p;
    b->cap = cap;
    return TDA_OK;
}

tda_status buf_add(struct buf *b, const void *p, size_t n) {
    tda_status s = buf_reserve(b, n);
    if (s) return s;
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    return TDA_OK;
}

tda_status buf_add_str(struct buf *b, tda_str s) {
    return buf_add(b, s.p, s.n);
}

tda_status buf_add_z(struct buf *b, const char *s) {
    return buf_add(b, s, strlen(s));
}

tda_status buf_add_char(struct buf *b, char c) {
    return buf_add(b, &c, 1);
}

tda_status buf_addf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return b->status = TDA_E_INVALID;
    tda_status s = buf_reserve(b, (size_t)n + 1);
    if (s) return s;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return TDA_OK;
}

void buf_drop_front(struct buf *b, size_t n) {
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

void buf_inherit(struct buf *b, const struct buf *from) {
    if (!b->status && from->status == TDA_E_NOMEM) b->status = TDA_E_NOMEM;
}

tda_str buf_str(const struct buf *b) {
    return (tda_str){b->p ? b->p : "", b->n};
}

char *buf_take(struct buf *b, size_t *ret_n) {
    if (buf_reserve(b, 0)) return NULL;
    if (!b->p && !(b->p = malloc(1))) return NULL;
    b->p[b->n] = 0;
    char *p = b->p;
    if (ret_n) *ret_n = b->n;
    buf_init(b, b->max);
    return p;
}
