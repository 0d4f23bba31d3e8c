/* The registry: which plugins there are, as whom users know them, and their instances on each loop. */
#include "plugin/plugin_impl.h"

#include <stdio.h>

#include "base/log.h"

/* ---- loading ---- */

static const char *env_get(char *const *env, const char *name) {
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

static tda_status take_environment(struct plugin *p, char *const *env) {
    for (size_t i = 0; i < p->loaded.note.n_variables; i++) {
        const struct note_variable *v = &p->loaded.note.variables[i];
        const char *value = p->env_values[v->rule] ? NULL : env_get(env, v->variable);
        if (value && value[0] && !(p->env_values[v->rule] = str_dup(tda_str_of(value)))) return TDA_E_NOMEM;
    }
    return TDA_OK;
}

static bool is_loaded(const struct plugin *p) {
    return !p->reason[0];
}

static struct plugin *find_plugin(const struct plugins *ps, const char *id) {
    for (size_t i = 0; i < ps->n; i++)
        if (is_loaded(&ps->list[i]) && strcmp(ps->list[i].loaded.note.id, id) == 0) return &ps->list[i];
    return NULL;
}

static void load_one(struct plugins *ps, struct plugin *p, const char *name, char *const *env) {
    struct error e = {.retry_ms = -1};
    p->name = str_dup(tda_str_of(name));
    snprintf(p->reason, sizeof p->reason, "loading"); /* not found by find_plugin yet */
    tda_status s =
        p->name ? plugin_load(ps->config, name, &host_table, &p->loaded, &e) : error_set(&e, TDA_E_NOMEM, NULL, "out of memory");
    if (!s && find_plugin(ps, p->loaded.note.id))
        s = error_set(&e, TDA_E_EXISTS, "loaded_twice", "a plugin with the id %s is loaded already", p->loaded.note.id);
    if (!s) s = take_environment(p, env);
    if (s) {
        snprintf(p->reason, sizeof p->reason, "%s%s%s", e.text[0] ? e.text : status_text(s), e.hint[0] ? "; " : "", e.hint);
        log_error("plugin refused", LOG_Z("plugin", name), LOG_Z("file", p->loaded.file ? p->loaded.file : ""),
                  LOG_Z("reason", p->reason));
        return;
    }
    p->reason[0] = 0;
    snprintf(p->label, sizeof p->label, "plugin %s", p->loaded.note.id);
    log_info("plugin loaded", LOG_Z("plugin", p->loaded.note.id), LOG_Z("version", p->loaded.note.version),
             LOG_Z("file", p->loaded.file));
}

/* ---- providers.* against the notes ---- */

static bool value_fits(const struct setting_rule *r, const char *value) {
    char origin[ORIGIN_SIZE];
    if (strcmp(r->type, "url") == 0) return url_origin(tda_str_of(value), origin, sizeof origin) == TDA_OK;
    if (strcmp(r->type, "int") == 0) return value[0] && strspn(value, "0123456789") == strlen(value) && strlen(value) < 19;
    if (strcmp(r->type, "bool") == 0) return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    return true;
}

static void check_setting(const struct plugin *p, const struct config_provider *cp, const struct config_kv *kv,
                          struct buf *report) {
    const struct note *n = &p->loaded.note;
    const struct setting_rule *r = find_rule(p, kv->key);
    const char *names[NOTE_RULES_MAX];
    for (size_t i = 0; i < n->n_rules; i++) names[i] = n->rules[i].name;
    if (r && !value_fits(r, kv->val)) {
        buf_addf(report, "%s: providers.%s.%s: the value is not possible; a %s is wanted\n", kv->where, cp->name, kv->key, r->type);
    } else if (!r) {
        const char *near = nearest_word(tda_str_of(kv->key), names, n->n_rules);
        buf_addf(report, "%s: providers.%s.%s: plugin %s has no such setting", kv->where, cp->name, kv->key, n->id);
        if (near) buf_addf(report, "; did you mean %s?", near);
        for (size_t i = 0; i < n->n_rules && !near; i++) buf_addf(report, "%s%s", i ? ", " : "; it has ", names[i]);
        buf_add_char(report, '\n');
    }
}

static void check_hosts(const struct config_provider *cp, struct buf *report) {
    char origin[ORIGIN_SIZE];
    for (char **h = cp->hosts; h && *h; h++)
        if (url_pattern(tda_str_of(*h), origin, sizeof origin))
            buf_addf(report,
                     "%s: providers.%s.hosts: \"%.100s\" is not possible; allowed: https://name, one label of which may be *, but "
                     "none of "
                     "the last two\n",
                     cp->hosts_where, cp->name, *h);
}

static bool is_listed(const struct plugins *ps, const char *id) {
    for (size_t i = 0; i < ps->n; i++) {
        const struct plugin *p = &ps->list[i];
        if (strcmp(p->name, id) == 0 || (p->loaded.note.id && strcmp(p->loaded.note.id, id) == 0)) return true;
    }
    return false;
}

static tda_status make_entries(struct plugins *ps, struct buf *report) {
    const struct config *c = ps->config;
    ps->entries = calloc(c->n_providers + ps->n + 1, sizeof *ps->entries);
    if (!ps->entries) return TDA_E_NOMEM;
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct config_provider *cp = &c->providers[i];
        const struct plugin *p = find_plugin(ps, cp->plugin);
        ps->entries[ps->n_entries++] = (struct provider_entry){cp->name, p, cp};
        if (!p && !is_listed(ps, cp->plugin))
            buf_addf(report, "%s: providers.%s: the plugin \"%s\" is not in plugins.load\n", cp->where, cp->name, cp->plugin);
        else if (p && !p->loaded.provider)
            buf_addf(report, "%s: providers.%s: the plugin \"%s\" is no provider\n", cp->where, cp->name, cp->plugin);
        check_hosts(cp, report);
        for (size_t k = 0; p && k < cp->n_settings; k++) check_setting(p, cp, &cp->settings[k], report);
    }
    for (size_t i = 0; i < ps->n; i++) {
        const struct plugin *p = &ps->list[i];
        if (is_loaded(p) && p->loaded.provider && !config_provider_find(c, tda_str_of(p->loaded.note.id)))
            ps->entries[ps->n_entries++] = (struct provider_entry){p->loaded.note.id, p, NULL};
    }
    return TDA_OK;
}

