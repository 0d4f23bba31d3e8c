/* Sessions, usage, backup, and the erasing of a user. */
#include <stdio.h>
#include <unistd.h>

#include "tda.h"

static void put_number(struct jw *w, const char *key, const char *text) {
    if (!text) return;
    bool digits = text[0] && strspn(text, "0123456789") == strlen(text);
    if (digits)
        jw_put_raw(w, key, tda_str_of(text));
    else
        jw_put_z(w, key, text); /* the daemon says what is wrong with it */
}

/* Calls a method about one session. */
static int call_on(const struct options *o, const char *method, const char *id, const char *key, const char *value,
                   struct json_doc **doc, struct json *result) {
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    jw_put_z(&w, "session", id);
    if (value) jw_put_z(&w, key, value);
    return params_call(o, method, &w, doc, result);
}

static int sessions_list(const struct options *o) {
    static const char *const columns[] = {"session", "updated", "turns", "title"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    struct table t;
    params_begin(&w, &params, o);
    if (o->search) jw_put_z(&w, "search", o->search);
    if (o->sort) jw_put_z(&w, "sort", o->sort);
    if (o->cursor) jw_put_z(&w, "cursor", o->cursor);
    put_number(&w, "limit", o->limit);
    int code = params_call(o, "session.list", &w, &doc, &result);
    if (code || !doc) return code;
    table_begin(&t, ARRAY_LEN(columns));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) table_cell(&t, tda_str_of(columns[i]));
    for (struct json row = json_first(json_key(result, TDA_STR("sessions"))); json_type(row); row = json_next(row))
        for (size_t i = 0; i < ARRAY_LEN(columns); i++) table_value(&t, json_key(row, tda_str_of(columns[i])));
    table_print(&t);
    tda_str cursor = json_str(json_key(result, TDA_STR("cursor")));
    if (cursor.n && !o->quiet) {
        print_word(stderr, "there are more: tda sessions list --cursor '", cursor);
        fputs("'\n", stderr);
    }
    return EXIT_OK;
}

static int sessions_new(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    if (o->n_words > 2) jw_put_z(&w, "title", o->words[2]);
    if (o->inherit) jw_put_bool(&w, "follow", false);
    int code = params_call(o, "session.create", &w, &doc, &result);
    if (code || !doc) return code;
    print_text(json_str(json_key(result, TDA_STR("session"))));
    return EXIT_OK;
}

static void print_part(tda_str role, struct json part) {
    tda_str type = json_str(json_key(part, TDA_STR("type")));
    if (tda_str_eq(type, TDA_STR("text"))) {
        print_word(stdout, "", role);
        fputs(": ", stdout);
        print_text(json_str(json_key(part, TDA_STR("text"))));
    } else if (tda_str_eq(type, TDA_STR("tool_use"))) {
        print_word(stdout, "  tool ", json_str(json_key(part, TDA_STR("name"))));
        print_word(stdout, " ", json_raw(json_key(part, TDA_STR("arguments"))));
        putchar('\n');
    }
}

static int sessions_show(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    int code = call_on(o, "session.get", o->words[2], NULL, NULL, &doc, &result);
    if (code || !doc) return code;
    for (struct json t = json_first(json_key(result, TDA_STR("history"))); json_type(t); t = json_next(t))
        for (struct json m = json_first(json_key(t, TDA_STR("messages"))); json_type(m); m = json_next(m))
            for (struct json p = json_first(json_key(m, TDA_STR("content"))); json_type(p); p = json_next(p))
                print_part(json_str(json_key(m, TDA_STR("role"))), p);
    return EXIT_OK;
}

/* Page by page; as it is, for it is data. */
static int sessions_export(const struct options *o) {
    int64_t after = 0;
    struct options plain = *o;
    plain.json = false;
    for (bool more = true; more;) {
        struct json_doc *doc GUARD(json_free_p) = NULL;
        struct json result;
        struct buf params;
        struct jw w;
        params_begin(&w, &params, o);
        jw_put_z(&w, "session", o->words[2]);
        jw_put_i64(&w, "after", after);
        int code = params_call(&plain, "session.export", &w, &doc, &result);
        if (code) return code;
        tda_str lines = json_str(json_key(result, TDA_STR("lines")));
        fwrite(lines.p, 1, lines.n, stdout);
        more = json_i64(json_key(result, TDA_STR("next")), &after);
    }
    return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

int cmd_sessions(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    const char *what = o->n_words > 1 ? o->words[1] : "list";
    bool renames = strcmp(what, "rename") == 0 && o->n_words == 4;
    if (strcmp(what, "list") == 0 && o->n_words <= 2) return sessions_list(o);
    if (strcmp(what, "new") == 0 && o->n_words <= 3) return sessions_new(o);
    if (strcmp(what, "show") == 0 && o->n_words == 3) return sessions_show(o);
    if (strcmp(what, "export") == 0 && o->n_words == 3) return sessions_export(o);
    if (!renames && (strcmp(what, "delete") != 0 || o->n_words != 3))
        return usage("sessions list | new [TITLE] | show ID | export ID | rename ID TITLE | delete ID");
    int code = renames ? call_on(o, "session.rename", o->words[2], "title", o->words[3], &doc, &result)
                       : call_on(o, "session.delete", o->words[2], NULL, NULL, &doc, &result);
    if (!code && doc) puts(renames ? "renamed" : "deleted");
    return code;
}

int cmd_usage(const struct options *o) {
    static const char *const columns[] = {"day", "provider", "model", "turns", "calls", "input", "output", "unknown_calls"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    struct table t;
    params_begin(&w, &params, o);
    put_number(&w, "days", o->days);
    int code = params_call(o, "usage.get", &w, &doc, &result);
    if (code || !doc) return code;
    table_begin(&t, ARRAY_LEN(columns));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) table_cell(&t, tda_str_of(columns[i]));
    for (struct json row = json_first(json_key(result, TDA_STR("usage"))); json_type(row); row = json_next(row))
        for (size_t i = 0; i < ARRAY_LEN(columns); i++) table_value(&t, json_key(row, tda_str_of(columns[i])));
    table_print(&t);
    return EXIT_OK;
}

/* The daemon writes it, and knows nothing of where the client stands. */
int cmd_backup(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    char here[4096], path[8192];
    if (o->n_words != 2) return usage("backup FILE: a new file, as in: tda backup /var/backups/tda-sessions.db");
    const char *file = o->words[1];
    if (file[0] != '/' && !getcwd(here, sizeof here)) return usage("where am I? give an absolute path");
    snprintf(path, sizeof path, "%s%s%s", file[0] == '/' ? "" : here, file[0] == '/' ? "" : "/", file);
    params_begin(&w, &params, o);
    jw_put_z(&w, "path", path);
    int code = params_call(o, "store.backup", &w, &doc, &result);
    if (!code && doc) printf("written: %s\n", path);
    return code;
}

int cmd_user(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    if (o->n_words != 2 || strcmp(o->words[1], "delete") != 0) return usage("user delete, as in: tda --user alice user delete");
    params_begin(&w, &params, o);
    int code = params_call(o, "user.delete", &w, &doc, &result);
    if (!code && doc) puts("erased");
    return code;
}
