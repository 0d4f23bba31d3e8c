/* Providers as users name them, and what they are set to: by the user, by the operator, by the plugin's note. */
#include <stdio.h>

#include "plugin/plugin_impl.h"

tda_status plugins_provider(const struct plugins *ps, tda_str name, const struct provider_entry **ret, struct error *e) {
    const struct registry *r = registry_now(ps);
    struct buf known;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct provider_entry *p = &r->entries[i];
        if (!str_equal_nocase(tda_str_of(p->name), name)) continue;
        *ret = p;
        if (p->plugin) return TDA_OK;
        error_set(e, TDA_E_UNSUPPORTED, "plugin_not_loaded", "provider %s is configured, but its plugin \"%s\" is not loaded",
                  p->name, p->config->plugin);
        error_field(e, "provider");
        error_hint(e, "plugin.list, and the daemon's log, say why it was refused");
        return TDA_E_UNSUPPORTED;
    }
    buf_init(&known, 160);
    for (size_t i = 0; i < r->n_entries; i++) buf_addf(&known, "%s%s", i ? ", " : "", r->entries[i].name);
    error_set(e, TDA_E_NOT_FOUND, "unknown_provider", "there is no provider \"%.*s\"", (int)(name.n < 64 ? name.n : 64),
              name.p ? name.p : "");
    error_field(e, "provider");
    error_hint(e, "there are: %.*s", STR_FMT(buf_str(&known)));
    buf_fini(&known);
    return TDA_E_NOT_FOUND;
}

size_t plugins_rules(const struct provider_entry *p, const struct setting_rule **ret_rules) {
    if (!p->plugin) return 0;
    *ret_rules = p->plugin->loaded.note.rules;
    return p->plugin->loaded.note.n_rules;
}

const struct setting_rule *find_rule(const struct plugin *p, const char *name) {
    const struct note *n = &p->loaded.note;
    for (size_t i = 0; i < n->n_rules; i++)
        if (strcmp(n->rules[i].name, name) == 0) return &n->rules[i];
    return NULL;
}

/* ---- the operator's ---- */

/* The vendor's variables are meant for the vendor: not for other entries that use the same plugin with another address. */
static const char *environment_setting(const struct provider_entry *p, const char *name) {
    const struct note *n = &p->plugin->loaded.note;
    if (!str_equal_nocase(tda_str_of(p->name), tda_str_of(n->id))) return NULL;
    for (size_t i = 0; i < n->n_rules; i++)
        if (strcmp(n->rules[i].name, name) == 0) return p->plugin->env_values[i];
    return NULL;
}

/* The operator's own, for the shared context; for a user's only if the operator says so. */
static bool may_use_hosts_own(const struct plugins *ps, const struct snapshot *s) {
    return snapshot_user(s)[0] == 0 || config_now(ps->config)->user_env_keys;
}

static const struct config_kv *entry_setting(const struct provider_entry *p, const char *name) {
    const struct config_kv *kv = NULL;
    for (size_t i = 0; p->config && i < p->config->n_settings; i++)
        if (strcmp(p->config->settings[i].key, name) == 0) kv = &p->config->settings[i];
    return kv;
}

const char *operator_setting(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name) {
    const struct config_kv *kv = entry_setting(p, name);
    if (kv && strcmp(kv->where, "--set") == 0) return kv->val;
    const char *from_env = may_use_hosts_own(ps, s) ? environment_setting(p, name) : NULL;
    return from_env ? from_env : kv ? kv->val : NULL;
}

size_t operator_addresses(const struct provider_entry *p, const char *ret_urls[ADDRESS_SOURCES]) {
    const struct setting_rule *r = find_rule(p->plugin, "base_url");
    const struct config_kv *kv = entry_setting(p, "base_url");
    const char *from_env = environment_setting(p, "base_url");
    size_t n = 0;
    if (kv) ret_urls[n++] = kv->val;
    if (from_env) ret_urls[n++] = from_env;
    if (r && r->fallback) ret_urls[n++] = r->fallback;
    return n;
}

tda_str plugins_setting(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name) {
    const struct setting_rule *r = p->plugin ? find_rule(p->plugin, name) : NULL;
    if (!r || r->secret) return (tda_str){0};
    tda_str users = r->user ? snapshot_setting(s, name) : (tda_str){0};
    if (users.p) return users;
    const char *operators = operator_setting(ps, p, s, name);
    return tda_str_of(operators ? operators : r->fallback);
}

bool plugins_host_secret(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name) {
    return may_use_hosts_own(ps, s) && operator_setting(ps, p, s, name);
}
