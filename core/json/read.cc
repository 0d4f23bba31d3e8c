// Reading: simdjson's DOM parser judges the text (grammar, UTF-8, numbers, depth), then one walk over the now known-good text, in
// step with the DOM, records each value's place. The DOM goes; the nodes, the text and the unescaped strings stay.
//
// The only C++ file of the tree. No exception leaves it: simdjson is used with error codes, memory comes from malloc.
#include "json/json.h"

#include <algorithm>
#include <cstdarg>
#include <new>
#include <simdjson.h>

using simdjson::dom::element;
using simdjson::dom::element_type;

namespace {

// Values stand in document order: a container's first child is the next node, `next` is the next sibling (0: none).
struct node {
    const char *start;
    const char *str; // STRING: its text
    const char *key; // member of an object: its name
    uint32_t length; // of the source
    uint32_t str_n;
    uint32_t key_n;
    uint32_t next;
    uint32_t count; // of children
    uint8_t type;
    bool flag; // BOOL: its value
};

constexpr size_t text_max = UINT32_MAX - 64;
constexpr struct json absent = {nullptr, 0};

} // namespace

// In one block with its texts; nodes grow beside it.
struct json_doc {
    node *nodes;
    uint32_t n, cap;
    char *text;    // the source, padded for simdjson
    char *strings; // unescaped strings and keys, each NUL-terminated
    size_t strings_n;
};

namespace {

struct walker {
    json_doc *doc;
    const char *at;     // in doc->text
    uint32_t first_cap; // of nodes: a guess that is seldom too small
    tda_status status;
    const char *duplicate;
    uint32_t duplicate_n;
};

void skip_space(walker &w) {
    while (*w.at == ' ' || *w.at == '\n' || *w.at == '\t' || *w.at == '\r') w.at++;
}

// From an opening quote to behind the closing one; the text is known to be good. Without a backslash among as many bytes as the
// string has, there is none at all.
void skip_string(walker &w, size_t unescaped) {
    w.at++;
    if (memchr(w.at, '\\', unescaped))
        while (*w.at != '"') w.at += *w.at == '\\' ? 2 : 1;
    else
        w.at += unescaped;
    w.at++;
}

bool ends_scalar(char c) {
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\t' || c == '\r' || !c;
}

void skip_scalar(walker &w) {
    while (!ends_scalar(*w.at)) w.at++;
}

const char *keep_string(walker &w, std::string_view s) {
    char *p = w.doc->strings + w.doc->strings_n;
    memcpy(p, s.data(), s.size());
    p[s.size()] = 0;
    w.doc->strings_n += s.size() + 1;
    return p;
}

uint32_t node_new(walker &w) {
    json_doc *d = w.doc;
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : w.first_cap;
        node *nodes = static_cast<node *>(realloc(d->nodes, cap * sizeof *nodes));
        if (!nodes) {
            w.status = TDA_E_NOMEM;
            return 0;
        }
        d->nodes = nodes;
        d->cap = cap;
    }
    d->nodes[d->n] = node{};
    return d->n++;
}

uint32_t walk(walker &w, element e);

bool key_less(const node *a, const node *b) {
    int c = memcmp(a->key, b->key, std::min(a->key_n, b->key_n));
    return c ? c < 0 : a->key_n < b->key_n;
}

void found_duplicate(walker &w, const node *n) {
    w.status = TDA_E_SYNTAX;
    w.duplicate = n->key;
    w.duplicate_n = n->key_n;
}

// Small objects by comparing all pairs, large ones by sorting: never quadratic.
void check_keys(walker &w, uint32_t object) {
    node *nodes = w.doc->nodes;
    uint32_t count = nodes[object].count;
    if (count < 2) return;
    if (count <= 16) {
        for (uint32_t a = object + 1; a && !w.status; a = nodes[a].next)
            for (uint32_t b = nodes[a].next; b; b = nodes[b].next)
                if (nodes[a].key_n == nodes[b].key_n && memcmp(nodes[a].key, nodes[b].key, nodes[a].key_n) == 0)
                    found_duplicate(w, &nodes[a]);
        return;
    }
    const node **sorted = static_cast<const node **>(malloc(count * sizeof *sorted));
    if (!sorted) {
        w.status = TDA_E_NOMEM;
        return;
    }
    uint32_t n = 0;
    for (uint32_t a = object + 1; a; a = nodes[a].next) sorted[n++] = &nodes[a];
    std::sort(sorted, sorted + n, key_less);
    for (uint32_t i = 1; i < n && !w.status; i++)
        if (!key_less(sorted[i - 1], sorted[i])) found_duplicate(w, sorted[i]);
    free(sorted);
}

// Links a child that was just walked behind the one before it.
void link(walker &w, uint32_t parent, uint32_t &last, uint32_t child) {
    if (last) w.doc->nodes[last].next = child;
    last = child;
    w.doc->nodes[parent].count++;
}

