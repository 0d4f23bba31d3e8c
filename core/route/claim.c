/* A request's idempotency key: is it the first, does it join one that runs, has it been answered? */
#include "base/hash.h"
#include "route/request.h"

bool request_claim(struct request *q, tda_str key) {
    struct error e = {.retry_ms = -1};
    char principal[PRINCIPAL_NAME_SIZE];
    unsigned char digest[DIGEST_SIZE];
    struct buf all, stored;
    principal_name(&q->principal, principal);
    buf_init(&all, SIZE_MAX / 2);
    buf_add_str(&all, q->env.method);
    if (json_type(request_param(q, "auth"))) /* who asks again may have another token by now */
        json_without(q->env.params, "auth", &all);
    else
        buf_add_str(&all, json_raw(q->env.params));
    hash_digest(buf_str(&all), digest);
    bool complete = all.status == TDA_OK;
    buf_fini(&all);
    buf_init(&stored, SIZE_MAX / 2);
    enum idem_outcome outcome = complete ? idempotency_begin(router_idempotency(q->router), tda_str_of(principal), q->user, key,
                                                             digest, q->token, q->env.id, &q->idem, &stored)
                                         : IDEM_FULL;
    if (outcome == IDEM_RUN) return true;
    if (outcome == IDEM_STORED) {
        request_drop(q, buf_str(&stored));
    } else if (outcome == IDEM_JOINED) {
        request_drop(q, (tda_str){0});
    } else if (outcome == IDEM_CONFLICT) {
        error_set(&e, TDA_E_CONFLICT, "idempotency_conflict", "this idempotency_key was used with other parameters");
        error_field(&e, "idempotency_key");
        error_hint(&e, "use a new key for a new request");
        request_reply(q, &e);
    } else {
        error_set(&e, TDA_E_BUSY, "busy", "too many requests wait for this idempotency_key");
        error_hint(&e, "the answer comes to those who wait already");
        e.retry_ms = 100;
        request_reply(q, &e);
    }
    buf_fini(&stored);
    return false;
}
