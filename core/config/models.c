/* What the operator says of models: sections `models` (what one takes in) and `prices`. */
#include <stdio.h>

#include "config/config_impl.h"

enum { NAME_MAX_BYTES = 300, ENTRIES_MAX = 1000, CONTEXT_MIN = 256 };

static bool name_ok(const char *name) {
    size_t n = strlen(name);
    if (!n || n > NAME_MAX_BYTES || name[0] == '/' || name[n - 1] == '/') return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p <= ' ') return false;
    return true;
}

static struct config_model *find(const struct config *c, tda_str name) {
    for (size_t i = 0; i < c->n_models; i++)
        if (tda_str_eq(tda_str_of(c->models[i].name), name)) return &c->models[i];
    return NULL;
}

/* The one of that name, or a new one; NULL after a report. */
static struct config_model *entry_of(struct loading *l, const struct ynode *entry, const char *section) {
    struct config *c = l->config;
    if (entry->kind != YNODE_MAP) report_at(l, entry->where, section, "\"%.64s\" wants a map of settings", entry->key);
    if (!name_ok(entry->key)) report_at(l, entry->where, section, "\"%.64s\" is no PROVIDER/MODEL or PROVIDER", entry->key);
    if (entry->kind != YNODE_MAP || !name_ok(entry->key)) return NULL;
    struct config_model *m = find(c, tda_str_of(entry->key));
    if (m) return m;
    struct config_model *grown = c->n_models < ENTRIES_MAX ? realloc(c->models, (c->n_models + 1) * sizeof *grown) : NULL;
    if (!grown) {
        report_at(l, entry->where, section, "%s", c->n_models < ENTRIES_MAX ? "out of memory" : "too many entries");
        return NULL;
    }
    c->models = grown;
    m = &grown[c->n_models++];
    *m = (struct config_model){.name = keep(l, entry->key)};
    return m;
}

static bool take_amount(struct loading *l, const struct ynode *m, const char *path, double *ret) {
    bool ok = m->kind == YNODE_SCALAR && amount_parse(tda_str_of(m->text), ret);
    if (!ok) report_at(l, m->where, path, "an amount is wanted here, such as 2 or 0.25");
    return ok;
}

void read_model(struct loading *l, const struct ynode *entry) {
    struct config_model *model = entry_of(l, entry, "models");
    char path[400];
    if (!model || model->where) return;
    model->where = keep(l, entry->where);
    for (const struct ynode *m = entry->first; m; m = m->next) {
        snprintf(path, sizeof path, "models.%.300s.%.64s", entry->key, m->key);
        if (strcmp(m->key, "context") != 0)
            report_at(l, m->where, path, "there is no such setting; there is context");
        else if (m->kind != YNODE_SCALAR || !number_parse(VALUE_INT, tda_str_of(m->text), 0, &model->context) ||
                 model->context < CONTEXT_MIN)
            report_at(l, m->where, path, "a number of tokens is wanted here, from %d, such as 128k", CONTEXT_MIN);
    }
}

void read_price(struct loading *l, const struct ynode *entry) {
    struct config_model *model = entry_of(l, entry, "prices");
    char path[400];
    bool input = false, output = false, cached = false;
    if (!model || model->price_where) return;
    model->price_where = keep(l, entry->where);
    for (const struct ynode *m = entry->first; m; m = m->next) {
        snprintf(path, sizeof path, "prices.%.300s.%.64s", entry->key, m->key);
        if (strcmp(m->key, "input") == 0)
            input = take_amount(l, m, path, &model->input);
        else if (strcmp(m->key, "output") == 0)
            output = take_amount(l, m, path, &model->output);
        else if (strcmp(m->key, "cache_read") == 0)
            cached = take_amount(l, m, path, &model->cache_read);
        else
            report_at(l, m->where, path, "there is no such setting; there are input, output, cache_read");
    }
    if (!input || !output)
        report_at(l, entry->where, "prices", "%.64s needs input and output: the price of a million tokens", entry->key);
    if (!cached) model->cache_read = model->input;
    model->has_price = input && output;
}

void models_free(struct config *c) {
    for (size_t i = 0; i < c->n_models; i++) {
        free(c->models[i].name);
        free(c->models[i].where);
        free(c->models[i].price_where);
    }
    free(c->models);
}

/* ---- looking up ---- */

/* How well `name` fits: 2 for PROVIDER/MODEL, 1 for PROVIDER, 0. Case does not matter in a provider's name. */
static int fits(tda_str name, tda_str provider, tda_str model) {
    if (name.n < provider.n || !str_equal_nocase((tda_str){name.p, provider.n}, provider)) return 0;
    if (name.n == provider.n) return 1;
    tda_str rest = {name.p + provider.n + 1, name.n - provider.n - 1};
    return name.p[provider.n] == '/' && tda_str_eq(rest, model) ? 2 : 0;
}

static const struct config_model *best(const struct config *c, tda_str provider, tda_str model, bool price) {
    const struct config_model *found = NULL;
    int most = 0;
    for (size_t i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        int how = (price ? m->has_price : m->context > 0) ? fits(tda_str_of(m->name), provider, model) : 0;
        if (how <= most) continue;
        most = how;
        found = m;
    }
    return found;
}

int64_t config_model_context(const struct config *c, tda_str provider, tda_str model) {
    const struct config_model *m = best(c, provider, model, false);
    return m ? m->context : c->calls_max_context;
}

const struct config_model *config_model_price(const struct config *c, tda_str provider, tda_str model) {
    return best(c, provider, model, true);
}
