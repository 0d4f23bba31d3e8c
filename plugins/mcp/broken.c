/* An answer that cannot be read as JSON: nested too deep, cut, or with bytes that are no text. Whoever waits for it would do so
 * until the deadline, so its outermost level is read by eye: members by name, the rest by brackets alone. What is no answer by that
 * look is none: programs print to stdout what belongs on stderr, and servers number requests of their own as we do. */
#include "conn.h"

struct look {
    int is_answer, is_request;
    int64_t id; /* 0: there is none that could be ours */
};

/* Behind the string that begins at p. */
static const char *behind_string(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p + 1 : end;
}

static const char *behind_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) p++;
    return p;
}

static int64_t read_id(const char *p, const char *end) {
    enum { DIGITS_MAX = 18 };
    int64_t id = 0;
    const char *begin = p;
    for (; p < end && p - begin < DIGITS_MAX && *p >= '0' && *p <= '9'; p++) id = id * 10 + (*p - '0');
    p = behind_space(p, end);
    return p < end && (*p == ',' || *p == '}') ? id : 0;
}

static void note_member(struct look *look, tda_str name, const char *value, const char *end) {
    if (text_is(name, "id")) look->id = read_id(value, end);
    if (text_is(name, "method")) look->is_request = 1;
    if (text_is(name, "result") || text_is(name, "error")) look->is_answer = 1;
}

static struct look look_at(tda_str text) {
    struct look look = {0, 0, 0};
    const char *end = text.p + text.n, *p = behind_space(text.p, end);
    size_t depth = 0;
    if (p == end || *p != '{') return look;
    while (p < end) {
        const char *begin = p;
        if (*p != '"') {
            depth += *p == '{' || *p == '[';
            if ((*p == '}' || *p == ']') && --depth == 0) break;
            p++;
            continue;
        }
        p = behind_string(p, end);
        if (depth != 1) continue;
        const char *colon = behind_space(p, end);
        tda_str name = {begin + 1, (size_t)(p - begin - 1)};
        if (name.n) name.n--; /* the quote */
        if (colon < end && *colon == ':') note_member(&look, name, behind_space(colon + 1, end), end);
    }
    return look;
}

/* The only one that waits for an answer now; one that waits for changes always does. */
static struct exchange *only_waiting(struct conn *c) {
    struct exchange *only = NULL;
    for (struct exchange *x = c->exchanges; x; x = x->next) {
        if (x->is_notification || x->is_parked || (x == &c->listen && c->era->is_modern)) continue;
        if (only) return NULL;
        only = x;
    }
    return only;
}

int broken_answer(struct conn *c, tda_str text, tda_status why, struct exchange *via) {
    struct look look = look_at(text);
    if (!look.is_answer || look.is_request) return 0;
    struct exchange *x = look.id ? exchange_find(c, look.id) : via ? via : only_waiting(c);
    if (!x) return 0;
    exchange_fail(x, TDA_C_PROTOCOL, x->stream.status, "the answer to %s cannot be read: it is %s; it begins: %.*s", x->method,
                  why == TDA_E_LIMIT ? "nested too deep" : "no valid JSON", CUT(text, 80));
    return 1;
}
