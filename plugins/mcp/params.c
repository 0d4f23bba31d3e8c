/* What of a request goes into HTTP headers too (2026-07-28, basic/transports/streamable-http, "Request Metadata"): values that
 * would not survive as a header, or could end one, are sent in base64. */
#include <stdio.h>
#include <stdlib.h>

#include "transport.h"

#define ANNOTATION "x-mcp-header"

/* ---- values ---- */

static const char head[] = "=?base64?", tail[] = "?=";

enum { HEAD_N = sizeof head - 1, TAIL_N = sizeof tail - 1 };

static int is_plain(tda_str v) {
    if (v.n == 0 || v.p[0] == ' ' || v.p[0] == '\t' || v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t') return 0;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] != '\t' && (v.p[i] < 0x20 || v.p[i] > 0x7e)) return 0;
    return !(v.n >= HEAD_N + TAIL_N && memcmp(v.p, head, HEAD_N) == 0 && memcmp(v.p + v.n - TAIL_N, tail, TAIL_N) == 0);
}

static char *base64(char *out, tda_str v) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < v.n; i += 3) {
        uint32_t left = (uint32_t)(v.n - i), bits = (uint32_t)(unsigned char)v.p[i] << 16;
        if (left > 1) bits |= (uint32_t)(unsigned char)v.p[i + 1] << 8;
        if (left > 2) bits |= (uint32_t)(unsigned char)v.p[i + 2];
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    return out;
}

char *header_value(tda_str v) {
    if (is_plain(v)) return text_dup(v);
    char *text = (char *)malloc(v.n / 3 * 4 + 4 + sizeof head + sizeof tail), *end;
    if (!text) return NULL;
    memcpy(text, head, sizeof head);
    end = base64(text + HEAD_N, v);
    memcpy(end, tail, sizeof tail);
    return text;
}

/* ---- headers ---- */

void header_add(struct header_list *h, const char *name, tda_str value) {
    if (h->n == HEADERS_MAX)
        h->status = TDA_E_LIMIT;
    else
        h->kv[h->n++] = (tda_kv){tda_str_of(name), value};
}

static char *own(struct header_list *h, char *text) {
    if (!text || h->n_owned == sizeof h->owned / sizeof *h->owned) {
        h->status = text ? TDA_E_LIMIT : TDA_E_NOMEM;
        free(text);
        return NULL;
    }
    return h->owned[h->n_owned++] = text;
}

void header_add_dup(struct header_list *h, const char *prefix, tda_str name, tda_str value) {
    size_t n = strlen(prefix);
    char *whole = (char *)malloc(n + name.n + 1);
    if (whole) {
        memcpy(whole, prefix, n);
        if (name.n) memcpy(whole + n, name.p, name.n);
        whole[n + name.n] = 0;
    }
    whole = own(h, whole);
    char *text = own(h, header_value(value));
    if (whole && text) header_add(h, whole, tda_str_of(text));
}

void header_list_fini(struct header_list *h) {
    for (uint32_t i = 0; i < h->n_owned; i++) free(h->owned[i]);
}

/* ---- the annotations of a schema ---- */

static int is_token(tda_str s) {
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        int is_alnum = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!is_alnum && !(ch && strchr("!#$%&'*+-.^_`|~", ch))) return 0;
    }
    return s.n > 0;
}

/* Keywords whose value is data, not a schema. */
static int is_data(tda_str key) {
    return text_is(key, "default") || text_is(key, "const") || text_is(key, "enum") || text_is(key, "examples");
}

struct walk {
    tda_str names[HEADERS_MAX / 2];
    uint32_t n;
    const char *why; /* what is wrong; NULL: nothing */
};

static void note_annotation(struct walk *walk, tda_json schema, tda_json annotation, int is_reachable) {
    tda_str name = mcp_json->str(annotation), type = mcp_json->str(mcp_json->get(schema, "type"));
    if (!is_token(name))
        walk->why = ANNOTATION " is no name for a header";
    else if (!is_reachable)
        walk->why = ANNOTATION " stands where no argument can be found by properties alone";
    else if (!text_is(type, "string") && !text_is(type, "integer") && !text_is(type, "boolean"))
        walk->why = ANNOTATION " stands at an argument that is neither string, integer nor boolean";
    else if (walk->n == sizeof walk->names / sizeof *walk->names)
        walk->why = ANNOTATION " stands at too many arguments";
    for (uint32_t i = 0; !walk->why && i < walk->n; i++)
        if (text_same_nocase(walk->names[i], name)) walk->why = ANNOTATION " gives two arguments the same name";
    if (!walk->why) walk->names[walk->n++] = name;
}

