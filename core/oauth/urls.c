/* Addresses, queries and scopes, as OAuth compares and builds them. Pure. */
#include "oauth/oauth_impl.h"

#include <stdio.h>

#include "loop/url.h"

/* ---- URLs ---- */

tda_status url_split(tda_str url, struct url_parts *ret) {
    char origin[300];
    if (!url.n || url.n >= OAUTH_URL_MAX || url_origin(url, origin, sizeof origin)) return TDA_E_INVALID;
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || (unsigned char)url.p[i] >= 0x7f || strchr("#\"<>\\^`{|}", url.p[i]))
            return TDA_E_INVALID;
    const char *end = url.p + url.n, *authority = memmem(url.p, url.n, "://", 3);
    if (!authority) return TDA_E_INVALID;
    const char *path = authority + 3;
    while (path < end && *path != '/' && *path != '?') path++;
    const char *query = memchr(path, '?', (size_t)(end - path));
    const char *path_end = query ? query : end;
    *ret = (struct url_parts){.base = {url.p, (size_t)(path - url.p)}, .path = {path, (size_t)(path_end - path)}};
    if (query) ret->query = (tda_str){query + 1, (size_t)(end - query - 1)};
    return TDA_OK;
}

/* "." and ".." are for the server to resolve: such a path may leave the one that it seems to be in. */
static bool has_dots(tda_str path) {
    return str_has(path, TDA_STR("/.")) || str_has(path, TDA_STR("%2e")) || str_has(path, TDA_STR("%2E"));
}

bool resource_covers(tda_str resource, tda_str url) {
    struct url_parts r, u;
    char r_origin[300], u_origin[300];
    if (url_split(resource, &r) || url_split(url, &u) || r.query.p) return false;
    if (url_origin(resource, r_origin, sizeof r_origin) || url_origin(url, u_origin, sizeof u_origin)) return false;
    if (strcmp(r_origin, u_origin) != 0) return false;
    tda_str path = r.path;
    if (path.n && path.p[path.n - 1] == '/') path.n--;
    if (!path.n) return true;
    if (has_dots(path) || has_dots(u.path) || u.path.n < path.n || memcmp(path.p, u.path.p, path.n) != 0) return false;
    return u.path.n == path.n || u.path.p[path.n] == '/';
}

static tda_str without_slash(tda_str path) {
    if (path.n && path.p[path.n - 1] == '/') path.n--;
    return path;
}

static tda_status join(char *out, size_t size, tda_str base, tda_str before, const char *name, tda_str after) {
    int n = snprintf(out, size, "%.*s%.*s/.well-known/%s%.*s", STR_FMT(base), STR_FMT(before), name, STR_FMT(after));
    return n > 0 && (size_t)n < size ? TDA_OK : TDA_E_LIMIT;
}

tda_status prm_url(tda_str server_url, unsigned candidate, char *out, size_t size) {
    struct url_parts u;
    tda_str none = {0};
    if (url_split(server_url, &u)) return TDA_E_INVALID;
    tda_str path = without_slash(u.path);
    if (!path.n) candidate++; /* both are the root's */
    if (candidate > 1) return TDA_E_NOT_FOUND;
    return join(out, size, u.base, none, "oauth-protected-resource", candidate == 0 ? path : none);
}

tda_status as_metadata_url(tda_str issuer, unsigned candidate, char *out, size_t size) {
    struct url_parts u;
    tda_str none = {0};
    if (url_split(issuer, &u) || u.query.p) return TDA_E_INVALID;
    tda_str path = without_slash(u.path);
    switch (candidate) {
    case 0: return join(out, size, u.base, none, "oauth-authorization-server", path);
    case 1: return join(out, size, u.base, none, "openid-configuration", path);
    case 2: return path.n ? join(out, size, u.base, path, "openid-configuration", none) : TDA_E_NOT_FOUND;
    default: return TDA_E_NOT_FOUND;
    }
}

/* ---- forms and queries ---- */

static bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

