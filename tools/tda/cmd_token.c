/* token: who may come by tcp, tls+tcp, ws or wss. Asks the daemon; with --store makes them in its file, while none runs. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "identity/identity.h"
#include "tda.h"

enum { MAX_OFFLINE = 10000000 };

/* ---- printing ---- */

static void cell_or(struct table *t, struct json row, const char *name, const char *absent) {
    struct json v = json_key(row, tda_str_of(name));
    if (json_str(v).n)
        table_value(t, v);
    else
        table_cell(t, tda_str_of(absent));
}

static const char *kind_of(bool is_service, bool is_operator) {
    return is_operator ? "operator" : is_service ? "service" : "user";
}

static void print_tokens(struct json tokens) {
    static const char *const headings[] = {"ID", "KIND", "USER", "LABEL", "CREATED", "EXPIRES", "LAST_USE"};
    struct table t;
    table_begin(&t, ARRAY_LEN(headings));
    for (size_t i = 0; i < ARRAY_LEN(headings); i++) table_cell(&t, tda_str_of(headings[i]));
    for (struct json row = json_first(tokens); json_type(row); row = json_next(row)) {
        bool service = false, operator= false, expired = false;
        json_bool(json_key(row, TDA_STR("service")), &service);
        json_bool(json_key(row, TDA_STR("operator")), &operator);
        json_bool(json_key(row, TDA_STR("expired")), &expired);
        table_value(&t, json_key(row, TDA_STR("id")));
        table_cell(&t, tda_str_of(kind_of(service, operator)));
        cell_or(&t, row, "user", "any");
        cell_or(&t, row, "label", "-");
        cell_or(&t, row, "created", "-");
        if (expired)
            table_cell(&t, TDA_STR("expired"));
        else
            cell_or(&t, row, "expires", "never");
        cell_or(&t, row, "last_use", "never");
    }
    table_print(&t);
}

/* The token alone on stdout, for `> FILE`; what to know about it on stderr. */
static void print_new(const struct options *o, tda_str text, tda_str id) {
    fwrite(text.p, 1, text.n, stdout);
    putchar('\n');
    if (o->quiet) return;
    fprintf(stderr, "token %.*s, for %s%s. It is shown this once: the host keeps only its hash.\n", STR_FMT(id),
            o->service ? "a service that names its users" : o->user, o->operator_right ? ", and for the operator's methods" : "");
    fputs("Give it to the client as TDA_TOKEN, or in a file: --token-file FILE\n", stderr);
}

/* ---- in the file ---- */

static int failed(const struct error *e) {
    fprintf(stderr, "tda: %s\n%s%s%s", e->text, e->hint[0] ? "     " : "", e->hint, e->hint[0] ? "\n" : "");
    return EXIT_FAILED;
}

/* As token.list writes one. */
static void put_token(struct jw *w, const struct token *t) {
    token_write(t, w);
    token_write_use(t, w);
    jw_put_bool(w, "expired", t->expires_ms && t->expires_ms <= clock_wall_ms());
}

static void write_token(void *arg, const struct token *t) {
    struct jw *w = arg;
    jw_begin_object(w);
    put_token(w, t);
    jw_end_object(w);
}

static void print_new_json(const char *text, const struct token *t) {
    struct buf out;
    struct jw w;
    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_put_z(&w, "token", text);
    put_token(&w, t);
    jw_end_object(&w);
    print_raw(buf_str(&out));
    buf_fini(&out);
}

static tda_status save(struct identity *id, struct error *e) {
    char note[400];
    tda_status s = identity_save(id, note, sizeof note);
    return s ? error_set(e, s, NULL, "%s", note) : TDA_OK;
}

