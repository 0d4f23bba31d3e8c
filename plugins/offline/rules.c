/* The rules, in this order:
 *   1. the last message holds tool results        -> quote them
 *   2. no tools offered, or none wanted           -> say what this provider is
 *   3. "use TOOL {json}"                          -> that tool with these arguments
 *   4. a SELECT, or "how many / count ... TABLE"  -> the tool that takes SQL
 *   5. "describe / columns of TABLE"              -> the tool named ...describe...
 *   6. any other question for data                -> the tool named ...list...
 *   7. anything else                              -> say what this provider is */
#include <stdio.h>

#include "offline.h"

static const struct tda_json_api *json(void) {
    return offline_json;
}

/* What a tool is called with: the values known from the question, and which of the schema's arguments they fill. */
struct known {
    tda_str sql;
    tda_str table;
    char sql_text[TABLE_MAX + 64];
};

/* ---- the conversation ---- */

static const struct tda_msg *last_message(const struct tda_request *r) {
    return r->n_msgs ? r->msgs[r->n_msgs - 1] : NULL;
}

static bool has_results(const struct tda_msg *m) {
    for (uint32_t i = 0; m && i < m->n_parts; i++)
        if (m->parts[i]->kind == TDA_PART_TOOL_RESULT) return true;
    return false;
}

/* The last text of the user: the question. */
static tda_str question_of(const struct tda_request *r) {
    for (uint32_t m = r->n_msgs; m-- > 0;) {
        if (r->msgs[m]->role != TDA_ROLE_USER) continue;
        for (uint32_t i = r->msgs[m]->n_parts; i-- > 0;)
            if (r->msgs[m]->parts[i]->kind == TDA_PART_TEXT) return r->msgs[m]->parts[i]->text;
    }
    return (tda_str){"", 0};
}

/* ---- tools ---- */

/* Tools come as SERVER__TOOL: the server's name says nothing about what the tool does. */
static tda_str short_name(const struct tda_tool *t) {
    for (size_t i = 0; i + 2 < t->name.n; i++)
        if (t->name.p[i] == '_' && t->name.p[i + 1] == '_') return (tda_str){t->name.p + i + 2, t->name.n - i - 2};
    return t->name;
}

static const struct tda_tool *tool_called(const struct tda_request *r, tda_str name) {
    for (uint32_t i = 0; i < r->n_tools; i++)
        if (tda_str_eq(r->tools[i]->name, name)) return r->tools[i];
    for (uint32_t i = 0; i < r->n_tools; i++)
        if (tda_str_eq(short_name(r->tools[i]), name)) return r->tools[i];
    return NULL;
}

static tda_json schema_of(const struct call *c, const struct tda_tool *t) {
    tda_json root = {NULL, 0};
    if (t->schema.n && json()->parse(c->handle, t->schema, &root)) root = (tda_json){NULL, 0};
    return root;
}

static bool is_sql_argument(tda_str name) {
    return tda_str_eq(name, TDA_STR("sql")) || tda_str_eq(name, TDA_STR("query"));
}

static bool requires_sql(tda_json schema) {
    for (tda_json v = json()->first(json()->key(schema, TDA_STR("required"))); json()->type(v); v = json()->next(v))
        if (is_sql_argument(json()->str(v))) return true;
    return false;
}

static const struct tda_tool *tool_for_sql(const struct call *c, const struct tda_request *r) {
    for (uint32_t i = 0; i < r->n_tools; i++)
        if (requires_sql(schema_of(c, r->tools[i]))) return r->tools[i];
    return NULL;
}

static const struct tda_tool *tool_named_like(const struct tda_request *r, const char *part, const char *also) {
    for (uint32_t i = 0; i < r->n_tools; i++)
        if (words_contain(short_name(r->tools[i]), part) && words_contain(short_name(r->tools[i]), also)) return r->tools[i];
    return NULL;
}

/* ---- arguments ---- */

/* The schema's own word for a value, where it has one: a default, a constant, the first of an enumeration. */
static tda_str value_from_schema(tda_json property) {
    static const char *const places[] = {"default", "const", "enum.0", "minimum"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        tda_json v = json()->get(property, places[i]);
        if (json()->type(v)) return json()->raw(v);
    }
    return (tda_str){NULL, 0};
}

static void put_argument(tda_json_writer *w, tda_str name, tda_json property, const struct known *k) {
    tda_str type = json()->str(json()->key(property, TDA_STR("type")));
    tda_str given = value_from_schema(property);
    bool text = !type.p || tda_str_eq(type, TDA_STR("string"));
    json()->put_key(w, name);
    if (text && is_sql_argument(name) && k->sql.p)
        json()->put_str(w, k->sql);
    else if (text && k->table.p && !json()->type(json()->key(property, TDA_STR("enum"))))
        json()->put_str(w, k->table);
    else if (given.p)
        json()->put_raw(w, given);
    else if (tda_str_eq(type, TDA_STR("integer")) || tda_str_eq(type, TDA_STR("number")))
        json()->put_i64(w, 1);
    else if (tda_str_eq(type, TDA_STR("boolean")))
        json()->put_bool(w, 0);
    else if (tda_str_eq(type, TDA_STR("array")))
        json()->put_raw(w, TDA_STR("[]"));
    else if (tda_str_eq(type, TDA_STR("object")))
        json()->put_raw(w, TDA_STR("{}"));
    else
        json()->put_str(w, TDA_STR(""));
}

