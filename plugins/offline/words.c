/* Words of a question. Only ASCII letters are folded: tables and the rules' words are ASCII. */
#include "offline.h"

bool words_is_identifier(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
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

bool words_equal(tda_str a, tda_str b) {
    return a.n == b.n && same(a.p, b.p, a.n);
}

bool words_contain(tda_str s, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.n; i++)
        if (same(s.p + i, part, n)) return true;
    return false;
}

size_t words_find(tda_str s, const char *word, size_t from) {
    size_t n = strlen(word);
    for (size_t i = from; i + n <= s.n; i++) {
        if (i > 0 && words_is_identifier(s.p[i - 1])) continue;
        if (i + n < s.n && words_is_identifier(s.p[i + n])) continue;
        if (same(s.p + i, word, n)) return i;
    }
    return SIZE_MAX;
}

bool words_have_any(tda_str s, const char *const *words) {
    for (; *words; words++)
        if (words_find(s, *words, 0) != SIZE_MAX) return true;
    return false;
}

static bool is_filler(tda_str word) {
    static const char *const fillers[] = {
        "a",      "all",     "an",   "and",  "any",     "are",       "by",     "column", "columns", "count", "data",
        "did",    "do",      "does", "each", "entries", "every",     "for",    "from",   "have",    "has",   "how",
        "in",     "is",      "it",   "many", "me",      "my",        "number", "of",     "on",      "our",   "please",
        "record", "records", "row",  "rows", "schema",  "structure", "table",  "that",   "the",     "there", "this",
        "to",     "up",      "us",   "we",   "what",    "which",     "with",   "you",    NULL};
    for (const char *const *f = fillers; *f; f++)
        if (words_equal(word, tda_str_of(*f))) return true;
    return false;
}

tda_str words_table(tda_str s, size_t from) {
    size_t i = from;
    while (i < s.n) {
        if (!words_is_identifier(s.p[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < s.n && words_is_identifier(s.p[i])) i++;
        tda_str word = {s.p + start, i - start};
        bool number = word.p[0] >= '0' && word.p[0] <= '9';
        if (!number && word.n <= TABLE_MAX && !is_filler(word)) return word;
    }
    return (tda_str){NULL, 0};
}
