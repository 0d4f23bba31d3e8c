/* The last lines that were said around a connection: by its process on stderr, by the server in its protocol, by the host. [loop]
 */
#ifndef PLUGIN_CONN_LOG_H
#define PLUGIN_CONN_LOG_H

#include "context/context.h"
#include "json/json.h"

enum { CONN_LOG_MAX = 64 << 10 };

enum conn_log_from { LOG_FROM_HOST, LOG_FROM_STDERR, LOG_FROM_SERVER };

struct conn_log {
    struct buf lines; /* heads, sessions and texts, the oldest first */
    uint64_t n;       /* lines there ever were: the number of the last */
};

void conn_log_init(struct conn_log *log);
void conn_log_fini(struct conn_log *log);
/* One line, clean and without secrets; `session` absent: of none. The oldest go; a line that finds no memory is not kept. */
void conn_log_add(struct conn_log *log, enum conn_log_from from, tda_str session, tda_str text);
void conn_log_shrink(struct conn_log *log, size_t max);                     /* to the last lines of at most so many bytes */
tda_str conn_log_last(const struct conn_log *log, enum conn_log_from from); /* absent: there is none */
/* Members `lines`: [{n, at, from, session?, text}], the last `max` of those after number `after`, and `next`: the last one's
 * number. What of `hidden` stands in them is redacted. */
void conn_log_write(const struct conn_log *log, uint64_t after, size_t max, const struct secrets *hidden, struct jw *w);

#endif
