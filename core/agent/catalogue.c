#include "agent/catalogue.h"

#include "agent/tool_names.h"
#include "base/log.h"
#include "json/json.h"

enum { ALIAS_ROUNDS = 8 };

static void tool_fini(struct tool *t) {
    char *const texts[] = {t->name, t->alias, t->title, t->description, t->schema, t->output_schema, t->annotations};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
}

struct catalogue *catalogue_new(tda_str server) {
    struct catalogue *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->refs = 1;
    c->server = str_dup(server);
    if (c->server) return c;
    catalogue_unref(c);
    return NULL;
}

void catalogue_ref(struct catalogue *c) {
    c->refs++;
}

void catalogue_unref(struct catalogue *c) {
    if (!c || --c->refs) return;
    for (size_t i = 0; i < c->n; i++) tool_fini(&c->tools[i]);
    free(c->tools);
    free(c->by_name);
    free(c->by_alias);
    free(c->server);
    free(c);
}

/* ---- adding ---- */

static bool set(char **ret, tda_str text) {
    return !text.p || (*ret = str_dup(text));
}

static tda_str object(struct json whole, const char *key) {
    struct json v = json_key(whole, tda_str_of(key));
    return json_type(v) == TDA_JSON_OBJECT ? json_raw(v) : (tda_str){0};
}

static bool fill(struct tool *t, const struct catalogue *c, const struct tda_event *item) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    char alias[TOOL_ALIAS_MAX + 1];
    struct json whole = item->whole.n && json_parse(item->whole, 0, &doc, NULL) == TDA_OK ? json_root(doc) : JSON_ABSENT;
    tool_alias(tda_str_of(c->server), item->name, 0, alias);
    return set(&t->name, item->name) && set(&t->alias, tda_str_of(alias)) &&
           set(&t->description, item->text.p ? item->text : TDA_STR("")) &&
           set(&t->schema, item->json.n ? item->json : TDA_STR("{\"type\":\"object\"}")) &&
           set(&t->title, json_str(json_key(whole, TDA_STR("title")))) && set(&t->output_schema, object(whole, "outputSchema")) &&
           set(&t->annotations, object(whole, "annotations"));
}

static void add_json(struct buf *all, const char *json) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (json && json_parse(tda_str_of(json), 0, &doc, NULL) == TDA_OK)
        json_canonical(json_root(doc), all);
    else
        buf_add_z(all, json ? json : "-");
    buf_add_char(all, '\n');
}

/* Each text with its length before it, so that nothing can move from one to the next. */
static tda_status set_digest(struct tool *t) {
    struct buf all;
    tda_str name = tda_str_of(t->name), text = tda_str_of(t->description);
    buf_init(&all, SIZE_MAX / 4);
    buf_addf(&all, "%zu:%.*s%zu:%.*s", name.n, STR_FMT(name), text.n, STR_FMT(text));
    add_json(&all, t->schema);
    add_json(&all, t->output_schema);
    add_json(&all, t->annotations);
    tda_status s = all.status;
    if (!s) hash_digest(buf_str(&all), t->digest);
    buf_fini(&all);
    return s;
}

bool catalogue_add(struct catalogue *c, const struct tda_event *item) {
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct tool *tools = realloc(c->tools, cap * sizeof *tools);
        if (!tools) return false;
        c->tools = tools;
        c->cap = cap;
    }
    struct tool t = {0};
    if (!fill(&t, c, item) || set_digest(&t)) {
        tool_fini(&t);
        return false;
    }
    c->tools[c->n++] = t;
    return true;
}

/* ---- sealing ---- */

/* Equal ones stay in the server's order: they stand in one array. */
static int order(const char *a, const char *b, const struct tool *x, const struct tool *y) {
    int d = strcmp(a, b);
    return d ? d : x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b) {
    const struct tool *x = *(const struct tool *const *)a, *y = *(const struct tool *const *)b;
    return order(x->name, y->name, x, y);
}

static int by_alias(const void *a, const void *b) {
    const struct tool *x = *(const struct tool *const *)a, *y = *(const struct tool *const *)b;
    return order(x->alias, y->alias, x, y);
}

