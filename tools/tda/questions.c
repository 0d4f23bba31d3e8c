/* A task asks its user something: shown on the terminal, and the answer goes back with task.respond. Forms are filled in line by
 * line, a page is to be visited; the end of the authorisation at one is an address, which is pasted here. Where nobody sits at a
 * terminal the answer is that there is none. */
#include <stdio.h>
#include <unistd.h>

#include "tda.h"

enum { LINE_MAX_BYTES = 8192 };

static tda_str member(struct json v, const char *key) {
    return json_str(json_key(v, tda_str_of(key)));
}

/* What was typed, without its end; NULL: the end of input, or Ctrl-C. */
static char *read_line(char *line, size_t size) {
    fflush(stderr);
    char *got = fgets(line, (int)size, stdin);
    if (!got) clearerr(stdin);
    if (got) got[strcspn(got, "\r\n")] = 0;
    return got;
}

/* ---- a form ---- */

static void prompt_field(struct json field, bool required) {
    tda_str title = member(field, "title"), about = member(field, "description");
    struct json words = json_key(field, TDA_STR("enum")), usual = json_key(field, TDA_STR("default"));
    print_word(stderr, "  ", title.n ? title : json_name(field));
    if (about.n) print_word(stderr, ": ", about);
    if (json_type(words)) print_word(stderr, " one of ", json_raw(words));
    if (json_type(usual)) print_word(stderr, " [", json_raw(usual));
    fputs(json_type(usual) ? "]" : required ? "" : " (may be empty)", stderr);
    fputs(" > ", stderr);
}

static bool is_yes(const char *line) {
    return strchr("yYtT1", line[0]) != NULL && line[0];
}

static void put_list(struct jw *w, char *line) {
    char *rest = NULL;
    jw_begin_array(w);
    for (char *word = strtok_r(line, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        while (*word == ' ') word++;
        size_t n = strlen(word);
        while (n && word[n - 1] == ' ') n--;
        jw_str(w, (tda_str){word, n});
    }
    jw_end_array(w);
}

static void put_value(struct jw *w, struct json field, char *line) {
    tda_str type = member(field, "type");
    bool number = tda_str_eq(type, TDA_STR("number")) || tda_str_eq(type, TDA_STR("integer"));
    if (number && json_check(tda_str_of(line), 0, NULL) == TDA_OK)
        jw_raw(w, tda_str_of(line));
    else if (tda_str_eq(type, TDA_STR("boolean")))
        jw_bool(w, is_yes(line));
    else if (tda_str_eq(type, TDA_STR("array")))
        put_list(w, line);
    else
        jw_str(w, tda_str_of(line));
}

static bool is_required(struct json schema, tda_str name) {
    for (struct json v = json_first(json_key(schema, TDA_STR("required"))); json_type(v); v = json_next(v))
        if (tda_str_eq(json_str(v), name)) return true;
    return false;
}

static bool fill_form(struct json event, struct jw *w) {
    char line[LINE_MAX_BYTES];
    struct json schema = json_key(event, TDA_STR("schema"));
    for (struct json f = json_first(json_key(schema, TDA_STR("properties"))); json_type(f); f = json_next(f)) {
        struct json usual = json_key(f, TDA_STR("default"));
        prompt_field(f, is_required(schema, json_name(f)));
        if (!read_line(line, sizeof line)) return false;
        if (!line[0] && !json_type(usual)) continue;
        jw_key(w, json_name(f));
        if (line[0])
            put_value(w, f, line);
        else
            jw_raw(w, json_raw(usual));
    }
    return true;
}

/* ---- a page ---- */

static bool visit_page(struct json event, struct jw *w) {
    char line[LINE_MAX_BYTES];
    bool authorization = tda_str_eq(member(event, "kind"), TDA_STR("authorization"));
    print_word(stderr, "  visit ", member(event, "url"));
    fputs(authorization ? "\n  then paste the address that the browser is sent to > " : "\n  then press Enter; Ctrl-D declines > ",
          stderr);
    if (!read_line(line, sizeof line)) return false;
    if (authorization) jw_put_z(w, "redirect", line);
    return !authorization || line[0];
}

/* ---- asking ---- */

static void write_answer(struct json event, struct buf *out) {
    struct jw w;
    buf_init(out, 1 << 20);
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_put_z(&w, "action", "accept");
    jw_open_object(&w, "content");
    bool form = tda_str_eq(member(event, "kind"), TDA_STR("form"));
    bool accepted = form ? fill_form(event, &w) : visit_page(event, &w);
    if (accepted) {
        jw_end_object(&w);
        jw_end_object(&w);
        return;
    }
    fputs("\n  declined\n", stderr);
    buf_clear(out);
    buf_add_z(out, "{\"action\":\"decline\"}");
}

bool question_answer(const struct options *o, struct tda_client *c, const char *task, const char *event_json) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf answer, params;
    struct tda_client_error e;
    struct jw w;
    if (json_parse(tda_str_of(event_json), 0, &doc, NULL) || !tda_str_eq(member(json_root(doc), "type"), TDA_STR("ask")))
        return false;
    struct json event = json_root(doc);
    bool somebody = isatty(0) && isatty(2);
    if (somebody) print_word(stderr, "MCP server ", member(event, "server"));
    if (somebody) print_word(stderr, " asks: ", member(event, "message"));
    if (somebody) fputc('\n', stderr);
    if (somebody) write_answer(event, &answer);
    params_begin(&w, &params, o);
    jw_put_z(&w, "task", task);
    jw_put_str(&w, "request", member(event, "request"));
    jw_key(&w, TDA_STR("json"));
    jw_raw(&w, somebody ? buf_str(&answer) : TDA_STR("null"));
    jw_end_object(&w);
    buf_add_char(&params, 0);
    char *result GUARD(free_p) = NULL;
    if (!params.status && tda_client_call(c, "task.respond", params.p, &result, &e)) rpc_failed(o, c, &e);
    if (somebody) buf_fini(&answer);
    buf_fini(&params);
    return true;
}
