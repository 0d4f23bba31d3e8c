/* Where a user's calls go, and where they may go. Who said so matters twice: an address that only a user gave is judged by the
 * rules for such, and gets none of the operator's secrets. */
#include <stdio.h>

#include "plugin/plugin_impl.h"

/* ---- the address ---- */

static tda_status copy_url(struct address *a, tda_str url) {
    if (url.n >= ADDRESS_MAX || memchr(url.p, 0, url.n)) return TDA_E_INVALID;
    memcpy(a->url, url.p, url.n);
    return TDA_OK;
}

/* The member that the note's `address` line names, decoded. */
static tda_status from_context(const struct note *n, const struct snapshot *s, struct address *ret) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!n->address_field) return TDA_E_NOT_FOUND;
    tda_str object = snapshot_get(s, n->address_field->key);
    if (!object.p || json_parse(object, 0, &doc, NULL)) return TDA_E_NOT_FOUND;
    tda_str url = json_str(json_key(json_root(doc), tda_str_of(n->address_member)));
    if (!url.n) return TDA_E_NOT_FOUND;
    snprintf(ret->name, sizeof ret->name, "%s.%s", n->address_field->name, n->address_member);
    ret->users = true;
    return copy_url(ret, url) ? TDA_E_INVALID : url_origin(url, ret->origin, sizeof ret->origin);
}

static tda_status from_settings(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s,
                                struct address *ret) {
    const struct setting_rule *r = find_rule(p->plugin, "base_url");
    if (!r || r->secret) return TDA_E_NOT_FOUND;
    ret->users = r->user && snapshot_setting(s, "base_url").p;
    tda_str url = plugins_setting(ps, p, s, "base_url");
    if (!url.p) return TDA_E_NOT_FOUND;
    return copy_url(ret, url) ? TDA_E_INVALID : entry_origin(p, url, ret->origin);
}

tda_status plugins_address(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s,
                           struct address *ret) {
    *ret = (struct address){.name = "base_url"};
    if (!p->plugin) return TDA_E_NOT_FOUND;
    tda_status status = from_context(&p->plugin->loaded.note, s, ret);
    return status == TDA_E_NOT_FOUND ? from_settings(ps, p, s, ret) : status;
}

char *address_complete(const char *value, const char *usual) {
    char origin[ORIGIN_SIZE];
    if (!usual || strstr(value, "://") || url_origin(tda_str_of(usual), origin, sizeof origin)) return str_dup(tda_str_of(value));
    struct buf whole;
    const char *host = strstr(origin, "://") + 3, *port = strrchr(origin, ':');
    size_t n = strcspn(value, "/");
    const char *bracket = memrchr(value, ']', n), *colon = memrchr(value, ':', n);
    if (colon && bracket && bracket > colon) colon = NULL;
    size_t name = colon ? (size_t)(colon - value) : n;
    buf_init(&whole, ADDRESS_MAX);
    buf_add(&whole, origin, (size_t)(host - origin));
    buf_add_str(&whole, name ? (tda_str){value, name} : (tda_str){host, (size_t)(port - host)});
    buf_add_str(&whole, colon ? (tda_str){colon, n - name} : tda_str_of(port));
    buf_add_z(&whole, value + n);
    char *text = buf_take(&whole, NULL);
    buf_fini(&whole);
    return text;
}

/* ---- hosts ---- */

static char **operators_hosts(const struct provider_entry *p) {
    return p->config ? p->config->hosts : NULL;
}

bool plugins_is_own_host(const struct provider_entry *p, const char *origin) {
    return p->plugin && entry_has_host(p, origin, true);
}

/* The operator's base_url. The note's default is one of the note's hosts: an operator who gives others has not allowed it. */
static bool is_operators(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *origin) {
    char other[ORIGIN_SIZE];
    const struct setting_rule *r = find_rule(p->plugin, "base_url");
    const char *url = r ? operator_setting(ps, p, s, "base_url") : NULL;
    if (!url && r && !operators_hosts(p)) url = r->fallback;
    return url && entry_origin(p, tda_str_of(url), other) == TDA_OK && strcmp(other, origin) == 0;
}

/* A name that a pattern fits may still be the user's choice: his address is looked at before patterns are. */
tda_status plugins_check_target(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s,
                                const char *origin, bool *ret_user) {
    struct address a;
    *ret_user = false;
    if (!p->plugin) return TDA_E_DENIED;
    if (entry_has_host(p, origin, false) || is_operators(ps, p, s, origin)) return TDA_OK;
    if (plugins_address(ps, p, s, &a) == TDA_OK && a.users && strcmp(a.origin, origin) == 0) {
        *ret_user = true;
        return TDA_OK;
    }
    return entry_has_host(p, origin, true) ? TDA_OK : TDA_E_DENIED;
}

/* ---- what secrets are bound to ---- */

tda_status plugins_origin(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, char out[ORIGIN_SIZE],
                          struct error *e) {
    struct address a;
    const struct setting_rule *r = p->plugin ? find_rule(p->plugin, "base_url") : NULL;
    if (snapshot_setting(s, "base_url").p && (!r || !r->user)) {
        error_set(e, TDA_E_INVALID, "base_url_refused", "provider %s takes no base_url from users", p->name);
        error_field(e, "base_url");
        return TDA_E_INVALID;
    }
    tda_status status = plugins_address(ps, p, s, &a);
    if (status == TDA_E_INVALID) {
        error_set(e, TDA_E_INVALID, "invalid_url", "%s of provider %s is no address", a.name, p->name);
        error_field(e, "%s", a.name);
        error_hint(e, "it must look like https://host/path, without a user name or password");
        return TDA_E_INVALID;
    }
    bool hosts = p->plugin && (operators_hosts(p) ? operators_hosts(p)[0] != NULL : p->plugin->loaded.note.n_hosts > 0);
    snprintf(out, ORIGIN_SIZE, "%s", status == TDA_OK ? a.origin : hosts ? OWN_HOSTS : "");
    return TDA_OK;
}

static bool is_note_host(const struct note *n, const char *origin) {
    char pattern[ORIGIN_SIZE];
    for (size_t i = 0; i < n->n_hosts; i++)
        if (!url_pattern(tda_str_of(n->hosts[i]), pattern, sizeof pattern) && url_matches(pattern, origin)) return true;
    return false;
}

bool plugins_at_home(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s) {
    struct address a;
    if (!p->plugin || !p->plugin->loaded.note.n_hosts) return true;
    tda_status status = plugins_address(ps, p, s, &a);
    return status == TDA_E_NOT_FOUND || (!status && is_note_host(&p->plugin->loaded.note, a.origin));
}