/* Only what the schema requires: optional arguments have defaults of the tool's own. */
static bool write_arguments(struct call *c, const struct tda_tool *t, const struct known *k) {
    tda_json schema = schema_of(c, t);
    tda_json properties = json()->key(schema, TDA_STR("properties"));
    tda_json_writer *w = json()->writer(c->handle);
    tda_str text;
    if (!w) return false;
    json()->begin_object(w);
    for (tda_json v = json()->first(json()->key(schema, TDA_STR("required"))); json()->type(v); v = json()->next(v)) {
        tda_str name = json()->str(v);
        if (name.p) put_argument(w, name, json()->key(properties, name), k);
    }
    json()->end_object(w);
    if (json()->text(w, &text)) return false;
    out_str(&c->out, text);
    return !c->out.cut;
}

static void say_too_large(struct call *c) {
    c->out.n = 0;
    c->out.cut = false;
    out_z(&c->out, OFFLINE_INTRO " The arguments for that tool are too large for it: make them shorter than 12 KiB.");
}

static void choose(struct call *c, const struct tda_request *r, const struct tda_tool *t) {
    snprintf(c->tool, sizeof c->tool, "%.*s", (int)(t->name.n < NAME_MAX_BYTES ? t->name.n : NAME_MAX_BYTES), t->name.p);
    snprintf(c->tool_id, sizeof c->tool_id, "offline_%u", (unsigned)r->n_msgs); /* the conversation grows, so it is new */
}

static void call_tool(struct call *c, const struct tda_request *r, const struct tda_tool *t, const struct known *k) {
    if (write_arguments(c, t, k))
        choose(c, r, t);
    else
        say_too_large(c);
}

/* ---- use TOOL {json} ---- */

