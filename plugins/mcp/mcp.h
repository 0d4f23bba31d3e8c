/* Inside of the MCP adapter: what all of its files share. Everything here runs on the loop's thread of a connection.
 *
 * Concepts, each with its page:
 *   conn.h       one connection: a server, as one user and configuration sees it
 *   era.h        legacy or modern: how a server is greeted, and which words it wants
 *   transport.h  stdio, Streamable HTTP, HTTP+SSE: how messages travel
 *   exchange.h   one request of ours and its answer
 *   call.h       one call of the host's: one exchange after the other, and the questions in between */
#ifndef MCP_H
#define MCP_H

#include "tda/plugin.h"

#define MCP_VERSION "0.2.0"
#define ABSENT ((tda_str){NULL, 0})

/* What a server may make us hold. Lines, bodies and events have the host's limits. */
enum {
    EXCHANGES_MAX = 256,       /* requests in flight on a connection */
    QUESTIONS_MAX = 16,        /* a server's open questions on a connection */
    PAGES_MAX = 1000,          /* of one list */
    ITEMS_MAX = 20000,         /* of one list */
    ROUNDS_MAX = 8,            /* of input for one call */
    SUBSCRIPTIONS_MAX = 256,   /* resources followed on a connection */
    QUEUE_MAX = 4 << 20,       /* bytes that wait for a process to read them */
    GARBAGE_MAX = 100,         /* lines in a row that are no JSON-RPC */
    LOG_LINES_MAX = 20,        /* a second */
    STDERR_KEPT = 240,         /* bytes of its last line */
    ERROR_BODY_MAX = 16 << 10, /* bytes of an HTTP error's body that are read */
    BODY_MAX = 64 << 20,       /* bytes of an HTTP answer; the host's own limit is usually smaller */
    EVENT_ID_MAX = 1024,       /* bytes */
    SCHEMAS_MAX = 8 << 20,     /* bytes of schemas kept for their headers */
    HEADERS_MAX = 64           /* of one request */
};

extern const struct tda_host *mcp_host;
extern const struct tda_json_api *mcp_json;

/* ---- text.c ---- */

char *text_dup(tda_str s); /* NUL-terminated; NULL: no memory, or absent */
int text_is(tda_str s, const char *z);
int text_same_nocase(tda_str a, tda_str b);
int text_has_nocase(tda_str s, const char *word);
int64_t now_ms(void); /* monotonic */

/* At most n bytes of s, for "%.*s". */
#define CUT(s, max) (int)((s).n < (max) ? (s).n : (max)), (s).p ? (s).p : ""

void put_text(tda_json_writer *w, const char *key, tda_str value);
void put_raw(tda_json_writer *w, const char *key, tda_str value);
void put_empty(tda_json_writer *w, const char *key); /* {} */

#endif
