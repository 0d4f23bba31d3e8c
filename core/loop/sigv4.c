/* What is signed, as AWS's "canonical request":
 *
 *     method LF path LF query LF  name:value LF ...  LF  names LF  sha256(body)
 *
 * It is fed to the hash piece by piece, so that no copy of the session token is left anywhere. The path is encoded a second time
 * (all of AWS but S3 does so: "%3A" counts as "%253A"); curl 7.88 does not, which is why its own signer is not used. */
#include "loop/sigv4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/hash.h"

enum { SHA = 32, SIGNED_MAX = 32, STEPS_MAX = 256, PARAMS_MAX = 128, KEY_MAX = 512, TEXT_MAX = 65536 };

static const char algorithm[] = "AWS4-HMAC-SHA256";

/* ---- hashing ---- */

struct hasher {
    EVP_MD_CTX *ctx;
    bool failed;
};

static void feed(struct hasher *h, tda_str s) {
    if (!h->failed && s.n) h->failed = EVP_DigestUpdate(h->ctx, s.p, s.n) != 1;
}

static void feed_z(struct hasher *h, const char *s) {
    feed(h, tda_str_of(s));
}

static void to_hex(const unsigned char in[SHA], char out[2 * SHA + 1]) {
    for (size_t i = 0; i < SHA; i++) snprintf(out + 2 * i, 3, "%02x", in[i]);
}

static bool sha256_hex(tda_str s, char out[2 * SHA + 1]) {
    unsigned char digest[SHA];
    if (EVP_Digest(s.n ? s.p : "", s.n, digest, NULL, EVP_sha256(), NULL) != 1) return false;
    to_hex(digest, out);
    return true;
}

static bool hmac(const void *key, size_t n_key, tda_str text, unsigned char out[SHA]) {
    return HMAC(EVP_sha256(), key, (int)n_key, (const unsigned char *)text.p, text.n, out, NULL);
}

/* ---- the address ---- */

static void add_encoded(struct buf *out, unsigned char c) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    if (c && strchr(plain, c))
        buf_add_char(out, (char)c);
    else
        buf_addf(out, "%%%02X", c);
}

