/* Finding things in JSON that the daemon wrote, without building a tree: a span is a value's bytes inside its text. It never reads
 * beyond the span and never recurses; of text that is no JSON it finds nothing, or nonsense. */
#ifndef CLIENT_SCAN_H
#define CLIENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *p; /* NULL: absent */
    size_t n;
};

struct span scan_value(const char *p, size_t n);               /* the first value of a text */
struct span scan_text(const char *text);                       /* of one that ends with a NUL, or is NULL */
struct span scan_member(struct span object, const char *name); /* absent when there is none, or it is no object */
/* The object's members, or the list's elements, one by one: `rest` begins as the whole, and is used up. */
bool scan_next_member(struct span *rest, struct span *ret_key, struct span *ret);
bool scan_next(struct span *rest, struct span *ret);
size_t scan_string(struct span value, char *out, size_t size); /* decoded, cut to size - 1 at a character, NUL-terminated */
int64_t scan_number(struct span value, int64_t otherwise);     /* whole numbers */
bool scan_is(struct span value, const char *text);             /* is it this string? */
char *scan_dup(struct span value);                             /* its bytes, NUL-terminated; NULL when absent or out of memory */

#endif
