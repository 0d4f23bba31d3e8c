/* Each keyword is judged by itself; the verdict of a schema is the worst of its keywords': INVALID before UNKNOWN before VALID. */
#include "json/schema.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json/text.h"

/* The way to the value under judgement, on the stack of the walk. */
struct place {
    const struct place *up;
    tda_str name; /* a member's, or absent: an item */
    size_t index;
};

struct check {
    struct json root;
    struct schema_report *report;
    uint32_t steps, depth;
    uint32_t quiet; /* inside of anyOf and the like: what fails there is no failure yet */
    bool old;       /* up to draft-07: nothing counts beside $ref */
    bool has_ids;   /* a subschema has an $id: references may lead elsewhere */
};

static enum schema_verdict judge(struct check *c, struct json schema, struct json value, const struct place *at);

/* ---- verdicts ---- */

static enum schema_verdict worse(enum schema_verdict a, enum schema_verdict b) {
    return a == SCHEMA_INVALID || b == SCHEMA_INVALID ? SCHEMA_INVALID : a == SCHEMA_UNKNOWN ? a : b;
}

static size_t write_place(const struct place *p, char *out, size_t size) {
    if (!p || !p->up) return 0;
    size_t n = write_place(p->up, out, size);
    int more = p->name.p ? snprintf(out + n, size - n, "%s%.*s", n ? "." : "", (int)(p->name.n < 60 ? p->name.n : 60), p->name.p)
                         : snprintf(out + n, size - n, "%s%zu", n ? "." : "", p->index);
    return more < 0 || (size_t)more >= size - n ? size - 1 : n + (size_t)more;
}

