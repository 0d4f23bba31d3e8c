/* Status names, errors and small text helpers. Pure functions, every thread. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const struct {
    tda_status status;
    const char *name;
    const char *text;
} statuses[] = {
#define ROW(name, number, text) {number, #name, text},
    TDA_STATUS_MAP(ROW)
#undef ROW
};

const char *status_name(tda_status status) {
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status) return statuses[i].name;
    return "E_UNKNOWN";
}

const char *status_text(tda_status status) {
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status) return statuses[i].text;
    return "unknown failure";
}

tda_status error_set(struct error *e, tda_status status, const char *kind, const char *fmt, ...) {
    if (!e) return status;
    *e = (struct error){.status = status, .retry_ms = -1};
    snprintf(e->kind, sizeof e->kind, "%s", kind ? kind : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return status;
}

void error_field(struct error *e, const char *fmt, ...) {
    if (!e) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->field, sizeof e->field, fmt, ap);
    va_end(ap);
}

void error_hint(struct error *e, const char *fmt, ...) {
    if (!e) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
}

char *str_dup(tda_str s) {
    char *p = malloc(s.n + 1);
    if (!p) return NULL;
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

bool str_equal_nocase(tda_str a, tda_str b) {
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool str_has(tda_str haystack, tda_str needle) {
    if (needle.n == 0) return true;
    if (needle.n > haystack.n) return false;
    for (size_t i = 0; i + needle.n <= haystack.n; i++)
        if (memcmp(haystack.p + i, needle.p, needle.n) == 0) return true;
    return false;
}

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance of two short words; words over 63 bytes are never near. */
static size_t distance(tda_str a, tda_str b) {
    enum { MAX = 64 };
    size_t row[MAX];
    if (a.n >= MAX || b.n >= MAX) return MAX;
    for (size_t j = 0; j <= b.n; j++) row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];
            row[j] = min3(row[j] + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *nearest_word(tda_str word, const char *const *words, size_t n) {
    const char *best = NULL;
    size_t best_distance = 1 + word.n / 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, tda_str_of(words[i]));
        if (d <= best_distance && (!best || d < best_distance)) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool user_id_valid(tda_str id) {
    if (id.n == 0 || id.n > 128 || !is_alnum(id.p[0])) return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!is_alnum(c) && c != '.' && c != '_' && c != '@' && c != ':' && c != '-') return false;
        if (c == '.' && i > 0 && id.p[i - 1] == '.') return false;
    }
    return true;
}

bool tag_valid(tda_str tag) {
    if (tag.n == 0 || tag.n > 32 || !is_alnum(tag.p[0])) return false;
    for (size_t i = 0; i < tag.n; i++)
        if (!is_alnum(tag.p[i]) && tag.p[i] != '_' && tag.p[i] != '-') return false;
    return true;
}
