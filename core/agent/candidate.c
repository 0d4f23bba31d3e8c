#include "agent/candidate.h"

#include <stdio.h>

#include "loop/url.h"

tda_status missing(struct error *e, const char *kind, const char *field, const char *what) {
    error_set(e, TDA_E_INVALID, kind, "%s", what);
    error_field(e, "%s", field);
    return TDA_E_INVALID;
}

static bool is_secret(const struct setting_rule *rules, size_t n, tda_str name) {
    for (size_t i = 0; i < n; i++)
        if (rules[i].secret && tda_str_eq(name, tda_str_of(rules[i].name))) return true;
    return false;
}

static tda_status unknown_credential(struct error *e, const struct provider_entry *p, const struct setting_rule *rules, size_t n,
                                     tda_str name) {
    char known[128] = "";
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(known);
        if (rules[i].secret) snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", rules[i].name);
    }
    error_set(e, TDA_E_INVALID, "unknown_credential", "provider %s takes no credential \"%.*s\"", p->name,
              (int)(name.n < 64 ? name.n : 64), name.p);
    error_field(e, "credentials");
    error_hint(e, known[0] ? "it takes: %s" : "it takes none%s", known);
    return TDA_E_INVALID;
}

static tda_status set_credentials(struct candidate *c, struct error *e) {
    struct json given = json_key(c->params, TDA_STR("credentials"));
    const struct setting_rule *rules;
    size_t n = plugins_rules(c->provider, &rules);
    if (!json_type(given)) return TDA_OK; /* what he gave before still holds, as far as provider and origin are the same */
    for (size_t i = 0; i < n; i++)
        if (rules[i].secret && draft_set_secret(c->draft, rules[i].name, (tda_str){0}, e)) return e->status;
    for (struct json v = json_first(given); json_type(v); v = json_next(v)) {
        if (!is_secret(rules, n, json_name(v))) return unknown_credential(e, c->provider, rules, n, json_name(v));
        char name[64];
        snprintf(name, sizeof name, "%.*s", STR_FMT(json_name(v)));
        if (json_str(v).n == 0) {
            error_set(e, TDA_E_INVALID, "missing_credential", "the credential %s is empty or not a text", name);
            error_field(e, "credentials.%s", name);
            return TDA_E_INVALID;
        }
        tda_status s = draft_set_secret(c->draft, name, json_str(v), e);
        if (s) return s;
    }
    return TDA_OK;
}

tda_status candidate_set_model(struct candidate *c, struct error *e) {
    struct json p = c->params;
    char origin[ORIGIN_SIZE];
    tda_status s = draft_set(c->draft, TDA_CTX_PROVIDER, tda_str_of(c->provider->name), e);
    if (!s) s = set_credentials(c, e);
    for (size_t i = 0; i < CTX_FIELDS && !s; i++) {
        const struct ctx_field *f = &ctx_fields[i];
        if (f->group != CTX_GROUP_MODEL || f->kind == CTX_LIVE || f->key == TDA_CTX_PROVIDER) continue;
        struct json v = json_key(p, tda_str_of(f->name));
        s = draft_set(c->draft, f->key, f->kind == CTX_OBJECT ? json_raw(v) : json_str(v), e);
    }
    if (!s) s = draft_set_setting(c->draft, "base_url", json_str(json_key(p, TDA_STR("base_url"))), e);
    if (!s) s = plugins_origin(c->agent->plugins, c->provider, draft_snapshot(c->draft), origin, e);
    return s ? s : draft_bind(c->draft, origin);
}

/* host + port + path, as callers of the first design send them. */
static char *server_url(struct candidate *c, struct json server) {
    tda_str url = json_str(json_key(server, TDA_STR("url"))), host = json_str(json_key(server, TDA_STR("host")));
    tda_str path = json_str(json_key(server, TDA_STR("path")));
    int64_t port = 0;
    if (url.n) return arena_dup(c->arena, url);
    if (!host.n || !json_i64(json_key(server, TDA_STR("port")), &port) || port < 1 || port > 65535) return NULL;
    return arena_printf(c->arena, "http://%.*s:%lld%s%.*s", STR_FMT(host), (long long)port, path.n && path.p[0] == '/' ? "" : "/",
                        STR_FMT(path));
}

