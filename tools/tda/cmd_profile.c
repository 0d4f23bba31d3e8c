/* profile: named alternatives to a user's context, for `@TAG question`. */
#include <stdio.h>

#include "base/hash.h"
#include "tda.h"

static void cell_or(struct table *t, struct json row, const char *name, const char *absent) {
    struct json v = json_key(row, tda_str_of(name));
    if (json_type(v))
        table_value(t, v);
    else
        table_cell(t, tda_str_of(absent));
}

/* What a profile does not say is the context's. */
static int list(const struct options *o) {
    static const char *const headings[] = {"TAG", "SCOPE", "DEFAULT", "PROVIDER", "MODEL", "MCP_SERVER", "TOOLS"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    struct table t;
    params_begin(&w, &params, o);
    int code = params_call(o, "profile.list", &w, &doc, &result);
    if (code || !doc) return code;
    table_begin(&t, ARRAY_LEN(headings));
    for (size_t i = 0; i < ARRAY_LEN(headings); i++) table_cell(&t, tda_str_of(headings[i]));
    for (struct json row = json_first(json_key(result, TDA_STR("profiles"))); json_type(row); row = json_next(row)) {
        table_value(&t, json_key(row, TDA_STR("tag")));
        table_value(&t, json_key(row, TDA_STR("scope")));
        table_value(&t, json_key(row, TDA_STR("default")));
        cell_or(&t, row, "provider", "the context's");
        cell_or(&t, row, "model", "the context's");
        cell_or(&t, row, "mcp_server_name", "the context's");
        cell_or(&t, row, "tools", "all");
    }
    table_print(&t);
    return EXIT_OK;
}

/* "a,b" as ["a", "b"]; "" as []. */
static void put_names(struct jw *w, const char *key, const char *names) {
    if (!names) return;
    jw_open_array(w, key);
    while (*names) {
        size_t n = strcspn(names, ",");
        if (n) jw_str(w, (tda_str){names, n});
        names += n + (names[n] == ',');
    }
    jw_end_array(w);
}

static int put(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    if (o->n_words != 3)
        return usage("profile put TAG --provider NAME --model ID ..., as in: tda profile put FAST --model gpt-5-mini");
    params_begin(&w, &params, o);
    jw_put_z(&w, "tag", o->words[2]);
    put_names(&w, "tools", o->tools);
    put_names(&w, "prompts", o->prompts);
    int code = put_configuration(&w, o);
    if (code) {
        wipe(params.p, params.n);
        buf_fini(&params);
        return code;
    }
    code = params_call(o, "profile.put", &w, &doc, &result);
    if (!code && doc) printf("kept: tda ask '@%s your question'\n", o->words[2]);
    return code;
}

static int name_one(const struct options *o, const char *method, const char *done) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    bool none = strcmp(method, "profile.default") == 0 && strcmp(o->words[2], "-") == 0;
    params_begin(&w, &params, o);
    jw_put_z(&w, "tag", none ? NULL : o->words[2]);
    int code = params_call(o, method, &w, &doc, &result);
    if (!code && doc) puts(done);
    return code;
}

int cmd_profile(const struct options *o) {
    const char *what = o->n_words > 1 ? o->words[1] : "list";
    if (strcmp(what, "list") == 0 && o->n_words <= 2) return list(o);
    if (strcmp(what, "put") == 0) return put(o);
    if (strcmp(what, "delete") == 0 && o->n_words == 3) return name_one(o, "profile.delete", "deleted");
    if (strcmp(what, "default") == 0 && o->n_words == 3) return name_one(o, "profile.default", "set");
    return usage("profile list | put TAG OPTIONS | delete TAG | default TAG|-");
}