void walk_object(walker &w, uint32_t self, element e) {
    uint32_t last = 0;
    w.at++;
    for (auto field : simdjson::dom::object(e.get_object().value_unsafe())) {
        skip_space(w);
        if (*w.at == ',') w.at++;
        skip_space(w);
        skip_string(w, field.key.size());
        skip_space(w);
        w.at++; // ':'
        const char *key = keep_string(w, field.key);
        uint32_t child = walk(w, field.value);
        if (w.status) return;
        w.doc->nodes[child].key = key;
        w.doc->nodes[child].key_n = static_cast<uint32_t>(field.key.size());
        link(w, self, last, child);
    }
    skip_space(w);
    w.at++; // '}'
    check_keys(w, self);
}

void walk_array(walker &w, uint32_t self, element e) {
    uint32_t last = 0;
    w.at++;
    for (element item : simdjson::dom::array(e.get_array().value_unsafe())) {
        skip_space(w);
        if (*w.at == ',') w.at++;
        uint32_t child = walk(w, item);
        if (w.status) return;
        link(w, self, last, child);
    }
    skip_space(w);
    w.at++; // ']'
}

uint8_t type_of(element e) {
    switch (e.type()) {
    case element_type::ARRAY: return TDA_JSON_ARRAY;
    case element_type::OBJECT: return TDA_JSON_OBJECT;
    case element_type::STRING: return TDA_JSON_STRING;
    case element_type::BOOL: return TDA_JSON_BOOL;
    case element_type::NULL_VALUE: return TDA_JSON_NULL;
    default: return TDA_JSON_NUMBER;
    }
}

// Recursion is bounded by the depth that the parser allowed.
uint32_t walk(walker &w, element e) {
    skip_space(w);
    uint32_t self = node_new(w);
    if (w.status) return 0;
    const char *start = w.at;
    uint8_t type = type_of(e);
    if (type == TDA_JSON_OBJECT) {
        walk_object(w, self, e);
    } else if (type == TDA_JSON_ARRAY) {
        walk_array(w, self, e);
    } else if (type == TDA_JSON_STRING) {
        std::string_view s = e.get_string().value_unsafe();
        w.doc->nodes[self].str = keep_string(w, s);
        w.doc->nodes[self].str_n = static_cast<uint32_t>(s.size());
        skip_string(w, s.size());
    } else {
        if (type == TDA_JSON_BOOL) w.doc->nodes[self].flag = e.get_bool().value_unsafe();
        skip_scalar(w);
    }
    node &n = w.doc->nodes[self];
    n.type = type;
    n.start = start;
    n.length = static_cast<uint32_t>(w.at - start);
    return self;
}

tda_status refuse(simdjson::error_code code, struct error *e) {
    switch (code) {
    case simdjson::DEPTH_ERROR:
        error_set(e, TDA_E_LIMIT, "json_too_deep", "the JSON is nested too deeply");
        error_hint(e, "at most %d levels are taken", JSON_DEPTH_MAX);
        return TDA_E_LIMIT;
    case simdjson::CAPACITY: return error_set(e, TDA_E_LIMIT, "json_too_large", "the JSON text is too large");
    case simdjson::MEMALLOC: return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    case simdjson::EMPTY: return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: the text is empty");
    case simdjson::UTF8_ERROR: return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: invalid UTF-8");
    case simdjson::NUMBER_ERROR:
        return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: a number that is malformed or out of range");
    case simdjson::STRING_ERROR: return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: a malformed escape in a string");
    case simdjson::UNCLOSED_STRING: return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: a string is not closed");
    case simdjson::UNESCAPED_CHARS:
        return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: a control character inside a string");
    default: return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: an object, array or literal is malformed or cut off");
    }
}

// One parser per thread, kept for small texts: its tables are most of the cost of a short parse.
constexpr size_t kept_capacity = 256 * 1024;

struct parser_of_thread {
    simdjson::dom::parser *parser = nullptr;
    ~parser_of_thread() {
        delete parser;
    }
};

simdjson::dom::parser *parser_take(size_t size, bool &kept) {
    static thread_local parser_of_thread mine;
    kept = size <= kept_capacity;
    if (!kept) return new (std::nothrow) simdjson::dom::parser(text_max);
    if (!mine.parser) mine.parser = new (std::nothrow) simdjson::dom::parser(kept_capacity);
    return mine.parser;
}

json_doc *doc_new(tda_str text) {
    size_t padded = text.n + simdjson::SIMDJSON_PADDING;
    size_t strings = text.n + 16; // unescaping never makes longer; a NUL takes the place of a quote
    json_doc *d = static_cast<json_doc *>(malloc(sizeof *d + padded + strings));
    if (!d) return nullptr;
    *d = json_doc{};
    d->text = reinterpret_cast<char *>(d + 1);
    d->strings = d->text + padded;
    memcpy(d->text, text.p, text.n);
    memset(d->text + text.n, 0, simdjson::SIMDJSON_PADDING);
    return d;
}

