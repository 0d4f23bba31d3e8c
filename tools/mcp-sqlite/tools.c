#include "tools.h"

#include <stdio.h>

enum { RESULT_MAX = 8 << 20, WHY_MAX = 640 };

struct tool {
    const char *name, *title, *description;
    const char *argument, *argument_help; /* the one it takes, or NULL */
    bool (*run)(struct db *db, const char *argument, struct jw *w, char *why, size_t why_size);
};

static bool run_tables(struct db *db, const char *argument UNUSED, struct jw *w, char *why, size_t n) {
    return db_tables(db, w, why, n);
}

static const struct tool tools[] = {
    {"list_tables", "List tables", "Names of the tables and views of this database.", NULL, NULL, run_tables},
    {"describe_table", "Describe a table", "Columns of a table or view: name, type, required, primary key.", "table",
     "name of the table", db_describe},
    {"query", "Run a SELECT", "Run one SELECT statement (SQLite's SQL) and get its rows. The database cannot be changed.", "sql",
     "one SELECT statement", db_query},
};

static void write_schemas(const struct tool *t, struct jw *w) {
    jw_open_object(w, "inputSchema");
    jw_put_z(w, "type", "object");
    jw_open_object(w, "properties");
    if (t->argument) {
        jw_open_object(w, t->argument);
        jw_put_z(w, "type", "string");
        jw_put_z(w, "description", t->argument_help);
        jw_end_object(w);
    }
    jw_end_object(w);
    if (t->argument) {
        jw_open_array(w, "required");
        jw_str(w, tda_str_of(t->argument));
        jw_end_array(w);
    }
    jw_put_bool(w, "additionalProperties", false);
    jw_end_object(w);
    jw_put_raw(w, "outputSchema",
               TDA_STR("{\"type\":\"object\",\"properties\":{\"columns\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
                       "\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"array\"}},\"truncated\":{\"type\":\"boolean\"}},"
                       "\"required\":[\"columns\",\"rows\",\"truncated\"]}"));
    jw_put_raw(w, "annotations",
               TDA_STR("{\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true,\"openWorldHint\":false}"));
}

void tools_list(struct jw *w) {
    jw_begin_array(w);
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        jw_begin_object(w);
        jw_put_z(w, "name", tools[i].name);
        jw_put_z(w, "title", tools[i].title);
        jw_put_z(w, "description", tools[i].description);
        write_schemas(&tools[i], w);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void write_text(struct jw *w, tda_str text) {
    jw_open_array(w, "content");
    jw_begin_object(w);
    jw_put_z(w, "type", "text");
    jw_put_str(w, "text", text);
    jw_end_object(w);
    jw_end_array(w);
}

/* What is wrong with the arguments, or NULL. */
static const char *bad_arguments(const struct tool *t, struct json arguments, char *why, size_t size) {
    for (struct json m = json_first(arguments); json_type(m); m = json_next(m)) {
        if (t->argument && tda_str_eq(json_name(m), tda_str_of(t->argument))) continue;
        snprintf(why, size, "%s takes %s, not \"%.*s\"", t->name, t->argument ? t->argument : "no argument",
                 (int)(json_name(m).n < 60 ? json_name(m).n : 60), json_name(m).p);
        return why;
    }
    if (!t->argument || json_str(json_key(arguments, tda_str_of(t->argument))).n) return NULL;
    snprintf(why, size, "%s needs the argument \"%s\", a text: %s", t->name, t->argument, t->argument_help);
    return why;
}

bool tools_call(struct db *db, tda_str name, struct json arguments, struct jw *w) {
    const struct tool *t = NULL;
    char why[WHY_MAX] = "out of memory";
    struct buf out;
    struct jw result;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (tda_str_eq(name, tda_str_of(tools[i].name))) t = &tools[i];
    if (!t) return false;
    buf_init(&out, RESULT_MAX);
    jw_init(&result, &out);
    tda_str argument = t->argument ? json_str(json_key(arguments, tda_str_of(t->argument))) : TDA_STR("");
    bool ok = !bad_arguments(t, arguments, why, sizeof why);
    if (ok && memchr(argument.p, 0, argument.n)) {
        snprintf(why, sizeof why, "\"%s\" holds a NUL byte", t->argument);
        ok = false;
    }
    ok = ok && t->run(db, argument.p, &result, why, sizeof why) && !out.status;
    jw_begin_object(w);
    write_text(w, ok ? buf_str(&out) : tda_str_of(why));
    if (ok) jw_put_raw(w, "structuredContent", buf_str(&out));
    jw_put_bool(w, "isError", !ok);
    jw_end_object(w);
    buf_fini(&out);
    return true;
}
