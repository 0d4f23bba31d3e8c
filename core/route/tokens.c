/* token.*: a new token counts, and a revoked one is gone for good, once the file has it: the jobs' thread writes, and replies. */
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "route/request.h"

/* In the request's arena. */
struct token_request {
    struct request *q;
    struct token token;
    char text[TOKEN_TEXT_SIZE];
};

static struct identity *identity_of(const struct request *q) {
    return router_options(q->router)->identity;
}

void tokens_not_saved(struct error *e, tda_status status, const char *note) {
    error_set(e, status, "tokens_not_saved", "the tokens could not be written: %s", note);
    error_hint(e, "the operator's setting is identity.tokens");
}

/* ---- create ---- */

static tda_status copy_param(struct request *q, const char *name, char *out, size_t size, struct error *e) {
    tda_str v = json_str(request_param(q, name));
    if (v.n < size && (!v.n || !memchr(v.p, 0, v.n))) {
        snprintf(out, size, "%.*s", STR_FMT(v));
        return TDA_OK;
    }
    error_set(e, TDA_E_INVALID, "invalid_param", "%s must have at most %zu bytes, and no NUL", name, size - 1);
    error_field(e, "%s", name);
    return TDA_E_INVALID;
}

static tda_status read_spec(struct request *q, struct token *t, struct error *e) {
    struct json expires = request_param(q, "expires");
    int64_t span = 0;
    json_bool(request_param(q, "service"), &t->is_service);
    json_bool(request_param(q, "operator"), &t->is_operator);
    tda_status s = copy_param(q, "user", t->user, sizeof t->user, e);
    if (!s) s = copy_param(q, "label", t->label, sizeof t->label, e);
    if (!s && json_type(expires)) s = token_read_expiry(json_str(expires), &span, e);
    t->expires_ms = span ? clock_wall_ms() + span : 0;
    return s;
}

static void on_created(void *arg, tda_status status, const char *note) {
    struct token_request *r = arg;
    struct request *q = r->q;
    struct error e = {.retry_ms = -1};
    /* An earlier save may have met it, failed, and dropped it; this one then had nothing to write. */
    if (!status && !identity_has_saved(identity_of(q), tda_str_of(r->token.id))) status = TDA_E_IO;
    if (status) {
        tokens_not_saved(&e, status, note);
    } else {
        jw_put_z(&q->out, "token", r->text);
        token_write(&r->token, &q->out);
    }
    wipe(r->text, sizeof r->text);
    request_reply(q, status ? &e : NULL);
}

void token_create(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct token_request *r = arena_alloc(&q->arena, sizeof *r);
    if (!r) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        request_reply(q, &e);
        return;
    }
    *r = (struct token_request){.q = q};
    tda_status s = read_spec(q, &r->token, &e);
    if (!s) s = identity_create(identity_of(q), &r->token, r->text, &e);
    bool is_made = !s;
    if (is_made) s = jobs_run_now(router_options(q->router)->jobs, TDA_STR("token_save"), on_created, r, &e);
    if (!s) return;
    wipe(r->text, sizeof r->text); /* drawn, though it may not be made */
    if (is_made) identity_revoke(identity_of(q), tda_str_of(r->token.id), NULL);
    request_reply(q, &e);
}

/* ---- revoke ---- */

static void on_revoked(void *arg, tda_status status, const char *note) {
    struct request *q = arg;
    struct error e = {.retry_ms = -1};
    if (status) {
        tokens_not_saved(&e, status, note);
        error_hint(&e, "it is refused from now on, but would be good again after a restart: revoke it again then");
    } else {
        jw_put_bool(&q->out, "revoked", true);
        jw_put_u64(&q->out, "tokens", identity_count(identity_of(q)));
    }
    request_reply(q, status ? &e : NULL);
}

void token_revoke(struct request *q) {
    struct error e = {.retry_ms = -1};
    tda_status s = identity_revoke(identity_of(q), json_str(request_param(q, "id")), &e);
    if (!s) s = jobs_run_now(router_options(q->router)->jobs, TDA_STR("token_save"), on_revoked, q, &e);
    if (s) request_reply(q, &e);
}

/* ---- list ---- */

struct listing {
    struct jw *out;
    int64_t now;
};

static void list_one(void *arg, const struct token *t) {
    struct listing *l = arg;
    jw_begin_object(l->out);
    token_write(t, l->out);
    token_write_use(t, l->out);
    jw_put_bool(l->out, "expired", t->expires_ms && t->expires_ms <= l->now);
    jw_end_object(l->out);
}

void token_list(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct listing l = {&q->out, clock_wall_ms()};
    jw_open_array(&q->out, "tokens");
    tda_status s = identity_list(identity_of(q), list_one, &l);
    jw_end_array(&q->out);
    if (s) error_set(&e, s, "out_of_memory", "out of memory");
    request_reply(q, s ? &e : NULL);
}
