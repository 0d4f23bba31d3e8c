/* Whose secret a request carries. The user's own goes only to the provider and origin that it was given for; the operator's never
 * to an address that a user gave. The secrets of one request are all the user's or all the operator's. */
#include <stdio.h>

#include "base/hash.h"
#include "base/redact.h"
#include "plugin/plugin_impl.h"

enum { VALUE_MAX = 16384, CHAIN_MAX = 4, NAME_MAX_LEN = 63 };

struct source {
    struct owner *owner;
    const char *origin; /* where the request goes */
    bool operators;
};

/* ---- finding ---- */

static bool is_bound_to(const char *bound, const struct source *from) {
    if (!bound[0] || strcmp(bound, from->origin) == 0) return true;
    return strcmp(bound, OWN_HOSTS) == 0 && plugins_is_own_host(from->owner->entry, from->origin);
}

static tda_status find_users(const struct source *from, const char *name, tda_str *ret) {
    const struct owner *o = from->owner;
    const struct secrets *own = snapshot_secrets(o->snapshot);
    if (!own || secrets_reveal(own, name, ret)) return TDA_E_NOT_FOUND;
    if (!str_equal_nocase(tda_str_of(secrets_provider(own)), tda_str_of(o->entry->name))) return TDA_E_DENIED;
    return is_bound_to(secrets_origin(own), from) ? TDA_OK : TDA_E_DENIED;
}

static tda_status find_operators(const struct source *from, const char *name, tda_str *ret) {
    const struct owner *o = from->owner;
    if (!plugins_host_secret(o->pl->plugins, o->entry, o->snapshot, name)) return TDA_E_NOT_FOUND;
    *ret = tda_str_of(operator_setting(o->pl->plugins, o->entry, o->snapshot, name));
    return TDA_OK;
}

/* E_INVALID: the note knows no such secret. */
static tda_status find_secret(const struct source *from, tda_str name, tda_str *ret) {
    char key[NAME_MAX_LEN + 1];
    if (name.n > NAME_MAX_LEN) return TDA_E_INVALID;
    snprintf(key, sizeof key, "%.*s", STR_FMT(name));
    const struct setting_rule *r = find_rule(from->owner->plugin, key);
    if (!r || !r->secret) return TDA_E_INVALID;
    return from->operators ? find_operators(from, key, ret) : find_users(from, key, ret);
}

/* For a plugin that reads it itself: for the address that it has for this user, and as for a request to there. */
tda_status owner_secret(struct owner *o, tda_str name, tda_str *ret) {
    const struct plugins *ps = o->pl->plugins;
    char origin[ORIGIN_SIZE];
    struct address address;
    struct source from = {.owner = o, .origin = origin};
    if (plugins_origin(ps, o->entry, o->snapshot, origin, NULL)) return TDA_E_DENIED;
    bool user_given = plugins_address(ps, o->entry, o->snapshot, &address) == TDA_OK && address.users;
    tda_status s = find_secret(&from, name, ret);
    from.operators = true;
    return s == TDA_E_NOT_FOUND && !user_given ? find_secret(&from, name, ret) : s;
}

/* ---- what must not be said ---- */

static void redact_settings(const struct config_kv *kv, size_t n, struct buf *text) {
    for (size_t i = 0; i < n; i++)
        if (kv[i].is_secret) redact(text, tda_str_of(kv[i].val));
}

static void redact_variables(const struct plugin *p, struct buf *text) {
    const struct note *n = &p->loaded.note;
    for (size_t i = 0; i < n->n_rules; i++)
        if (n->rules[i].secret && p->env_values[i]) redact(text, tda_str_of(p->env_values[i]));
}

void owner_redact(const struct owner *o, struct buf *text) {
    const struct conn *conn = o->kind == HANDLE_CONN ? (const struct conn *)o : ((const struct call *)o)->conn;
    if (o->snapshot) secrets_redact(snapshot_secrets(o->snapshot), text);
    if (o->snapshot) secrets_redact(snapshot_server_secrets(o->snapshot), text);
    redact_variables(o->plugin, text);
    if (o->entry && o->entry->config) redact_settings(o->entry->config->settings, o->entry->config->n_settings, text);
    if (!conn || !conn->server) return;
    redact_settings(conn->server->env, conn->server->n_env, text);
    redact_settings(conn->server->headers, conn->server->n_headers, text);
    redact(text, tda_str_of(conn->server->bearer));
}

/* ---- filling in ---- */

