/* mcp_servers.NAME.{headers, bearer, oauth}: how the host shows itself to a server at a url. Secrets come by ${env:X} or ${file:X}.
 */
#include <stdio.h>

#include "config/config_impl.h"

enum { HEADER_VALUE_MAX = 8192 };

static const char *const oauth_known[] = {"grant",  "issuer",      "client_id", "client_secret", "client_metadata_url",
                                          "scopes", "redirect_uri"};

/* What the protocol itself sends, or what says where a message ends. */
static bool is_reserved(tda_str name) {
    static const char *const names[] = {"host",       "content-type", "content-length", "accept", "transfer-encoding",
                                        "connection", "expect",       "last-event-id",  "te",     "upgrade"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_equal_nocase(name, tda_str_of(names[i]))) return true;
    return name.n >= 4 && str_equal_nocase((tda_str){name.p, 4}, TDA_STR("mcp-"));
}

static bool is_header_name(const char *name) {
    if (!name[0] || strlen(name) > 64) return false;
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *p)) return false;
    return true;
}

static bool is_value(const char *value) {
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) return false;
    return value[0] && strlen(value) <= HEADER_VALUE_MAX;
}

static void read_headers(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    char member[280];
    if (n->kind != YNODE_MAP) {
        report_at(l, n->where, path, "a map is wanted here: {NAME: value}");
        return;
    }
    for (const struct ynode *m = n->first; m; m = m->next) {
        snprintf(member, sizeof member, "%s.%.64s", path, m->key);
        size_t before = s->n_headers;
        if (!is_header_name(m->key) || is_reserved(tda_str_of(m->key)))
            report_at(l, m->where, member, "not a header that can be set: the protocol's own and those of the connection cannot");
        else if (s->n_headers == SERVER_HEADERS_MAX)
            report_at(l, m->where, member, "at most %d headers can be set", SERVER_HEADERS_MAX);
        else
            kv_add(l, &s->headers, &s->n_headers, m, member, false);
        if (s->n_headers > before && !is_value(s->headers[before].val))
            report_at(l, m->where, member, "a header's value is 1 to %d characters without line breaks", HEADER_VALUE_MAX);
    }
}

/* The text of a member into *ret; with `secret_only` it must have come from elsewhere. */
static void read_text(struct loading *l, char **ret, const struct ynode *m, const char *path, bool secret_only) {
    bool secret = false;
    free(*ret);
    *ret = section_text(l, m, path, false, &secret);
    if (*ret && !is_value(*ret))
        report_at(l, m->where, path, "a text of 1 to %d characters without line breaks is wanted", HEADER_VALUE_MAX);
    if (*ret && secret_only && !secret) report_at(l, m->where, path, "a secret comes from elsewhere: ${env:NAME} or ${file:/PATH}");
}

static void read_grant(struct loading *l, struct config_oauth *o, const struct ynode *m, const char *path) {
    tda_str text = m->kind == YNODE_SCALAR ? tda_str_of(m->text) : TDA_STR("");
    if (tda_str_eq(text, TDA_STR("client_credentials")))
        o->grant = OAUTH_CLIENT_CREDENTIALS;
    else if (!tda_str_eq(text, TDA_STR("authorization_code")))
        report_at(l, m->where, path, "allowed: authorization_code (a user consents), client_credentials (the client's own right)");
}