static enum schema_verdict wrong(struct check *c, const struct place *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum schema_verdict wrong(struct check *c, const struct place *at, const char *fmt, ...) {
    va_list ap;
    if (c->quiet || c->report->why[0]) return SCHEMA_INVALID;
    va_start(ap, fmt);
    vsnprintf(c->report->why, sizeof c->report->why, fmt, ap);
    va_end(ap);
    c->report->where[0] = 0;
    write_place(at, c->report->where, sizeof c->report->where);
    return SCHEMA_INVALID;
}

static bool step(struct check *c, uint64_t n) {
    c->steps = n < c->steps ? c->steps - (uint32_t)n : 0;
    return c->steps > 0;
}

static enum schema_verdict quietly(struct check *c, struct json schema, struct json value, const struct place *at) {
    c->quiet++;
    enum schema_verdict v = judge(c, schema, value, at);
    c->quiet--;
    return v;
}

/* Members are looked through one by one, keys compared in full where they are equally long: steps by what that may take. */
static struct json look_up(struct check *c, struct json object, tda_str key) {
    return step(c, 1 + json_count(object) * (128 + key.n) / 1024) ? json_key(object, key) : JSON_ABSENT;
}

static struct json member(struct check *c, struct json object, const char *key) {
    return look_up(c, object, tda_str_of(key));
}

/* ---- values ---- */

static bool is_integer(struct json v) {
    int64_t i;
    double d;
    return json_i64(v, &i) || (json_f64(v, &d) && d == floor(d));
}

static bool same_number(struct json a, struct json b) {
    int64_t i, k;
    double x, y;
    if (json_i64(a, &i) && json_i64(b, &k)) return i == k;
    return json_f64(a, &x) && json_f64(b, &y) && x == y;
}

/* Out of steps: they count as equal, and the verdict is UNKNOWN in the end. */
static bool same(struct check *c, struct json a, struct json b) {
    uint32_t type = json_type(a);
    bool x, y;
    if (!step(c, 1)) return true;
    if (type != json_type(b)) return false;
    if (type == TDA_JSON_NUMBER) return same_number(a, b);
    if (type == TDA_JSON_BOOL) return json_bool(a, &x) && json_bool(b, &y) && x == y;
    if (type == TDA_JSON_STRING) return step(c, json_str(a).n / 64) && tda_str_eq(json_str(a), json_str(b));
    if (type == TDA_JSON_NULL) return true;
    if (json_count(a) != json_count(b)) return false;
    struct json other = json_first(b);
    for (struct json m = json_first(a); json_type(m); m = json_next(m), other = json_next(other)) {
        struct json twin = type == TDA_JSON_OBJECT ? look_up(c, b, json_name(m)) : other;
        if (!json_type(twin) || !same(c, m, twin)) return !c->steps;
    }
    return true;
}

static const char *type_of(struct json v) {
    static const char *const names[] = {
        [TDA_JSON_NULL] = "null",     [TDA_JSON_BOOL] = "boolean", [TDA_JSON_NUMBER] = "number",
        [TDA_JSON_STRING] = "string", [TDA_JSON_ARRAY] = "array",  [TDA_JSON_OBJECT] = "object",
    };
    uint32_t t = json_type(v);
    return t < ARRAY_LEN(names) && names[t] ? names[t] : "";
}

static bool is_of_type(struct json v, tda_str type) {
    if (tda_str_eq(type, TDA_STR("integer"))) return json_type(v) == TDA_JSON_NUMBER && is_integer(v);
    return tda_str_eq(type, tda_str_of(type_of(v)));
}

static size_t characters(tda_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static bool number_in(struct check *c, struct json schema, const char *key, double *ret) {
    return json_f64(member(c, schema, key), ret);
}

/* ---- any value ---- */

static enum schema_verdict check_type(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json type = member(c, schema, "type");
    bool fits = !json_type(type) || is_of_type(value, json_str(type));
    if (json_type(type) == TDA_JSON_ARRAY)
        for (struct json t = json_first(type); json_type(t) && !fits; t = json_next(t)) fits = is_of_type(value, json_str(t));
    if (fits || (!json_str(type).p && json_type(type) != TDA_JSON_ARRAY)) return SCHEMA_VALID;
    tda_str wanted = json_raw(type);
    return wrong(c, at, "must be of type %.*s, and is %s", (int)(wanted.n < 60 ? wanted.n : 60), wanted.p, type_of(value));
}

static enum schema_verdict check_enum(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json list = member(c, schema, "enum"), only = member(c, schema, "const");
    bool found = json_type(list) != TDA_JSON_ARRAY;
    for (struct json v = json_first(list); json_type(v) && !found; v = json_next(v)) found = same(c, v, value);
    if (!found) return wrong(c, at, "is none of the values that the schema lists");
    if (json_type(only) && !same(c, only, value)) return wrong(c, at, "is not the value that the schema wants");
    return SCHEMA_VALID;
}

static enum schema_verdict check_number(struct check *c, struct json schema, struct json value, const struct place *at) {
    double v, limit;
    bool excludes = false;
    if (!json_f64(value, &v)) return SCHEMA_VALID;
    json_bool(member(c, schema, "exclusiveMinimum"), &excludes); /* draft-04 */
    if (number_in(c, schema, "minimum", &limit) && (v < limit || (excludes && v == limit)))
        return wrong(c, at, "is less than %g", limit);
    excludes = false;
    json_bool(member(c, schema, "exclusiveMaximum"), &excludes);
    if (number_in(c, schema, "maximum", &limit) && (v > limit || (excludes && v == limit)))
        return wrong(c, at, "is more than %g", limit);
    if (number_in(c, schema, "exclusiveMinimum", &limit) && v <= limit) return wrong(c, at, "is not more than %g", limit);
    if (number_in(c, schema, "exclusiveMaximum", &limit) && v >= limit) return wrong(c, at, "is not less than %g", limit);
    if (!number_in(c, schema, "multipleOf", &limit) || limit <= 0) return SCHEMA_VALID;
    double rest = fabs(remainder(v, limit));
    if (rest == 0) return SCHEMA_VALID;
    return rest > limit * 1e-9 && rest > fabs(v) * 1e-12 ? wrong(c, at, "is no multiple of %g", limit)
                                                         : SCHEMA_UNKNOWN; /* 0.1 is not 0.1 */
}

static enum schema_verdict check_length(struct check *c, struct json schema, struct json value, const struct place *at) {
    double limit;
    if (json_type(value) != TDA_JSON_STRING) return SCHEMA_VALID;
    double n = (double)characters(json_str(value));
    step(c, json_str(value).n / 64);
    if (number_in(c, schema, "minLength", &limit) && n < limit) return wrong(c, at, "has fewer than %g characters", limit);
    if (number_in(c, schema, "maxLength", &limit) && n > limit) return wrong(c, at, "has more than %g characters", limit);
    return json_type(member(c, schema, "pattern")) ? SCHEMA_UNKNOWN : SCHEMA_VALID; /* a pattern of a stranger's is not run */
}

/* ---- arrays ---- */

static enum schema_verdict check_unique(struct check *c, struct json value, const struct place *at) {
    size_t i = 0;
    for (struct json a = json_first(value); json_type(a); a = json_next(a), i++) {
        struct place item = {.up = at, .index = i};
        for (struct json b = json_first(value); b.node != a.node; b = json_next(b))
            if (same(c, a, b)) return c->steps ? wrong(c, &item, "is there twice") : SCHEMA_UNKNOWN;
    }
    return SCHEMA_VALID;
}

static enum schema_verdict check_contains(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json wanted = member(c, schema, "contains");
    double least = 1, most = INFINITY, found = 0, unknown = 0;
    if (!json_type(wanted)) return SCHEMA_VALID;
    if (!c->old) {
        number_in(c, schema, "minContains", &least);
        number_in(c, schema, "maxContains", &most);
    }
    for (struct json v = json_first(value); json_type(v); v = json_next(v)) {
        enum schema_verdict fits = quietly(c, wanted, v, at);
        found += fits == SCHEMA_VALID;
        unknown += fits == SCHEMA_UNKNOWN;
    }
    if (found + unknown < least) return wrong(c, at, "has too few of the items that it must contain");
    if (found > most) return wrong(c, at, "has too many of the items that it may contain");
    return found < least || found + unknown > most ? SCHEMA_UNKNOWN : SCHEMA_VALID;
}

/* `prefixItems` and `items`; before 2020-12 `items` as a list and `additionalItems`. */
static enum schema_verdict check_items(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json items = member(c, schema, "items"), prefix = member(c, schema, "prefixItems");
    if (json_type(items) == TDA_JSON_ARRAY) {
        prefix = items;
        items = member(c, schema, "additionalItems");
    }
    enum schema_verdict all = SCHEMA_VALID;
    struct json first = json_first(prefix);
    size_t i = 0;
    for (struct json v = json_first(value); json_type(v) && all != SCHEMA_INVALID; v = json_next(v), i++) {
        struct place item = {.up = at, .index = i};
        struct json s = json_type(first) ? first : items;
        if (json_type(s)) all = worse(all, judge(c, s, v, &item));
        first = json_next(first);
    }
    return all;
}

static enum schema_verdict check_array(struct check *c, struct json schema, struct json value, const struct place *at) {
    double limit, n = (double)json_count(value);
    bool unique = false;
    if (json_type(value) != TDA_JSON_ARRAY) return SCHEMA_VALID;
    if (number_in(c, schema, "minItems", &limit) && n < limit) return wrong(c, at, "has fewer than %g items", limit);
    if (number_in(c, schema, "maxItems", &limit) && n > limit) return wrong(c, at, "has more than %g items", limit);
    enum schema_verdict v = check_items(c, schema, value, at);
    if (v != SCHEMA_INVALID) v = worse(v, check_contains(c, schema, value, at));
    if (v != SCHEMA_INVALID && json_bool(member(c, schema, "uniqueItems"), &unique) && unique)
        v = worse(v, check_unique(c, value, at));
    return json_type(member(c, schema, "unevaluatedItems")) ? worse(v, SCHEMA_UNKNOWN) : v;
}

/* ---- objects ---- */

static enum schema_verdict check_required(struct check *c, struct json list, struct json value, const struct place *at) {
    for (struct json r = json_first(list); json_type(r); r = json_next(r)) {
        tda_str name = json_str(r);
        if (!name.p || json_type(look_up(c, value, name)) || !c->steps) continue;
        return wrong(c, at, "lacks the member %.*s", (int)(name.n < 80 ? name.n : 80), name.p);
    }
    return SCHEMA_VALID;
}

static enum schema_verdict check_properties(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json properties = member(c, schema, "properties"), names = member(c, schema, "propertyNames");
    struct json others = member(c, schema, "additionalProperties");
    bool has_patterns = json_count(member(c, schema, "patternProperties")) > 0; /* these are not run either */
    enum schema_verdict all = has_patterns && json_count(value) ? SCHEMA_UNKNOWN : SCHEMA_VALID;
    bool none = false, closed = json_bool(others, &none) && !none;
    for (struct json m = json_first(value); json_type(m) && all != SCHEMA_INVALID; m = json_next(m)) {
        struct place here = {.up = at, .name = json_name(m)};
        struct json own = look_up(c, properties, json_name(m));
        if (json_type(own))
            all = worse(all, judge(c, own, m, &here));
        else if (closed && !has_patterns && c->steps)
            all = wrong(c, &here, "is not a member that the schema allows");
        else if (json_type(others) && !has_patterns)
            all = worse(all, judge(c, others, m, &here));
    }
    return json_type(names) && json_count(value) ? worse(all, SCHEMA_UNKNOWN) : all; /* a name is no value to be judged here */
}

/* A member that wants other members, or a schema kept. */
static enum schema_verdict check_dependent(struct check *c, struct json schema, struct json value, const struct place *at) {
    static const char *const keys[] = {"dependencies", "dependentRequired", "dependentSchemas"};
    enum schema_verdict all = SCHEMA_VALID;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (struct json d = json_first(member(c, schema, keys[i])); json_type(d) && all != SCHEMA_INVALID; d = json_next(d)) {
            if (!json_type(look_up(c, value, json_name(d)))) continue;
            all = worse(all, json_type(d) == TDA_JSON_ARRAY ? check_required(c, d, value, at) : judge(c, d, value, at));
        }
    return all;
}

static enum schema_verdict check_object(struct check *c, struct json schema, struct json value, const struct place *at) {
    double limit, n = (double)json_count(value);
    if (json_type(value) != TDA_JSON_OBJECT) return SCHEMA_VALID;
    if (number_in(c, schema, "minProperties", &limit) && n < limit) return wrong(c, at, "has fewer than %g members", limit);
    if (number_in(c, schema, "maxProperties", &limit) && n > limit) return wrong(c, at, "has more than %g members", limit);
    struct json required = member(c, schema, "required");
    enum schema_verdict v = json_type(required) == TDA_JSON_ARRAY ? check_required(c, required, value, at) : SCHEMA_VALID;
    if (v != SCHEMA_INVALID) v = worse(v, check_properties(c, schema, value, at));
    if (v != SCHEMA_INVALID) v = worse(v, check_dependent(c, schema, value, at));
    return json_type(member(c, schema, "unevaluatedProperties")) ? worse(v, SCHEMA_UNKNOWN) : v;
}

/* ---- schemas made of schemas ---- */

struct counts {
    size_t valid, unknown, all;
};

static struct counts count(struct check *c, struct json list, struct json value, const struct place *at) {
    struct counts n = {0};
    for (struct json s = json_first(list); json_type(s); s = json_next(s), n.all++) {
        enum schema_verdict v = quietly(c, s, value, at);
        n.valid += v == SCHEMA_VALID;
        n.unknown += v == SCHEMA_UNKNOWN;
    }
    return n;
}

static enum schema_verdict check_any_and_one(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct counts any = count(c, member(c, schema, "anyOf"), value, at), one = count(c, member(c, schema, "oneOf"), value, at);
    if (any.all && !any.valid && !any.unknown) return wrong(c, at, "fits none of the forms that the schema lists");
    if (one.all && !one.valid && !one.unknown) return wrong(c, at, "fits none of the forms that the schema lists");
    if (one.valid > 1) return wrong(c, at, "fits several of the forms that the schema lists, and must fit one");
    return (any.all && !any.valid) || one.unknown ? SCHEMA_UNKNOWN : SCHEMA_VALID;
}

static enum schema_verdict check_not(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json denied = member(c, schema, "not");
    enum schema_verdict v = json_type(denied) ? quietly(c, denied, value, at) : SCHEMA_INVALID;
    return v == SCHEMA_VALID ? wrong(c, at, "has a form that the schema forbids") : v == SCHEMA_INVALID ? SCHEMA_VALID : v;
}

static enum schema_verdict check_if(struct check *c, struct json schema, struct json value, const struct place *at) {
    struct json condition = member(c, schema, "if");
    if (!json_type(condition)) return SCHEMA_VALID;
    enum schema_verdict v = quietly(c, condition, value, at);
    if (v == SCHEMA_UNKNOWN) return v;
    struct json branch = member(c, schema, v == SCHEMA_VALID ? "then" : "else");
    return json_type(branch) ? judge(c, branch, value, at) : SCHEMA_VALID;
}

static enum schema_verdict check_all(struct check *c, struct json schema, struct json value, const struct place *at) {
    enum schema_verdict v = check_any_and_one(c, schema, value, at);
    if (v != SCHEMA_INVALID) v = worse(v, check_not(c, schema, value, at));
    if (v != SCHEMA_INVALID) v = worse(v, check_if(c, schema, value, at));
    for (struct json s = json_first(member(c, schema, "allOf")); json_type(s) && v != SCHEMA_INVALID; s = json_next(s))
        v = worse(v, judge(c, s, value, at));
    return v;
}

/* ---- references ---- */

static int hex(char ch) {
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* One step of a JSON pointer in a URL, decoded. False: too long, or not well-formed. */
static bool decode(tda_str step, char *out, size_t size, size_t *ret_n) {
    size_t n = 0;
    for (size_t i = 0; i < step.n; i++) {
        char ch = step.p[i];
        if (n + 1 >= size) return false;
        if (ch == '%' && i + 2 < step.n && hex(step.p[i + 1]) >= 0 && hex(step.p[i + 2]) >= 0) {
            ch = (char)(hex(step.p[i + 1]) * 16 + hex(step.p[i + 2]));
            i += 2;
        }
        if (ch == '~' && i + 1 < step.n && (step.p[i + 1] == '0' || step.p[i + 1] == '1')) ch = step.p[++i] == '0' ? '~' : '/';
        out[n++] = ch;
    }
    *ret_n = n;
    return true;
}

/* "#" and "#/a/b" within this schema; absent: elsewhere. */
static struct json resolve(struct check *c, tda_str ref) {
    struct json at = c->root;
    if (!ref.n || ref.p[0] != '#') return JSON_ABSENT;
    if (ref.n > 1 && ref.p[1] != '/') return JSON_ABSENT;
    for (size_t i = 1; i < ref.n && json_type(at);) {
        char name[256];
        size_t end = ++i, n;
        while (end < ref.n && ref.p[end] != '/') end++;
        if (!decode((tda_str){ref.p + i, end - i}, name, sizeof name, &n)) return JSON_ABSENT;
        struct json next = look_up(c, at, (tda_str){name, n});
        if (json_type(at) == TDA_JSON_ARRAY) {
            size_t index = 0;
            for (size_t k = 0; k < n; k++)
                index = name[k] >= '0' && name[k] <= '9' && index < 10000 ? index * 10 + (size_t)(name[k] - '0') : 10000;
            next = step(c, index / 8) ? json_first(at) : JSON_ABSENT;
            for (size_t k = 0; k < index && json_type(next); k++) next = json_next(next);
        }
        at = next;
        i = end;
    }
    return at;
}

static enum schema_verdict check_reference(struct check *c, tda_str ref, struct json value, const struct place *at) {
    struct json target = c->has_ids ? JSON_ABSENT : resolve(c, ref);
    return json_type(target) ? judge(c, target, value, at) : SCHEMA_UNKNOWN;
}

/* ---- all of it ---- */

static enum schema_verdict judge_object(struct check *c, struct json schema, struct json value, const struct place *at) {
    static enum schema_verdict (*const checks[])(struct check *, struct json, struct json, const struct place *) = {
        check_type, check_enum, check_number, check_length, check_array, check_object, check_all,
    };
    tda_str ref = json_str(member(c, schema, "$ref"));
    enum schema_verdict v = ref.p ? check_reference(c, ref, value, at) : SCHEMA_VALID;
    if (ref.p && c->old) return v;
    if (json_type(member(c, schema, "$dynamicRef")) || json_type(member(c, schema, "$recursiveRef"))) v = worse(v, SCHEMA_UNKNOWN);
    for (size_t i = 0; i < ARRAY_LEN(checks) && v != SCHEMA_INVALID; i++) v = worse(v, checks[i](c, schema, value, at));
    return v;
}

static enum schema_verdict judge(struct check *c, struct json schema, struct json value, const struct place *at) {
    bool allowed = true;
    if (!step(c, 1) || c->depth >= SCHEMA_DEPTH) return SCHEMA_UNKNOWN;
    if (json_bool(schema, &allowed)) return allowed ? SCHEMA_VALID : wrong(c, at, "is not allowed");
    if (json_type(schema) != TDA_JSON_OBJECT) return SCHEMA_UNKNOWN;
    c->depth++;
    enum schema_verdict v = judge_object(c, schema, value, at);
    c->depth--;
    return v == SCHEMA_INVALID && !c->steps ? SCHEMA_UNKNOWN : v;
}

/* A subschema with an $id (draft-04: id) moves what its references mean. */
static bool has_ids(struct check *c, struct json v, bool is_root) {
    if (!step(c, 1)) return true;
    if (!is_root && json_type(v) == TDA_JSON_OBJECT && json_str(json_key(v, TDA_STR("$id"))).p) return true;
    if (!is_root && c->old && json_type(v) == TDA_JSON_OBJECT && json_str(json_key(v, TDA_STR("id"))).p) return true;
    if (json_type(v) != TDA_JSON_OBJECT && json_type(v) != TDA_JSON_ARRAY) return false;
    for (struct json m = json_first(v); json_type(m); m = json_next(m))
        if (has_ids(c, m, false)) return true;
    return false;
}

/* False: a dialect that is not known here. */
static bool know_dialect(struct check *c, tda_str dialect) {
    static const char *const old[] = {"json-schema.org/draft-04/schema", "json-schema.org/draft-06/schema",
                                      "json-schema.org/draft-07/schema"};
    if (!dialect.p) return true;
    for (size_t i = 0; i < ARRAY_LEN(old); i++) c->old = c->old || str_has(dialect, tda_str_of(old[i]));
    return c->old || str_has(dialect, TDA_STR("json-schema.org/draft/2019-09/schema")) ||
           str_has(dialect, TDA_STR("json-schema.org/draft/2020-12/schema"));
}

enum schema_verdict schema_check(struct json schema, struct json value, struct schema_report *ret) {
    struct check c = {.root = schema, .report = ret, .steps = SCHEMA_STEPS};
    const struct place whole = {0};
    *ret = (struct schema_report){{0}, {0}};
    if (!know_dialect(&c, json_str(json_key(schema, TDA_STR("$schema"))))) {
        snprintf(ret->why, sizeof ret->why, "the schema is in a dialect that is not known here");
        return SCHEMA_UNKNOWN;
    }
    c.has_ids = has_ids(&c, schema, true);
    enum schema_verdict v = judge(&c, schema, value, &whole);
    if (!c.steps) v = SCHEMA_UNKNOWN;
    if (v != SCHEMA_INVALID) snprintf(ret->why, sizeof ret->why, "%s", v ? "not all of the schema could be judged" : "");
    return v;
}
