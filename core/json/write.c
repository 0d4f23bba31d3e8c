/* The streaming writer: bytes go to the caller's buffer as they are said, nothing is kept but where commas belong. */
#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "json/json.h"
#include "json/text.h"

void jw_init(struct jw *w, struct buf *out) {
    *w = (struct jw){.out = out};
}

static void before_value(struct jw *w) {
    uint64_t bit = 1ULL << (w->depth % 64);
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth && (w->has_item & bit)) buf_add_char(w->out, ',');
    w->has_item |= bit;
}

static void open_level(struct jw *w, char c) {
    before_value(w);
    assert(w->depth + 1 < JSON_DEPTH_MAX);
    w->depth++;
    w->has_item &= ~(1ULL << (w->depth % 64));
    buf_add_char(w->out, c);
}

static void close_level(struct jw *w, char c) {
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_add_char(w->out, c);
}

void jw_begin_object(struct jw *w) {
    open_level(w, '{');
}

void jw_end_object(struct jw *w) {
    close_level(w, '}');
}

void jw_begin_array(struct jw *w) {
    open_level(w, '[');
}

void jw_end_array(struct jw *w) {
    close_level(w, ']');
}

static void escape(struct buf *out, unsigned char c) {
    switch (c) {
    case '"': buf_add_z(out, "\\\""); break;
    case '\\': buf_add_z(out, "\\\\"); break;
    case '\n': buf_add_z(out, "\\n"); break;
    case '\r': buf_add_z(out, "\\r"); break;
    case '\t': buf_add_z(out, "\\t"); break;
    default: buf_addf(out, "\\u%04x", c);
    }
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Runs of plain bytes are copied at once; a run ends at what must be escaped or mended. */
static void put_string(struct buf *out, tda_str s) {
    size_t run = 0, i = 0;
    buf_reserve(out, s.n + 2);
    buf_add_char(out, '"');
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        size_t n = utf8_sequence(s.p + i, s.n - i);
        if (n > 1) {
            i += n;
            continue;
        }
        buf_add(out, s.p + run, i - run);
        if (n)
            escape(out, c);
        else
            buf_add_z(out, UTF8_REPLACEMENT);
        run = ++i;
    }
    buf_add(out, s.p + run, s.n - run);
    buf_add_char(out, '"');
}

void jw_key(struct jw *w, tda_str key) {
    assert(!w->after_key);
    before_value(w);
    put_string(w->out, key);
    buf_add_char(w->out, ':');
    w->after_key = true;
}

void jw_str(struct jw *w, tda_str s) {
    before_value(w);
    if (s.p)
        put_string(w->out, s);
    else
        buf_add_z(w->out, "null");
}

void jw_raw(struct jw *w, tda_str s) {
    before_value(w);
    if (s.n)
        buf_add_str(w->out, s);
    else
        buf_add_z(w->out, "null");
}

/* From the last digit to the first: printf is ten times as much work, and replies are full of numbers. */
static void put_number(struct buf *out, uint64_t v, bool negative) {
    char text[24], *end = text + sizeof text, *p = end;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    if (negative) *--p = '-';
    buf_add(out, p, (size_t)(end - p));
}

void jw_i64(struct jw *w, int64_t v) {
    before_value(w);
    put_number(w->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

void jw_u64(struct jw *w, uint64_t v) {
    before_value(w);
    put_number(w->out, v, false);
}

void jw_f64(struct jw *w, double v) {
    char text[40];
    before_value(w);
    if (!isfinite(v)) {
        buf_add_z(w->out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    buf_add_z(w->out, text);
}

void jw_bool(struct jw *w, bool v) {
    before_value(w);
    buf_add_z(w->out, v ? "true" : "false");
}

void jw_null(struct jw *w) {
    before_value(w);
    buf_add_z(w->out, "null");
}

void jw_put_str(struct jw *w, const char *key, tda_str s) {
    jw_key(w, tda_str_of(key));
    jw_str(w, s);
}

void jw_put_z(struct jw *w, const char *key, const char *s) {
    jw_put_str(w, key, tda_str_of(s));
}

void jw_put_i64(struct jw *w, const char *key, int64_t v) {
    jw_key(w, tda_str_of(key));
    jw_i64(w, v);
}

void jw_put_u64(struct jw *w, const char *key, uint64_t v) {
    jw_key(w, tda_str_of(key));
    jw_u64(w, v);
}

void jw_put_bool(struct jw *w, const char *key, bool v) {
    jw_key(w, tda_str_of(key));
    jw_bool(w, v);
}

void jw_put_raw(struct jw *w, const char *key, tda_str s) {
    jw_key(w, tda_str_of(key));
    jw_raw(w, s);
}

void jw_open_object(struct jw *w, const char *key) {
    jw_key(w, tda_str_of(key));
    jw_begin_object(w);
}

void jw_open_array(struct jw *w, const char *key) {
    jw_key(w, tda_str_of(key));
    jw_begin_array(w);
}

void json_without(struct json object, const char *name, struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    jw_begin_object(&w);
    for (struct json v = json_first(object); json_type(v); v = json_next(v)) {
        if (tda_str_eq(json_name(v), tda_str_of(name))) continue;
        jw_key(&w, json_name(v));
        jw_raw(&w, json_raw(v));
    }
    jw_end_object(&w);
}
