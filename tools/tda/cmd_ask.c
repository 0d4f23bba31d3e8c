/* What a user asks of models and tools. */
#include <stdio.h>

#include "tda.h"

enum { INPUT_MAX = 64 << 20 };

static void say_who(struct json result) {
    struct json meta = json_key(result, TDA_STR("meta"));
    print_word(stderr, "-- provider ", json_str(json_key(meta, TDA_STR("provider"))));
    print_word(stderr, ", model ", json_str(json_key(meta, TDA_STR("model"))));
    tda_str server = json_str(json_key(meta, TDA_STR("mcp_server")));
    if (server.n) print_word(stderr, ", MCP server ", server);
    tda_str profile = json_str(json_key(meta, TDA_STR("profile")));
    if (profile.n) print_word(stderr, ", profile ", profile);
    const char *before = ", tools ";
    for (struct json s = json_first(json_key(result, TDA_STR("steps"))); json_type(s); s = json_next(s), before = " ")
        print_word(stderr, before, json_str(json_key(s, TDA_STR("tool"))));
    fputc('\n', stderr);
}

/* The words as one text, or stdin. */
static bool question(const struct options *o, struct buf *text) {
    buf_init(text, INPUT_MAX);
    if (o->n_words == 2 && strcmp(o->words[1], "-") == 0) {
        tda_str all = read_all("-", INPUT_MAX / 2);
        if (all.p) buf_add_str(text, all);
        free((void *)(uintptr_t)all.p);
        return all.p && !text->status;
    }
    for (int i = 1; i < o->n_words; i++) {
        if (i > 1) buf_add_char(text, ' ');
        buf_add_z(text, o->words[i]);
    }
    return !text->status;
}

static int finish(const struct options *o, const char *method, struct jw *w) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    if (o->idempotency_key) jw_put_z(w, "idempotency_key", o->idempotency_key);
    int code = params_call(o, method, w, &doc, &result);
    if (code || !doc) return code;
    if (!rpc_answer_shown()) print_text(json_str(json_key(result, TDA_STR("text"))));
    fflush(stdout);
    if (o->verbose) say_who(result);
    return EXIT_OK;
}

int cmd_ask(const struct options *o) {
    struct buf text, params;
    struct jw w;
    if (o->n_words < 2) return usage("ask what? tda ask \"How many orders are there?\"");
    if (!question(o, &text)) return EXIT_FAILED;
    params_begin(&w, &params, o);
    jw_put_str(&w, "input", buf_str(&text));
    if (o->session) jw_put_z(&w, "session", o->session);
    buf_fini(&text);
    return finish(o, "agent.run", &w);
}

int cmd_chat(const struct options *o) {
    struct buf text, params;
    struct jw w;
    if (o->n_words < 2) return chat_interactive(o);
    if (!question(o, &text)) return EXIT_FAILED;
    params_begin(&w, &params, o);
    jw_open_array(&w, "messages");
    jw_begin_object(&w);
    jw_put_z(&w, "role", "user");
    jw_put_str(&w, "content", buf_str(&text));
    jw_end_object(&w);
    jw_end_array(&w);
    buf_fini(&text);
    return finish(o, "chat.complete", &w);
}

/* ---- any method, any tool ---- */

/* A JSON object from a word or stdin; the caller frees. {NULL,0}: an error was printed. */
static tda_str object_word(const char *word, const char *what) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct error e = {.retry_ms = -1};
    tda_str text = strcmp(word, "-") == 0 ? read_all("-", INPUT_MAX) : (tda_str){str_dup(tda_str_of(word)), strlen(word)};
    if (!text.p) return text;
    if (!json_parse(text, 0, &doc, &e) && json_type(json_root(doc)) == TDA_JSON_OBJECT) return text;
    fprintf(stderr, "tda: %s must be a JSON object%s%s\n", what, e.text[0] ? ": " : "", e.text);
    free((void *)(uintptr_t)text.p);
    return (tda_str){0};
}

int cmd_call(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    if (o->n_words < 2 || o->n_words > 3) return usage("call METHOD [JSON], as in: tda call host.info");
    tda_str given = object_word(o->n_words == 3 ? o->words[2] : "{}", "params");
    if (!given.p) return EXIT_USAGE;
    buf_init(&params, INPUT_MAX);
    buf_add_str(&params, given);
    free((void *)(uintptr_t)given.p);
    int code = rpc_call(o, o->words[1], &params, &doc, &result);
    if (!code) print_raw(json_raw(result));
    return code;
}

static void print_content(struct json result) {
    for (struct json part = json_first(json_key(result, TDA_STR("content"))); json_type(part); part = json_next(part)) {
        tda_str text = json_str(json_key(part, TDA_STR("text")));
        struct json value = json_key(part, TDA_STR("value"));
        if (text.p)
            print_text(text);
        else
            print_raw(json_raw(json_type(value) ? value : part));
    }
}

/* The tool and its arguments stand at words[at]. */
static int call_tool(const struct options *o, int at) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    bool is_error = false;
    if (o->n_words < at + 1 || o->n_words > at + 2)
        return usage("call-tool TOOL [JSON], as in: tda call-tool query '{\"sql\": \"SELECT 1\"}'");
    tda_str given = object_word(o->n_words == at + 2 ? o->words[at + 1] : "{}", "the arguments");
    if (!given.p) return EXIT_USAGE;
    params_begin(&w, &params, o);
    jw_put_z(&w, "name", o->words[at]);
    jw_put_raw(&w, "arguments", given);
    free((void *)(uintptr_t)given.p);
    int code = params_call(o, "tools.call", &w, &doc, &result);
    if (code || !doc) return code;
    print_content(result);
    json_bool(json_key(result, TDA_STR("is_error")), &is_error);
    if (is_error) fputs("tda: the tool reports an error\n", stderr);
    return is_error ? EXIT_FAILED : EXIT_OK;
}

int cmd_call_tool(const struct options *o) {
    return call_tool(o, 1);
}

int mcp_call(const struct options *o) {
    return call_tool(o, 2);
}
