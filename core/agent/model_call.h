/* One question to a model, with the retries that its failures deserve. [loop]
 *
 * The core owns the retry, by error class, the same for all plugins: waits base, 2 base, 4 base ... plus up to half a base of
 * jitter; the service's own Retry-After wins; what no retry can mend (refused credentials, bad requests, quota) is never tried
 * again. Neither is anything of which the listener has heard output: he cannot take it back. */
#ifndef AGENT_MODEL_CALL_H
#define AGENT_MODEL_CALL_H

#include "agent/agent.h"
#include "agent/answer.h"
#include "agent/events.h"

struct model_call {
    struct work *work;
    struct tda_request request;                                /* the caller's; its pointers live until done */
    struct answer answer;                                      /* of the last attempt */
    void (*done)(struct model_call *m, const struct error *e); /* once, later; e NULL: answer is complete */

    struct call *call;
    struct timer wait;
    uint32_t attempt;
    uint32_t cls; /* of the last attempt: enum tda_class */
    bool heard;   /* the listener got output of the last attempt */
    struct text_rest rest;
    bool cancelled;
};

/* `m` is the caller's, zeroed but for work, request and done. */
void model_call_start(struct model_call *m);
/* done comes with "cancelled", later. */
void model_call_cancel(struct model_call *m);
void model_call_fini(struct model_call *m);

/* How long to wait before attempt number `attempt` + 1 (1-based); -1: do not. `random` in [0,1). Pure. */
int64_t retry_wait_ns(const struct config *c, uint32_t attempt, uint32_t cls, int64_t retry_ms, double random);

#endif
