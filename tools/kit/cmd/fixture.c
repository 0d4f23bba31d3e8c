/* Recorded conversations with a service. A file NAME.case; what each line means stands in the README of this folder's parent. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "cmd.h"
#include "context/context.h"

enum { CASE_MAX = 16 << 20, PATH_SIZE = 4096 };

static const struct {
    const char *word;
    bool of_adapter;
    uint32_t op;
} ops[] = {{"chat", false, TDA_OP_CHAT},
           {"validate", false, TDA_OP_VALIDATE},
           {"models", false, TDA_OP_MODELS},
           {"count", false, TDA_OP_COUNT},
           {"list_tools", true, TDA_AOP_LIST_TOOLS},
           {"call_tool", true, TDA_AOP_CALL_TOOL},
           {"list_prompts", true, TDA_AOP_LIST_PROMPTS},
           {"get_prompt", true, TDA_AOP_GET_PROMPT},
           {"list_resources", true, TDA_AOP_LIST_RESOURCES},
           {"read_resource", true, TDA_AOP_READ_RESOURCE},
           {"complete", true, TDA_AOP_COMPLETE}};

struct reader {
    struct fixture *f;
    const char *dir;
    char *rest;
    const char *end; /* of the text */
    unsigned line;
    struct error *e;
};

struct fixture *fixture_new(const char *name) {
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->name = str_dup(tda_str_of(name));
    f->op = TDA_OP_CHAT;
    return f;
}

void fixture_free(struct fixture *f) {
    if (!f) return;
    char *texts[] = {f->name, f->model, f->ask, f->tool, f->args, f->url, f->want_class, f->want_text, f->want_sent};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
    for (size_t i = 0; i < f->n_answers; i++) {
        free(f->answers[i].headers);
        free((void *)(uintptr_t)f->answers[i].body.p);
    }
    for (size_t i = 0; i < f->n_rules; i++) {
        free(f->rules[i].word);
        free(f->rules[i].reply);
    }
    for (size_t i = 0; i < f->n_settings; i++) {
        free(f->settings[i].name);
        free(f->settings[i].value);
    }
    free(f);
}

void fixtures_free(struct fixtures *f) {
    for (size_t i = 0; i < f->n; i++) fixture_free(f->list[i]);
    f->n = 0;
}

static tda_status bad(const struct reader *r, const char *what) {
    return error_set(r->e, TDA_E_SYNTAX, NULL, "%s.case, line %u: %s", r->f->name, r->line, what);
}

static void set(char **place, const char *value) {
    free(*place);
    *place = str_dup(tda_str_of(value));
}

static char *take_line(struct reader *r) {
    r->line++;
    return strsep(&r->rest, "\n");
}

/* ---- the head ---- */

static tda_status read_op(struct reader *r, char *value) {
    char *word = strsep(&value, " ");
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].word, word) != 0) continue;
        r->f->op = ops[i].op;
        r->f->of_adapter = ops[i].of_adapter;
        if (value && ops[i].of_adapter) {
            set(&r->f->tool, strsep(&value, " "));
            if (value) set(&r->f->args, value);
        }
        return TDA_OK;
    }
    return bad(r, "op wants chat, validate, models, count, list_tools, call_tool NAME {...}, or another operation of an adapter");
}

static tda_status read_setting(struct reader *r, char *value) {
    char *name = strsep(&value, " ");
    if (r->f->n_settings == SETTINGS_MAX) return bad(r, "too many settings");
    r->f->settings[r->f->n_settings++] =
        (struct kit_value){.name = str_dup(tda_str_of(name)), .value = str_dup(tda_str_of(value ? value : ""))};
    return TDA_OK;
}

/* A field of the user's context by its name: aws_region eu-west-1. */
static tda_status read_context(struct reader *r, char *value) {
    char *name = strsep(&value, " ");
    const struct ctx_field *f = ctx_field_find(tda_str_of(name));
    if (!f || !value) return bad(r, "context wants a field and its value: context aws_region eu-west-1");
    if (r->f->n_settings == SETTINGS_MAX) return bad(r, "too many settings");
    r->f->settings[r->f->n_settings++] =
        (struct kit_value){.name = str_dup(TDA_STR("")), .value = str_dup(tda_str_of(value)), .key = f->key};
    return TDA_OK;
}

static tda_status read_want(struct reader *r, char *value) {
    char *what = strsep(&value, " ");
    if (!value) return bad(r, "expect wants class NAME, text TEXT or sent TEXT");
    if (strcmp(what, "class") == 0)
        set(&r->f->want_class, value);
    else if (strcmp(what, "text") == 0)
        set(&r->f->want_text, value);
    else if (strcmp(what, "sent") == 0)
        set(&r->f->want_sent, value);
    else
        return bad(r, "expect wants class NAME, text TEXT or sent TEXT");
    return TDA_OK;
}

static tda_status read_word(struct reader *r, const char *word, char *value) {
    if (strcmp(word, "op") == 0) return read_op(r, value);
    if (strcmp(word, "setting") == 0) return read_setting(r, value);
    if (strcmp(word, "context") == 0) return read_context(r, value);
    if (strcmp(word, "expect") == 0) return read_want(r, value);
    if (strcmp(word, "stream") == 0)
        r->f->stream = strcmp(value, "yes") == 0;
    else if (strcmp(word, "model") == 0)
        set(&r->f->model, value);
    else if (strcmp(word, "ask") == 0)
        set(&r->f->ask, value);
    else if (strcmp(word, "url") == 0)
        set(&r->f->url, value);
    else
        return bad(r, "the words are op, model, ask, stream, setting, context, url, expect; answers begin with <<<, a server's "
                      "rules with >>>");
    return TDA_OK;
}

