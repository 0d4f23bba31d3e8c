/* What a loop remembers of a server as one user meets it, beyond a single connection: how often it failed, whether it is parked,
 * what was said last. One for each user and server: what fails for one user is nobody else's trouble. [loop]
 *
 * A server that fails mcp.park_after times in a row is parked: each request for it is refused at once until mcp.park_for is over.
 * Then one attempt is let through, and its failure parks the server for twice as long. Only a connection that lived for
 * mcp.steady_after makes failures forgotten. */
#ifndef PLUGIN_HEALTH_H
#define PLUGIN_HEALTH_H

#include <sys/queue.h>

#include "base/hash_table.h"
#include "config/config.h"
#include "plugin/conn_log.h"

struct health_table;

struct health {
    UT_hash_handle hh;
    TAILQ_ENTRY(health) of_ended; /* while refs is 0 */
    struct health_table *table;   /* NULL: forgotten, and gone with the last reference */
    const char *user, *name;      /* in `key` */
    unsigned refs;                /* connections, live or about to go */
    uint64_t starts, calls;
    int64_t failures; /* in a row */
    int64_t parked_until_ns;
    int64_t ended_ns; /* when the last reference went */
    char last_error[320];
    int64_t last_error_ms; /* wall time */
    struct conn_log log;
    size_t key_n;
    char key[]; /* user NUL name NUL, then the url or the digest of what the operator wrote */
};

/* Those without a connection are kept for a while, as long as there are not too many of them. */
struct health_table {
    struct health *all;
    TAILQ_HEAD(health_list, health) ended; /* the last one first */
    size_t n_ended;
};

void health_table_init(struct health_table *t);
void health_table_fini(struct health_table *t);

/* Which one. What the operator writes anew is another server: it has not failed yet. */
struct health_id {
    const char *user; /* "": of a shared server */
    tda_str name;
    const struct config_server *config; /* the operator's; NULL: the user's own */
    tda_str url;                        /* of the user's own */
};

/* With a reference, made when there is none; NULL: out of memory. */
struct health *health_get(struct health_table *t, const struct health_id *id);
struct health *health_find(struct health_table *t, const struct health_id *id); /* borrowed, or NULL */
void health_unref(struct health *h);
void health_forget_user(struct health_table *t, const char *user); /* a user who is erased */

/* May a connection be made? Else `e` says why not, and when it may. */
tda_status health_admit(const struct health *h, struct error *e);
/* How one ended: class and words of tda_result; lived_ns since it was ready, -1: it never was. */
void health_ended(struct health *h, const struct config *c, uint32_t cls, const char *why, int64_t lived_ns);
void health_restart(struct health *h);            /* as if it had never failed */
int64_t health_parked_ms(const struct health *h); /* 0: it is not */

#endif
