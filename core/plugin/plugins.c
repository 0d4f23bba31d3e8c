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
        const struct setting_rule *r = &p->loaded.note.rules[v->rule];
        const char *value = p->env_values[v->rule] ? NULL : env_get(env, v->variable);
        if (!value || !value[0]) continue;
        p->env_values[v->rule] = address_complete(value, strcmp(r->type, "url") == 0 ? r->fallback : NULL);
        if (!p->env_values[v->rule]) return TDA_E_NOMEM;
    }
    return TDA_OK;
}

static bool is_loaded(const struct plugin *p) {
    return !p->reason[0];
}

struct plugin *registry_find(const struct registry *r, const char *id) {
    for (size_t i = r && id ? r->n : 0; i-- > 0;)
        if (is_loaded(r->list[i]) && strcmp(r->list[i]->loaded.note.id, id) == 0) return r->list[i];
    return NULL;
}

tda_status plugin_new(const struct plugins *ps, const char *name, struct plugin **ret, struct error *e) {
    struct plugin *p = calloc(1, sizeof *p);
    if (!p || !(p->name = str_dup(tda_str_of(name)))) {
        free(p);
        return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    }
    tda_status s = plugin_load(config_now(ps->config), name, &host_table, &p->loaded, e);
    if (!s) s = take_environment(p, ps->env);
    snprintf(p->label, sizeof p->label, "plugin %s", p->loaded.note.id ? p->loaded.note.id : "");
    p->generation = 1;
    *ret = p;
    if (!s) return TDA_OK;
    snprintf(p->reason, sizeof p->reason, "%s%s%s", e->text[0] ? e->text : status_text(s), e->hint[0] ? "; " : "", e->hint);
    return s;
}

void plugin_free(struct plugin *p) {
    if (!p) return;
    for (size_t k = 0; k < NOTE_RULES_MAX; k++) free(p->env_values[k]);
    loaded_fini(&p->loaded);
    free(p->name);
    free(p);
}

tda_status registry_new(const struct registry *before, struct plugin *more, struct registry **ret) {
    size_t n = before ? before->n : 0;
    struct registry *r = calloc(1, sizeof *r);
    if (r) r->list = calloc(n + 1, sizeof *r->list);
    if (!r || !r->list) {
        free(r);
        return TDA_E_NOMEM;
    }
    if (n) memcpy(r->list, before->list, n * sizeof *r->list);
    if (more) r->list[n] = more;
    r->n = more ? n + 1 : n;
    *ret = r;
    return TDA_OK;
}

void registry_free(struct registry *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_entries; i++) entry_fini(&r->entries[i]);
    free(r->list);
    free(r->entries);
    free(r);
}

/* A refused one is kept too, for plugin.list. */
static tda_status load_one(struct plugins *ps, const char *name, struct registry **now) {
    struct error e = {.retry_ms = -1};
    struct plugin *p = NULL;
    struct registry *next;
    tda_status s = plugin_new(ps, name, &p, &e);
    if (!p) return s;
    if (!s && registry_find(*now, p->loaded.note.id))
        snprintf(p->reason, sizeof p->reason, "a plugin with the id %s is loaded already", p->loaded.note.id);
    if (p->reason[0])
        log_error("plugin refused", LOG_Z("plugin", name), LOG_Z("file", p->loaded.file ? p->loaded.file : ""),
                  LOG_Z("reason", p->reason));
    else
        log_info("plugin loaded", LOG_Z("plugin", p->loaded.note.id), LOG_Z("version", p->loaded.note.version),
                 LOG_Z("file", p->loaded.file));
    s = registry_new(*now, p, &next);
    if (s) {
        plugin_free(p);
        return s;
    }
    registry_free(*now);
    *now = next;
    return TDA_OK;
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

static bool is_listed(const struct registry *r, const char *id) {
    for (size_t i = 0; i < r->n; i++) {
        const struct plugin *p = r->list[i];
        if (strcmp(p->name, id) == 0 || (p->loaded.note.id && strcmp(p->loaded.note.id, id) == 0)) return true;
    }
    return false;
}

tda_status registry_make_entries(struct registry *r, const struct config *c, struct buf *report) {
    r->entries = calloc(c->n_providers + r->n + 1, sizeof *r->entries);
    if (!r->entries) return TDA_E_NOMEM;
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct config_provider *cp = &c->providers[i];
        struct plugin *p = registry_find(r, cp->plugin);
        r->entries[r->n_entries++] = (struct provider_entry){.name = cp->name, .plugin = p, .config = cp};
        if (!p && !is_listed(r, cp->plugin))
            buf_addf(report, "%s: providers.%s: the plugin \"%s\" is not in plugins.load\n", cp->where, cp->name, cp->plugin);
        else if (p && !p->loaded.provider)
            buf_addf(report, "%s: providers.%s: the plugin \"%s\" is no provider\n", cp->where, cp->name, cp->plugin);
        check_hosts(cp, report);
        for (size_t k = 0; p && k < cp->n_settings; k++) check_setting(p, cp, &cp->settings[k], report);
    }
    for (size_t i = 0; i < r->n; i++) {
        struct plugin *p = r->list[i];
        if (!is_loaded(p) || registry_find(r, p->loaded.note.id) != p) continue; /* the newest generation only */
        if (p->loaded.provider && !config_provider_find(c, tda_str_of(p->loaded.note.id)))
            r->entries[r->n_entries++] = (struct provider_entry){.name = p->loaded.note.id, .plugin = p};
    }
    tda_status s = TDA_OK;
    for (size_t i = 0; i < r->n_entries && !s; i++) s = r->entries[i].plugin ? entry_make(&r->entries[i]) : TDA_OK;
    return s;
}

