/* The two eras of MCP (2026-07-28, basic/versioning), and finding out which one a server lives in.
 *
 *   legacy   2024-11-05 to 2025-11-25: a handshake, then a session
 *   modern   2026-07-28: each request says by itself who asks and in which version
 *
 * An era is a property of the server, not of a user: verdicts are kept (era_cache.c). What the server said to one user is not. */
#ifndef MCP_ERA_H
#define MCP_ERA_H

#include "exchange.h"

struct transport;

#define MODERN_VERSION "2026-07-28"
#define LEGACY_VERSION "2025-11-25"

struct era {
    const char *name;
    uint8_t is_modern;
    tda_status (*greet)(struct conn *c);                            /* ends in conn_ready, or in another try (era.c) */
    void (*put_meta)(const struct exchange *x, tda_json_writer *w); /* members of _meta, into its open object */
    void (*settled)(struct conn *c);                                /* the connection is ready */
    void (*stand)(struct conn *c);                                  /* TOKEN_STAND */
};

extern const struct era era_legacy, era_modern;

/* A version by its name that we speak in that era, or NULL. */
const char *legacy_version(tda_str version);
/* Of a list that a server gives: its best version in that era, or NULL. */
const char *legacy_choose(tda_json versions);
int modern_choose(tda_json versions);
/* -32020, -32021, -32022: only a modern server says that. */
int is_modern_error(tda_json error);

/* ---- era.c ---- */

void era_begin(struct conn *c);
void era_opened(struct conn *c); /* the transport is there: greet */
void era_try(struct conn *c, const struct era *era, const struct transport *transport);
void era_known(struct conn *c); /* the greeting was answered: note the verdict */
/* discover was answered, and not as a modern server does. */
void era_not_modern(struct conn *c, const struct outcome *o);
/* initialize was not answered with a result. */
void era_not_legacy(struct conn *c, const struct outcome *o);
void era_no_sse(struct conn *c, uint32_t cls, int32_t http_status, const char *text);
void era_silence(struct conn *c); /* TOKEN_PROBE */
/* Its process ended. 1: taken as an answer to the probe, and it is started again. */
int era_process_ended(struct conn *c);

/* ---- listen.c: subscriptions/listen ---- */

void listen_open(struct conn *c);                                /* anew, with what is to be heard now */
void listen_acknowledged(struct conn *c, tda_json notification); /* params */
int listen_is(const struct conn *c, tda_json id);
void listen_over(struct conn *c); /* the server cancelled it */

/* ---- era_cache.c: any thread ---- */

enum verdict { VERDICT_NONE, VERDICT_MODERN, VERDICT_LEGACY, VERDICT_SSE };

void verdicts_open(void); /* once for each instance of the plugin */
void verdicts_close(void);
/* at_ms: monotonic. A verdict of legacy is forgotten after a day: a server that was renewed still answers initialize. */
enum verdict verdict_get(tda_str name, tda_str url, int64_t at_ms);
void verdict_put(tda_str name, tda_str url, enum verdict verdict, int64_t at_ms);

#endif
