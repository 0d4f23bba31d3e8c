#include <stdio.h>
#include <stdlib.h>

#include "codec.h"

static bool reserve(struct text *t, size_t n) {
    if (n <= t->cap) return true;
    size_t cap = t->cap ? t->cap : 256;
    while (cap < n) cap *= 2;
    char *p = realloc(t->p, cap);
    if (!p) {
        t->status = TDA_E_NOMEM;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

void text_add(struct text *t, tda_str s, size_t max) {
    if (t->status || s.n == 0) return;
    if (s.n > max || t->n > max - s.n) {
        t->status = TDA_E_LIMIT;
        return;
    }
    if (!reserve(t, t->n + s.n)) return;
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

void text_add_z(struct text *t, const char *s, size_t max) {
    text_add(t, tda_str_of(s), max);
}

void text_add_step(struct text *url, tda_str name) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < name.n; i++) {
        char code[4];
        if (name.p[i] && strchr(plain, name.p[i])) {
            text_add(url, (tda_str){name.p + i, 1}, URL_MAX);
        } else {
            snprintf(code, sizeof code, "%%%02X", (unsigned)(unsigned char)name.p[i]);
            text_add_z(url, code, URL_MAX);
        }
    }
}

tda_str text_str(const struct text *t) {
    return (tda_str){t->p ? t->p : "", t->n};
}

void text_clear(struct text *t) {
    t->n = 0;
    t->status = TDA_OK;
}

void text_fini(struct text *t) {
    free(t->p);
    *t = (struct text){0};
}

void line_copy(char *out, size_t size, tda_str s) {
    size_t n = 0, i = 0;
    for (; i < s.n && n + 1 < size; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool space = c <= ' ' || c == 0x7f;
        if (space && (n == 0 || out[n - 1] == ' ')) continue;
        out[n] = s.p[i];
        if (space) out[n] = ' ';
        n++;
    }
    /* Cut inside a character: take back its bytes. */
    if (i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80) {
        while (n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80) n--;
        if (n > 0) n--;
    }
    while (n > 0 && out[n - 1] == ' ') n--;
    out[n] = 0;
}

static char fold(char c) {
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c;
}

static bool same(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fold(a[i]) != fold(b[i])) return false;
    return true;
}

bool text_has_nocase(tda_str s, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.n; i++)
        if (same(s.p + i, part, n)) return true;
    return false;
}

bool text_equal_nocase(tda_str s, const char *word) {
    return s.n == strlen(word) && same(s.p, word, s.n);
}

bool text_number(tda_str s, double *ret) {
    char text[32];
    if (s.n == 0 || s.n >= sizeof text) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.') return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *ret = strtod(text, NULL);
    return true;
}