void form_encode(struct buf *out, tda_str value) {
    for (size_t i = 0; i < value.n; i++) {
        if (is_unreserved(value.p[i]))
            buf_add_char(out, value.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)value.p[i]);
    }
}

void form_add(struct buf *out, const char *key, tda_str value) {
    if (out->n && out->p[out->n - 1] != '?') buf_add_char(out, '&');
    buf_addf(out, "%s=", key);
    form_encode(out, value);
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static tda_status decode(tda_str in, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i] == '+' ? ' ' : in.p[i];
        if (c == '%') {
            int high = i + 2 < in.n ? hex(in.p[i + 1]) : -1, low = i + 2 < in.n ? hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0) return TDA_E_INVALID;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || c == 0x7f || n + 1 >= size) return TDA_E_INVALID;
        out[n++] = c;
    }
    out[n] = 0;
    return TDA_OK;
}

tda_status query_get(tda_str query, const char *key, char *out, size_t size) {
    size_t key_n = strlen(key);
    bool found = false;
    while (query.n) {
        const char *amp = memchr(query.p, '&', query.n);
        tda_str pair = {query.p, amp ? (size_t)(amp - query.p) : query.n};
        query = amp ? (tda_str){amp + 1, query.n - pair.n - 1} : (tda_str){0};
        if (pair.n <= key_n || pair.p[key_n] != '=' || memcmp(pair.p, key, key_n) != 0) continue;
        if (found || decode((tda_str){pair.p + key_n + 1, pair.n - key_n - 1}, out, size)) return TDA_E_INVALID;
        found = true;
    }
    return found ? TDA_OK : TDA_E_NOT_FOUND;
}

void base64url(tda_str bytes, struct buf *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < bytes.n; i += 3) {
        unsigned v = (unsigned)(unsigned char)bytes.p[i] << 16;
        if (i + 1 < bytes.n) v |= (unsigned)(unsigned char)bytes.p[i + 1] << 8;
        if (i + 2 < bytes.n) v |= (unsigned char)bytes.p[i + 2];
        buf_add_char(out, digits[v >> 18]);
        buf_add_char(out, digits[v >> 12 & 63]);
        if (i + 1 < bytes.n) buf_add_char(out, digits[v >> 6 & 63]);
        if (i + 2 < bytes.n) buf_add_char(out, digits[v & 63]);
    }
}

/* ---- scopes (RFC 6749, 3.3): words with one blank between, as far as servers keep to it ---- */

bool scope_valid(tda_str scope) {
    for (size_t i = 0; i < scope.n; i++) {
        char c = scope.p[i];
        if (c < ' ' || c >= 0x7f || c == '"' || c == '\\') return false;
    }
    return true;
}

static tda_str next_word(tda_str *rest) {
    while (rest->n && *rest->p == ' ') *rest = (tda_str){rest->p + 1, rest->n - 1};
    if (!rest->n) return (tda_str){0};
    const char *blank = memchr(rest->p, ' ', rest->n);
    tda_str word = {rest->p, blank ? (size_t)(blank - rest->p) : rest->n};
    *rest = (tda_str){rest->p + word.n, rest->n - word.n};
    return word;
}

bool scope_has(tda_str scope, tda_str word) {
    for (tda_str w; (w = next_word(&scope)).n;)
        if (tda_str_eq(w, word)) return true;
    return false;
}

tda_status scope_union(tda_str a, tda_str b, char out[OAUTH_SCOPE_MAX]) {
    size_t n = 0;
    out[0] = 0;
    for (int side = 0; side < 2; side++) {
        tda_str rest = side ? b : a;
        for (tda_str w; (w = next_word(&rest)).n;) {
            if (scope_has((tda_str){out, n}, w)) continue;
            if (n + w.n + 2 > OAUTH_SCOPE_MAX) return TDA_E_LIMIT;
            if (n) out[n++] = ' ';
            memcpy(out + n, w.p, w.n);
            n += w.n;
            out[n] = 0;
        }
    }
    return TDA_OK;
}
