/* JSON, read strictly and written as a stream.
 *
 * Reading: one pass over the text with simdjson builds a flat array of nodes; views (struct json) point into it. Refused: anything
 * but RFC 8259, invalid UTF-8, duplicate keys, trailing bytes, numbers that no double and integers that no 64 bits hold, depth and
 * size beyond the limits. Every node knows its bytes in the source, so what only passes through (tool schemas, arguments) is
 * copied, never rewritten. A document is immutable after parsing and may be read on every thread. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/buf.h"
#include "tda/json.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { JSON_DEPTH_MAX = 64 };

struct json_doc;

/* A view of a value; {NULL, 0} is absent, and every reader takes it. Lives as long as its document. */
struct json {
    const struct json_doc *doc;
    uint32_t node;
};

#ifndef __cplusplus
#define JSON_ABSENT ((struct json){NULL, 0})
#endif

/* Copies `text`. max_depth 0 means JSON_DEPTH_MAX. The error says what and at which byte.
 * E_SYNTAX, E_LIMIT (depth, or more than 4 GiB), E_NOMEM. */
tda_status json_parse(tda_str text, uint32_t max_depth, struct json_doc **ret_doc, struct error *e);
void json_free(struct json_doc *doc);
static inline void json_free_p(struct json_doc **doc) {
    json_free(*doc);
}

struct json json_root(const struct json_doc *doc);
uint32_t json_type(struct json v);                     /* enum tda_json_type */
struct json json_get(struct json v, const char *path); /* "a.b.0": keys and indices joined by dots */
struct json json_key(struct json v, tda_str key);
struct json json_first(struct json v);
struct json json_next(struct json v);
tda_str json_name(struct json v);
uint64_t json_count(struct json v);
tda_str json_str(struct json v); /* a string's text (NUL-terminated in memory, may hold NUL inside); {NULL,0} for anything else */
tda_str json_raw(struct json v); /* its bytes in the source; {NULL,0} when absent */
bool json_i64(struct json v, int64_t *ret);
bool json_f64(struct json v, double *ret);
bool json_bool(struct json v, bool *ret);

/* Is `text` one well-formed value? The same checks as json_parse, keeping nothing. */
tda_status json_check(tda_str text, uint32_t max_depth, struct error *e);

/* Appends `v` so that equal values are equal texts: members by name, no blanks, one way to write a string. Numbers as they came. */
tda_status json_canonical(struct json v, struct buf *out);

/* ---- writing ---- */

/* Appends to `out`, which the caller owns. Commas and colons are put by the writer; using it out of order is a bug (assert).
 * A failure (out full) stays in out->status. Depth at most JSON_DEPTH_MAX. */
struct jw {
    struct buf *out;
    uint64_t has_item; /* bit d: something was written at depth d */
    uint32_t depth;
    bool after_key;
};

void jw_init(struct jw *w, struct buf *out);
void jw_begin_object(struct jw *w);
void jw_end_object(struct jw *w);
void jw_begin_array(struct jw *w);
void jw_end_array(struct jw *w);
void jw_key(struct jw *w, tda_str key);
void jw_str(struct jw *w, tda_str s); /* invalid UTF-8 becomes U+FFFD; absent becomes null */
void jw_raw(struct jw *w, tda_str s); /* one JSON value as it is */
void jw_i64(struct jw *w, int64_t v);
void jw_u64(struct jw *w, uint64_t v);
void jw_f64(struct jw *w, double v); /* shortest that reads back; not finite: null */
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);

/* Member at once: jw_key(w, key), then the value. Keys are literals of ours. */
void jw_put_str(struct jw *w, const char *key, tda_str s);
void jw_put_z(struct jw *w, const char *key, const char *s);
void jw_put_i64(struct jw *w, const char *key, int64_t v);
void jw_put_u64(struct jw *w, const char *key, uint64_t v);
void jw_put_bool(struct jw *w, const char *key, bool v);
void jw_put_raw(struct jw *w, const char *key, tda_str s);
void jw_open_object(struct jw *w, const char *key);
void jw_open_array(struct jw *w, const char *key);

/* An object's text, compact, without one of its members. */
void json_without(struct json object, const char *name, struct buf *out);

/* Clean text from outside: a BOM and control bytes go (tab and newline stay), invalid UTF-8 becomes U+FFFD. */
tda_status text_sanitise(tda_str s, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