static void read_oauth_member(struct loading *l, struct config_oauth *o, const struct ynode *m, const char *path) {
    char **text = strcmp(m->key, "issuer") == 0                ? &o->issuer
                  : strcmp(m->key, "client_id") == 0           ? &o->client_id
                  : strcmp(m->key, "client_secret") == 0       ? &o->client_secret
                  : strcmp(m->key, "client_metadata_url") == 0 ? &o->client_metadata_url
                  : strcmp(m->key, "scopes") == 0              ? &o->scopes
                  : strcmp(m->key, "redirect_uri") == 0        ? &o->redirect_uri
                                                               : NULL;
    if (text) {
        read_text(l, text, m, path, text == &o->client_secret);
    } else if (strcmp(m->key, "grant") == 0) {
        read_grant(l, o, m, path);
    } else {
        const char *best = nearest_word(tda_str_of(m->key), oauth_known, ARRAY_LEN(oauth_known));
        report_at(l, m->where, path, "there is no such setting; %s%s",
                  best ? "did you mean "
                       : "there are grant, issuer, client_id, client_secret, client_metadata_url, scopes, redirect_uri",
                  best ? best : "");
    }
}

static bool is_url(const char *text, bool https_only) {
    return strncmp(text, "https://", 8) == 0 || (!https_only && strncmp(text, "http://", 7) == 0);
}

static void check_oauth(struct loading *l, const struct config_oauth *o, const struct ynode *n, const char *path) {
    if (o->client_secret && !o->client_id) report_at(l, n->where, path, "client_secret without its client_id");
    if (o->grant == OAUTH_CLIENT_CREDENTIALS && !o->client_secret)
        report_at(l, n->where, path, "client_credentials needs client_id and client_secret");
    if (o->issuer && !is_url(o->issuer, false)) report_at(l, n->where, path, "issuer wants the address of an authorization server");
    if (o->redirect_uri && !is_url(o->redirect_uri, false))
        report_at(l, n->where, path, "redirect_uri wants http://localhost:PORT/PATH or an https address");
    if (o->client_metadata_url && !is_url(o->client_metadata_url, true))
        report_at(l, n->where, path, "client_metadata_url wants an https address");
}

static void read_oauth(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    char member[280];
    bool on;
    if (n->kind == YNODE_SCALAR && bool_parse(tda_str_of(n->text), &on)) {
        s->oauth.off = !on;
        return;
    }
    if (n->kind != YNODE_MAP) {
        report_at(l, n->where, path, "a map is wanted here, or false for none");
        return;
    }
    for (const struct ynode *m = n->first; m; m = m->next) {
        snprintf(member, sizeof member, "%s.%.64s", path, m->key);
        read_oauth_member(l, &s->oauth, m, member);
    }
    check_oauth(l, &s->oauth, n, path);
}

bool server_auth_read(struct loading *l, struct config_server *s, const struct ynode *m, const char *path) {
    if (strcmp(m->key, "headers") == 0)
        read_headers(l, s, m, path);
    else if (strcmp(m->key, "bearer") == 0)
        read_text(l, &s->bearer, m, path, true);
    else if (strcmp(m->key, "oauth") == 0)
        read_oauth(l, s, m, path);
    else
        return false;
    return true;
}

void server_auth_check(struct loading *l, const struct config_server *s, const char *where, const char *path) {
    const struct config_oauth *o = &s->oauth;
    bool says_oauth = o->issuer || o->client_id || o->client_metadata_url || o->scopes || o->redirect_uri || o->grant;
    if (s->argv && (s->n_headers || s->bearer || says_oauth))
        report_at(l, where, path, "headers, bearer and oauth are for a server at a url; a command has its environment");
    for (size_t i = 0; i < s->n_headers; i++)
        if (str_equal_nocase(tda_str_of(s->headers[i].key), TDA_STR("authorization")) && (s->bearer || says_oauth))
            report_at(l, where, path, "either the header authorization, or bearer, or oauth");
    if (s->bearer && says_oauth) report_at(l, where, path, "either bearer or oauth: the token is there, or is obtained");
}

void server_auth_free(struct config_server *s) {
    struct config_oauth *o = &s->oauth;
    kv_free(s->headers, s->n_headers);
    free(s->bearer);
    free(o->issuer);
    free(o->client_id);
    free(o->client_secret);
    free(o->client_metadata_url);
    free(o->scopes);
    free(o->redirect_uri);
}
