/* Who asks, on whose behalf, and how long it may take. Pure but for the request. */
#include "base/clock.h"
#include "route/request.h"

tda_status request_identify(struct request *q, struct error *e) {
    struct json v = request_param(q, "auth");
    tda_str auth = json_str(v);
    if (json_type(v) && !auth.p) auth = TDA_STR(""); /* what is given must be right */
    return identity_check(router_options(q->router)->identity, q->caller.is_ipc, q->caller.uid, auth, &q->principal, e);
}

static tda_status take_user(struct request *q, tda_str user, struct error *e) {
    if (!user_id_valid(user)) {
        error_set(e, TDA_E_INVALID, "user_invalid", "user is not acceptable as a user id");
        error_field(e, "user");
        error_hint(e, "1 to 128 of A-Z a-z 0-9 . _ @ : - beginning with a letter or digit, without \"..\"");
        return TDA_E_INVALID;
    }
    char *copy = arena_dup(&q->arena, user);
    if (!copy) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    q->user = tda_str_of(copy);
    return TDA_OK;
}

/* With a mirror, old callers without a user may read the shared context; core/context judges what else they may. */
static tda_status without_user(struct request *q, struct error *e) {
    const struct router_options *o = router_options(q->router);
    if (q->principal.kind == PRINCIPAL_USER) q->user = tda_str_of(q->principal.user);
    if (q->user.n || contexts_is_shared(o->contexts) || router_config(q->router)->contexts_mirror) return TDA_OK;
    error_set(e, TDA_E_INVALID, "user_required", "user is missing: each user has a context of his own here");
    error_field(e, "user");
    return TDA_E_INVALID;
}

tda_status request_authorise(struct request *q, struct error *e) {
    struct json user = request_param(q, "user");
    bool no_user = q->method->flags & METHOD_NO_USER;
    tda_status s = q->method->flags & METHOD_OPERATOR ? principal_operates(&q->principal, e) : TDA_OK;
    if (!s && json_type(user)) s = principal_may(&q->principal, json_str(user), e);
    if (s || no_user) return s;
    if (!json_type(user)) return without_user(q, e);
    return json_str(user).p ? take_user(q, json_str(user), e) : TDA_OK; /* of another type: params_check says so */
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