static tda_status store_create(struct identity *id, const struct options *o, struct error *e) {
    char text[TOKEN_TEXT_SIZE];
    struct token t = {.is_service = o->service, .is_operator = o->operator_right};
    int64_t span = 0;
    tda_status s = o->expires ? token_read_expiry(tda_str_of(o->expires), &span, e) : TDA_OK;
    if (s) return s;
    if (span) t.expires_ms = clock_wall_ms() + span;
    snprintf(t.user, sizeof t.user, "%s", o->user && !o->service ? o->user : "");
    snprintf(t.label, sizeof t.label, "%s", o->label ? o->label : "");
    s = identity_create(id, &t, text, e);
    if (!s) s = save(id, e);
    if (!s && o->json) print_new_json(text, &t);
    if (!s && !o->json) print_new(o, tda_str_of(text), tda_str_of(t.id));
    wipe(text, sizeof text);
    return s;
}

static tda_status store_list(struct identity *id, const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf text;
    struct jw w;
    buf_init(&text, 1 << 30);
    jw_init(&w, &text);
    jw_begin_array(&w);
    tda_status s = identity_list(id, write_token, &w);
    jw_end_array(&w);
    if (!s) s = text.status ? text.status : json_parse(buf_str(&text), 0, &doc, NULL);
    if (!s && o->json) print_raw(buf_str(&text));
    if (!s && !o->json) print_tokens(json_root(doc));
    buf_fini(&text);
    return s;
}

static int in_store(const struct options *o, const char *what) {
    struct error e = {.retry_ms = -1};
    struct identity *id;
    struct identity_options io = {.path = o->store, .max_tokens = MAX_OFFLINE};
    tda_status s = hash_init();
    if (!s) s = identity_new(&io, &id, &e);
    if (s) return failed(&e);
    if (strcmp(what, "create") == 0)
        s = store_create(id, o, &e);
    else if (strcmp(what, "list") == 0)
        s = store_list(id, o);
    else
        s = identity_revoke(id, tda_str_of(o->words[2]), &e);
    if (!s && strcmp(what, "revoke") == 0) s = save(id, &e);
    if (!s && strcmp(what, "revoke") == 0) puts("revoked");
    identity_free(id);
    return s ? failed(&e) : EXIT_OK;
}

/* ---- at the daemon ---- */

static int create(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    if (o->service) jw_put_bool(&w, "service", true);
    if (o->operator_right) jw_put_bool(&w, "operator", true);
    if (o->label) jw_put_z(&w, "label", o->label);
    if (o->expires) jw_put_z(&w, "expires", o->expires);
    int code = params_call(o, "token.create", &w, &doc, &result);
    if (!code && doc) print_new(o, json_str(json_key(result, TDA_STR("token"))), json_str(json_key(result, TDA_STR("id"))));
    return code;
}

static int list(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    int code = params_call(o, "token.list", &w, &doc, &result);
    if (!code && doc) print_tokens(json_key(result, TDA_STR("tokens")));
    return code;
}

static int revoke_one(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    int64_t left = 1;
    params_begin(&w, &params, o);
    jw_put_z(&w, "id", o->words[2]);
    int code = params_call(o, "token.revoke", &w, &doc, &result);
    if (code || !doc) return code;
    puts("revoked");
    json_i64(json_key(result, TDA_STR("tokens")), &left);
    if (!left && !o->quiet)
        fputs("it was the last one: a daemon that listens on tcp, tls+tcp, ws or wss does not start before there is another\n",
              stderr);
    return EXIT_OK;
}

int cmd_token(const struct options *o) {
    const char *what = o->n_words > 1 ? o->words[1] : "list";
    struct options own = *o;
    bool known = strcmp(what, "create") == 0 || strcmp(what, "list") == 0 || strcmp(what, "revoke") == 0;
    if (!known || o->n_words > 3 || (o->n_words == 3) != (strcmp(what, "revoke") == 0))
        return usage("token create --user USER|--service | list | revoke ID; tda help token");
    if (strcmp(what, "create") == 0 && !o->user && !o->service) return usage("token create wants --user USER, or --service");
    if (o->service || what[0] != 'c') own.user = NULL; /* TDA_USER may be set all the time */
    if (o->store) return in_store(&own, what);
    return what[0] == 'c' ? create(&own) : what[0] == 'l' ? list(&own) : revoke_one(&own);
}