/* Without empty steps and ".", as the service reads it. */
static tda_status add_path(struct buf *out, tda_str path) {
    tda_str steps[STEPS_MAX];
    size_t n = 0;
    for (size_t at = 0; at < path.n;) {
        const char *slash = memchr(path.p + at, '/', path.n - at);
        tda_str step = {path.p + at, slash ? (size_t)(slash - path.p) - at : path.n - at};
        at += step.n + 1;
        if (tda_str_eq(step, TDA_STR("..")))
            n -= n > 0;
        else if (step.n && !tda_str_eq(step, TDA_STR("."))) {
            if (n == STEPS_MAX) return TDA_E_LIMIT;
            steps[n++] = step;
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_add_char(out, '/');
        for (size_t k = 0; k < steps[i].n; k++) add_encoded(out, (unsigned char)steps[i].p[k]);
    }
    if (!n || path.p[path.n - 1] == '/') buf_add_char(out, '/');
    return out->status;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whatever of it was encoded: now everything is that must be. */
static size_t add_recoded(struct buf *out, tda_str s) {
    size_t before = out->n;
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1, low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        add_encoded(out, low >= 0 ? (unsigned char)(high * 16 + low) : (unsigned char)s.p[i]);
        if (low >= 0) i += 2;
    }
    return out->n - before;
}

static int compare(tda_str a, tda_str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int by_param(const void *x, const void *y) {
    const tda_kv *a = x, *b = y;
    int c = compare(a->key, b->key);
    return c ? c : compare(a->val, b->val);
}

/* The parameters in `text`, sorted, into `ret`. */
static tda_status split_query(tda_str query, struct buf *text, tda_kv ret[PARAMS_MAX], size_t *ret_n) {
    size_t lengths[PARAMS_MAX][2], n = 0;
    for (size_t at = 0; at < query.n;) {
        const char *end = memchr(query.p + at, '&', query.n - at);
        tda_str one = {query.p + at, end ? (size_t)(end - query.p) - at : query.n - at};
        at += one.n + 1;
        if (!one.n) continue;
        if (n == PARAMS_MAX) return TDA_E_LIMIT;
        const char *equals = memchr(one.p, '=', one.n);
        size_t name = equals ? (size_t)(equals - one.p) : one.n;
        lengths[n][0] = add_recoded(text, (tda_str){one.p, name});
        lengths[n++][1] = equals ? add_recoded(text, (tda_str){equals + 1, one.n - name - 1}) : 0;
    }
    if (text->status) return text->status;
    const char *p = text->p;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (tda_kv){{p, lengths[i][0]}, {p + lengths[i][0], lengths[i][1]}};
        p += lengths[i][0] + lengths[i][1];
    }
    qsort(ret, n, sizeof *ret, by_param);
    *ret_n = n;
    return TDA_OK;
}

static tda_status feed_query(struct hasher *h, tda_str query) {
    struct buf text;
    tda_kv params[PARAMS_MAX];
    size_t n = 0;
    buf_init(&text, TEXT_MAX);
    tda_status s = split_query(query, &text, params, &n);
    for (size_t i = 0; i < n && !s; i++) {
        if (i) feed_z(h, "&");
        feed(h, params[i].key);
        feed_z(h, "=");
        feed(h, params[i].val);
    }
    buf_fini(&text);
    return s;
}

static tda_status feed_address(struct hasher *h, const struct sigv4_request *r) {
    struct buf path;
    buf_init(&path, TEXT_MAX);
    tda_status s = add_path(&path, r->path);
    feed(h, r->method);
    feed_z(h, "\n");
    feed(h, buf_str(&path));
    feed_z(h, "\n");
    buf_fini(&path);
    if (!s) s = feed_query(h, r->query);
    feed_z(h, "\n");
    return s;
}

/* ---- headers ---- */

struct signed_headers {
    tda_kv list[SIGNED_MAX];
    size_t n;
    struct buf names; /* in lower case, with ";" between them */
};

static int compare_names(tda_str a, tda_str b) {
    int c = strncasecmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const void *x, const void *y) {
    return compare_names(((const tda_kv *)x)->key, ((const tda_kv *)y)->key);
}

static bool is_signed(tda_str name) {
    return str_equal_nocase(name, TDA_STR("content-type")) || (name.n > 6 && strncasecmp(name.p, "x-amz-", 6) == 0);
}

static tda_status add_names(struct signed_headers *s) {
    buf_init(&s->names, TEXT_MAX);
    for (size_t i = 0; i < s->n; i++) {
        if (i) buf_add_char(&s->names, ';');
        for (size_t k = 0; k < s->list[i].key.n; k++) {
            char c = s->list[i].key.p[k];
            buf_add_char(&s->names, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
        }
    }
    return s->names.status;
}

static tda_status choose_headers(const struct sigv4_keys *k, const struct sigv4_request *r, const struct sigv4_signature *sig,
                                 struct signed_headers *ret) {
    *ret = (struct signed_headers){.list = {{TDA_STR("host"), r->host}, {TDA_STR("x-amz-date"), tda_str_of(sig->date)}}, .n = 2};
    if (k->session.p) ret->list[ret->n++] = (tda_kv){TDA_STR("x-amz-security-token"), k->session};
    if (r->content_sha256) ret->list[ret->n++] = (tda_kv){TDA_STR("x-amz-content-sha256"), tda_str_of(sig->content_sha256)};
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!is_signed(r->headers[i].key)) continue;
        if (ret->n == SIGNED_MAX) return TDA_E_LIMIT;
        ret->list[ret->n++] = r->headers[i];
    }
    qsort(ret->list, ret->n, sizeof ret->list[0], by_name);
    for (size_t i = 1; i < ret->n; i++)
        if (compare_names(ret->list[i - 1].key, ret->list[i].key) == 0) return TDA_E_INVALID;
    return add_names(ret);
}

/* Without blanks around it; several within count as one. */
static void feed_value(struct hasher *h, tda_str v) {
    bool begun = false, gap = false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == ' ' || v.p[i] == '\t') {
            gap = begun;
            continue;
        }
        if (gap) feed_z(h, " ");
        feed(h, (tda_str){v.p + i, 1});
        begun = true;
        gap = false;
    }
}

