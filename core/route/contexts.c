/* context.* and status. Reads go through peek: they neither make a context nor count as its use. */
#include <stdio.h>

#include "base/clock.h"
#include "route/request.h"

enum { LIST_DEFAULT = 1000, LIST_MAX = 10000 };

static tda_status unknown_field(tda_str name, struct error *e) {
    const char *names[CTX_FIELDS];
    for (size_t i = 0; i < CTX_FIELDS; i++) names[i] = ctx_fields[i].name;
    const char *near = nearest_word(name, names, CTX_FIELDS);
    struct buf shown;
    buf_init(&shown, 512);
    text_sanitise((tda_str){name.p, name.n < 48 ? name.n : 48}, &shown);
    error_set(e, TDA_E_INVALID, "unknown_field", "a context has no field \"%.*s\"", STR_FMT(buf_str(&shown)));
    error_field(e, "fields.%.*s", STR_FMT(buf_str(&shown)));
    buf_fini(&shown);
    if (near)
        error_hint(e, "did you mean %s?", near);
    else
        error_hint(e, "context.get shows them all");
    return TDA_E_INVALID;
}

static tda_status live_field(const struct ctx_field *f, struct error *e) {
    error_set(e, TDA_E_DENIED, "live_field", "%s is a live object: it never leaves the process and cannot be set", f->name);
    error_field(e, "fields.%s", f->name);
    return TDA_E_DENIED;
}

static void write_field(struct request *q, const struct snapshot *s, const struct ctx_field *f) {
    tda_str v = snapshot_get(s, f->key);
    jw_put_z(&q->out, "field", f->name);
    if (!v.p) {
        jw_key(&q->out, TDA_STR("value"));
        jw_null(&q->out);
    } else if (f->kind == CTX_OBJECT) {
        jw_put_raw(&q->out, "value", v);
    } else {
        jw_put_str(&q->out, "value", v);
    }
}

void context_get(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    tda_str name = json_str(request_param(q, "field"));
    const struct ctx_field *f = name.p ? ctx_field_find(name) : NULL;
    tda_status status = TDA_OK;
    if (name.p && !f) status = unknown_field(name, &e);
    if (f && f->kind == CTX_LIVE) status = live_field(f, &e);
    if (!status) status = contexts_peek(router_options(q->router)->contexts, &q->principal, q->user, &s, &e);
    if (status) {
        request_reply(q, &e);
        return;
    }
    if (f) {
        write_field(q, s, f);
    } else {
        jw_key(&q->out, TDA_STR("context"));
        snapshot_write(s, &q->out);
    }
    request_reply(q, NULL);
}

/* What is run comes from the operator's configuration alone. */
/* Fields are shown. */
static tda_status secret_in_field(struct error *e) {
    error_set(e, TDA_E_INVALID, "invalid_value", "server_configs can be read: it is no place for a credential");
    error_field(e, "fields.server_configs");
    error_hint(e, "a token for a server of your own goes with configure: mcp_server.bearer");
    return TDA_E_INVALID;
}

static tda_status refuse_commands(struct json servers, struct error *e) {
    for (struct json v = json_first(servers); json_type(v); v = json_next(v)) {
        for (struct json m = json_first(v); json_type(m); m = json_next(m)) {
            tda_str name = json_name(m);
            if (tda_str_eq(name, TDA_STR("bearer")) || tda_str_eq(name, TDA_STR("headers"))) return secret_in_field(e);
            if (!tda_str_eq(name, TDA_STR("command")) && !tda_str_eq(name, TDA_STR("args")) && !tda_str_eq(name, TDA_STR("env")))
                continue;
            error_set(e, TDA_E_DENIED, "command_refused", "a request cannot say what is run");
            error_field(e, "fields.server_configs");
            error_hint(e, "commands come from the operator's configuration: give the name of one of its servers, or a url");
            return TDA_E_DENIED;
        }
    }
    return TDA_OK;
}

static tda_status set_field(struct request *q, struct draft *d, struct json v, struct error *e) {
    const struct ctx_field *f = ctx_field_find(json_name(v));
    if (!f) return unknown_field(json_name(v), e);
    if (f->kind == CTX_LIVE) return live_field(f, e);
    if (json_type(v) == TDA_JSON_NULL) return draft_set(d, f->key, (tda_str){0}, e);
    if (json_type(v) != (f->kind == CTX_OBJECT ? TDA_JSON_OBJECT : TDA_JSON_STRING)) {
        error_set(e, TDA_E_INVALID, "wrong_type", "%s must be %s or null", f->name, f->kind == CTX_OBJECT ? "an object" : "a text");
        error_field(e, "fields.%s", f->name);
        return TDA_E_INVALID;
    }
    if (f->key == TDA_CTX_SERVER_CONFIGS && refuse_commands(v, e)) return e->status;
    if (f->key != TDA_CTX_PROVIDER) return draft_set(d, f->key, f->kind == CTX_OBJECT ? json_raw(v) : json_str(v), e);
    const struct provider_entry *p;
    tda_status s = plugins_provider(router_options(q->router)->plugins, json_str(v), &p, e);
    return s ? s : draft_set(d, f->key, tda_str_of(p->name), e);
}