/* ---- answers and rules ---- */

/* Up to the next line that begins a section, that line left in place. */
static tda_str take_body(struct reader *r) {
    char *from = r->rest;
    while (r->rest && strncmp(r->rest, "<<<", 3) != 0 && strncmp(r->rest, ">>>", 3) != 0) take_line(r);
    size_t n = from ? (size_t)((r->rest ? r->rest : r->end) - from) : 0;
    for (size_t i = 0; i < n; i++)
        if (!from[i]) from[i] = '\n'; /* strsep's */
    return (tda_str){from ? from : "", n};
}

static tda_status read_body_file(struct reader *r, const char *name, struct answer *a) {
    char path[PATH_SIZE];
    size_t n = 0;
    if (strchr(name, '/')) return bad(r, "a file stands in the same folder");
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    const char *p = read_whole(path, CASE_MAX, &n);
    if (!p) return bad(r, "the file of the answer cannot be read");
    free((void *)(uintptr_t)a->body.p);
    a->body = (tda_str){p, n};
    return TDA_OK;
}

static tda_status read_answer(struct reader *r, char *head) {
    struct buf headers;
    if (r->f->n_answers == ANSWERS_MAX) return bad(r, "too many answers");
    struct answer *a = &r->f->answers[r->f->n_answers++];
    char *end;
    *a = (struct answer){.status = (int32_t)strtol(head, &end, 10)};
    if (end == head) return bad(r, "<<< wants a status, as in: <<< 200");
    while (*end == ' ') end++;
    buf_init(&headers, CASE_MAX);
    while (r->rest && r->rest[0] && r->rest[0] != '\n' && strncmp(r->rest, "<<<", 3) != 0) {
        buf_add_z(&headers, take_line(r));
        buf_add_char(&headers, '\n');
    }
    if (r->rest && r->rest[0] == '\n') take_line(r);
    buf_add_char(&headers, 0);
    a->headers = buf_take(&headers, NULL);
    tda_str body = take_body(r);
    a->body = (tda_str){str_dup(body), body.n};
    if (strncmp(end, "file ", 5) == 0) return read_body_file(r, end + 5, a);
    if (strncmp(end, "fail ", 5) == 0) {
        for (uint32_t cls = 1; cls <= TDA_C_INTERNAL; cls++)
            if (strcmp(class_name(cls), end + 5) == 0) a->fail_cls = cls;
        return a->fail_cls ? TDA_OK : bad(r, "fail wants a class: NETWORK, TIMEOUT, TOO_LARGE...");
    }
    return *end ? bad(r, "after the status comes nothing, file NAME or fail CLASS") : TDA_OK;
}

static tda_status read_rule(struct reader *r, const char *word) {
    if (r->f->n_rules == RULES_MAX) return bad(r, "too many rules");
    struct rule *rule = &r->f->rules[r->f->n_rules++];
    tda_str reply = take_body(r);
    rule->word = str_dup(tda_str_of(word));
    rule->reply = str_dup(reply);
    return TDA_OK;
}

/* ---- files ---- */

static tda_status read_case(struct reader *r) {
    tda_status s = TDA_OK;
    while (!s && r->rest) {
        char *line = take_line(r), *value = line;
        if (!line[0] || line[0] == '#') continue;
        char *word = strsep(&value, " ");
        if (!value) value = word + strlen(word);
        if (strcmp(word, "<<<") == 0)
            s = read_answer(r, value);
        else if (strcmp(word, ">>>") == 0)
            s = read_rule(r, value);
        else
            s = read_word(r, word, value);
    }
    return s;
}

static tda_status read_file(const char *dir, const char *name, struct fixtures *ret, struct error *e) {
    char path[PATH_SIZE];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *text GUARD(free_p) = (char *)(uintptr_t)read_whole(path, CASE_MAX, &n);
    if (!text) return error_set(e, TDA_E_IO, NULL, "%s: %s", path, strerror(errno));
    if (ret->n == FIXTURES_MAX) return error_set(e, TDA_E_LIMIT, NULL, "%s: more than %d cases", dir, FIXTURES_MAX);
    char *stem GUARD(free_p) = str_dup((tda_str){name, strlen(name) - strlen(".case")});
    struct reader r = {.f = fixture_new(stem), .dir = dir, .rest = text, .end = text + n, .e = e};
    if (!r.f) return TDA_E_NOMEM;
    ret->list[ret->n++] = r.f;
    return read_case(&r);
}

static int is_case(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 5 && strcmp(d->d_name + n - 5, ".case") == 0;
}

tda_status fixtures_read(const char *dir, struct fixtures *ret, struct error *e) {
    struct dirent **names;
    int n = scandir(dir, &names, is_case, alphasort);
    if (n < 0) return error_set(e, TDA_E_NOT_FOUND, NULL, "%s: %s", dir, strerror(errno));
    tda_status s = n ? TDA_OK : error_set(e, TDA_E_NOT_FOUND, NULL, "%s: there is no file NAME.case in it", dir);
    for (int i = 0; i < n; i++) {
        if (!s) s = read_file(dir, names[i]->d_name, ret, e);
        free(names[i]);
    }
    free(names);
    return s;
}