static void add_base64(struct buf *out, tda_str s) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned v = (unsigned)(unsigned char)s.p[i] << 16;
        if (i + 1 < s.n) v |= (unsigned)(unsigned char)s.p[i + 1] << 8;
        if (i + 2 < s.n) v |= (unsigned char)s.p[i + 2];
        buf_add_char(out, digits[v >> 18]);
        buf_add_char(out, digits[v >> 12 & 63]);
        buf_add_char(out, i + 1 < s.n ? digits[v >> 6 & 63] : '=');
        buf_add_char(out, i + 2 < s.n ? digits[v & 63] : '=');
    }
}

static tda_status put_header(const struct tda_auth *a, tda_str secret, struct http_spec *spec, struct auth *auth) {
    bool basic = a->kind == TDA_AUTH_BASIC;
    buf_reserve(&auth->text, (secret.n + 2) / 3 * 4 + a->prefix.n + sizeof "Basic "); /* growing would leave copies behind */
    buf_add_str(&auth->text, basic ? TDA_STR("Basic ") : a->prefix);
    if (basic)
        add_base64(&auth->text, secret);
    else
        buf_add_str(&auth->text, secret);
    auth->header = (tda_kv){basic ? TDA_STR("authorization") : a->header, buf_str(&auth->text)};
    spec->secrets = &auth->header;
    spec->n_secrets = 1;
    return auth->text.status;
}

static tda_status put_keys(const struct source *from, const struct tda_auth *a, tda_str secret, struct http_spec *spec,
                           struct auth *auth) {
    auth->keys = (struct sigv4_keys){.secret = secret, .region = a->region, .service = a->service};
    tda_status s = find_secret(from, a->key_id, &auth->keys.key_id);
    if (s == TDA_E_NOT_FOUND) return TDA_E_DENIED; /* half a pair: nobody else's half belongs to it */
    if (!s && a->session.p) s = find_secret(from, a->session, &auth->keys.session);
    if (s == TDA_E_NOT_FOUND) s = TDA_OK;
    if (!s) spec->sign = &auth->keys;
    return s;
}

static tda_status try_one(const struct source *from, const struct tda_auth *a, struct http_spec *spec, struct auth *auth) {
    tda_str secret;
    tda_status s = find_secret(from, a->secret, &secret);
    if (s) return s;
    return a->kind == TDA_AUTH_AWS_SIGV4 ? put_keys(from, a, secret, spec, auth) : put_header(a, secret, spec, auth);
}

static const struct tda_auth *next_of(const struct tda_auth *a) {
    return TDA_HAS(a, struct tda_auth, otherwise) ? a->otherwise : NULL;
}

static tda_status check(const struct tda_auth *a) {
    if (!TDA_HAS(a, struct tda_auth, optional)) return TDA_E_INVALID;
    if (a->kind == TDA_AUTH_AWS_SIGV4) return TDA_HAS(a, struct tda_auth, session) ? TDA_OK : TDA_E_INVALID;
    return a->kind == TDA_AUTH_HEADER || a->kind == TDA_AUTH_BASIC ? TDA_OK : TDA_E_UNSUPPORTED;
}

static tda_status check_chain(const struct tda_auth *a, bool *ret_optional) {
    for (size_t n = 0; a; a = next_of(a), n++) {
        tda_status s = n < CHAIN_MAX ? check(a) : TDA_E_INVALID;
        if (s) return s;
        *ret_optional = a->optional;
    }
    return TDA_OK;
}

static tda_status try_chain(const struct source *from, const struct tda_auth *a, struct http_spec *spec, struct auth *auth) {
    tda_status s = TDA_E_NOT_FOUND;
    for (; a && s == TDA_E_NOT_FOUND; a = next_of(a)) s = try_one(from, a, spec, auth);
    return s;
}

tda_status auth_fill(struct owner *o, const struct tda_auth *a, const char *origin, struct http_spec *spec, struct auth *auth) {
    struct source from = {.owner = o, .origin = origin};
    bool optional = false;
    buf_init(&auth->text, VALUE_MAX);
    if (!a || a->kind == TDA_AUTH_NONE) return TDA_OK;
    tda_status s = check_chain(a, &optional);
    if (s) return s;
    s = try_chain(&from, a, spec, auth);
    from.operators = true;
    if (s == TDA_E_NOT_FOUND && !spec->user_given) s = try_chain(&from, a, spec, auth);
    if (s == TDA_E_NOT_FOUND && optional) return TDA_OK;
    if ((s == TDA_E_NOT_FOUND || s == TDA_E_DENIED) && o->kind == HANDLE_CALL) ((struct call *)o)->missing_secret = true;
    return s;
}

void auth_fini(struct auth *auth) {
    if (auth->text.p) wipe(auth->text.p, auth->text.cap);
    buf_fini(&auth->text);
}
