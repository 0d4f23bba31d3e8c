/* Profiles from what people write: the params of profile.put, the section `profiles` of the configuration. */
#include "agent/profile.h"

#include <stdio.h>

#include "agent/candidate.h"
#include "base/log.h"
#include "tda/host.h"

/* ---- lists ---- */

static tda_status bad_list(const char *field, struct error *e) {
    error_set(e, TDA_E_INVALID, "invalid_param",
              "%s must be a list of at most %d names of 1 to %d bytes each, and of %d KiB in all", field, NAMES_MAX, NAME_BYTES_MAX,
              LIST_BYTES_MAX >> 10);
    error_field(e, "%s", field);
    return TDA_E_INVALID;
}

tda_status names_from_json(struct json list, const char *field, struct names **ret, struct error *e) {
    tda_str names[NAMES_MAX];
    size_t n = 0;
    *ret = NULL;
    if (json_type(list) != TDA_JSON_ARRAY) return TDA_OK; /* null: everything */
    for (struct json v = json_first(list); json_type(v); v = json_next(v)) {
        tda_str name = json_str(v);
        if (n == NAMES_MAX || !name.n || memchr(name.p, 0, name.n)) return bad_list(field, e);
        names[n++] = name;
    }
    tda_status s = names_new(names, n, ret);
    if (s == TDA_E_LIMIT) return bad_list(field, e);
    return s ? error_set(e, s, NULL, "%s", status_text(s)) : TDA_OK;
}

static tda_status set_list(struct candidate *c, const char *field, enum enabled_kind kind, struct error *e) {
    struct names *names = NULL;
    tda_status s = names_from_json(json_key(c->params, tda_str_of(field)), field, &names, e);
    if (s) return s;
    draft_set_enabled(c->draft, kind, names);
    names_unref(names);
    return TDA_OK;
}

/* ---- the two sides ---- */

static tda_status provider_side(struct candidate *c, struct error *e) {
    if (!json_str(json_key(c->params, TDA_STR("model"))).n)
        return missing(e, "missing_model", "model", "a profile with a provider needs a model");
    tda_status s = plugins_provider(c->agent->plugins, json_str(json_key(c->params, TDA_STR("provider"))), &c->provider, e);
    return s ? s : candidate_set_model(c, e);
}

/* Without a provider these would belong to whichever provider the context has then. */
static tda_status only_model(struct candidate *c, struct error *e) {
    static const char *const needing[] = {
        "credentials", "base_url", "aws_region", "azure_deployment_details", "friendli_details", "model_provider_in_profile"};
    for (size_t i = 0; i < ARRAY_LEN(needing); i++) {
        if (!json_type(json_key(c->params, tda_str_of(needing[i])))) continue;
        error_set(e, TDA_E_INVALID, "missing_provider", "%s belongs to a provider, and this profile names none", needing[i]);
        error_field(e, "%s", needing[i]);
        return TDA_E_INVALID;
    }
    tda_str model = json_str(json_key(c->params, TDA_STR("model")));
    return model.p ? draft_set(c->draft, TDA_CTX_MODEL, model, e) : TDA_OK;
}

static tda_status server_side(struct candidate *c, struct error *e) {
    static const uint32_t keys[] = {TDA_CTX_MCP_SERVER_NAME, TDA_CTX_MCP_SERVER_ID, TDA_CTX_SERVER_CONFIGS};
    tda_status s = TDA_OK;
    for (size_t i = 0; i < ARRAY_LEN(keys) && !s; i++) s = draft_set(c->draft, keys[i], (tda_str){0}, e); /* the former one's */
    return s ? s : candidate_set_server(c, e);
}

static tda_status fill(struct candidate *c, struct error *e) {
    bool has_provider = json_str(json_key(c->params, TDA_STR("provider"))).p;
    tda_status s = has_provider ? provider_side(c, e) : only_model(c, e);
    if (!s) s = server_side(c, e);
    if (!s) s = set_list(c, "tools", ENABLED_TOOLS, e);
    return s ? s : set_list(c, "prompts", ENABLED_PROMPTS, e);
}