static void feed_headers(struct hasher *h, const struct signed_headers *s) {
    tda_str names = buf_str(&s->names);
    for (size_t i = 0; i < s->n; i++) {
        feed(h, (tda_str){names.p, s->list[i].key.n});
        names = (tda_str){names.p + s->list[i].key.n + 1, 0};
        feed_z(h, ":");
        feed_value(h, s->list[i].val);
        feed_z(h, "\n");
    }
    feed_z(h, "\n");
    feed(h, buf_str(&s->names));
    feed_z(h, "\n");
}

/* ---- the signature ---- */

static tda_status canonical_digest(const struct sigv4_request *r, const struct signed_headers *headers, const char *body_digest,
                                   char out[2 * SHA + 1]) {
    unsigned char digest[SHA];
    struct hasher h = {.ctx = EVP_MD_CTX_new()};
    h.failed = !h.ctx || EVP_DigestInit_ex(h.ctx, EVP_sha256(), NULL) != 1;
    tda_status s = feed_address(&h, r);
    feed_headers(&h, headers);
    feed_z(&h, body_digest);
    if (!s && (h.failed || EVP_DigestFinal_ex(h.ctx, digest, NULL) != 1)) s = TDA_E_NOMEM;
    if (!s) to_hex(digest, out);
    EVP_MD_CTX_free(h.ctx);
    return s;
}

/* A key for this day, region and service only. */
static bool signing_key(const struct sigv4_keys *k, const char *date, unsigned char key[SHA]) {
    char first[4 + KEY_MAX] = "AWS4";
    memcpy(first + 4, k->secret.p, k->secret.n);
    bool ok = hmac(first, 4 + k->secret.n, (tda_str){date, 8}, key) && hmac(key, SHA, k->region, key) &&
              hmac(key, SHA, k->service, key) && hmac(key, SHA, TDA_STR("aws4_request"), key);
    wipe(first, sizeof first);
    return ok;
}

static tda_status sign_text(const struct sigv4_keys *k, const char *date, tda_str text, char out[2 * SHA + 1]) {
    unsigned char key[SHA], mac[SHA];
    bool ok = signing_key(k, date, key) && hmac(key, SHA, text, mac);
    wipe(key, sizeof key);
    if (!ok) return TDA_E_NOMEM;
    to_hex(mac, out);
    return TDA_OK;
}

static bool is_word(tda_str s) {
    if (s.n == 0 || s.n > 64) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-')) return false;
    return true;
}

static tda_status authorize(const struct sigv4_keys *k, const struct signed_headers *headers, const char *canonical,
                            struct sigv4_signature *ret) {
    char scope[180], text[400], signature[2 * SHA + 1];
    snprintf(scope, sizeof scope, "%.8s/%.*s/%.*s/aws4_request", ret->date, STR_FMT(k->region), STR_FMT(k->service));
    snprintf(text, sizeof text, "%s\n%s\n%s\n%s", algorithm, ret->date, scope, canonical);
    tda_status s = sign_text(k, ret->date, tda_str_of(text), signature);
    if (s) return s;
    buf_addf(&ret->authorization, "%s Credential=%.*s/%s, SignedHeaders=", algorithm, STR_FMT(k->key_id), scope);
    buf_add_str(&ret->authorization, buf_str(&headers->names));
    buf_addf(&ret->authorization, ", Signature=%s", signature);
    return ret->authorization.status;
}

tda_status sigv4_sign(const struct sigv4_keys *k, const struct sigv4_request *r, struct sigv4_signature *ret) {
    struct sigv4_signature sig = {.date = ""};
    struct signed_headers headers;
    char canonical[2 * SHA + 1];
    struct tm tm;
    time_t t = (time_t)r->time_s;
    if (!is_word(k->region) || !is_word(k->service) || k->secret.n > KEY_MAX) return TDA_E_INVALID;
    if (!gmtime_r(&t, &tm) || !strftime(sig.date, sizeof sig.date, "%Y%m%dT%H%M%SZ", &tm)) return TDA_E_INVALID;
    if (!sha256_hex(r->body, sig.content_sha256)) return TDA_E_NOMEM;
    tda_status s = choose_headers(k, r, &sig, &headers);
    if (!s) s = canonical_digest(r, &headers, sig.content_sha256, canonical);
    buf_init(&sig.authorization, TEXT_MAX);
    if (!s) s = authorize(k, &headers, canonical, &sig);
    buf_fini(&headers.names);
    if (s)
        buf_fini(&sig.authorization);
    else
        *ret = sig;
    return s;
}
