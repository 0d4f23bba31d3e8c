/* Who gives tokens for this server: the resource's metadata (RFC 9728), then the authorization server's (RFC 8414, OpenID Connect
 * Discovery). What either says of itself is compared with what was asked for, and what does not fit is not used. */
#include "oauth/oauth_impl.h"

#include <stdio.h>

static void next_prm(struct attempt *a);
static void next_as(struct attempt *a);

/* "There is nothing here": then the next candidate. Sites that answer everything with a page count too. */
static bool is_absent(int32_t status, const struct json_doc *doc) {
    return (status >= 400 && status < 500 && status != 429) || (status == 200 && json_type(json_root(doc)) != TDA_JSON_OBJECT);
}

static bool take_text(struct json from, const char *key, char *out, size_t size) {
    tda_str s = json_str(json_key(from, tda_str_of(key)));
    if (!s.n || s.n >= size || memchr(s.p, 0, s.n)) return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

static bool list_has(struct json list, const char *word) {
    for (struct json v = json_first(list); json_type(v); v = json_next(v))
        if (tda_str_eq(json_str(v), tda_str_of(word))) return true;
    return false;
}

/* A list of scopes as one text; words that are none are left out. */
static void take_scopes(struct json list, char out[OAUTH_SCOPE_MAX]) {
    char grown[OAUTH_SCOPE_MAX];
    out[0] = 0;
    for (struct json v = json_first(list); json_type(v); v = json_next(v)) {
        tda_str s = json_str(v);
        if (!s.n || !scope_valid(s) || memchr(s.p, ' ', s.n)) continue;
        if (scope_union(tda_str_of(out), s, grown)) return;
        memcpy(out, grown, sizeof grown);
    }
}

/* ---- the authorization server ---- */

/* 2025-03-26: a server that says nothing has its endpoints at usual places. */
static void use_defaults(struct attempt *a) {
    struct as_metadata *as = &a->as;
    as->defaults = true;
    snprintf(as->authorize, sizeof as->authorize, "%s/authorize", a->issuer);
    snprintf(as->token, sizeof as->token, "%s/token", a->issuer);
    snprintf(as->registration, sizeof as->registration, "%s/register", a->issuer);
    client_choose(a);
}

/* False: it has been refused. */
static bool read_as(struct attempt *a, struct json doc) {
    struct as_metadata *as = &a->as;
    const char *host = a->fetch.host;
    bool b;
    tda_str issuer = json_str(json_key(doc, TDA_STR("issuer")));
    if (!tda_str_eq(issuer, tda_str_of(a->issuer))) {
        attempt_fail(a, host, "the server's operator must give both places the very same address of the authorization server",
                     "the metadata belongs to the issuer \"%.*s\", not to \"%.80s\"", (int)(issuer.n < 80 ? issuer.n : 80),
                     issuer.p ? issuer.p : "", a->issuer);
        return false;
    }
    bool code = a->asking_for != TOKEN_BY_CLIENT;
    if (!take_text(doc, "token_endpoint", as->token, sizeof as->token) ||
        (!take_text(doc, "authorization_endpoint", as->authorize, sizeof as->authorize) && code)) {
        attempt_fail(a, host, NULL, "the metadata names no token_endpoint or authorization_endpoint");
        return false;
    }
    if (code && !list_has(json_key(doc, TDA_STR("code_challenge_methods_supported")), "S256")) {
        attempt_fail(a, host, "the authorization server must support PKCE with S256",
                     "code_challenge_methods_supported does not have S256: without PKCE it is not safe to go on");
        return false;
    }
    take_text(doc, "registration_endpoint", as->registration, sizeof as->registration);
    take_scopes(json_key(doc, TDA_STR("scopes_supported")), as->scopes);
    as->cimd = json_bool(json_key(doc, TDA_STR("client_id_metadata_document_supported")), &b) && b;
    as->iss = json_bool(json_key(doc, TDA_STR("authorization_response_iss_parameter_supported")), &b) && b;
    struct json methods = json_key(doc, TDA_STR("token_endpoint_auth_methods_supported"));
    as->says_auth = json_type(methods) == TDA_JSON_ARRAY;
    as->auth_none = list_has(methods, "none");
    as->auth_basic = list_has(methods, "client_secret_basic");
    as->auth_post = list_has(methods, "client_secret_post");
    return true;
}

static void on_as(struct fetch *f, const struct error *e) {
    struct attempt *a = attempt_of(f);
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!e && f->status == 200) json_parse(buf_str(&f->body), 0, &doc, NULL);
    if (e) {
        attempt_fail(a, f->host, NULL, "the authorization server's metadata: %.160s", e->text);
    } else if (is_absent(f->status, doc)) {
        a->candidate++;
        next_as(a);
    } else if (f->status != 200) {
        attempt_fail(a, f->host, NULL, "the authorization server's metadata: HTTP %d", f->status);
    } else if (read_as(a, json_root(doc))) {
        client_choose(a);
    }
}

