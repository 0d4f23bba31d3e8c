/* WWW-Authenticate (RFC 9110, 11.6.1): a list of challenges, each a scheme and its parameters, all with commas between. Whether a
 * word is a scheme or a parameter shows only at the "=" behind it. */
#include "oauth/oauth_impl.h"

struct reader {
    const char *p, *end;
};

static bool is_token_char(char c) {
    return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static void skip(struct reader *r, const char *chars) {
    while (r->p < r->end && *r->p && strchr(chars, *r->p)) r->p++;
}

static tda_str read_token(struct reader *r) {
    const char *from = r->p;
    while (r->p < r->end && is_token_char(*r->p)) r->p++;
    return (tda_str){from, (size_t)(r->p - from)};
}

/* A quoted string or a token into `out`, which holds size; false: it is longer, or not closed. */
static bool read_value(struct reader *r, char *out, size_t size) {
    size_t n = 0;
    bool fits = true;
    if (r->p == r->end || *r->p != '"') {
        tda_str t = read_token(r);
        if (t.n >= size) return false;
        memcpy(out, t.p, t.n);
        out[t.n] = 0;
        return true;
    }
    for (r->p++; r->p < r->end && *r->p != '"'; r->p++) {
        if (*r->p == '\\' && r->p + 1 < r->end) r->p++;
        fits = fits && n + 1 < size;
        if (fits) out[n++] = *r->p;
    }
    bool closed = r->p < r->end;
    if (closed) r->p++;
    out[n] = 0;
    return fits && closed;
}

static void take(struct oauth_challenge *c, tda_str name, const char *value) {
    struct url_parts parts;
    tda_str v = tda_str_of(value);
    if (str_equal_nocase(name, TDA_STR("resource_metadata")) && !c->resource_metadata[0] && v.n < sizeof c->resource_metadata &&
        url_split(v, &parts) == TDA_OK)
        memcpy(c->resource_metadata, value, v.n + 1);
    else if (str_equal_nocase(name, TDA_STR("scope")) && !c->scope[0] && v.n < sizeof c->scope && scope_valid(v))
        memcpy(c->scope, value, v.n + 1);
    else if (str_equal_nocase(name, TDA_STR("error")) && !c->error[0] && v.n < sizeof c->error && scope_valid(v))
        memcpy(c->error, value, v.n + 1);
}

void challenge_parse(tda_str header, struct oauth_challenge *c) {
    struct reader r = {header.p, header.p + header.n};
    char value[OAUTH_URL_MAX];
    bool ours = false, seen = c->bearer;
    if (!header.n) return;
    while (r.p < r.end) {
        skip(&r, ", \t");
        tda_str word = read_token(&r);
        if (!word.n) { /* nothing that a challenge is made of */
            if (r.p < r.end) r.p++;
            continue;
        }
        struct reader behind = r;
        skip(&behind, " \t");
        bool is_param = behind.p < behind.end && *behind.p == '=';
        if (!is_param) {
            ours = !seen && str_equal_nocase(word, TDA_STR("Bearer"));
            seen = seen || ours;
            c->bearer = c->bearer || ours;
            continue;
        }
        r.p = behind.p + 1;
        skip(&r, " \t");
        if (read_value(&r, value, sizeof value) && ours) take(c, word, value);
    }
}
