/* Loading: defaults, then the file, the environment, the command line; every step writes the same table's members. */
#include "config/config_impl.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

/* ---- reporting ---- */

void report_at(struct loading *l, const char *where, const char *path, const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_addf(l->report, "%s: %s%s%s\n", where, path, path[0] ? ": " : "", text);
}

void report_nomem(struct loading *l) {
    buf_add_z(l->report, "out of memory\n");
}

char *keep(struct loading *l, const char *text) {
    char *copy = str_dup(tda_str_of(text));
    if (!copy) report_nomem(l);
    return copy;
}

const char *env_get(char *const *env, const char *name) {
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

/* ---- scalars ---- */

static void came_from(struct loading *l, const struct setting *s, const char *from) {
    char **place = &l->config->shown->from[s - settings];
    char *copy = keep(l, from);
    if (!copy) return;
    free(*place);
    *place = copy;
}

static bool right_shape(struct loading *l, const struct setting *s, const struct ynode *n) {
    const char *type = value_type_name(s->type);
    if (n->kind != YNODE_SCALAR)
        report_at(l, n->where, s->path, "a %s is wanted here, not a %s", type, n->kind == YNODE_MAP ? "map" : "list");
    else if (!n->quoted && (n->text[0] == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0))
        report_at(l, n->where, s->path, "has no value; leave the line out to get the default, %s",
                  s->fallback[0] ? s->fallback : "\"\"");
    else if (n->quoted && (s->type == VALUE_BOOL || s->type == VALUE_INT))
        report_at(l, n->where, s->path, "a %s is wanted here, and \"%.60s\" in quotes is text; write it without quotes", type,
                  n->text);
    else
        return true;
    return false;
}

static void read_scalar(struct loading *l, const struct setting *s, const struct ynode *n) {
    char why[256];
    if (!right_shape(l, s, n)) return;
    tda_status status = setting_parse(s, tda_str_of(n->text), 0, l->config, why, sizeof why);
    if (status == TDA_E_NOMEM) report_nomem(l);
    if (status == TDA_E_INVALID) report_at(l, n->where, s->path, "\"%.60s\" is not possible; %s", n->text, why);
    if (!status) came_from(l, s, n->where);
}

/* Does anything below `path` exist in the table? */
static bool is_branch(const char *path) {
    size_t n = strlen(path);
    for (size_t i = 0; i < n_settings; i++)
        if (strncmp(settings[i].path, path, n) == 0 && settings[i].path[n] == '.') return true;
    for (const char *const *s = section_names; *s; s++)
        if (strncmp(*s, path, n) == 0 && (*s)[n] == '.') return true;
    return false;
}

/* The names that may stand where `path` does, for "did you mean". */
static const char *nearest_sibling(const char *path, char *out, size_t size) {
    const char *names[64];
    char store[64][48];
    size_t n = 0;
    const char *dot = strrchr(path, '.');
    size_t prefix = dot ? (size_t)(dot - path) + 1 : 0;
    for (size_t i = 0; n < ARRAY_LEN(names); i++) {
        const char *known = i < n_settings ? settings[i].path : section_names[i - n_settings];
        if (!known) break;
        if (strncmp(known, path, prefix) != 0) continue;
        snprintf(store[n], sizeof store[n], "%.*s", (int)strcspn(known + prefix, "."), known + prefix);
        names[n] = store[n];
        n++;
    }
    const char *best = nearest_word(tda_str_of(path + prefix), names, n);
    if (!best) return NULL;
    snprintf(out, size, "%.*s%s", (int)prefix, path, best);
    return out;
}

static void read_map(struct loading *l, const struct ynode *map, const char *prefix);

static void read_member(struct loading *l, const struct ynode *n, const char *path) {
    char near[128];
    const struct setting *s = setting_find(path);
    if (s) {
        read_scalar(l, s, n);
    } else if (section_read(l, path, n)) {
        return;
    } else if (is_branch(path)) {
        if (n->kind == YNODE_MAP)
            read_map(l, n, path);
        else
            report_at(l, n->where, path, "a map of settings is wanted here");
    } else {
        const char *best = nearest_sibling(path, near, sizeof near);
        report_at(l, n->where, path, "there is no such setting%s%s%s",
                  best ? "; did you mean " : "; tdad --reference settings lists them", best ? best : "", best ? "?" : "");
    }
}

static void read_map(struct loading *l, const struct ynode *map, const char *prefix) {
    char path[256];
    for (const struct ynode *n = map->first; n; n = n->next) {
        snprintf(path, sizeof path, "%s%s%.100s", prefix, prefix[0] ? "." : "", n->key);
        read_member(l, n, path);
    }
}

/* ---- environment ---- */

/* A bare number in these means this unit, because the variable's name or its history says so. */
static const struct env_unit {
    const char *variable;
    int64_t unit;
} env_units[] = {
    {"TDA_USER_CONTEXT_CLEANUP_INTERVAL", NS_PER_S},
    {"TDA_USER_CONTEXT_MAX_AGE_HOURS", 3600LL * NS_PER_S},
    {"TDA_USER_CONFIG_CLEANUP_HOURS", 3600LL * NS_PER_S},
};

static int64_t bare_unit(const char *variable) {
    for (size_t i = 0; i < ARRAY_LEN(env_units); i++)
        if (strcmp(env_units[i].variable, variable) == 0) return env_units[i].unit;
    return 0;
}

static void read_variable(struct loading *l, const struct setting *s, const char *variable) {
    const char *text = env_get(l->env, variable);
    char why[256], from[96];
    if (!text) return;
    tda_status status = setting_parse(s, tda_str_of(text), bare_unit(variable), l->config, why, sizeof why);
    if (status == TDA_E_NOMEM) report_nomem(l);
    if (status == TDA_E_INVALID) report_at(l, "environment", variable, "\"%.60s\" is not possible; %s", text, why);
    snprintf(from, sizeof from, "environment %s", variable);
    if (!status) came_from(l, s, from);
}

/* The original's second sweep: its names feed the one job, and the newer name wins. */
static void read_old_names(struct loading *l) {
    if (env_get(l->env, "TDA_USER_CONFIG_CLEANUP_HOURS")) {
        buf_add_z(l->notes, "TDA_USER_CONFIG_CLEANUP_HOURS is an old name: it sets maintenance.context_cleanup.max_age of the one "
                            "cleanup job; use TDA_USER_CONTEXT_MAX_AGE_HOURS\n");
        read_variable(l, setting_find("maintenance.context_cleanup.max_age"), "TDA_USER_CONFIG_CLEANUP_HOURS");
    }
    if (env_get(l->env, "TDA_USER_CONFIG_CLEANUP_ENABLED"))
        buf_add_z(l->notes, "TDA_USER_CONFIG_CLEANUP_ENABLED sets maintenance.context_cleanup.enabled: there is one cleanup job\n");
}

static void note_unknown_variables(struct loading *l) {
    static const char *const others[] = {"TDA_CONFIG",     "TDA_LISTEN", "TDA_PLUGINS",
                                         "TDA_SOCKET",     "TDA_USER",   "TDA_TOKEN",
                                         "TDA_TOKEN_FILE", "TDA_CA",     "TDA_USER_CONFIG_CLEANUP_HOURS"};
    const char *known[256];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) known[n++] = others[i];
    for (size_t i = 0; i < n_settings && n < ARRAY_LEN(known); i++) known[n++] = settings[i].variable;
    for (char *const *e = l->env; e && *e; e++) {
        tda_str name = {*e, strcspn(*e, "=")};
        if (name.n < 4 || memcmp(name.p, "TDA_", 4) != 0) continue;
        const char *best = nearest_word(name, known, n);
        if (best && !tda_str_eq(name, tda_str_of(best)))
            buf_addf(l->notes, "the variable %.*s means nothing to tdad; did you mean %s?\n", STR_FMT(name), best);
    }
}

