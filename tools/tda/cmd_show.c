/* What the daemon says of itself and of a user. */
#include <stdio.h>

#include "tda.h"

/* Calls a method whose params are the user, or nothing. */
static int ask_for(const struct options *o, const char *method, struct json_doc **doc, struct json *result) {
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    return params_call(o, method, &w, doc, result);
}

/* ---- name and value, nested ones as a.b, without `but` ---- */

static void add_members(struct table *t, struct json object, const char *prefix, const char *but) {
    char name[160];
    for (struct json m = json_first(object); json_type(m); m = json_next(m)) {
        snprintf(name, sizeof name, "%s%s%.*s", prefix, prefix[0] ? "." : "", (int)(json_name(m).n < 60 ? json_name(m).n : 60),
                 json_name(m).p);
        if (but && strcmp(name, but) == 0) continue;
        if (json_type(m) == TDA_JSON_OBJECT && json_count(m)) {
            add_members(t, m, name, but);
        } else {
            table_cell(t, tda_str_of(name));
            table_value(t, m);
        }
    }
}

static void print_members(struct json object, const char *but) {
    struct table t;
    table_begin(&t, 2);
    table_cell(&t, TDA_STR("NAME"));
    table_cell(&t, TDA_STR("VALUE"));
    add_members(&t, object, "", but);
    table_print(&t);
}

static int show_members(const struct options *o, const char *method) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    int code = ask_for(o, method, &doc, &result);
    if (!code && doc) print_members(result, NULL);
    return code;
}

/* ---- rows of the same members ---- */

void print_rows(struct json rows, const char *const *columns, size_t n) {
    struct table t;
    table_begin(&t, n);
    for (size_t i = 0; i < n; i++) {
        char heading[32];
        size_t k = 0;
        for (; columns[i][k] && k < sizeof heading - 1; k++)
            heading[k] = columns[i][k] >= 'a' && columns[i][k] <= 'z' ? (char)(columns[i][k] - 'a' + 'A') : columns[i][k];
        table_cell(&t, (tda_str){heading, k});
    }
    for (struct json row = json_first(rows); json_type(row); row = json_next(row))
        for (size_t i = 0; i < n; i++) table_value(&t, json_key(row, tda_str_of(columns[i])));
    table_print(&t);
}

static int show_rows(const struct options *o, const char *method, const char *list, const char *const *columns, size_t n) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    int code = ask_for(o, method, &doc, &result);
    if (!code && doc) print_rows(json_get(result, list), columns, n);
    return code;
}

int cmd_status(const struct options *o) {
    return show_members(o, "status");
}

/* A table for each list of figures: of methods, of providers, of MCP servers. */
static void print_latency(struct json latency) {
    static const char *const columns[] = {"name", "count", "failed", "mean_us", "p50_us", "p90_us", "p99_us", "max_us"};
    for (struct json list = json_first(latency); json_type(list); list = json_next(list)) {
        if (!json_count(list)) continue;
        print_word(stdout, "\nlatency of ", json_name(list));
        putchar('\n');
        print_rows(list, columns, ARRAY_LEN(columns));
    }
}

int cmd_stats(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    int code = ask_for(o, "host.stats", &doc, &result);
    if (code || !doc) return code;
    print_members(result, "latency");
    print_latency(json_key(result, TDA_STR("latency")));
    return EXIT_OK;
}

int cmd_info(const struct options *o) {
    return show_members(o, "host.info");
}

int cmd_tools(const struct options *o) {
    static const char *const columns[] = {"name", "alias", "enabled", "description"};
    return show_rows(o, "tools.list", "tools", columns, ARRAY_LEN(columns));
}

/* Calls a method with one param, when there is a value for it. */
static int ask_with(const struct options *o, const char *method, const char *name, const char *value, struct json_doc **doc,
                    struct json *result) {
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    if (value) jw_put_z(&w, name, value);
    return params_call(o, method, &w, doc, result);
}

