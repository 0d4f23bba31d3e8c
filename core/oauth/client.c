/* Who the host is to an authorization server: as the operator registered it, by the address of its own description (CIMD), or by
 * registering now (RFC 7591). A registration belongs to the issuer that gave it. */
#include "oauth/oauth_impl.h"

#include <stdio.h>

#define REDIRECT_DEFAULT "http://localhost:3000/callback"

const char *client_redirect_uri(const struct attempt *a) {
    const struct config_oauth *config = a->server.config;
    return config && config->redirect_uri ? config->redirect_uri : REDIRECT_DEFAULT;
}

/* A browser comes back to this machine, or to a page of the operator's. */
static bool is_web(const char *redirect) {
    return strncmp(redirect, "https://", 8) == 0;
}

/* How to show a secret at the token endpoint. RFC 8414: who does not say means basic. False: none that we can. */
static bool choose_auth(const struct as_metadata *as, bool has_secret, enum client_auth *ret) {
    *ret = CLIENT_NONE;
    if (!has_secret) return true;
    if (as->auth_basic || !as->says_auth)
        *ret = CLIENT_BASIC;
    else if (as->auth_post)
        *ret = CLIENT_POST;
    return as->auth_basic || as->auth_post || as->auth_none || !as->says_auth;
}

static void use_client(struct attempt *a, const char *id, const char *secret) {
    struct client *c = &a->client;
    *c = (struct client){.auth = CLIENT_NONE};
    if (strlen(id) >= sizeof c->id || (secret && strlen(secret) >= sizeof c->secret)) {
        attempt_fail(a, NULL, NULL, "the client id or its secret is too long");
        return;
    }
    snprintf(c->id, sizeof c->id, "%s", id);
    snprintf(c->secret, sizeof c->secret, "%s", secret ? secret : "");
    if (choose_auth(&a->as, c->secret[0] != 0, &c->auth))
        token_begin(a);
    else
        attempt_fail(a, a->issuer, "supported are client_secret_basic, client_secret_post and none",
                     "the authorization server takes no way of showing a client secret that this host has");
}

/* ---- registering ---- */

static const char *auth_name(enum client_auth auth) {
    return auth == CLIENT_BASIC ? "client_secret_basic" : auth == CLIENT_POST ? "client_secret_post" : "none";
}

/* A client without a secret where that will do: one that is handed out to everybody protects nothing. */
static enum client_auth auth_to_ask_for(const struct as_metadata *as) {
    if (as->defaults || as->auth_none) return CLIENT_NONE;
    return as->auth_post && !as->auth_basic ? CLIENT_POST : CLIENT_BASIC;
}

static void write_registration(const struct attempt *a, struct buf *out) {
    struct jw w;
    const char *redirect = client_redirect_uri(a);
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_put_z(&w, "client_name", "tda");
    jw_put_z(&w, "application_type", is_web(redirect) ? "web" : "native");
    jw_open_array(&w, "redirect_uris");
    jw_str(&w, tda_str_of(redirect));
    jw_end_array(&w);
    jw_open_array(&w, "grant_types");
    jw_str(&w, TDA_STR("authorization_code"));
    jw_str(&w, TDA_STR("refresh_token"));
    jw_end_array(&w);
    jw_open_array(&w, "response_types");
    jw_str(&w, TDA_STR("code"));
    jw_end_array(&w);
    jw_put_z(&w, "token_endpoint_auth_method", auth_name(auth_to_ask_for(&a->as)));
    jw_end_object(&w);
}

/* What it was given need not be what it asked for. */
static bool read_client(struct attempt *a, struct json doc) {
    struct client *c = &a->client;
    tda_str id = json_str(json_key(doc, TDA_STR("client_id"))), secret = json_str(json_key(doc, TDA_STR("client_secret")));
    tda_str method = json_str(json_key(doc, TDA_STR("token_endpoint_auth_method")));
    if (!id.n || id.n >= sizeof c->id || secret.n >= sizeof c->secret) return false;
    *c = (struct client){.auth = auth_to_ask_for(&a->as)};
    memcpy(c->id, id.p, id.n);
    if (secret.n) memcpy(c->secret, secret.p, secret.n);
    if (tda_str_eq(method, TDA_STR("none"))) c->auth = CLIENT_NONE;
    if (tda_str_eq(method, TDA_STR("client_secret_basic"))) c->auth = CLIENT_BASIC;
    if (tda_str_eq(method, TDA_STR("client_secret_post"))) c->auth = CLIENT_POST;
    if (!secret.n) c->auth = CLIENT_NONE;
    return true;
}

static void on_registered(struct fetch *f, const struct error *e) {
    struct attempt *a = attempt_of(f);
    struct json_doc *doc GUARD(json_free_p) = NULL;
    bool ok = !e && (f->status == 200 || f->status == 201) && json_parse(buf_str(&f->body), 0, &doc, NULL) == TDA_OK;
    if (e) {
        attempt_fail(a, f->host, NULL, "registering as a client: %.160s", e->text);
    } else if (!ok || !read_client(a, json_root(doc))) {
        attempt_fail(a, f->host, "a client registered by hand goes to mcp_servers.NAME.oauth.client_id",
                     "registering as a client: HTTP %d%s", f->status, ok ? ", and no client_id" : "");
    } else {
        credential_keep_client(a->credential, a->issuer, &a->client);
        token_begin(a);
    }
}

static void register_now(struct attempt *a) {
    struct buf body;
    if (!attempt_can_ask(a)) { /* a registration for nothing */
        attempt_nobody(a);
        return;
    }
    buf_init(&body, 8192);
    write_registration(a, &body);
    attempt_fetch(a, &(struct fetch_spec){.url = tda_str_of(a->as.registration),
                                          .body = buf_str(&body),
                                          .content_type = "application/json",
                                          .done = on_registered});
    buf_fini(&body);
}

void client_choose(struct attempt *a) {
    const struct config_oauth *config = a->server.config;
    credential_bind(a->credential, a->issuer);
    if (config && config->client_id) {
        if (config->issuer || oauth_pin(a->oauth, a->server.name, a->issuer))
            use_client(a, config->client_id, config->client_secret);
        else
            attempt_fail(a, a->issuer, "if that is right, say so in mcp_servers.NAME.oauth.issuer",
                         "the server names another authorization server than before: the registered client is not shown to it");
    } else if (config && config->client_metadata_url && a->as.cimd) {
        use_client(a, config->client_metadata_url, NULL);
    } else if (credential_client(a->credential, a->issuer, &a->client)) {
        token_begin(a);
    } else if (a->as.registration[0]) {
        register_now(a);
    } else {
        attempt_fail(a, a->issuer, "register a client there by hand: mcp_servers.NAME.oauth.client_id and client_secret",
                     "the authorization server registers no clients, and none is configured for it");
    }
}