/* Length of the object at the start of s, braces inside strings apart; 0 when it does not end. */
static size_t object_length(tda_str s) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (quoted && ch == '\\')
            i++;
        else if (ch == '"')
            quoted = !quoted;
        else if (!quoted && ch == '{')
            depth++;
        else if (!quoted && ch == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static size_t skip_space(tda_str s, size_t i) {
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r')) i++;
    return i;
}

/* "use NAME {...": where the name and the rest are. */
static bool find_use(tda_str q, tda_str *ret_name, tda_str *ret_rest) {
    for (size_t at = words_find(q, "use", 0); at != SIZE_MAX; at = words_find(q, "use", at + 1)) {
        size_t start = skip_space(q, at + 3), end = start;
        while (end < q.n && (words_is_identifier(q.p[end]) || strchr("-.:/", q.p[end])) && q.p[end]) end++;
        size_t rest = skip_space(q, end);
        if (end == start || rest >= q.n || q.p[rest] != '{') continue;
        *ret_name = (tda_str){q.p + start, end - start};
        *ret_rest = (tda_str){q.p + rest, q.n - rest};
        return true;
    }
    return false;
}

static void say_tools(struct call *c, const struct tda_request *r) {
    for (uint32_t i = 0; i < r->n_tools; i++) {
        if (i) out_z(&c->out, ", ");
        out_quote(&c->out, r->tools[i]->name, NAME_MAX_BYTES);
        if (c->out.n > QUOTE_MAX) {
            out_z(&c->out, ", ...");
            return;
        }
    }
}

static bool rule_use(struct call *c, const struct tda_request *r, tda_str q) {
    tda_str name, rest;
    tda_json args;
    if (!find_use(q, &name, &rest)) return false;
    const struct tda_tool *t = tool_called(r, name);
    rest.n = object_length(rest);
    if (!t) {
        out_z(&c->out, OFFLINE_INTRO " No tool is called ");
        out_quote(&c->out, name, NAME_MAX_BYTES);
        out_z(&c->out, ". There are: ");
        say_tools(c, r);
    } else if (!rest.n || json()->parse(c->handle, rest, &args)) {
        out_z(&c->out,
              OFFLINE_INTRO " What follows the tool's name is not one well-formed JSON object: write use TOOL {\"name\": value}.");
    } else {
        out_str(&c->out, rest);
        if (c->out.cut)
            say_too_large(c);
        else
            choose(c, r, t);
    }
    return true;
}

/* ---- the other rules ---- */

/* From SELECT to the statement's end: a semicolon, or the end of the text. */
static bool find_select(tda_str q, struct known *k) {
    size_t at = words_find(q, "select", 0);
    if (at == SIZE_MAX) return false;
    tda_str s = {q.p + at, q.n - at};
    const char *end = memchr(s.p, ';', s.n);
    if (end) s.n = (size_t)(end - s.p);
    while (s.n && strchr(" \t\r\n?!`.", s.p[s.n - 1])) s.n--;
    size_t first = skip_space(s, strlen("select"));
    bool literal = words_find(s, "from", 0) != SIZE_MAX || (first < s.n && s.p[first] >= '0' && s.p[first] <= '9'); /* SELECT 1 */
    if (literal) k->sql = s;
    return literal;
}

static bool find_count(tda_str q, struct known *k) {
    size_t at = words_find(q, "how many", 0);
    if (at == SIZE_MAX) at = words_find(q, "count", 0);
    if (at == SIZE_MAX) return false;
    k->table = words_table(q, at);
    if (!k->table.p) return false;
    snprintf(k->sql_text, sizeof k->sql_text, "SELECT COUNT(*) AS n FROM %.*s", (int)k->table.n, k->table.p);
    k->sql = tda_str_of(k->sql_text);
    return true;
}

static bool rule_sql(struct call *c, const struct tda_request *r, tda_str q) {
    struct known k = {{NULL, 0}, {NULL, 0}, ""};
    const struct tda_tool *t = tool_for_sql(c, r);
    if (!t || (!find_select(q, &k) && !find_count(q, &k))) return false;
    call_tool(c, r, t, &k);
    return true;
}

static bool rule_describe(struct call *c, const struct tda_request *r, tda_str q) {
    struct known k = {{NULL, 0}, {NULL, 0}, ""};
    size_t at = words_find(q, "describe", 0), skip = strlen("describe");
    const struct tda_tool *t = tool_named_like(r, "describe", "");
    if (at == SIZE_MAX) {
        at = words_find(q, "columns", 0);
        skip = strlen("columns");
    }
    if (!t || at == SIZE_MAX) return false;
    k.table = words_table(q, at + skip);
    if (!k.table.p) return false;
    call_tool(c, r, t, &k);
    return true;
}

static bool asks_for_data(tda_str q) {
    static const char *const words[] = {
        "list",    "show",   "how many", "count",     "which",   "table",    "tables", "describe", "row",     "rows",    "column",
        "columns", "select", "average",  "avg",       "sum",     "total",    "top",    "most",     "least",   "maximum", "minimum",
        "order",   "orders", "customer", "customers", "product", "products", "data",   "database", "records", "sales",   NULL};
    return words_have_any(q, words);
}

static bool rule_list(struct call *c, const struct tda_request *r, tda_str q) {
    struct known k = {{NULL, 0}, {NULL, 0}, ""};
    const struct tda_tool *t = tool_named_like(r, "list", "table");
    if (!t) t = tool_named_like(r, "list", "");
    if (!t || !asks_for_data(q)) return false;
    call_tool(c, r, t, &k);
    return true;
}

static void say_honestly(struct call *c, const struct tda_request *r, tda_str q) {
    out_z(&c->out, OFFLINE_INTRO);
    if (r->n_tools == 0)
        out_z(&c->out, " No tools are offered, so all it can do is repeat what you said: ");
    else
        out_z(&c->out,
              " No rule fits what you said; ask to list tables, to describe or count one, or write use TOOL {json}. You said: ");
    out_quote(&c->out, q, QUOTE_MAX);
}

/* The caller insists: a named tool, or any. */
static bool rule_forced(struct call *c, const struct tda_request *r, tda_str q) {
    struct known k = {{NULL, 0}, {NULL, 0}, ""};
    if (r->tool_choice != TDA_CHOICE_TOOL && r->tool_choice != TDA_CHOICE_ANY) return false;
    const struct tda_tool *t = r->tool_choice == TDA_CHOICE_TOOL ? tool_called(r, r->choice_name) : r->tools[0];
    if (!t) return false;
    if (!find_select(q, &k)) find_count(q, &k);
    call_tool(c, r, t, &k);
    return true;
}

void rules_apply(struct call *c, const struct tda_request *r) {
    const struct tda_msg *last = last_message(r);
    tda_str q = question_of(r);
    bool tools = r->n_tools > 0 && r->tool_choice != TDA_CHOICE_NONE;
    if (has_results(last)) {
        render_results(c, r, last);
        return;
    }
    if (tools && rule_use(c, r, q)) return;
    if (tools && r->tool_choice == TDA_CHOICE_TOOL && rule_forced(c, r, q)) return;
    if (tools && (rule_sql(c, r, q) || rule_describe(c, r, q) || rule_list(c, r, q))) return;
    if (tools && rule_forced(c, r, q)) return;
    say_honestly(c, r, q);
}
