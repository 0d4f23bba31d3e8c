#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

/* p is at the quote; returns what follows the closing one. */
static const char *skip_string(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && p + 1 < end) p++;
    return p < end ? p + 1 : end;
}

static const char *skip_nested(const char *p, const char *end) {
    size_t depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[') depth++;
        if (*p == '}' || *p == ']') depth--;
        p++;
    } while (p < end && depth);
    return p;
}

static const char *skip_value(const char *p, const char *end) {
    if (p == end) return p;
    if (*p == '"') return skip_string(p, end);
    if (*p == '{' || *p == '[') return skip_nested(p, end);
    while (p < end && *p != ',' && *p != ':' && *p != ']' && *p != '}' && skip_space(p, end) == p) p++;
    return p;
}

struct span scan_value(const char *p, size_t n) {
    const char *end = p + n, *begin = skip_space(p, end), *after = skip_value(begin, end);
    return after > begin ? (struct span){begin, (size_t)(after - begin)} : (struct span){NULL, 0};
}

struct span scan_text(const char *text) {
    return text ? scan_value(text, strlen(text)) : (struct span){NULL, 0};
}

/* The value at *p; *p moves to what follows it: a comma, or the end of the whole. A step begins with the whole's bracket or with
 * that comma, so that an element that is a list itself is not taken for the beginning. */
static struct span take(const char **p, const char *end) {
    struct span v = scan_value(*p, (size_t)(end - *p));
    if (v.p) *p = skip_space(v.p + v.n, end);
    return v;
}

bool scan_next_member(struct span *rest, struct span *ret_key, struct span *ret) {
    if (!rest->n) return false;
    const char *p = rest->p, *end = rest->p + rest->n;
    if (*p == '{' || *p == ',') p++;
    struct span key = scan_value(p, (size_t)(end - p));
    if (!key.p || key.p[0] != '"') return false;
    p = skip_space(key.p + key.n, end);
    if (p == end || *p != ':') return false;
    p++;
    struct span v = take(&p, end);
    if (!v.p) return false;
    *rest = (struct span){p, (size_t)(end - p)};
    *ret_key = key;
    *ret = v;
    return true;
}

struct span scan_member(struct span object, const char *name) {
    struct span key, v;
    if (!object.n || object.p[0] != '{') return (struct span){NULL, 0};
    while (scan_next_member(&object, &key, &v))
        if (scan_is(key, name)) return v;
    return (struct span){NULL, 0};
}

bool scan_next(struct span *rest, struct span *ret) {
    if (!rest->n) return false;
    const char *p = rest->p, *end = rest->p + rest->n;
    if (*p == '[' || *p == ',') p++;
    struct span v = take(&p, end);
    if (!v.p) return false;
    *rest = (struct span){p, (size_t)(end - p)};
    *ret = v;
    return true;
}

static unsigned hex4(const char *p, const char *end) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p + i < end ? p[i] : '0';
        v = v << 4 | (unsigned)(c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0') % 16;
    }
    return v;
}

static size_t utf8(unsigned c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xf0) | c);
    return n;
}

/* One character, escaped or not, as UTF-8. */
static const char *decode(const char *p, const char *end, char out[4], size_t *n) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (*p != '\\' || p + 1 == end) {
        *n = (unsigned char)*p < 0xc0 ? 1 : (unsigned char)*p < 0xe0 ? 2 : (unsigned char)*p < 0xf0 ? 3 : 4;
        if (*n > (size_t)(end - p)) *n = (size_t)(end - p);
        memcpy(out, p, *n);
        return p + *n;
    }
    p++;
    const char *simple = strchr(from, *p);
    if (*p != 'u') {
        *n = 1;
        out[0] = *p && simple ? to[simple - from] : *p;
        return p + 1;
    }
    unsigned c = hex4(p + 1, end);
    p = end - p < 5 ? end : p + 5;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2, end) & 0x3ff);
        p += 6;
    }
    *n = utf8(c, out);
    return p;
}

size_t scan_string(struct span v, char *out, size_t size) {
    char c[4];
    size_t n, used = 0;
    out[0] = 0;
    if (v.n < 2 || v.p[0] != '"') return 0;
    for (const char *p = v.p + 1, *end = v.p + v.n - 1; p < end;) {
        p = decode(p, end, c, &n);
        if (used + n >= size) break;
        memcpy(out + used, c, n);
        used += n;
    }
    out[used] = 0;
    return used;
}

int64_t scan_number(struct span v, int64_t otherwise) {
    char text[24], *end;
    if (!v.n || v.n >= sizeof text) return otherwise;
    memcpy(text, v.p, v.n);
    text[v.n] = 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno || *end ? otherwise : n;
}

bool scan_is(struct span v, const char *text) {
    size_t n = strlen(text);
    return v.n == n + 2 && v.p[0] == '"' && memcmp(v.p + 1, text, n) == 0;
}

char *scan_dup(struct span v) {
    return v.p ? strndup(v.p, v.n) : NULL;
}