static tda_status load_all(struct plugins *ps, struct buf *report) {
    struct registry *r = calloc(1, sizeof *r);
    tda_status s = r ? TDA_OK : TDA_E_NOMEM;
    for (char **name = ps->config->plugins; *name && !s; name++) s = load_one(ps, *name, &r);
    atomic_store(&ps->now, r);
    if (!s) s = registry_make_entries(r, ps->config, report);
    if (!s)
        s = workers_new((unsigned)ps->config->limits_workers, (unsigned)ps->config->limits_user_workers,
                        (unsigned)ps->config->limits_worker_queue, &ps->workers);
    if (!s) s = oauth_new(&ps->oauth);
    if (s) buf_addf(report, "%s\n", status_text(s));
    return s;
}

tda_status plugins_new(const struct config *c, char *const *env, struct plugins **ret, struct buf *report) {
    struct plugins *ps = calloc(1, sizeof *ps);
    if (!ps) {
        buf_add_z(report, "out of memory\n");
        return TDA_E_NOMEM;
    }
    ps->config = c;
    ps->env = env;
    *ret = ps;
    tda_status s = load_all(ps, report);
    return s ? s : report->n ? TDA_E_INVALID : TDA_OK;
}

bool plugins_stop_workers(struct plugins *ps, int64_t grace_ns) {
    return !ps->workers || workers_stop(ps->workers, grace_ns);
}

void plugins_free(struct plugins *ps) {
    if (!ps) return;
    struct registry *r = atomic_load(&ps->now);
    for (size_t i = 0; r && i < r->n; i++) plugin_free(r->list[i]); /* the newest registry holds them all */
    while (r) {
        struct registry *before = r->before;
        registry_free(r);
        r = before;
    }
    workers_free(ps->workers);
    oauth_free(ps->oauth);
    free(ps);
}

void plugins_oauth_stats(const struct plugins *ps, struct oauth_stats *ret) {
    oauth_stats(ps->oauth, ret);
}

void plugins_forget(struct plugins *ps, tda_str user) {
    oauth_forget(ps->oauth, user);
}

/* ---- instances ---- */

tda_status plugin_open_on(struct plugin *p, unsigned loop_index) {
    struct instance *i = &p->on[loop_index];
    const struct loaded *l = &p->loaded;
    bool has_provider = l->provider && l->provider->open;
    tda_status s = has_provider ? l->provider->open(loop_index, &i->provider) : TDA_OK;
    if (!s && l->adapter && l->adapter->open) {
        s = l->adapter->open(loop_index, &i->adapter);
        if (s && l->provider && l->provider->close) l->provider->close(i->provider);
    }
    i->is_open = !s;
    return s;
}

