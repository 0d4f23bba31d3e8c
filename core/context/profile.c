/* Profiles as definitions: one, a context's set of them, and the operator's. */
#include "context/profile.h"

#include "base/hash.h"
#include "context/context_impl.h"
#include "tda/host.h"

/* ---- lists of names ---- */

struct names {
    struct ref ref;
    size_t n;
    char *items[]; /* in order; the texts stand behind them */
};

static size_t names_bytes(const tda_str *list, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i].n > NAME_BYTES_MAX) return SIZE_MAX;
        bytes += list[i].n + 1;
    }
    return bytes <= LIST_BYTES_MAX ? bytes : SIZE_MAX;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_have(const struct names *names, tda_str name) {
    char text[NAME_BYTES_MAX + 1], *key = text;
    if (name.n > NAME_BYTES_MAX) return false;
    if (name.n) memcpy(text, name.p, name.n);
    text[name.n] = 0;
    return bsearch(&key, names->items, names->n, sizeof *names->items, by_text);
}

static void sort_once(struct names *names) {
    size_t n = 0;
    qsort(names->items, names->n, sizeof *names->items, by_text);
    for (size_t i = 0; i < names->n; i++)
        if (!n || strcmp(names->items[n - 1], names->items[i]) != 0) names->items[n++] = names->items[i];
    names->n = n;
}

tda_status names_new(const tda_str *list, size_t n, struct names **ret) {
    size_t bytes = n <= NAMES_MAX ? names_bytes(list, n) : SIZE_MAX;
    if (bytes == SIZE_MAX) return TDA_E_LIMIT;
    struct names *names = malloc(sizeof *names + n * sizeof *names->items + bytes);
    if (!names) return TDA_E_NOMEM;
    char *text = (char *)(names->items + n);
    ref_init(&names->ref);
    names->n = n;
    for (size_t i = 0; i < n; i++) {
        names->items[i] = text;
        if (list[i].n) memcpy(text, list[i].p, list[i].n);
        text[list[i].n] = 0;
        text += list[i].n + 1;
    }
    sort_once(names);
    *ret = names;
    return TDA_OK;
}

void names_ref(struct names *n) {
    if (n) ref_take(&n->ref);
}

void names_unref(struct names *n) {
    if (n && ref_drop(&n->ref)) free(n);
}

void names_write(const struct names *n, struct jw *w) {
    jw_begin_array(w);
    for (size_t i = 0; i < n->n; i++) jw_str(w, tda_str_of(n->items[i]));
    jw_end_array(w);
}

bool snapshot_enables(const struct snapshot *s, enum enabled_kind kind, tda_str name) {
    return !s->enabled[kind] || names_have(s->enabled[kind], name);
}

void draft_set_enabled(struct draft *d, enum enabled_kind kind, struct names *names) {
    names_ref(names);
    names_unref(d->next->enabled[kind]);
    d->next->enabled[kind] = names;
}

/* ---- one profile ---- */

tda_status profile_new(tda_str tag, struct snapshot *definition, bool own_server, bool is_operators, struct profile **ret) {
    struct profile *p = malloc(sizeof *p);
    char *copy = str_dup(tag);
    if (!p || !copy) {
        free(p);
        free(copy);
        return TDA_E_NOMEM;
    }
    snapshot_ref(definition);
    *p = (struct profile){.tag = copy, .definition = definition, .own_server = own_server, .is_operators = is_operators};
    ref_init(&p->ref);
    *ret = p;
    return TDA_OK;
}

void profile_ref(struct profile *p) {
    ref_take(&p->ref);
}

void profile_unref(struct profile *p) {
    if (!p || !ref_drop(&p->ref)) return;
    snapshot_unref(p->definition);
    free(p->tag);
    free(p);
}

const char *profile_tag(const struct profile *p) {
    return p->tag;
}

bool profile_is_operators(const struct profile *p) {
    return p->is_operators;
}

struct snapshot *profile_definition(const struct profile *p) {
    return p->definition;
}

static void write_name(void *arg, const char *name) {
    jw_str(arg, tda_str_of(name));
}

static void write_fields(const struct profile *p, struct jw *w) {
    const struct snapshot *d = p->definition;
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        tda_str v = tda_str_of(d->fields[i]);
        if (v.p && ctx_fields[i].kind == CTX_OBJECT) jw_put_raw(w, ctx_fields[i].name, v);
        if (v.p && ctx_fields[i].kind == CTX_TEXT) jw_put_str(w, ctx_fields[i].name, v);
    }
    if (p->own_server && !d->fields[ctx_field_index(TDA_CTX_MCP_SERVER_NAME)]) {
        jw_key(w, TDA_STR("mcp_server_name"));
        jw_null(w);
    }
    for (size_t i = 0; i < d->n_settings; i++) jw_put_z(w, d->settings[i].name, d->settings[i].value);
}

static const char *const enabled_names[ENABLED_KINDS] = {"tools", "prompts"};

void snapshot_write_enabled(const struct snapshot *s, struct jw *w) {
    for (size_t k = 0; k < ENABLED_KINDS; k++) {
        if (!s->enabled[k]) continue;
        jw_key(w, tda_str_of(enabled_names[k]));
        names_write(s->enabled[k], w);
    }
}

void profile_write(const struct profile *p, bool is_default, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "tag", p->tag);
    jw_put_z(w, "scope", p->is_operators ? "operator" : "private");
    jw_put_bool(w, "default", is_default);
    write_fields(p, w);
    snapshot_write_enabled(p->definition, w);
    if (!p->is_operators) {
        jw_open_array(w, "credentials");
        secrets_names(p->definition->secrets, write_name, w);
        jw_end_array(w);
    }
    jw_end_object(w);
}