static void sort(const struct catalogue *c, const struct tool **list, int (*compare)(const void *, const void *)) {
    for (size_t i = 0; i < c->n; i++) list[i] = &c->tools[i];
    qsort(list, c->n, sizeof *list, compare);
}

/* Takes those out whose alias is NULL. */
static void compact(struct catalogue *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->tools[i].alias)
            c->tools[n++] = c->tools[i];
        else
            tool_fini(&c->tools[i]);
    c->n = n;
}

static void drop(struct catalogue *c, const struct tool *t, const char *why) {
    struct tool *mine = &c->tools[t - c->tools];
    LOG_SOME(LOG_LEVEL_WARN, why, LOG_Z("server", c->server), LOG_Z("tool", t->name));
    free(mine->alias);
    mine->alias = NULL;
}

static void drop_repeated(struct catalogue *c) {
    const struct tool *kept = NULL;
    sort(c, c->by_name, by_name);
    for (size_t i = 0; i < c->n; i++)
        if (kept && strcmp(kept->name, c->by_name[i]->name) == 0)
            drop(c, c->by_name[i], "the server lists two tools of the same name, the second is left out");
        else
            kept = c->by_name[i];
    compact(c);
}

/* The first of equal ones keeps its alias. How many were equal; SIZE_MAX: out of memory. */
static size_t tell_apart(struct catalogue *c, uint32_t round) {
    char alias[TOOL_ALIAS_MAX + 1];
    size_t equal = 0;
    sort(c, c->by_alias, by_alias);
    for (size_t i = c->n; i-- > 1;) {
        if (strcmp(c->by_alias[i]->alias, c->by_alias[i - 1]->alias) != 0) continue;
        struct tool *t = &c->tools[c->by_alias[i] - c->tools];
        tool_alias(tda_str_of(c->server), tda_str_of(t->name), round, alias);
        char *copy = str_dup(tda_str_of(alias));
        if (!copy) return SIZE_MAX;
        free(t->alias);
        t->alias = copy;
        equal++;
    }
    return equal;
}

tda_status catalogue_seal(struct catalogue *c) {
    size_t equal = 1;
    c->by_name = calloc(c->n + 1, sizeof(const struct tool *));
    c->by_alias = calloc(c->n + 1, sizeof(const struct tool *));
    if (!c->by_name || !c->by_alias) return TDA_E_NOMEM;
    drop_repeated(c);
    for (uint32_t round = 1; equal && round <= ALIAS_ROUNDS; round++) equal = tell_apart(c, round);
    if (equal == SIZE_MAX) return TDA_E_NOMEM;
    sort(c, c->by_alias, by_alias);
    sort(c, c->by_name, by_name);
    return equal ? TDA_E_INTERNAL : TDA_OK; /* each round hashes anew: it does not come to that */
}

/* ---- reading ---- */

static const struct tool *search(const struct tool *const *list, size_t n, size_t text, tda_str wanted) {
    for (size_t low = 0, high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        const char *own = *(char *const *)(const void *)((const char *)list[mid] + text);
        size_t own_n = strlen(own), shorter = own_n < wanted.n ? own_n : wanted.n;
        int d = memcmp(own, wanted.p, shorter);
        if (!d) d = own_n < wanted.n ? -1 : own_n > wanted.n;
        if (!d) return list[mid];
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct tool *catalogue_find(const struct catalogue *c, tda_str wanted) {
    if (!wanted.n) return NULL;
    const struct tool *t = search(c->by_alias, c->n, offsetof(struct tool, alias), wanted);
    return t ? t : catalogue_named(c, wanted);
}

const struct tool *catalogue_named(const struct catalogue *c, tda_str name) {
    return search(c->by_name, c->n, offsetof(struct tool, name), name);
}

bool catalogue_enables(const struct catalogue *c, const struct tool *tool, const struct snapshot *s) {
    tda_str name = tda_str_of(tool->name);
    return snapshot_enables(s, ENABLED_TOOLS, tda_str_of(tool->alias)) ||
           (snapshot_enables(s, ENABLED_TOOLS, name) && catalogue_find(c, name) == tool);
}