/* Depth is bounded by the host's reader. is_map: members are names of arguments, not keywords. */
static void walk_schema(struct walk *walk, tda_json v, int is_map, int is_reachable, int is_root) {
    for (tda_json m = mcp_json->first(v); mcp_json->type(m) && !walk->why; m = mcp_json->next(m)) {
        tda_str key = mcp_json->name(m);
        uint32_t type = mcp_json->type(m);
        if (!is_map && text_is(key, ANNOTATION)) note_annotation(walk, v, m, is_reachable && !is_root);
        if (!is_map && is_data(key)) continue;
        int is_properties = !is_map && text_is(key, "properties") && type == TDA_JSON_OBJECT;
        if (type == TDA_JSON_OBJECT || type == TDA_JSON_ARRAY)
            walk_schema(walk, m, is_properties, is_reachable && (is_map || is_properties), 0);
    }
}

enum params_verdict params_check(tda_json schema, const char **ret_why) {
    struct walk walk;
    memset(&walk, 0, sizeof walk);
    walk_schema(&walk, schema, 0, 1, 1);
    *ret_why = walk.why;
    return walk.why ? PARAMS_INVALID : walk.n ? PARAMS_SOME : PARAMS_NONE;
}

/* ---- the arguments of a call ---- */

static void add_argument(struct header_list *h, tda_str name, tda_json value) {
    enum { SAFE_BITS = 53 };
    int64_t number;
    int32_t yes;
    uint32_t type = mcp_json->type(value);
    char text[32];
    if (type == TDA_JSON_STRING) {
        header_add_dup(h, "Mcp-Param-", name, mcp_json->str(value));
    } else if (mcp_json->boolean(value, &yes)) {
        header_add_dup(h, "Mcp-Param-", name, yes ? TDA_STR("true") : TDA_STR("false"));
    } else if (mcp_json->i64(value, &number) && number < (INT64_C(1) << SAFE_BITS) && number > -(INT64_C(1) << SAFE_BITS)) {
        snprintf(text, sizeof text, "%lld", (long long)number);
        header_add_dup(h, "Mcp-Param-", name, tda_str_of(text));
    }
}

void params_headers(struct header_list *h, tda_json schema, tda_json args) {
    tda_json properties = mcp_json->get(schema, "properties");
    for (tda_json p = mcp_json->first(properties); mcp_json->type(p); p = mcp_json->next(p)) {
        tda_str name = mcp_json->str(mcp_json->get(p, ANNOTATION));
        tda_json value = mcp_json->key(args, mcp_json->name(p));
        if (name.n)
            add_argument(h, name, value);
        else if (mcp_json->type(value) == TDA_JSON_OBJECT)
            params_headers(h, p, value);
    }
}

/* ---- schemas ---- */

struct schema {
    struct schema *next;
    size_t bytes;
    char *tool;
    char *text;
};

void schemas_clear(struct schemas *s) {
    while (s->first) {
        struct schema *e = s->first;
        s->first = e->next;
        free(e->tool);
        free(e->text);
        free(e);
    }
    s->bytes = 0;
}

void schemas_add(struct schemas *s, tda_str tool, tda_str text) {
    struct schema *e = s->bytes + tool.n + text.n <= SCHEMAS_MAX ? (struct schema *)calloc(1, sizeof *e) : NULL;
    if (!e) return; /* its call will be refused, which says why */
    e->tool = text_dup(tool);
    e->text = text_dup(text);
    e->bytes = tool.n + text.n;
    e->next = s->first;
    s->first = e;
    s->bytes += e->bytes;
}

tda_str schemas_find(const struct schemas *s, tda_str tool) {
    for (const struct schema *e = s->first; e; e = e->next)
        if (e->tool && e->text && text_is(tool, e->tool)) return tda_str_of(e->text);
    return ABSENT;
}