static void next_as(struct attempt *a) {
    char url[OAUTH_URL_MAX + 64];
    tda_status s = as_metadata_url(tda_str_of(a->issuer), a->candidate, url, sizeof url);
    if (s == TDA_E_NOT_FOUND && a->legacy)
        use_defaults(a);
    else if (s == TDA_E_NOT_FOUND)
        attempt_fail(a, a->fetch.host,
                     "the address of the authorization server is what the MCP server says; its operator can mend it",
                     "there is no metadata at any of the usual places below %.100s", a->issuer);
    else if (s)
        attempt_fail(a, NULL, NULL, "the MCP server names an authorization server that has no usable address");
    else
        attempt_fetch(a, &(struct fetch_spec){.url = tda_str_of(url), .done = on_as});
}

static void found_issuer(struct attempt *a) {
    const struct config_oauth *config = a->server.config;
    if (config && config->issuer && strcmp(config->issuer, a->issuer) != 0) {
        attempt_fail(a, NULL, "mcp_servers.NAME.oauth.issuer says which one is trusted",
                     "the MCP server wants tokens of %.120s, which is not the issuer in the configuration", a->issuer);
        return;
    }
    a->candidate = 0;
    next_as(a);
}

/* ---- the resource ---- */

/* The first authorization server, or the operator's if it is among them. */
static bool choose_issuer(struct attempt *a, struct json list) {
    const struct config_oauth *config = a->server.config;
    bool wanted = config && config->issuer && list_has(list, config->issuer);
    tda_str s = wanted ? tda_str_of(config->issuer) : json_str(json_first(list));
    if (!s.n || s.n >= sizeof a->issuer || memchr(s.p, 0, s.n)) return false;
    memcpy(a->issuer, s.p, s.n);
    a->issuer[s.n] = 0;
    return true;
}

static void read_prm(struct attempt *a, struct json doc) {
    if (!take_text(doc, "resource", a->resource, sizeof a->resource)) {
        attempt_fail(a, a->fetch.host, NULL, "the server's metadata does not say for which `resource` it is");
    } else if (!resource_covers(tda_str_of(a->resource), tda_str_of(a->server.url))) {
        attempt_fail(a, a->fetch.host, "a token for that resource would not be this server's: it is not asked for",
                     "the server's metadata is for the resource \"%.100s\", which is not this server's address", a->resource);
    } else if (!choose_issuer(a, json_key(doc, TDA_STR("authorization_servers")))) {
        attempt_fail(a, a->fetch.host, NULL, "the server's metadata names no authorization server");
    } else {
        take_scopes(json_key(doc, TDA_STR("scopes_supported")), a->scopes_supported);
        found_issuer(a);
    }
}

static void on_prm(struct fetch *f, const struct error *e) {
    struct attempt *a = attempt_of(f);
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!e && f->status == 200) json_parse(buf_str(&f->body), 0, &doc, NULL);
    if (e) {
        attempt_fail(a, f->host, NULL, "the server's metadata: %.160s", e->text);
    } else if (is_absent(f->status, doc) && (a->prm_remembered || !a->challenge.resource_metadata[0])) {
        a->candidate += !a->prm_remembered;
        a->prm_remembered = false; /* it has moved */
        a->challenge.resource_metadata[0] = 0;
        next_prm(a);
    } else if (is_absent(f->status, doc) || f->status != 200) {
        attempt_fail(a, f->host, NULL, "the server's metadata: HTTP %d%s", f->status,
                     f->status == 200 ? ", and no JSON object" : "");
    } else {
        read_prm(a, json_root(doc));
    }
}

/* 2025-03-26: the server's origin is the authorization server. The tokens are for all of it. */
static void use_legacy(struct attempt *a) {
    struct url_parts u;
    a->legacy = true;
    if (url_split(tda_str_of(a->server.url), &u)) {
        attempt_fail(a, NULL, NULL, "this server's address cannot be authorised for");
        return;
    }
    snprintf(a->issuer, sizeof a->issuer, "%.*s", STR_FMT(u.base));
    snprintf(a->resource, sizeof a->resource, "%.*s", STR_FMT(u.base));
    found_issuer(a);
}

static void next_prm(struct attempt *a) {
    char url[OAUTH_URL_MAX + 64];
    tda_status s = TDA_OK;
    if (a->challenge.resource_metadata[0])
        snprintf(url, sizeof url, "%s", a->challenge.resource_metadata);
    else
        s = prm_url(tda_str_of(a->server.url), a->candidate, url, sizeof url);
    if (s)
        use_legacy(a);
    else
        attempt_fetch(a, &(struct fetch_spec){.url = tda_str_of(url), .done = on_prm});
}

void discovery_start(struct attempt *a) {
    a->candidate = 0;
    next_prm(a);
}