int cmd_models(const struct options *o) {
    static const char *const columns[] = {"id", "name"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    if (o->n_words > 2) return usage("models, or models PROVIDER");
    int code = ask_with(o, "models.list", "provider", o->n_words == 2 ? o->words[1] : NULL, &doc, &result);
    if (!code && doc) print_rows(json_key(result, TDA_STR("models")), columns, ARRAY_LEN(columns));
    return code;
}

int cmd_plugins(const struct options *o) {
    static const char *const columns[] = {"id", "version", "generation", "state", "calls", "in_flight", "file", "reason"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    if (o->n_words == 1) return show_rows(o, "plugin.list", "plugins", columns, ARRAY_LEN(columns));
    if (o->n_words != 3 || strcmp(o->words[1], "load") != 0) return usage("plugins, or plugins load NAME|FILE");
    bool is_file = strchr(o->words[2], '/') != NULL;
    int code = ask_with(o, "plugin.load", is_file ? "file" : "name", o->words[2], &doc, &result);
    if (!code && doc) print_members(result, NULL);
    return code;
}

int cmd_methods(const struct options *o) {
    static const char *const columns[] = {"name", "summary"};
    return show_rows(o, "host.methods", "methods", columns, ARRAY_LEN(columns));
}

int cmd_ping(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    int code = ask_for(o, "host.ping", &doc, &result);
    if (!code && doc) printf("a daemon answers on %s\n", o->socket);
    return code;
}

int cmd_jobs(const struct options *o) {
    static const char *const columns[] = {"name", "enabled", "runs", "failures", "last_result", "last_note", "next_run_s"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    if (o->n_words == 1) return show_rows(o, "job.list", "jobs", columns, ARRAY_LEN(columns));
    if (o->n_words != 3 || strcmp(o->words[1], "run") != 0) return usage("jobs, or jobs run NAME");
    int code = ask_with(o, "job.run", "name", o->words[2], &doc, &result);
    if (!code && doc) print_members(result, NULL);
    return code;
}

/* ---- context ---- */

static int context_get(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    if (o->n_words > 2) jw_put_z(&w, "field", o->words[2]);
    int code = params_call(o, "context.get", &w, &doc, &result);
    if (code || !doc) return code;
    if (o->n_words > 2)
        print_value(json_key(result, TDA_STR("value")));
    else
        print_members(json_key(result, TDA_STR("context")), NULL);
    return EXIT_OK;
}

static int context_set(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    if (o->n_words < 3) return usage("context set FIELD=VALUE..., as in: tda context set model=gpt-5-mini");
    params_begin(&w, &params, o);
    jw_open_object(&w, "fields");
    for (int i = 2; i < o->n_words; i++) {
        const char *eq = strchr(o->words[i], '=');
        if (!eq) {
            buf_fini(&params);
            return usage("FIELD=VALUE is wanted, not \"%s\"", o->words[i]);
        }
        jw_key(&w, (tda_str){o->words[i], (size_t)(eq - o->words[i])});
        if (strcmp(eq + 1, "null") == 0)
            jw_null(&w);
        else if (eq[1] == '{' && json_check(tda_str_of(eq + 1), 0, NULL) == TDA_OK)
            jw_raw(&w, tda_str_of(eq + 1));
        else
            jw_str(&w, tda_str_of(eq + 1));
    }
    jw_end_object(&w);
    int code = params_call(o, "context.set", &w, &doc, &result);
    if (!code && doc) puts("set");
    return code;
}

int cmd_context(const struct options *o) {
    static const char *const columns[] = {"user", "provider", "model", "idle_s", "epoch"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    const char *what = o->n_words > 1 ? o->words[1] : "get";
    if (strcmp(what, "get") == 0 && o->n_words <= 3) return context_get(o);
    if (strcmp(what, "set") == 0) return context_set(o);
    if (strcmp(what, "list") == 0 && o->n_words == 2) return show_rows(o, "context.list", "contexts", columns, ARRAY_LEN(columns));
    if (strcmp(what, "delete") != 0 || o->n_words != 2) return usage("context get [FIELD] | set FIELD=VALUE... | list | delete");
    int code = ask_for(o, "context.delete", &doc, &result);
    if (!code && doc) puts("deleted");
    return code;
}