void plugin_close_on(struct plugin *p, unsigned loop_index) {
    struct instance *i = &p->on[loop_index];
    if (!i->is_open) return;
    i->is_open = false;
    if (p->loaded.provider && p->loaded.provider->close) p->loaded.provider->close(i->provider);
    if (p->loaded.adapter && p->loaded.adapter->close) p->loaded.adapter->close(i->adapter);
}

tda_status plugins_open_loop(struct plugins *ps, struct loop *l) {
    const struct registry *r = registry_now(ps);
    struct plugin_loop *pl = calloc(1, sizeof *pl);
    if (!pl) return TDA_E_NOMEM;
    *pl = (struct plugin_loop){.plugins = ps, .loop = l, .index = loop_index(l)};
    health_table_init(&pl->health);
    ps->loops[pl->index] = pl;
    plugin_loop_bind(pl);
    for (size_t i = 0; i < r->n; i++) {
        tda_status s = is_loaded(r->list[i]) ? plugin_open_on(r->list[i], pl->index) : TDA_OK;
        if (!s) continue;
        log_error("a plugin cannot open an instance", LOG_Z("plugin", r->list[i]->loaded.note.id), LOG_Z("reason", status_text(s)));
        return s;
    }
    return TDA_OK;
}

/* With a call that a worker still runs, its plugin's instance and the loop's part stay: the process is about to end. */
void plugins_close_loop(struct plugins *ps, struct loop *l) {
    const struct registry *r = registry_now(ps);
    struct plugin_loop *pl = ps->loops[loop_index(l)];
    if (!pl) return;
    conns_force(pl);
    for (size_t i = 0; i < r->n; i++)
        if (!atomic_load(&r->list[i]->in_flight)) plugin_close_on(r->list[i], pl->index);
    scratch_clear();
    if (pl->late) return;
    plugin_loop_unbind(pl);
    health_table_fini(&pl->health);
    ps->loops[pl->index] = NULL;
    free(pl->slots);
    free(pl);
}

/* ---- telling ---- */

static void write_list(struct jw *w, const char *key, const char *const *list, size_t n) {
    jw_open_array(w, key);
    for (size_t i = 0; i < n; i++) jw_str(w, tda_str_of(list[i]));
    jw_end_array(w);
}

static const char *state_of(const struct registry *r, const struct plugin *p) {
    if (!is_loaded(p)) return "refused";
    return registry_find(r, p->loaded.note.id) == p ? "loaded" : "replaced";
}

size_t plugins_refused(const struct plugins *ps) {
    const struct registry *r = registry_now(ps);
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) n += !is_loaded(r->list[i]);
    return n;
}

void plugins_write(const struct plugins *ps, struct jw *w) {
    const struct registry *r = registry_now(ps);
    jw_begin_array(w);
    for (size_t i = 0; i < r->n; i++) {
        const struct plugin *p = r->list[i];
        const struct note *n = &p->loaded.note;
        jw_begin_object(w);
        jw_put_z(w, "id", n->id ? n->id : p->name);
        jw_put_z(w, "version", n->version);
        jw_put_u64(w, "generation", p->generation);
        jw_put_z(w, "file", p->loaded.file);
        jw_put_z(w, "state", state_of(r, p));
        if (!is_loaded(p)) jw_put_z(w, "reason", p->reason);
        write_list(w, "provides", n->provides, n->n_provides);
        write_list(w, "hosts", n->hosts, n->n_hosts);
        jw_put_u64(w, "calls", atomic_load_explicit(&p->calls, memory_order_relaxed));
        jw_put_u64(w, "in_flight", atomic_load_explicit(&p->in_flight, memory_order_relaxed));
        jw_put_u64(w, "connections", atomic_load_explicit(&p->conns, memory_order_relaxed));
        jw_put_u64(w, "bugs", atomic_load_explicit(&p->bugs, memory_order_relaxed));
        jw_end_object(w);
    }
    jw_end_array(w);
}

void calls_stats(const struct plugins *ps, struct call_stats *ret) {
    *ret = (struct call_stats){ps->started, ps->finished, ps->dropped, ps->stale, ps->bugs, ps->conns_open, ps->conns_total};
}

void plugins_worker_stats(const struct plugins *ps, struct workers_stats *ret) {
    workers_stats(ps->workers, ret);
}