/* ---- from params ---- */

static tda_status finish(struct candidate *c, tda_str tag, bool is_operators, struct profile **ret, struct error *e) {
    struct snapshot *definition GUARD(snapshot_unref_p) = NULL;
    bool own_server = json_type(json_key(c->params, TDA_STR("mcp_server")));
    tda_status s = draft_preview(c->draft, &definition);
    if (!s) s = profile_new(tag, definition, own_server, is_operators, ret);
    return s ? error_set(e, s, NULL, "the profile cannot be kept: %s", status_text(s)) : TDA_OK;
}

tda_status profile_from_params(struct agent *a, struct arena *arena, tda_str user, struct json params, const struct profile *old,
                               struct profile **ret, struct error *e) {
    tda_str tag = json_str(json_key(params, TDA_STR("tag")));
    bool keeps = old && json_str(json_key(params, TDA_STR("provider"))).p; /* credentials */
    struct candidate c = {.agent = a, .arena = arena, .params = params};
    if (!tag_valid(tag)) {
        missing(e, "invalid_tag", "tag", "a tag has 1 to 32 of A-Z a-z 0-9 _ -, beginning with a letter or digit");
        return TDA_E_INVALID;
    }
    tda_status s = draft_new(a->contexts, user, keeps ? profile_definition(old) : NULL, &c.draft);
    if (s) return error_set(e, s, NULL, "%s", status_text(s));
    s = fill(&c, e);
    if (!s) s = finish(&c, tag, false, ret, e);
    draft_free(c.draft);
    return s;
}

/* ---- from the configuration ---- */

/* "azure_deployment_details.endpoint" after "azure_deployment_details.api_version": members of one object. */
static size_t group_of(const char *key) {
    return strcspn(key, ".");
}

static void write_settings(const struct config_profile *p, struct jw *w) {
    for (size_t i = 0; i < p->n_settings; i++) {
        const struct config_kv *kv = &p->settings[i];
        size_t n = group_of(kv->key);
        bool in_group = kv->key[n] == '.', goes_on = in_group && i && strncmp(p->settings[i - 1].key, kv->key, n + 1) == 0;
        bool ends = in_group && (i + 1 == p->n_settings || strncmp(p->settings[i + 1].key, kv->key, n + 1) != 0);
        if (in_group && !goes_on) {
            jw_key(w, (tda_str){kv->key, n});
            jw_begin_object(w);
        }
        if (strcmp(kv->key, "mcp_server") != 0) {
            jw_put_z(w, in_group ? kv->key + n + 1 : kv->key, kv->val);
        } else if (kv->val[0]) {
            jw_open_object(w, "mcp_server");
            jw_put_z(w, "name", kv->val);
            jw_end_object(w);
        } else {
            jw_key(w, TDA_STR("mcp_server"));
            jw_null(w);
        }
        if (ends) jw_end_object(w);
    }
}

static void write_list(const char *key, char *const *list, struct jw *w) {
    if (!list) return;
    jw_open_array(w, key);
    for (; *list; list++) jw_str(w, tda_str_of(*list));
    jw_end_array(w);
}

/* As a caller of profile.put would say it, credentials aside. */
static tda_status as_params(const struct config_profile *p, struct json_doc **ret, struct error *e) {
    struct buf text;
    struct jw w;
    buf_init(&text, 4 << 20);
    jw_init(&w, &text);
    jw_begin_object(&w);
    write_settings(p, &w);
    write_list("tools", p->tools, &w);
    write_list("prompts", p->prompts, &w);
    jw_end_object(&w);
    tda_status s =
        text.status ? error_set(e, text.status, NULL, "%s", status_text(text.status)) : json_parse(buf_str(&text), 0, ret, e);
    buf_fini(&text);
    return s;
}