/* ---- a context's ---- */

static struct profile_set *set_new(size_t n, const char *default_tag) {
    struct profile_set *set = calloc(1, sizeof *set + n * sizeof *set->items);
    if (!set) return NULL;
    ref_init(&set->ref);
    if (default_tag && !(set->default_tag = str_dup(tda_str_of(default_tag)))) {
        free(set);
        return NULL;
    }
    return set;
}

void profile_set_ref(struct profile_set *set) {
    if (set) ref_take(&set->ref);
}

void profile_set_unref(struct profile_set *set) {
    if (!set || !ref_drop(&set->ref)) return;
    for (size_t i = 0; i < set->n; i++) profile_unref(set->items[i]);
    profile_set_unref(set->before);
    free(set->default_tag);
    free(set);
}

static struct profile *set_find(const struct profile_set *set, tda_str tag) {
    for (size_t i = 0; set && i < set->n; i++)
        if (str_equal_nocase(tda_str_of(set->items[i]->tag), tag)) return set->items[i];
    return NULL;
}

static void set_add(struct profile_set *set, struct profile *p) {
    profile_ref(p);
    set->items[set->n++] = p;
}

/* Another set, as the draft's one but for `without`, with room for one more. */
static tda_status set_copy(const struct draft *d, const struct profile *without, const char *default_tag,
                           struct profile_set **ret) {
    const struct profile_set *old = d->next->profiles;
    struct profile_set *set = set_new((old ? old->n : 0) + 1, default_tag);
    if (!set) return TDA_E_NOMEM;
    for (size_t i = 0; old && i < old->n; i++)
        if (old->items[i] != without) set_add(set, old->items[i]);
    *ret = set;
    return TDA_OK;
}

static void set_replace(struct draft *d, struct profile_set *set) {
    profile_set_unref(d->next->profiles);
    d->next->profiles = set;
}

const char *snapshot_default_profile(const struct snapshot *s) {
    return s && s->profiles ? s->profiles->default_tag : NULL;
}

tda_status draft_put_profile(struct draft *d, struct profile *p, struct error *e) {
    struct profile_set *set;
    const struct profile *old = set_find(d->next->profiles, tda_str_of(p->tag));
    uint64_t max = contexts_options(d->contexts)->max_profiles;
    if (!old && d->next->profiles && d->next->profiles->n >= max) {
        error_set(e, TDA_E_LIMIT, "too_many_profiles", "there are %llu profiles, which is the limit", (unsigned long long)max);
        error_hint(e, "delete one; the operator's limit is limits.profiles_per_user");
        return TDA_E_LIMIT;
    }
    tda_status s = set_copy(d, old, snapshot_default_profile(d->next), &set);
    if (s) return error_set(e, s, NULL, "the profile cannot be kept: %s", status_text(s));
    set_add(set, p);
    set_replace(d, set);
    return TDA_OK;
}

tda_status draft_delete_profile(struct draft *d, tda_str tag) {
    struct profile_set *set;
    const struct profile *old = set_find(d->next->profiles, tag);
    const char *usual = snapshot_default_profile(d->next);
    if (!old) return TDA_E_NOT_FOUND;
    bool was_default = usual && str_equal_nocase(tda_str_of(usual), tag);
    if (was_default && !profile_find(d->contexts, NULL, tag)) usual = NULL;
    tda_status s = set_copy(d, old, usual, &set);
    if (!s) set_replace(d, set);
    return s;
}

tda_status draft_set_default_profile(struct draft *d, tda_str tag) {
    struct profile_set *set;
    const struct profile *p = tag.p ? profile_find(d->contexts, d->next, tag) : NULL;
    if (tag.p && !p) return TDA_E_NOT_FOUND;
    tda_status s = set_copy(d, NULL, p ? p->tag : NULL, &set);
    if (!s) set_replace(d, set);
    return s;
}

void snapshot_write_profiles(const struct snapshot *s, struct jw *w) {
    if (!s->profiles) return;
    jw_open_array(w, "profiles");
    for (size_t i = 0; i < s->profiles->n; i++) jw_str(w, tda_str_of(s->profiles->items[i]->tag));
    jw_end_array(w);
    jw_put_z(w, "default_profile", s->profiles->default_tag);
}

/* ---- all that a request may name ---- */

struct profile *profile_find(const struct contexts *cs, const struct snapshot *s, tda_str tag) {
    struct profile *own = s ? set_find(s->profiles, tag) : NULL;
    return own ? own : set_find(contexts_profiles(cs), tag);
}

void profiles_each(const struct contexts *cs, const struct snapshot *s, void (*visit)(void *arg, const struct profile *p),
                   void *arg) {
    const struct profile_set *own = s ? s->profiles : NULL, *all = contexts_profiles(cs);
    for (size_t i = 0; own && i < own->n; i++) visit(arg, own->items[i]);
    for (size_t i = 0; all && i < all->n; i++)
        if (!set_find(own, tda_str_of(all->items[i]->tag))) visit(arg, all->items[i]);
}

tda_status profile_set_of(struct profile **list, size_t n, struct profile_set *before, struct profile_set **ret) {
    struct profile_set *set = set_new(n, NULL);
    if (!set) return TDA_E_NOMEM;
    memcpy(set->items, list, n * sizeof *list);
    set->n = n;
    set->before = before;
    *ret = set;
    return TDA_OK;
}
