#include "plugin/note.h"

#include "loop/url.h"

enum { NOTE_TEXT_MAX = 16384 };

static tda_status bad(struct error *e, const char *line, const char *what) {
    return error_set(e, TDA_E_INVALID, "bad_note", "its note: \"%.60s\": %s", line, what);
}

/* Cuts the next word off. NULL: none left. */
static char *word(char **rest) {
    while (**rest == ' ') (*rest)++;
    if (!**rest) return NULL;
    char *w = *rest;
    *rest += strcspn(w, " ");
    if (**rest) *(*rest)++ = 0;
    return w;
}

static bool id_ok(const char *id) {
    size_t n = strlen(id);
    if (n == 0 || n > 32 || id[0] < 'a' || id[0] > 'z') return false;
    return strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static tda_status add(const char **list, size_t *n, char *rest, struct error *e, const char *line) {
    char *w = word(&rest);
    if (!w) return bad(e, line, "a word is missing");
    if (*n == NOTE_LIST_MAX) return bad(e, line, "too many of these");
    list[(*n)++] = w;
    return TDA_OK;
}

static bool type_ok(const char *type) {
    static const char *const types[] = {"text", "url", "int", "bool", "secret"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(type, types[i]) == 0) return true;
    return false;
}

/* config NAME TYPE FLAGS DEFAULT HELP... */
static tda_status add_rule(struct note *n, char *rest, struct error *e) {
    char *name = word(&rest), *type = word(&rest), *flags = word(&rest), *fallback = word(&rest);
    if (!fallback) return bad(e, "config", "NAME TYPE FLAGS DEFAULT HELP are wanted");
    if (!type_ok(type)) return bad(e, name, "the type is not one of text, url, int, bool, secret");
    if (strspn(flags, "-ur") != strlen(flags)) return bad(e, name, "the flags are not - or of u and r");
    if (n->n_rules == NOTE_RULES_MAX) return bad(e, name, "too many config lines");
    n->rules[n->n_rules++] = (struct setting_rule){.name = name,
                                                   .type = type,
                                                   .fallback = strcmp(fallback, "-") == 0 ? NULL : fallback,
                                                   .help = rest,
                                                   .user = strchr(flags, 'u'),
                                                   .required = strchr(flags, 'r'),
                                                   .secret = strcmp(type, "secret") == 0};
    return TDA_OK;
}

static tda_status add_variable(struct note *n, char *rest, struct error *e) {
    char *name = word(&rest), *variable = word(&rest);
    for (size_t i = 0; variable && i < n->n_rules; i++) {
        if (strcmp(n->rules[i].name, name) != 0) continue;
        if (n->n_variables == NOTE_RULES_MAX) return bad(e, name, "too many env lines");
        n->variables[n->n_variables++] = (struct note_variable){i, variable};
        return TDA_OK;
    }
    return bad(e, name ? name : "env", "env NAME VARIABLE comes after the config line of NAME");
}

/* Only a member that a change of which drops the credentials (context/draft.c). */
static tda_status set_address(struct note *n, char *rest, struct error *e) {
    char *field = strsep(&rest, ".");
    const struct ctx_field *f = ctx_field_find(tda_str_of(field));
    if (n->address_field) return bad(e, "address", "stands there twice");
    if (!f || !rest || !ctx_field_is_address(f) || !ctx_field_has(f, tda_str_of(rest)) ||
        (f->secret && strcmp(f->secret, rest) == 0))
        return bad(e, field, "address FIELD.MEMBER wants a member of azure_deployment_details or friendli_details");
    n->address_field = f;
    n->address_member = rest;
    return TDA_OK;
}

static tda_status add_host(struct note *n, char *rest, struct error *e) {
    char origin[300];
    tda_status s = add(n->hosts, &n->n_hosts, rest, e, "host");
    if (s || url_pattern(tda_str_of(n->hosts[n->n_hosts - 1]), origin, sizeof origin) == TDA_OK) return s;
    return bad(e, n->hosts[n->n_hosts - 1], "a host is https://name, one label of which may be *, but none of the last two");
}

static tda_status set_once(const char **place, char *value, const char *what, struct error *e) {
    if (*place) return bad(e, what, "stands there twice");
    if (!value[0]) return bad(e, what, "has no value");
    *place = value;
    return TDA_OK;
}

static tda_status read_line(struct note *n, char *line, struct error *e) {
    char *rest = line, *w = word(&rest);
    if (!w) return TDA_OK;
    if (strcmp(w, "id") == 0) return set_once(&n->id, rest, "id", e);
    if (strcmp(w, "version") == 0) return set_once(&n->version, rest, "version", e);
    if (strcmp(w, "provides") == 0) return add(n->provides, &n->n_provides, rest, e, w);
    if (strcmp(w, "needs") == 0) return add(n->needs, &n->n_needs, rest, e, w);
    if (strcmp(w, "host") == 0) return add_host(n, rest, e);
    if (strcmp(w, "address") == 0) return set_address(n, rest, e);
    if (strcmp(w, "config") == 0) return add_rule(n, rest, e);
    if (strcmp(w, "env") == 0) return add_variable(n, rest, e);
    n->threads |= strcmp(w, "threads") == 0;
    n->exports |= strcmp(w, "exports") == 0;
    n->static_tls |= strcmp(w, "static-tls") == 0;
    return TDA_OK;
}

static tda_status read_lines(struct note *n, struct error *e) {
    char *rest = n->text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        tda_status s = read_line(n, line, e);
        if (s) return s;
    }
    if (!n->id || !id_ok(n->id)) return bad(e, n->id ? n->id : "id", "an id of [a-z][a-z0-9_-]{0,31} is required");
    if (!n->version) return bad(e, "version", "is required");
    if (!n->n_provides) return bad(e, "provides", "is required");
    return TDA_OK;
}

tda_status note_parse(tda_str text, struct note *ret, struct error *e) {
    struct note n = {0};
    while (text.n && !text.p[text.n - 1]) text.n--; /* padding */
    if (text.n > NOTE_TEXT_MAX) return bad(e, "", "longer than 16 KB");
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' && text.p[i] != '\n') return bad(e, "", "holds a control character");
    if (!(n.text = str_dup(text))) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    tda_status s = read_lines(&n, e);
    if (s) {
        note_fini(&n);
        return s;
    }
    *ret = n;
    return TDA_OK;
}

void note_fini(struct note *n) {
    free(n->text);
    *n = (struct note){0};
}

static bool has(const char *const *list, size_t n, const char *what) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], what) == 0) return true;
    return false;
}

bool note_provides(const struct note *n, const char *interface_id) {
    return has(n->provides, n->n_provides, interface_id);
}

bool note_needs(const struct note *n, const char *what) {
    return has(n->needs, n->n_needs, what);
}
