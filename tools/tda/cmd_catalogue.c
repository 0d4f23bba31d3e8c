/* mcp tools, call, approve, prompts, resources: what the MCP server of a context has. */
#include <stdio.h>

#include "tda.h"

enum { DESCRIPTION_MAX = 60 };

static bool has_server(const struct options *o, struct jw *w) {
    if (o->server) jw_put_z(w, "server", o->server);
    return o->server != NULL;
}

/* The server is the context's; one that is named has to be it. */
static int check_server(const struct options *o, struct json result) {
    tda_str is = json_str(json_key(result, TDA_STR("server")));
    if (!o->server || tda_str_eq(is, tda_str_of(o->server))) return EXIT_OK;
    return usage("this user's MCP server is %.*s, not %s; configure chooses it, and so does a profile", STR_FMT(is), o->server);
}

/* A method that lists, with paging and a profile. EXIT_OK with *doc NULL: printed already. */
static int list(const struct options *o, const char *method, bool pages, struct json_doc **doc, struct json *result) {
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    if (pages && o->limit) jw_put_raw(&w, "limit", tda_str_of(o->limit));
    if (pages && o->cursor) jw_put_z(&w, "cursor", o->cursor);
    int code = params_call(o, method, &w, doc, result);
    return code || !*doc ? code : check_server(o, *result);
}

static void print_more(struct json result) {
    tda_str cursor = json_str(json_key(result, TDA_STR("cursor")));
    if (cursor.n) fprintf(stderr, "there are more: --cursor %.*s\n", STR_FMT(cursor));
}

/* The first line, as far as a table has room. */
static void short_cell(struct table *t, struct json row, const char *name) {
    tda_str text = json_str(json_key(row, tda_str_of(name)));
    char cell[DESCRIPTION_MAX + 8];
    size_t n = 0;
    while (n < text.n && n < DESCRIPTION_MAX && text.p[n] != '\n' && text.p[n] != '\r') n++;
    bool cut = n < text.n;
    while (cut && n && ((unsigned char)text.p[n] & 0xC0) == 0x80) n--;
    snprintf(cell, sizeof cell, "%.*s%s", (int)n, text.p ? text.p : "", cut ? "..." : "");
    table_cell(t, tda_str_of(cell));
}

static void heading(struct table *t, const char *const *names, size_t n) {
    table_begin(t, n);
    for (size_t i = 0; i < n; i++) table_cell(t, tda_str_of(names[i]));
}

/* ---- tools ---- */

static tda_str state_of(struct json tool) {
    bool enabled = true;
    tda_str pinned = json_str(json_key(tool, TDA_STR("pinned")));
    json_bool(json_key(tool, TDA_STR("enabled")), &enabled);
    if (!enabled) return TDA_STR("disabled");
    return pinned.n && !tda_str_eq(pinned, TDA_STR("ok")) ? pinned : TDA_STR("enabled");
}

/* "text, limit?": what is required, and what may be left out. */
static void arguments_cell(struct table *t, struct json schema) {
    struct buf names;
    buf_init(&names, 4096);
    struct json required = json_key(schema, TDA_STR("required"));
    for (struct json p = json_first(json_key(schema, TDA_STR("properties"))); json_type(p); p = json_next(p)) {
        bool needed = false;
        for (struct json r = json_first(required); json_type(r) && !needed; r = json_next(r))
            needed = tda_str_eq(json_str(r), json_name(p));
        buf_addf(&names, "%s%.*s%s", names.n ? ", " : "", STR_FMT(json_name(p)), needed ? "" : "?");
    }
    table_cell(t, names.n && !names.status ? buf_str(&names) : TDA_STR("-"));
    buf_fini(&names);
}

