/* Small things that C lacks. */
#include <stdlib.h>
#include <time.h>

#include "mcp.h"

char *text_dup(tda_str s) {
    char *copy = s.p ? (char *)malloc(s.n + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return copy;
}

int text_is(tda_str s, const char *z) {
    return s.p && tda_str_eq(s, tda_str_of(z));
}

static char lower(char ch) {
    return ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch;
}

static int begins_nocase(tda_str s, const char *word, size_t n) {
    if (s.n < n) return 0;
    for (size_t i = 0; i < n; i++)
        if (lower(s.p[i]) != lower(word[i])) return 0;
    return 1;
}

int text_same_nocase(tda_str a, tda_str b) {
    return a.n == b.n && begins_nocase(a, b.p, b.n);
}

int text_has_nocase(tda_str s, const char *word) {
    size_t n = strlen(word);
    for (; s.n >= n; s.p++, s.n--)
        if (begins_nocase(s, word, n)) return 1;
    return 0;
}

int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void put_text(tda_json_writer *w, const char *key, tda_str value) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->put_str(w, value);
}

void put_raw(tda_json_writer *w, const char *key, tda_str value) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->put_raw(w, value);
}

void put_empty(tda_json_writer *w, const char *key) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->begin_object(w);
    mcp_json->end_object(w);
}