tda_status plugins_new(const struct config *c, char *const *env, struct plugins **ret, struct buf *report) {
    struct plugins *ps = calloc(1, sizeof *ps);
    size_t n = 0;
    while (c->plugins[n]) n++;
    if (ps) ps->list = calloc(n + 1, sizeof *ps->list);
    if (!ps || !ps->list) {
        free(ps);
        buf_add_z(report, "out of memory\n");
        return TDA_E_NOMEM;
    }
    ps->config = c;
    for (; ps->n < n; ps->n++) load_one(ps, &ps->list[ps->n], c->plugins[ps->n], env);
    *ret = ps;
    tda_status s = make_entries(ps, report);
    return s ? s : report->n ? TDA_E_INVALID : TDA_OK;
}

void plugins_free(struct plugins *ps) {
    if (!ps) return;
    for (size_t i = 0; i < ps->n; i++) {
        struct plugin *p = &ps->list[i];
        for (size_t k = 0; k < NOTE_RULES_MAX; k++) free(p->env_values[k]);
        loaded_fini(&p->loaded);
        free(p->name);
    }
    free(ps->list);
    free(ps->entries);
    free(ps);
}

/* ---- instances ---- */

static void loop_free_instances(struct plugin_loop *pl) {
    free(pl->provider_self);
    free(pl->adapter_self);
    free(pl->slots);
    free(pl);
}

tda_status plugins_open_loop(struct plugins *ps, struct loop *l) {
    struct plugin_loop *pl = calloc(1, sizeof *pl);
    if (!pl) return TDA_E_NOMEM;
    *pl = (struct plugin_loop){.plugins = ps, .loop = l, .index = loop_index(l)};
    pl->provider_self = calloc(ps->n + 1, sizeof *pl->provider_self);
    pl->adapter_self = calloc(ps->n + 1, sizeof *pl->adapter_self);
    if (!pl->provider_self || !pl->adapter_self) {
        loop_free_instances(pl);
        return TDA_E_NOMEM;
    }
    ps->loops[pl->index] = pl;
    plugin_loop_bind(pl);
    for (size_t i = 0; i < ps->n; i++) {
        const struct loaded *p = &ps->list[i].loaded;
        tda_status s = TDA_OK;
        if (!is_loaded(&ps->list[i])) continue;
        if (p->provider && p->provider->open) s = p->provider->open(pl->index, &pl->provider_self[i]);
        if (!s && p->adapter && p->adapter->open) s = p->adapter->open(pl->index, &pl->adapter_self[i]);
        if (!s) continue;
        log_error("a plugin cannot open an instance", LOG_Z("plugin", p->note.id), LOG_Z("reason", status_text(s)));
        return s;
    }
    return TDA_OK;
}

void plugins_close_loop(struct plugins *ps, struct loop *l) {
    struct plugin_loop *pl = ps->loops[loop_index(l)];
    if (!pl) return;
    conns_force(pl);
    for (size_t i = 0; i < ps->n; i++) {
        const struct loaded *p = &ps->list[i].loaded;
        if (!is_loaded(&ps->list[i])) continue;
        if (p->provider && p->provider->close) p->provider->close(pl->provider_self[i]);
        if (p->adapter && p->adapter->close) p->adapter->close(pl->adapter_self[i]);
    }
    scratch_clear(pl);
    plugin_loop_unbind(pl);
    ps->loops[pl->index] = NULL;
    loop_free_instances(pl);
}

/* ---- telling ---- */

static void write_list(struct jw *w, const char *key, const char *const *list, size_t n) {
    jw_open_array(w, key);
    for (size_t i = 0; i < n; i++) jw_str(w, tda_str_of(list[i]));
    jw_end_array(w);
}

void plugins_write(const struct plugins *ps, struct jw *w) {
    jw_begin_array(w);
    for (size_t i = 0; i < ps->n; i++) {
        const struct plugin *p = &ps->list[i];
        const struct note *n = &p->loaded.note;
        jw_begin_object(w);
        jw_put_z(w, "id", n->id ? n->id : p->name);
        jw_put_z(w, "version", n->version);
        jw_put_z(w, "file", p->loaded.file);
        jw_put_z(w, "state", is_loaded(p) ? "loaded" : "refused");
        if (!is_loaded(p)) jw_put_z(w, "reason", p->reason);
        write_list(w, "provides", n->provides, n->n_provides);
        write_list(w, "hosts", n->hosts, n->n_hosts);
        jw_put_u64(w, "calls", atomic_load_explicit(&p->calls, memory_order_relaxed));
        jw_put_u64(w, "bugs", atomic_load_explicit(&p->bugs, memory_order_relaxed));
        jw_end_object(w);
    }
    jw_end_array(w);
}

void calls_stats(const struct plugins *ps, struct call_stats *ret) {
    *ret = (struct call_stats){ps->started, ps->finished, ps->dropped, ps->stale, ps->bugs, ps->conns_open, ps->conns_total};
}
