/* The snapshot that serves a request: the context's, or one under a profile. profile.* and tools.enable. */
#include "agent/profile.h"
#include "route/request.h"

/* ---- what serves a request ---- */

static struct contexts *contexts_of(const struct request *q) {
    return router_options(q->router)->contexts;
}

/* q->snapshot is the context's: makes it the one that the request names. */
static tda_status override(struct request *q, struct error *e) {
    if (!(q->method->flags & METHOD_PROFILE)) return TDA_OK;
    tda_status s = override_find(router_agent(q->router), q->snapshot, q->env.params, &q->override, e);
    if (s || !q->override.snapshot) return s;
    snapshot_unref(q->snapshot);
    q->snapshot = q->override.snapshot;
    q->override.snapshot = NULL;
    return TDA_OK;
}

/* A turn that may be in the store already is answered from there, also when its user is not configured any more. */
static bool may_be_stored(const struct request *q) {
    return q->method->start == agent_run && json_type(request_param(q, "session")) &&
           (q->work.idempotency_key.p || json_type(request_param(q, "idempotency_key")));
}

tda_status request_take_snapshot(struct request *q, struct error *e) {
    tda_status s = contexts_acquire(contexts_of(q), &q->principal, q->user, &q->snapshot, e);
    if (s == TDA_E_NOT_FOUND && ((q->method->flags & METHOD_NEW_USER) || may_be_stored(q))) return TDA_OK;
    if (!s) s = override(q, e);
    if (s) return s;
    bool usable = snapshot_get(q->snapshot, TDA_CTX_PROVIDER).n && snapshot_get(q->snapshot, TDA_CTX_MODEL).n;
    bool needs_model = q->method->start == agent_chat || q->method->start == agent_run;
    if (usable || !needs_model) return TDA_OK;
    error_set(e, TDA_E_NOT_FOUND, "not_configured", "this context has no provider and model");
    error_hint(e, "call configure");
    return TDA_E_NOT_FOUND;
}

/* ---- changing ---- */

static void finish(struct request *q, tda_status s, uint64_t epoch, const struct error *e) {
    if (!s) jw_put_u64(&q->out, "epoch", epoch);
    request_reply(q, s ? e : NULL);
}

static tda_status find(const struct request *q, const struct snapshot *s, tda_str tag, struct profile **ret, struct error *e) {
    *ret = profile_find(contexts_of(q), s, tag);
    if (*ret) return TDA_OK;
    error_set(e, TDA_E_NOT_FOUND, "unknown_profile", "there is no profile \"%.*s\"", (int)(tag.n < 32 ? tag.n : 32),
              tag.p ? tag.p : "");
    error_field(e, "tag");
    error_hint(e, "profile.list shows them");
    return TDA_E_NOT_FOUND;
}

static tda_status put(struct draft *d, void *arg, struct error *e) {
    struct request *q = arg;
    struct profile *p = NULL, *old = profile_find(contexts_of(q), draft_snapshot(d), json_str(request_param(q, "tag")));
    if (old && profile_is_operators(old)) old = NULL; /* a private one of that tag hides it */
    tda_status s = profile_from_params(router_agent(q->router), &q->arena, q->user, q->env.params, old, &p, e);
    if (!s) s = draft_put_profile(d, p, e);
    profile_unref(p);
    return s;
}

void profile_put(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    tda_status s = contexts_update(contexts_of(q), &q->principal, q->user, put, q, &epoch, &e);
    if (!s) jw_put_str(&q->out, "tag", json_str(request_param(q, "tag")));
    finish(q, s, epoch, &e);
}

static tda_status delete_one(struct draft *d, void *arg, struct error *e) {
    struct request *q = arg;
    struct profile *p;
    tda_str tag = json_str(request_param(q, "tag"));
    tda_status s = find(q, draft_snapshot(d), tag, &p, e);
    if (s) return s;
    if (profile_is_operators(p)) {
        error_set(e, TDA_E_DENIED, "operators_profile", "the profile %s is the operator's", profile_tag(p));
        error_field(e, "tag");
        error_hint(e, "profile.put with this tag makes one of your own, which comes before it");
        return TDA_E_DENIED;
    }
    s = draft_delete_profile(d, tag);
    return s ? error_set(e, s, NULL, "the profile cannot be deleted: %s", status_text(s)) : TDA_OK;
}

/* Nothing is made for a user who has nothing. */
static tda_status exists(struct request *q, struct error *e) {
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    return contexts_peek(contexts_of(q), &q->principal, q->user, &s, e);
}

void profile_delete(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    tda_status s = exists(q, &e);
    if (!s) s = contexts_update(contexts_of(q), &q->principal, q->user, delete_one, q, &epoch, &e);
    if (!s) jw_put_bool(&q->out, "deleted", true);
    finish(q, s, epoch, &e);
}

static tda_status set_default(struct draft *d, void *arg, struct error *e) {
    struct request *q = arg;
    struct profile *p;
    tda_str tag = json_str(request_param(q, "tag")); /* null: none */
    tda_status s = tag.p ? find(q, draft_snapshot(d), tag, &p, e) : TDA_OK;
    if (s) return s;
    s = draft_set_default_profile(d, tag);
    return s ? error_set(e, s, NULL, "the default cannot be set: %s", status_text(s)) : TDA_OK;
}

void profile_default(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    tda_status s = contexts_update(contexts_of(q), &q->principal, q->user, set_default, q, &epoch, &e);
    if (!s) jw_put_str(&q->out, "default", json_str(request_param(q, "tag")));
    finish(q, s, epoch, &e);
}

static tda_status enable_one(struct draft *d, const struct request *q, const char *name, enum enabled_kind kind, struct error *e) {
    struct json list = request_param(q, name);
    struct names *names = NULL;
    tda_status s = json_type(list) ? names_from_json(list, name, &names, e) : TDA_OK;
    if (s || !json_type(list)) return s; /* not mentioned: stays */
    draft_set_enabled(d, kind, names);
    names_unref(names);
    return TDA_OK;
}

static tda_status enable(struct draft *d, void *arg, struct error *e) {
    tda_status s = enable_one(d, arg, "tools", ENABLED_TOOLS, e);
    return s ? s : enable_one(d, arg, "prompts", ENABLED_PROMPTS, e);
}

void tools_enable(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    tda_status s = exists(q, &e);
    if (!s) s = contexts_update(contexts_of(q), &q->principal, q->user, enable, q, &epoch, &e);
    finish(q, s, epoch, &e);
}

/* ---- looking ---- */

struct listing {
    struct jw *out;
    const char *usual;
};

static void write_one(void *arg, const struct profile *p) {
    struct listing *l = arg;
    profile_write(p, l->usual && str_equal_nocase(tda_str_of(l->usual), tda_str_of(profile_tag(p))), l->out);
}

void profile_list(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    tda_status status = contexts_peek(contexts_of(q), &q->principal, q->user, &s, &e);
    if (status && status != TDA_E_NOT_FOUND) {
        request_reply(q, &e);
        return;
    }
    struct listing l = {&q->out, snapshot_default_profile(s)};
    jw_open_array(&q->out, "profiles");
    profiles_each(contexts_of(q), s, write_one, &l);
    jw_end_array(&q->out);
    jw_put_z(&q->out, "default", l.usual);
    request_reply(q, NULL);
}