int mcp_tools(const struct options *o) {
    static const char *const names[] = {"NAME", "STATE", "ARGUMENTS", "DESCRIPTION"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct table t;
    int code = list(o, "tools.list", false, &doc, &result);
    if (code || !doc) return code;
    heading(&t, names, ARRAY_LEN(names));
    for (struct json row = json_first(json_key(result, TDA_STR("tools"))); json_type(row); row = json_next(row)) {
        table_value(&t, json_key(row, TDA_STR("name")));
        table_cell(&t, state_of(row));
        arguments_cell(&t, json_key(row, TDA_STR("schema")));
        short_cell(&t, row, "description");
    }
    table_print(&t);
    return EXIT_OK;
}

int mcp_approve(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    has_server(o, &w);
    if (o->n_words == 3) jw_put_z(&w, "tool", o->words[2]);
    int code = params_call(o, "tools.approve", &w, &doc, &result);
    if (code || !doc) return code;
    for (struct json v = json_first(json_key(result, TDA_STR("approved"))); json_type(v); v = json_next(v)) {
        print_word(stdout, "approved: ", json_str(v));
        putchar('\n');
    }
    return EXIT_OK;
}

/* ---- prompts ---- */

static void prompt_arguments_cell(struct table *t, struct json arguments) {
    struct buf names;
    buf_init(&names, 4096);
    for (struct json a = json_first(arguments); json_type(a); a = json_next(a)) {
        bool needed = false;
        json_bool(json_key(a, TDA_STR("required")), &needed);
        buf_addf(&names, "%s%.*s%s", names.n ? ", " : "", STR_FMT(json_str(json_key(a, TDA_STR("name")))), needed ? "" : "?");
    }
    table_cell(t, names.n && !names.status ? buf_str(&names) : TDA_STR("-"));
    buf_fini(&names);
}

static int list_prompts(const struct options *o) {
    static const char *const names[] = {"NAME", "STATE", "ARGUMENTS", "DESCRIPTION"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct table t;
    int code = list(o, "prompts.list", true, &doc, &result);
    if (code || !doc) return code;
    heading(&t, names, ARRAY_LEN(names));
    for (struct json row = json_first(json_key(result, TDA_STR("prompts"))); json_type(row); row = json_next(row)) {
        table_value(&t, json_key(row, TDA_STR("name")));
        table_cell(&t, state_of(row));
        prompt_arguments_cell(&t, json_key(row, TDA_STR("arguments")));
        short_cell(&t, row, "description");
    }
    table_print(&t);
    print_more(result);
    return EXIT_OK;
}

static void print_message(struct json m) {
    struct json content = json_key(m, TDA_STR("content"));
    tda_str text = json_str(json_key(content, TDA_STR("text")));
    print_word(stdout, "", json_str(json_key(m, TDA_STR("role"))));
    fputs(": ", stdout);
    if (text.p)
        print_text(text);
    else
        print_raw(json_raw(content));
}

static int get_prompt(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    jw_put_z(&w, "name", o->words[2]);
    jw_open_object(&w, "arguments");
    for (int i = 3; i < o->n_words; i++) {
        const char *eq = strchr(o->words[i], '=');
        if (!eq) {
            buf_fini(&params);
            return usage("NAME=VALUE is wanted, not \"%s\"", o->words[i]);
        }
        jw_key(&w, (tda_str){o->words[i], (size_t)(eq - o->words[i])});
        jw_str(&w, tda_str_of(eq + 1));
    }
    jw_end_object(&w);
    int code = params_call(o, "prompts.get", &w, &doc, &result);
    if (code || !doc) return code;
    for (struct json m = json_first(json_key(result, TDA_STR("messages"))); json_type(m); m = json_next(m)) print_message(m);
    return EXIT_OK;
}

int mcp_prompts(const struct options *o) {
    return o->n_words > 2 ? get_prompt(o) : list_prompts(o);
}

/* ---- resources ---- */

static int list_resources(const struct options *o, const char *method, const char *member, const char *key) {
    const char *const names[] = {strcmp(key, "uri") == 0 ? "URI" : "TEMPLATE", "NAME", "MIME", "DESCRIPTION"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct table t;
    int code = list(o, method, true, &doc, &result);
    if (code || !doc) return code;
    heading(&t, names, ARRAY_LEN(names));
    for (struct json row = json_first(json_key(result, tda_str_of(member))); json_type(row); row = json_next(row)) {
        table_value(&t, json_key(row, tda_str_of(key)));
        table_value(&t, json_key(row, TDA_STR("name")));
        table_value(&t, json_key(row, TDA_STR("mime")));
        short_cell(&t, row, "description");
    }
    table_print(&t);
    print_more(result);
    return EXIT_OK;
}

static int read_resource(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    jw_put_z(&w, "uri", o->words[2]);
    int code = params_call(o, "resources.read", &w, &doc, &result);
    if (code || !doc) return code;
    for (struct json c = json_first(json_key(result, TDA_STR("contents"))); json_type(c); c = json_next(c)) {
        tda_str text = json_str(json_key(c, TDA_STR("text"))), data = json_str(json_key(c, TDA_STR("data")));
        if (text.p)
            print_text(text);
        else
            printf("[%zu characters of base64; --json prints them]\n", data.n);
    }
    return EXIT_OK;
}

int mcp_resources(const struct options *o) {
    if (o->n_words == 2) return list_resources(o, "resources.list", "resources", "uri");
    if (strcmp(o->words[2], "templates") == 0) return list_resources(o, "resources.templates", "templates", "template");
    return read_resource(o);
}