static void read_env_list(struct loading *l, const char *variable, const char *path) {
    const char *text = env_get(l->env, variable);
    struct ynode n = {.kind = YNODE_SCALAR};
    if (!text) return;
    snprintf(n.where, sizeof n.where, "environment %s", variable);
    n.text = keep(l, text);
    if (n.text) section_read(l, path, &n);
    free(n.text);
}

static void read_environment(struct loading *l) {
    read_old_names(l);
    for (size_t i = 0; i < n_settings; i++) read_variable(l, &settings[i], settings[i].variable);
    read_env_list(l, "TDA_LISTEN", "listen");
    read_env_list(l, "TDA_PLUGINS", "plugins.load");
    note_unknown_variables(l);
}

/* ---- command line ---- */

/* "a.b=value": the value is YAML, so that lists and maps can be given too. */
static void read_flag(struct loading *l, const char *flag, struct ynode *over) {
    const char *eq = strchr(flag, '=');
    char path[256], name[] = "--set";
    struct ynode *value = NULL;
    if (!eq || eq == flag || (size_t)(eq - flag) >= sizeof path) {
        report_at(l, name, "", "PATH=VALUE is wanted, not \"%.80s\"", flag);
        return;
    }
    memcpy(path, flag, (size_t)(eq - flag));
    path[eq - flag] = 0;
    if (eq[1] == '[' || eq[1] == '{') {
        if (yaml_parse(tda_str_of(eq + 1), name, &value, l->report)) return;
    } else if ((value = calloc(1, sizeof *value)) && !(value->text = keep(l, eq + 1))) {
        ynode_free(value);
        value = NULL;
    }
    if (!value) {
        report_nomem(l);
        return;
    }
    snprintf(value->where, sizeof value->where, "--set");
    if (ynode_put(over, path, value)) report_nomem(l);
}