tda_status parse_into(json_doc *d, tda_str text, uint32_t max_depth, struct error *e) {
    bool kept;
    element root;
    simdjson::dom::parser *parser = parser_take(text.n, kept);
    if (!parser) return refuse(simdjson::MEMALLOC, e);
    simdjson::error_code code = simdjson::SUCCESS;
    if (parser->capacity() < text.n || parser->max_depth() != max_depth)
        code = parser->allocate(std::max(text.n, parser->capacity()), max_depth);
    if (!code) code = parser->parse(d->text, text.n, false).get(root);
    tda_status s = TDA_OK;
    if (code) {
        s = refuse(code, e);
    } else {
        walker w{d, d->text, static_cast<uint32_t>(std::min<size_t>(text.n / 10 + 4, 4096)), TDA_OK, nullptr, 0};
        walk(w, root);
        s = w.status;
        if (s == TDA_E_NOMEM) refuse(simdjson::MEMALLOC, e);
        if (s == TDA_E_SYNTAX)
            error_set(e, s, "json_syntax", "not JSON: the key \"%.*s\" stands twice in one object",
                      static_cast<int>(std::min(w.duplicate_n, 64u)), w.duplicate);
    }
    if (!kept) delete parser;
    return s;
}

const node *at(struct json v) {
    return v.doc ? &v.doc->nodes[v.node] : nullptr;
}

} // namespace

extern "C" {

tda_status json_parse(tda_str text, uint32_t max_depth, struct json_doc **ret_doc, struct error *e) {
    if (text.n >= text_max) return refuse(simdjson::CAPACITY, e);
    if (text.n == 0) return refuse(simdjson::EMPTY, e);
    if (text.n >= 3 && memcmp(text.p, "\xEF\xBB\xBF", 3) == 0)
        return error_set(e, TDA_E_SYNTAX, "json_syntax", "not JSON: it begins with a byte order mark");
    json_doc *d = doc_new(text);
    if (!d) return refuse(simdjson::MEMALLOC, e);
    tda_status s = parse_into(d, text, max_depth ? max_depth : static_cast<uint32_t>(JSON_DEPTH_MAX), e);
    if (s)
        json_free(d);
    else
        *ret_doc = d;
    return s;
}

void json_free(struct json_doc *doc) {
    if (!doc) return;
    free(doc->nodes);
    free(doc);
}

tda_status json_check(tda_str text, uint32_t max_depth, struct error *e) {
    struct json_doc *doc = nullptr;
    tda_status s = json_parse(text, max_depth, &doc, e);
    json_free(doc);
    return s;
}

struct json json_root(const struct json_doc *doc) {
    return {doc, 0};
}

uint32_t json_type(struct json v) {
    const node *n = at(v);
    return n ? n->type : static_cast<uint32_t>(TDA_JSON_NONE);
}

struct json json_first(struct json v) {
    const node *n = at(v);
    return n && n->count ? json{v.doc, v.node + 1} : absent;
}

struct json json_next(struct json v) {
    const node *n = at(v);
    return n && n->next ? json{v.doc, n->next} : absent;
}

struct json json_key(struct json v, tda_str key) {
    if (json_type(v) != TDA_JSON_OBJECT) return absent;
    for (struct json c = json_first(v); c.doc; c = json_next(c)) {
        const node *n = at(c);
        if (n->key_n == key.n && memcmp(n->key, key.p, key.n) == 0) return c;
    }
    return absent;
}

struct json json_get(struct json v, const char *path) {
    while (*path && v.doc) {
        size_t n = strcspn(path, ".");
        tda_str step = {path, n};
        if (json_type(v) == TDA_JSON_ARRAY) {
            char *end;
            unsigned long index = strtoul(path, &end, 10);
            if (end != path + n || n == 0) return absent;
            v = json_first(v);
            while (index-- && v.doc) v = json_next(v);
        } else {
            v = json_key(v, step);
        }
        path += n + (path[n] == '.');
    }
    return v;
}

tda_str json_name(struct json v) {
    const node *n = at(v);
    return n && n->key ? tda_str{n->key, n->key_n} : tda_str{nullptr, 0};
}

uint64_t json_count(struct json v) {
    const node *n = at(v);
    return n ? n->count : 0;
}

tda_str json_str(struct json v) {
    const node *n = at(v);
    return n && n->type == TDA_JSON_STRING ? tda_str{n->str, n->str_n} : tda_str{nullptr, 0};
}

tda_str json_raw(struct json v) {
    const node *n = at(v);
    return n ? tda_str{n->start, n->length} : tda_str{nullptr, 0};
}

// The source is followed by a delimiter or by padding, so that strto* stops at the number's end.
bool json_i64(struct json v, int64_t *ret) {
    const node *n = at(v);
    if (!n || n->type != TDA_JSON_NUMBER) return false;
    char *end;
    errno = 0;
    long long i = strtoll(n->start, &end, 10);
    if (errno || end != n->start + n->length) return false;
    *ret = i;
    return true;
}

bool json_f64(struct json v, double *ret) {
    const node *n = at(v);
    if (!n || n->type != TDA_JSON_NUMBER) return false;
    *ret = strtod(n->start, nullptr);
    return true;
}

bool json_bool(struct json v, bool *ret) {
    const node *n = at(v);
    if (!n || n->type != TDA_JSON_BOOL) return false;
    *ret = n->flag;
    return true;
}

} // extern "C"