static tda_status set_credentials(struct candidate *c, const struct config_profile *p, struct error *e) {
    const struct setting_rule *rules;
    size_t n = c->provider ? plugins_rules(c->provider, &rules) : 0;
    if (p->n_credentials && !c->provider)
        return missing(e, "missing_provider", "credentials", "credentials belong to a provider, and this profile names none");
    for (size_t i = 0; i < p->n_credentials; i++) {
        const struct config_kv *kv = &p->credentials[i];
        size_t r = 0;
        while (r < n && (!rules[r].secret || strcmp(rules[r].name, kv->key) != 0)) r++;
        if (r == n) {
            error_set(e, TDA_E_INVALID, "unknown_credential", "provider %s takes no credential \"%.64s\"", c->provider->name,
                      kv->key);
            error_field(e, "credentials.%.48s", kv->key);
            return TDA_E_INVALID;
        }
        tda_status s = draft_set_secret(c->draft, kv->key, tda_str_of(kv->val), e);
        if (s) return s;
    }
    return TDA_OK;
}

/* Where a field of an error was written. */
static const char *where_of(const struct config_profile *p, const char *field) {
    size_t n = group_of(field);
    for (size_t i = 0; i < p->n_settings; i++)
        if (strncmp(p->settings[i].key, field, n) == 0) return p->settings[i].where;
    for (size_t i = 0; i < p->n_credentials; i++)
        if (strncmp(field, "credentials", n) == 0) return p->credentials[i].where;
    return p->where;
}

/* A plugin that was refused is told of at its own place; its profiles are there and say so when they are used. */
static tda_status without_plugin(struct candidate *c, struct error *e) {
    tda_status s = draft_set(c->draft, TDA_CTX_PROVIDER, tda_str_of(c->provider->name), e);
    if (!s) s = draft_set(c->draft, TDA_CTX_MODEL, json_str(json_key(c->params, TDA_STR("model"))), e);
    return s ? s : server_side(c, e);
}

static tda_status known_server(const struct candidate *c, struct error *e) {
    tda_str name = json_str(json_get(c->params, "mcp_server.name"));
    if (!name.n || config_server_find(c->agent->config, name)) return TDA_OK;
    error_set(e, TDA_E_NOT_FOUND, "unknown_mcp_server", "there is no MCP server \"%.*s\" under mcp_servers", STR_FMT(name));
    error_field(e, "mcp_server");
    return TDA_E_NOT_FOUND;
}

static tda_status fill_from_config(struct candidate *c, const struct config_profile *p, struct error *e) {
    tda_status s = known_server(c, e);
    if (!s) s = fill(c, e);
    if (s == TDA_E_UNSUPPORTED && c->provider) return without_plugin(c, e);
    return s ? s : set_credentials(c, p, e);
}

static tda_status load_one(struct agent *a, struct arena *arena, const struct config_profile *p, struct profile **ret,
                           struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct candidate c = {.agent = a, .arena = arena};
    tda_status s = as_params(p, &doc, e);
    if (s) return s;
    c.params = json_root(doc);
    s = draft_new(a->contexts, (tda_str){"", 0}, NULL, &c.draft);
    if (!s) s = fill_from_config(&c, p, e);
    if (!s) s = finish(&c, tda_str_of(p->tag), true, ret, e);
    draft_free(c.draft);
    return s;
}

tda_status profiles_load(struct agent *a, struct buf *report) {
    const struct config *c = a->config;
    struct profile **list = calloc(c->n_profiles + 1, sizeof *list);
    size_t n = 0;
    tda_status status = list ? TDA_OK : TDA_E_NOMEM;
    for (size_t i = 0; i < c->n_profiles && list; i++) {
        struct error e = {.retry_ms = -1};
        struct arena arena;
        arena_init(&arena, 1 << 20);
        tda_status s = load_one(a, &arena, &c->profiles[i], &list[n], &e);
        arena_fini(&arena);
        if (!s)
            n++;
        else
            buf_addf(report, "%s: profiles.%s%s%s: %s%s%s\n", where_of(&c->profiles[i], e.field), c->profiles[i].tag,
                     e.field[0] ? "." : "", e.field, e.text[0] ? e.text : status_text(s), e.hint[0] ? "; " : "", e.hint);
        if (s) status = s;
    }
    tda_status kept = list ? contexts_set_profiles(a->contexts, list, n) : TDA_OK;
    free(list);
    return status ? status : kept;
}