/* As configure does. Of a provider that cannot run nothing goes anywhere. */
static tda_status bind_secrets(struct request *q, struct draft *d, struct error *e) {
    const struct plugins *ps = router_options(q->router)->plugins;
    const struct provider_entry *p;
    char origin[ORIGIN_SIZE];
    tda_str name = draft_get(d, TDA_CTX_PROVIDER);
    if (!name.p || plugins_provider(ps, name, &p, NULL)) return TDA_OK;
    tda_status s = plugins_origin(ps, p, draft_snapshot(d), origin, e);
    return s ? s : draft_bind(d, origin);
}

/* The provider first: changing it clears what belonged to the former one, and must not clear what this very set gives. */
static tda_status change(struct draft *d, void *arg, struct error *e) {
    static const unsigned char by_hand[32];
    struct request *q = arg;
    struct json fields = request_param(q, "fields"), provider = json_key(fields, TDA_STR("provider"));
    tda_status s = json_type(provider) ? set_field(q, d, provider, e) : TDA_OK;
    for (struct json v = json_first(fields); json_type(v) && !s; v = json_next(v))
        if (!tda_str_eq(json_name(v), TDA_STR("provider"))) s = set_field(q, d, v, e);
    draft_set_configured_as(d, by_hand);
    return s ? s : bind_secrets(q, d, e);
}

void context_set(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    tda_status s = contexts_update(router_options(q->router)->contexts, &q->principal, q->user, change, q, &epoch, &e);
    if (!s) jw_put_u64(&q->out, "epoch", epoch);
    request_reply(q, s ? &e : NULL);
}

void context_delete(struct request *q) {
    struct error e = {.retry_ms = -1};
    tda_status s = contexts_delete(router_options(q->router)->contexts, &q->principal, q->user, &e);
    if (!s) {
        router_forget(q->router, q->user, false);
        if (contexts_is_shared(router_options(q->router)->contexts))
            plugins_forget(router_options(q->router)->plugins, TDA_STR(""));
        jw_put_bool(&q->out, "deleted", true);
    }
    request_reply(q, s ? &e : NULL);
}

static void write_info(void *arg, const struct context_info *info) {
    struct jw *w = arg;
    jw_begin_object(w);
    jw_put_z(w, "user", info->user);
    jw_put_i64(w, "idle_s", info->idle_ns / NS_PER_S);
    jw_put_u64(w, "epoch", info->epoch);
    jw_put_str(w, "provider", info->provider);
    jw_put_str(w, "model", info->model);
    jw_end_object(w);
}

void context_list(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct contexts *cs = router_options(q->router)->contexts;
    int64_t limit = LIST_DEFAULT;
    struct json v = request_param(q, "limit");
    if (json_type(v) && (!json_i64(v, &limit) || limit < 1 || limit > LIST_MAX)) {
        error_set(&e, TDA_E_INVALID, "invalid_param", "limit must be a whole number from 1 to %d", LIST_MAX);
        error_field(&e, "limit");
        request_reply(q, &e);
        return;
    }
    jw_put_z(&q->out, "mode", contexts_is_shared(cs) ? "shared" : "per-user");
    jw_put_u64(&q->out, "count", contexts_count(cs));
    jw_open_array(&q->out, "contexts");
    tda_status s = contexts_list(cs, &q->principal, (size_t)limit, write_info, &q->out, &e);
    jw_end_array(&q->out);
    request_reply(q, s ? &e : NULL);
}

/* What serves a request that names no profile. */
static tda_status default_profile(struct contexts *cs, struct snapshot **s, struct error *e) {
    const char *tag = snapshot_default_profile(*s);
    struct profile *p = tag ? profile_find(cs, *s, tda_str_of(tag)) : NULL;
    struct snapshot *derived;
    tda_status status = p ? snapshot_derive(cs, *s, p, &derived, e) : TDA_OK;
    if (status || !p) return status;
    snapshot_unref(*s);
    *s = derived;
    return TDA_OK;
}

void context_status(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    struct contexts *cs = router_options(q->router)->contexts;
    tda_status status = contexts_peek(cs, &q->principal, q->user, &s, &e);
    if (status && status != TDA_E_NOT_FOUND) {
        request_reply(q, &e);
        return;
    }
    status = s ? default_profile(cs, &s, &e) : TDA_OK;
    if (status) {
        request_reply(q, &e);
        return;
    }
    bool configured = s && snapshot_get(s, TDA_CTX_PROVIDER).n && snapshot_get(s, TDA_CTX_MODEL).n;
    jw_put_bool(&q->out, "configured", configured);
    jw_put_z(&q->out, "mode", contexts_is_shared(cs) ? "shared" : "per-user");
    if (s) {
        jw_put_str(&q->out, "provider", snapshot_get(s, TDA_CTX_PROVIDER));
        jw_put_str(&q->out, "model", snapshot_get(s, TDA_CTX_MODEL));
        jw_put_str(&q->out, "mcp_server", snapshot_get(s, TDA_CTX_MCP_SERVER_NAME));
        if (snapshot_profile(s)[0]) jw_put_z(&q->out, "profile", snapshot_profile(s));
        jw_put_u64(&q->out, "epoch", snapshot_epoch(s));
    }
    if (!configured) jw_put_z(&q->out, "hint", "call configure with provider, model and credentials");
    request_reply(q, NULL);
}
