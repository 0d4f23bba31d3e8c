#include "base/principal.h"

#include <stdio.h>

const struct principal principal_host = {.kind = PRINCIPAL_HOST, .is_operator = true};

static tda_status denied(struct error *e, const char *text, const char *field, const char *hint) {
    error_set(e, TDA_E_DENIED, "denied", "%s", text);
    error_field(e, "%s", field);
    error_hint(e, "%s", hint);
    return TDA_E_DENIED;
}

tda_status principal_may(const struct principal *p, tda_str user, struct error *e) {
    if (p->kind == PRINCIPAL_USER)
        return tda_str_eq(tda_str_of(p->user), user)
                   ? TDA_OK
                   : denied(e, "this token acts for its own user only", "user", "leave user out, or ask with a service token");
    if (p->kind != PRINCIPAL_NOBODY) return TDA_OK;
    return denied(e, "nobody has said who asks", "auth", "a token is wanted here");
}

tda_status principal_operates(const struct principal *p, struct error *e) {
    if (p->is_operator) return TDA_OK;
    return denied(e, "this is the operator's to do", "method",
                  "ask on ipc as the daemon's user, or with a token made with --service --operator");
}

void principal_name(const struct principal *p, char out[PRINCIPAL_NAME_SIZE]) {
    if (p->kind == PRINCIPAL_USER)
        snprintf(out, PRINCIPAL_NAME_SIZE, "user:%s", p->user);
    else if (p->kind == PRINCIPAL_SERVICE)
        snprintf(out, PRINCIPAL_NAME_SIZE, "token:%s", p->token);
    else
        snprintf(out, PRINCIPAL_NAME_SIZE, "uid:%u", p->uid);
}