/* Most often a misspelt name of one of the operator's. */
static void hint_servers(const struct config *config, struct error *e) {
    struct buf known;
    buf_init(&known, 160);
    for (size_t i = 0; i < config->n_servers; i++) buf_addf(&known, "%s%s", i ? ", " : "", config->servers[i].name);
    error_hint(e, "the operator's servers are: %.*s; one of your own needs name, id and url", known.n ? (int)known.n : 4,
               known.n ? known.p : "none");
    buf_fini(&known);
}

static tda_status set_user_server(struct candidate *c, struct json server, tda_str name, tda_str id, struct error *e) {
    struct buf text;
    struct jw w;
    if (!id.n) {
        missing(e, "missing_server_id", "mcp_server.id", "the MCP server's id is missing: it is not one of the operator's servers");
        hint_servers(c->agent->config, e);
        return TDA_E_INVALID;
    }
    char *url = server_url(c, server);
    if (!url) {
        missing(e, "missing_server_address", "mcp_server.url",
                "the MCP server's address is missing: it is not one of the operator's servers");
        error_hint(e, "give url, or host and port and path, or the name of a server in the operator's configuration");
        return TDA_E_INVALID;
    }
    buf_init(&text, 65536);
    jw_init(&w, &text);
    jw_begin_object(&w);
    jw_key(&w, name);
    jw_begin_object(&w);
    jw_put_z(&w, "url", url);
    jw_end_object(&w);
    jw_end_object(&w);
    tda_status s = text.status ? text.status : draft_set(c->draft, TDA_CTX_SERVER_CONFIGS, buf_str(&text), e);
    buf_fini(&text);
    return s;
}

/* What the user shows to a server of his own. The operator's get what the operator gives them. */
static tda_status set_bearer(struct candidate *c, struct json server, bool operators, struct error *e) {
    char origin[ORIGIN_SIZE];
    struct json bearer = json_key(server, TDA_STR("bearer"));
    if (!json_type(bearer)) return TDA_OK;
    if (operators) {
        error_set(e, TDA_E_DENIED, "unknown_credential", "a server of the operator's takes no credential of yours");
        error_field(e, "mcp_server.bearer");
        return TDA_E_DENIED;
    }
    char *url = server_url(c, server);
    if (!url || url_origin(tda_str_of(url), origin, sizeof origin))
        return missing(e, "invalid_url", "mcp_server.url", "a token needs an address that it goes to: https://host/path");
    return draft_set_server_bearer(c->draft, json_str(bearer), origin, e);
}

tda_status candidate_set_server(struct candidate *c, struct error *e) {
    struct json server = json_key(c->params, TDA_STR("mcp_server"));
    if (!json_type(server)) return TDA_OK; /* not mentioned: stays */
    if (json_type(server) == TDA_JSON_NULL) {
        tda_status none = draft_set(c->draft, TDA_CTX_MCP_SERVER_NAME, (tda_str){0}, e);
        if (!none) none = draft_set(c->draft, TDA_CTX_MCP_SERVER_ID, (tda_str){0}, e);
        return none ? none : draft_set(c->draft, TDA_CTX_SERVER_CONFIGS, (tda_str){0}, e);
    }
    tda_str name = json_str(json_key(server, TDA_STR("name"))), id = json_str(json_key(server, TDA_STR("id")));
    if (json_type(json_key(server, TDA_STR("command"))) || json_type(json_key(server, TDA_STR("args")))) {
        missing(e, "command_refused", "mcp_server.command", "a request cannot say what is run");
        error_hint(e, "commands come from the operator's configuration: give the name of one of its servers");
        return TDA_E_DENIED;
    }
    if (!name.n) return missing(e, "missing_server_name", "mcp_server.name", "the MCP server's name is missing");
    const struct config_server *known = config_server_find(c->agent->config, name);
    tda_status s = known ? TDA_OK : set_user_server(c, server, name, id, e);
    if (known && !id.n) id = tda_str_of(known->id);
    if (!s) s = draft_set(c->draft, TDA_CTX_MCP_SERVER_NAME, name, e);
    if (!s) s = draft_set(c->draft, TDA_CTX_MCP_SERVER_ID, id, e);
    return s ? s : set_bearer(c, server, known != NULL, e);
}
