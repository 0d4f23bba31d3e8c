/* Who may ask, on whose behalf, and how long it may take. Pure but for the request. */
#include <unistd.h>

#include "base/clock.h"
#include "route/request.h"

tda_status request_check_caller(const struct request *q, struct error *e) {
    if (!q->caller.is_ipc || q->caller.uid == 0 || q->caller.uid == geteuid()) return TDA_OK;
    error_set(e, TDA_E_DENIED, "not_trusted", "the unix user %u may not speak for users here", q->caller.uid);
    error_hint(e, "run the client as the daemon's user");
    return TDA_E_DENIED;
}

tda_status request_check_user(struct request *q, struct error *e) {
    struct json user = request_param(q, "user");
    if (q->method->flags & METHOD_NO_USER) return TDA_OK;
    if (json_type(user) && !user_id_valid(json_str(user))) {
        error_set(e, TDA_E_INVALID, "user_invalid", "user is not acceptable as a user id");
        error_field(e, "user");
        error_hint(e, "1 to 128 of A-Z a-z 0-9 . _ @ : - beginning with a letter or digit, without \"..\"");
        return TDA_E_INVALID;
    }
    if (json_type(user)) {
        char *copy = arena_dup(&q->arena, json_str(user));
        if (!copy) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        q->user = tda_str_of(copy);
    } else if (!contexts_is_shared(router_options(q->router)->contexts) && !router_config(q->router)->contexts_mirror) {
        error_set(e, TDA_E_INVALID, "user_required", "user is missing: each user has a context of his own here");
        error_field(e, "user");
        return TDA_E_INVALID;
    } /* with a mirror, old callers without a user may read the shared context; core/context judges what else they may */
    return TDA_OK;
}

tda_status request_set_deadline(struct request *q, struct error *e) {
    int64_t most = router_config(q->router)->calls_turn_timeout, asked = 0;
    struct json v = request_param(q, "deadline_ms");
    if (json_type(v) && (!json_i64(v, &asked) || asked < 1)) {
        error_set(e, TDA_E_INVALID, "invalid_param", "deadline_ms must be a whole number from 1");
        error_field(e, "deadline_ms");
        return TDA_E_INVALID;
    }
    if (asked && asked < most / NS_PER_MS) most = asked * NS_PER_MS;
    q->work.deadline_ns = q->began_ns + most;
    return TDA_OK;
}
