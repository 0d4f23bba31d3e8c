#include "base/redact.h"

#include <string.h>

enum { REDACT_MIN = 6 };

/* A text is cut before it comes here, and the cut may lie within a secret. */
static void cut_beginning(struct buf *text, tda_str value) {
    for (size_t n = text->n < value.n ? text->n : value.n - 1; n >= REDACT_MIN; n--) {
        if (memcmp(text->p + text->n - n, value.p, n) != 0) continue;
        text->n -= n;
        return;
    }
}

void redact(struct buf *text, tda_str value) {
    static const char mark[] = "[redacted]";
    const size_t mark_n = sizeof mark - 1;
    if (value.n < REDACT_MIN) return;
    for (size_t at = 0; at + value.n <= text->n;) {
        char *hit = memmem(text->p + at, text->n - at, value.p, value.n);
        if (!hit) break;
        size_t pos = (size_t)(hit - text->p);
        if (value.n < mark_n && buf_reserve(text, mark_n - value.n)) {
            text->n = pos; /* better too little than a secret */
            return;
        }
        hit = text->p + pos;
        memmove(hit + mark_n, hit + value.n, text->n - pos - value.n);
        memcpy(hit, mark, mark_n);
        text->n = text->n - value.n + mark_n;
        at = pos + mark_n;
    }
    cut_beginning(text, value);
}
