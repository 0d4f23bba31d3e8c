/* Idempotency keys: what was asked under a key is done once, however often the request comes.
 *
 * Key = (principal, user, key), with a digest of method and parameters: the same key with other parameters is an error; a running
 * call is joined; a finished one answers from memory for idempotency.keep. Retryable errors are not stored. The store is bounded in
 * entries and bytes: the oldest finished go first. Holds for the life of the process. Every thread; one lock, never held across a
 * reply. */
#ifndef ROUTE_IDEMPOTENCY_H
#define ROUTE_IDEMPOTENCY_H

#include "base/buf.h"
#include "config/config.h"

struct idempotency;
struct idem; /* one key */

enum idem_outcome {
    IDEM_RUN,      /* ret_entry is to be finished */
    IDEM_JOINED,   /* token is answered when the running one ends */
    IDEM_STORED,   /* the reply's body has been put into stored */
    IDEM_CONFLICT, /* same key, other parameters */
    IDEM_FULL      /* too many run or wait */
};

struct idem_waiter {
    struct idem_waiter *next;
    void *token;
    tda_str id; /* of that request, allocated with the waiter */
};

tda_status idempotency_new(const struct config *c, struct idempotency **ret);
void idempotency_free(struct idempotency *s);

enum idem_outcome idempotency_begin(struct idempotency *s, tda_str principal, tda_str user, tda_str key,
                                    const unsigned char digest[32], void *token, tda_str id, struct idem **ret_entry,
                                    struct buf *stored);
/* Ends a running one. `keep`: store `body`. Returns those who joined: the caller answers and frees each. */
struct idem_waiter *idempotency_finish(struct idempotency *s, struct idem *entry, bool keep, tda_str body);
uint64_t idempotency_clean(struct idempotency *s);                /* drops what is too old; how many */
uint64_t idempotency_forget(struct idempotency *s, tda_str user); /* drops a user's finished ones */
void idempotency_stats(struct idempotency *s, uint64_t *ret_entries, uint64_t *ret_bytes);

#endif
