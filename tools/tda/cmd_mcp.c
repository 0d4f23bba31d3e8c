/* mcp: the servers, how the caller's connections to them fare, what they said; and a look at one before it is in any configuration.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tda.h"

enum { FOLLOW_US = 500 * 1000 };

static void begin_with_server(struct jw *w, struct buf *params, const struct options *o, const char *server) {
    params_begin(w, params, o);
    if (server) jw_put_z(w, "server", server);
}

static const char *word(const struct options *o, int i) {
    return o->n_words > i ? o->words[i] : NULL;
}

/* ---- list ---- */

static int list(const struct options *o) {
    static const char *const columns[] = {"name",  "state", "transport", "era",       "version",
                                          "since", "calls", "starts",    "processes", "last_error"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    int code = params_call(o, "mcp.list", &w, &doc, &result);
    if (!code && doc) print_rows(json_key(result, TDA_STR("servers")), columns, ARRAY_LEN(columns));
    return code;
}

/* ---- probe ---- */

static tda_str text_of(struct json result, const char *path) {
    return json_str(json_get(result, path));
}

static void add_row(struct table *t, const char *name, const char *text) {
    table_cell(t, tda_str_of(name));
    table_cell(t, tda_str_of(text));
}

static void add_step(struct table *t, struct json step) {
    char name[40], text[400], us[32] = "";
    int64_t n = 0;
    tda_str error = json_str(json_key(step, TDA_STR("error")));
    if (json_i64(json_key(step, TDA_STR("us")), &n)) snprintf(us, sizeof us, "%.1f ms", (double)n / 1000);
    snprintf(name, sizeof name, "%.*s", STR_FMT(json_str(json_key(step, TDA_STR("step")))));
    if (error.p)
        snprintf(text, sizeof text, "failed after %s: %.*s", us, (int)(error.n < 300 ? error.n : 300), error.p);
    else if (json_i64(json_key(step, TDA_STR("count")), &n))
        snprintf(text, sizeof text, "%lld in %s", (long long)n, us);
    else
        snprintf(text, sizeof text, "%s", us);
    add_row(t, name, text);
}

static void add_capabilities(struct table *t, struct json capabilities) {
    struct buf names;
    buf_init(&names, 1024);
    for (struct json m = json_first(capabilities); json_type(m); m = json_next(m))
        buf_addf(&names, "%s%.*s", names.n ? ", " : "", STR_FMT(json_name(m)));
    if (!buf_add_char(&names, 0)) add_row(t, "capabilities", names.p[0] ? names.p : "none");
    buf_fini(&names);
}

static void print_probe(struct json result) {
    struct table t;
    char text[400];
    tda_str over = text_of(result, "wire");
    table_begin(&t, 2);
    add_row(&t, "NAME", "VALUE");
    snprintf(text, sizeof text, "%.*s %.*s", STR_FMT(text_of(result, "server.name")), STR_FMT(text_of(result, "server.version")));
    add_row(&t, "server", text);
    snprintf(text, sizeof text, "%.*s%s%.*s%s%.*s", STR_FMT(text_of(result, "version")), text_of(result, "era").n ? ", era " : "",
             STR_FMT(text_of(result, "era")), over.n ? ", over " : "", STR_FMT(over));
    add_row(&t, "protocol", text);
    add_capabilities(&t, json_key(result, TDA_STR("capabilities")));
    for (struct json s = json_first(json_key(result, TDA_STR("steps"))); json_type(s); s = json_next(s)) add_step(&t, s);
    table_print(&t);
}

int mcp_probe(const struct options *o, const char *server) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    begin_with_server(&w, &params, o, server);
    int code = params_call(o, "mcp.probe", &w, &doc, &result);
    if (!code && doc) print_probe(result);
    return code;
}

