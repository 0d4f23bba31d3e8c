#include "agent/arguments.h"

#include <stdio.h>

#include "json/json.h"

enum { NAMES_SHOWN = 200 };

/* What models call by another name than the tool does. A name stands in one group only. */
static const char *const synonyms[][6] = {
    {"database_name", "db_name", "database", "db"},
    {"table_name", "object_name", "view_name", "obj_name", "table"},
    {"column_name", "col_name", "column"},
};

static const char *const *group_of(tda_str name) {
    for (size_t g = 0; g < ARRAY_LEN(synonyms); g++)
        for (size_t i = 0; i < ARRAY_LEN(synonyms[g]) && synonyms[g][i]; i++)
            if (tda_str_eq(name, tda_str_of(synonyms[g][i]))) return synonyms[g];
    return NULL;
}

/* The tool's name for what is given as `name`: itself, where there is no better. */
static tda_str own_name(struct json properties, struct json args, tda_str name) {
    const char *const *group = json_type(json_key(properties, name)) ? NULL : group_of(name);
    tda_str found = {0};
    for (size_t i = 0; group && i < ARRAY_LEN(synonyms[0]) && group[i]; i++) {
        tda_str other = tda_str_of(group[i]);
        if (!json_type(json_key(properties, other))) continue;
        if (found.p) return name;
        found = other;
    }
    return found.p && !json_type(json_key(args, found)) ? found : name;
}

/* Of two that mean the same, the first is it. */
static bool is_taken(struct json properties, struct json args, struct json before, tda_str own) {
    for (struct json m = json_first(args); json_type(m) && m.node != before.node; m = json_next(m))
        if (tda_str_eq(own_name(properties, args, json_name(m)), own)) return true;
    return false;
}

static tda_str name_for(struct json properties, struct json args, struct json m) {
    tda_str given = json_name(m), own = own_name(properties, args, given);
    return tda_str_eq(own, given) || !is_taken(properties, args, m, own) ? own : given;
}

static tda_status rename_members(struct json properties, struct json args, struct arena *a, tda_str *ret) {
    struct buf text;
    struct jw w;
    bool changed = false;
    buf_init(&text, ret->n * 2 + 1024);
    jw_init(&w, &text);
    jw_begin_object(&w);
    for (struct json m = json_first(args); json_type(m); m = json_next(m)) {
        tda_str own = name_for(properties, args, m);
        changed = changed || !tda_str_eq(own, json_name(m));
        jw_key(&w, own);
        jw_raw(&w, json_raw(m));
    }
    jw_end_object(&w);
    tda_str copy = changed && !text.status ? arena_str(a, buf_str(&text)) : *ret;
    buf_fini(&text);
    if (!copy.p) return TDA_E_NOMEM;
    *ret = copy;
    return TDA_OK;
}

static bool is_given(struct json properties, struct json args, tda_str name) {
    if (json_type(json_key(args, name))) return true;
    if (!group_of(name)) return false;
    for (struct json m = json_first(args); json_type(m); m = json_next(m))
        if (tda_str_eq(name_for(properties, args, m), name)) return true;
    return false;
}

static tda_status check_required(const struct tool *tool, struct json schema, struct json args, struct error *e) {
    struct json properties = json_key(schema, TDA_STR("properties"));
    char names[NAMES_SHOWN] = "";
    tda_str first = {0};
    size_t n = 0, used = 0;
    for (struct json v = json_first(json_key(schema, TDA_STR("required"))); json_type(v); v = json_next(v)) {
        tda_str name = json_str(v);
        if (!name.p || is_given(properties, args, name)) continue;
        if (!n++) first = name;
        if (name.n + 3 < sizeof names - used)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s", used ? ", " : "", STR_FMT(name));
    }
    if (!n) return TDA_OK;
    error_set(e, TDA_E_INVALID, "missing_argument", "tool %s: the argument%s %s %s required", tool->name, n > 1 ? "s" : "", names,
              n > 1 ? "are" : "is");
    error_field(e, "arguments.%.*s", STR_FMT(first));
    return TDA_E_INVALID;
}

tda_status arguments_fit(const struct tool *tool, struct arena *a, tda_str *args, struct error *e) {
    struct json_doc *given GUARD(json_free_p) = NULL, *schema GUARD(json_free_p) = NULL;
    struct error why = {0};
    if (!args->p) *args = TDA_STR("{}");
    tda_status s = json_parse(*args, 0, &given, &why);
    if (s == TDA_E_NOMEM) return error_set(e, s, "out_of_memory", "out of memory");
    if (s || json_type(json_root(given)) != TDA_JSON_OBJECT) {
        error_set(e, TDA_E_INVALID, "invalid_arguments", "tool %s: the arguments must be one JSON object%s%s", tool->name,
                  why.text[0] ? ": " : "", why.text);
        error_field(e, "arguments");
        return TDA_E_INVALID;
    }
    s = json_parse(tda_str_of(tool->schema), 0, &schema, NULL);
    if (s == TDA_E_NOMEM) return error_set(e, s, "out_of_memory", "out of memory");
    if (s) return TDA_OK; /* the server's fault: it may judge */
    s = check_required(tool, json_root(schema), json_root(given), e);
    if (s) return s;
    s = rename_members(json_key(json_root(schema), TDA_STR("properties")), json_root(given), a, args);
    return s ? error_set(e, s, "out_of_memory", "out of memory") : TDA_OK;
}