/* Lists and maps of the command line join those of the file; single values are read after the environment. */
static void split_flags(struct ynode *over, struct ynode *file) {
    static const char *const joined[] = {"providers", "mcp_servers", "profiles", "models", "prices"};
    for (size_t i = 0; i < ARRAY_LEN(joined); i++) {
        struct ynode *only = calloc(1, sizeof *only);
        const struct ynode *found = ynode_find(over, joined[i]);
        if (!found || !only) {
            free(only);
            continue;
        }
        only->kind = YNODE_MAP;
        struct ynode **link = &over->first;
        over->last = NULL;
        while (*link) {
            struct ynode *n = *link;
            if (n == found) {
                *link = n->next;
                n->next = NULL;
                only->first = only->last = n;
            } else {
                over->last = n;
                link = &n->next;
            }
        }
        ynode_merge(file, only);
    }
}

/* ---- all of it ---- */

static void read_everything(struct loading *l, const struct config_source *source) {
    struct ynode *file = NULL, *over = calloc(1, sizeof *over);
    char why[256];
    if (!over) {
        report_nomem(l);
        return;
    }
    over->kind = YNODE_MAP;
    for (size_t i = 0; i < n_settings; i++) {
        if (setting_parse(&settings[i], tda_str_of(settings[i].fallback), 0, l->config, why, sizeof why)) report_nomem(l);
        came_from(l, &settings[i], "default");
    }
    if (section_defaults(l)) report_nomem(l);
    if (source->path)
        yaml_read_file(source->path, &file, l->report);
    else if (!(file = calloc(1, sizeof *file)))
        report_nomem(l);
    else
        file->kind = YNODE_MAP;
    for (size_t i = 0; i < source->n_flags; i++) read_flag(l, source->flags[i], over);
    if (file && file->kind != YNODE_MAP) {
        report_at(l, file->where, "", "a map of settings is wanted: name: value");
    } else if (file) {
        split_flags(over, file);
        read_map(l, file, "");
    }
    read_environment(l);
    read_map(l, over, "");
    ynode_free(file);
    ynode_free(over);
}

tda_status config_load(const struct config_source *source, struct config **ret_config, struct buf *report, struct buf *notes) {
    struct config *c = calloc(1, sizeof *c);
    struct loading l = {.config = c, .env = source->env, .report = report, .notes = notes};
    if (c) c->shown = calloc(1, sizeof *c->shown);
    if (c && c->shown) c->shown->from = calloc(n_settings, sizeof *c->shown->from);
    if (!c || !c->shown || !c->shown->from) {
        config_free(c);
        return TDA_E_NOMEM;
    }
    read_everything(&l, source);
    if (report->n || report->status) {
        config_free(c);
        return TDA_E_INVALID;
    }
    if (servers_digest(c)) {
        report_nomem(&l);
        config_free(c);
        return TDA_E_NOMEM;
    }
    *ret_config = c;
    return TDA_OK;
}

void config_publish(struct config *first, const struct config *next) {
    atomic_store_explicit(&first->now, next, memory_order_release);
}

void config_free(struct config *c) {
    if (!c) return;
    for (size_t i = 0; i < n_settings; i++) {
        if (settings[i].type == VALUE_TEXT) free(*(char **)(void *)((char *)c + settings[i].offset));
        if (c->shown && c->shown->from) free(c->shown->from[i]);
    }
    if (c->shown) {
        free(c->shown->listen_from);
        free(c->shown->plugins_from);
        free(c->shown->secret_readers_from);
        free(c->shown->from);
    }
    free(c->shown);
    sections_free(c);
    free(c);
}