static int probe(const struct options *o) {
    bool command = o->after_dashes == 2 && o->n_words > 2;
    if (command) return mcp_probe_command(o, o->words + 2);
    if (o->n_words > 3 || o->after_dashes) return usage("mcp probe NAME, mcp probe URL, or mcp probe -- COMMAND ARGUMENTS");
    const char *server = word(o, 2);
    if (server && (strncmp(server, "http://", 7) == 0 || strncmp(server, "https://", 8) == 0)) return mcp_probe_url(o, server);
    return mcp_probe(o, server);
}

/* ---- logs ---- */

static void print_line(struct json line) {
    print_word(stdout, "", json_str(json_key(line, TDA_STR("at"))));
    printf("  %-6.*s", STR_FMT(json_str(json_key(line, TDA_STR("from")))));
    tda_str session = json_str(json_key(line, TDA_STR("session")));
    if (session.n) {
        print_word(stdout, "  [", session);
        putchar(']');
    }
    print_word(stdout, "  ", json_str(json_key(line, TDA_STR("text"))));
    putchar('\n');
}

/* `next`: the number of the last line seen, 0 at first. */
static int show_lines(const struct options *o, const char *server, int64_t *next) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    begin_with_server(&w, &params, o, server);
    if (o->lines && !*next) jw_put_raw(&w, "lines", tda_str_of(o->lines));
    if (*next) jw_put_i64(&w, "after", *next);
    jw_end_object(&w);
    int code = rpc_call(o, "mcp.logs", &params, &doc, &result);
    if (code) return code;
    int64_t last = 0;
    json_i64(json_key(result, TDA_STR("next")), &last);
    if (o->json && (!o->follow || last != *next || !last)) print_raw(json_raw(result));
    for (struct json l = json_first(json_key(result, TDA_STR("lines"))); json_type(l) && !o->json; l = json_next(l)) print_line(l);
    *next = last;
    fflush(stdout);
    return EXIT_OK;
}

int mcp_logs(const struct options *o, const char *server) {
    int64_t next = 0;
    if (o->lines && strspn(o->lines, "0123456789") != strlen(o->lines))
        return usage("--lines wants a number, not \"%s\"", o->lines);
    int code = show_lines(o, server, &next);
    while (!code && o->follow) {
        usleep(FOLLOW_US);
        code = show_lines(o, server, &next);
    }
    return code;
}

/* ---- restart ---- */

static int restart(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    int64_t closed = 0;
    bool parked = false;
    begin_with_server(&w, &params, o, word(o, 2));
    int code = params_call(o, "mcp.restart", &w, &doc, &result);
    if (code || !doc) return code;
    json_i64(json_key(result, TDA_STR("closed")), &closed);
    json_bool(json_key(result, TDA_STR("was_parked")), &parked);
    printf("%lld closed%s; the next use starts it\n", (long long)closed, parked ? ", and no longer parked" : "");
    return EXIT_OK;
}

int cmd_mcp(const struct options *o) {
    const char *what = o->n_words > 1 ? o->words[1] : "list";
    if (strcmp(what, "list") == 0 && o->n_words <= 2) return list(o);
    if (strcmp(what, "probe") == 0) return probe(o);
    if (strcmp(what, "logs") == 0 && o->n_words <= 3) return mcp_logs(o, word(o, 2));
    if (strcmp(what, "restart") == 0 && o->n_words <= 3) return restart(o);
    if (strcmp(what, "tools") == 0 && o->n_words == 2) return mcp_tools(o);
    if (strcmp(what, "call") == 0) return mcp_call(o);
    if (strcmp(what, "approve") == 0 && o->n_words <= 3) return mcp_approve(o);
    if (strcmp(what, "prompts") == 0) return mcp_prompts(o);
    if (strcmp(what, "resources") == 0 && o->n_words <= 3) return mcp_resources(o);
    return usage("mcp list | probe [NAME | URL | -- COMMAND ARGUMENTS] | logs [NAME] | restart [NAME] | tools | call TOOL [JSON] | "
                 "approve [TOOL] | prompts [NAME [ARGUMENT=VALUE...]] | resources [URI | templates]");
}
