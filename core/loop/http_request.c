/* From an http_spec to an easy handle of curl's: what is refused, what curl is told, and the block of headers that is wiped.
 *
 * curl is told the same for every request, so that pooled connections differ by origin only, and nothing about the caller sticks
 * to a connection: no cookies, no netrc, no authentication by curl, no client certificate. Redirects are never followed (curl
 * takes x-api-key along to the other host), errors' bodies are kept, proxies in the environment are not used. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "loop/http_impl.h"

enum { URL_MAX = 16384, HEADERS_MAX = 128, HEADER_BYTES_MAX = 65536, METHOD_MAX = 16, CURL_LATER_MS = 1000 };

/* ---- checks ---- */

static tda_status invalid(struct error *e, const char *field, const char *text) {
    error_set(e, TDA_E_INVALID, "invalid_request", "%s", text);
    error_field(e, "%s", field);
    return TDA_E_INVALID;
}

static bool is_token(tda_str s) {
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c)) return false;
    }
    return true;
}

static bool has_control(tda_str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return true;
    }
    return false;
}

/* Headers that say where the message ends or that belong to the connection: a wrong one would leave bytes for the next request. */
static bool is_curls_own(tda_str name) {
    static const char *const names[] = {"content-length",   "transfer-encoding", "connection", "keep-alive",
                                        "proxy-connection", "upgrade",           "te",         "trailer",
                                        "expect",           "http2-settings"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_equal_nocase(name, tda_str_of(names[i]))) return true;
    return false;
}

static tda_status check_header(const tda_kv *h, struct error *e) {
    if (!is_token(h->key)) return invalid(e, "headers", "a header's name is empty or has a character that names may not have");
    if (has_control(h->val)) return invalid(e, "headers", "a header's value has a control character");
    if (is_curls_own(h->key)) return invalid(e, "headers", "a header that the host sets itself (length, connection) was given");
    return TDA_OK;
}

static bool is_secret(const struct http_spec *spec, tda_str name) {
    for (size_t i = 0; i < spec->n_secrets; i++)
        if (str_equal_nocase(name, spec->secrets[i].key)) return true;
    return false;
}

static tda_status check_headers(const struct http_spec *spec, struct error *e) {
    size_t bytes = 0;
    if (spec->n_headers > HEADERS_MAX)
        return error_set(e, TDA_E_LIMIT, "too_many_headers", "a request may have %d headers, this one has %zu", HEADERS_MAX,
                         spec->n_headers);
    for (size_t i = 0; i < spec->n_headers; i++) {
        const tda_kv *h = &spec->headers[i];
        tda_status s = check_header(h, e);
        if (s) return s;
        if (is_secret(spec, h->key)) return invalid(e, "headers", "a header was given that the credential fills in");
        if (spec->sign && str_equal_nocase(h->key, TDA_STR("host")))
            return invalid(e, "headers", "a signed request's Host comes from its URL");
        bytes += h->key.n + h->val.n;
    }
    for (size_t i = 0; i < spec->n_secrets; i++) {
        tda_status s = check_header(&spec->secrets[i], e);
        if (s) return s;
        bytes += spec->secrets[i].key.n + spec->secrets[i].val.n;
    }
    if (bytes > HEADER_BYTES_MAX)
        return error_set(e, TDA_E_LIMIT, "headers_too_large", "a request may have %d bytes of headers, this one has %zu",
                         HEADER_BYTES_MAX, bytes);
    return TDA_OK;
}

static tda_status check_method(tda_str method, struct error *e) {
    if (!method.p) return TDA_OK;
    bool ok = method.n > 0 && method.n <= METHOD_MAX;
    for (size_t i = 0; ok && i < method.n; i++) ok = method.p[i] >= 'A' && method.p[i] <= 'Z';
    if (!ok || tda_str_eq(method, TDA_STR("CONNECT"))) return invalid(e, "method", "not a method that can be sent");
    return TDA_OK;
}

/* ---- URL ---- */

static tda_status url_refused(CURLUcode rc, struct error *e) {
    switch (rc) {
    case CURLUE_OUT_OF_MEMORY: return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    case CURLUE_USER_NOT_ALLOWED:
        return invalid(e, "url", "the URL holds a user name or password: give it as a credential instead");
    case CURLUE_BAD_SCHEME:
    case CURLUE_UNSUPPORTED_SCHEME: return invalid(e, "url", "the URL must begin with https:// or http://");
    default: return invalid(e, "url", "not a well-formed URL: it must look like https://host/path");
    }
}

/* "host:port". Only names of hosts and numbers, never path or query: those may hold what is nobody's business. */
static tda_status read_origin(struct http_flow *f, struct error *e) {
    char *port = NULL;
    CURLUcode rc = curl_url_get(f->url, CURLUPART_HOST, &f->host, 0);
    if (!rc) rc = curl_url_get(f->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    struct in_addr address;
    if (!rc) f->by_name = f->host[0] != '[' && inet_pton(AF_INET, f->host, &address) != 1;
    if (!rc) snprintf(f->origin, sizeof f->origin, "%s:%s", f->host, port);
    curl_free(port);
    return rc ? url_refused(rc, e) : TDA_OK;
}

static tda_status read_url(struct http_flow *f, tda_str text, struct error *e) {
    if (text.n == 0 || text.n > URL_MAX) return invalid(e, "url", "the URL is empty or too long");
    if (memchr(text.p, 0, text.n)) return invalid(e, "url", "the URL has a NUL byte");
    char *copy GUARD(free_p) = str_dup(text);
    char *scheme = NULL;
    f->url = curl_url();
    if (!copy || !f->url) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    CURLUcode rc = curl_url_set(f->url, CURLUPART_URL, copy, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
    if (!rc) rc = curl_url_get(f->url, CURLUPART_SCHEME, &scheme, 0);
    if (!rc && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) rc = CURLUE_UNSUPPORTED_SCHEME;
    curl_free(scheme);
    return rc ? url_refused(rc, e) : read_origin(f, e);
}

/* ---- the block of headers ---- */

struct block {
    struct curl_slist *node;
    char *text;
};

static void put(struct block *b, tda_str s) {
    if (s.n) memcpy(b->text, s.p, s.n);
    b->text += s.n;
}

/* "name: value"; curl takes "name:" for "leave that header out" and "name;" for an empty value. */
static void put_header(struct block *b, tda_str name, tda_str value, bool leave_out) {
    bool empty = true;
    for (size_t i = 0; empty && i < value.n; i++) empty = value.p[i] == ' ' || value.p[i] == '\t';
    b->node->data = b->text;
    put(b, name);
    put(b, leave_out ? TDA_STR(":") : empty ? TDA_STR(";") : TDA_STR(": "));
    if (!empty) put(b, value);
    *b->text++ = 0;
    b->node->next = b->node + 1;
    b->node++;
}

static bool gives(const struct http_spec *spec, const char *name) {
    for (size_t i = 0; i < spec->n_headers; i++)
        if (str_equal_nocase(spec->headers[i].key, tda_str_of(name))) return true;
    return false;
}

static tda_status make_headers(struct http_headers *h, const struct http_spec *spec) {
    enum { OWN = 2, OWN_BYTES = 64, PER_HEADER = 3 };
    size_t n = spec->n_headers + spec->n_secrets + OWN;
    size_t bytes = OWN_BYTES + n * PER_HEADER;
    for (size_t i = 0; i < spec->n_headers; i++) bytes += spec->headers[i].key.n + spec->headers[i].val.n;
    for (size_t i = 0; i < spec->n_secrets; i++) bytes += spec->secrets[i].key.n + spec->secrets[i].val.n;
    h->size = n * sizeof(struct curl_slist) + bytes;
    h->block = malloc(h->size);
    if (!h->block) return TDA_E_NOMEM;
    h->list = h->block;
    struct block b = {h->list, (char *)(h->list + n)};
    for (size_t i = 0; i < spec->n_headers; i++) put_header(&b, spec->headers[i].key, spec->headers[i].val, false);
    for (size_t i = 0; i < spec->n_secrets; i++) put_header(&b, spec->secrets[i].key, spec->secrets[i].val, false);
    if (!gives(spec, "content-type")) put_header(&b, TDA_STR("Content-Type"), (tda_str){0}, true); /* curl's guess: a form */
    put_header(&b, TDA_STR("Expect"), (tda_str){0}, true);                                         /* no wait before a body */
    b.node[-1].next = NULL;
    return TDA_OK;
}

/* ---- what curl is told ---- */

static bool set_callbacks(struct http_flow *f) {
    CURL *c = f->easy;
    return !curl_easy_setopt(c, CURLOPT_PRIVATE, f) && !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->curl_text) &&
           !curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, http_on_header) && !curl_easy_setopt(c, CURLOPT_HEADERDATA, f) &&
           !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_on_body) && !curl_easy_setopt(c, CURLOPT_WRITEDATA, f) &&
           !curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, http_on_ready_to_send) && !curl_easy_setopt(c, CURLOPT_PREREQDATA, f) &&
           !curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, http_on_open_socket) &&
           !curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, f) &&
           !curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, http_on_close_socket) &&
           !curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, f->engine);
}

static bool set_rules(struct http_flow *f) {
    CURL *c = f->easy;
    return !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") && !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) &&
           !curl_easy_setopt(c, CURLOPT_FAILONERROR, 0L) && !curl_easy_setopt(c, CURLOPT_PROXY, "") &&
           !curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && !curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L) &&
           !curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
           !curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           !curl_easy_setopt(c, CURLOPT_USERAGENT, "tda") && !curl_easy_setopt(c, CURLOPT_SHARE, f->engine->share);
}

static bool set_transport(struct http_flow *f) {
    CURL *c = f->easy;
    /* The flow's own timer comes first; curl shares the time among a name's addresses. */
    long connect_ms = f->connect_ns > 0 ? (long)((f->connect_ns - 1) / NS_PER_MS + 1) + CURL_LATER_MS : 0;
    return !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) && !curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) &&
           !curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L) && !curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) &&
           !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
}

static tda_str method_of(const struct http_spec *spec) {
    return spec->method.p ? spec->method : spec->body.p ? TDA_STR("POST") : TDA_STR("GET");
}

/* POST and POSTFIELDS for everything with a body, and for POST, PUT and PATCH without one: they say "length 0". */
static bool set_method(struct http_flow *f, const struct http_spec *spec) {
    char method[METHOD_MAX + 1] = "";
    CURL *c = f->easy;
    tda_str m = method_of(spec);
    memcpy(method, m.p, m.n);
    if (strcmp(method, "HEAD") == 0 && !spec->body.p) return !curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    bool posts = spec->body.p || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    f->posts = posts;
    if (!posts) return !curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) && !curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    return !curl_easy_setopt(c, CURLOPT_POST, 1L) && !curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body.n) &&
           !curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, spec->body.n ? spec->body.p : "") &&
           !curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
}

static tda_status fill(struct http_flow *f, const struct http_spec *spec, struct error *e) {
    tda_status s = check_headers(spec, e);
    if (s) return s;
    f->easy = curl_easy_init();
    bool ok = f->easy && !make_headers(&f->headers, spec) && set_callbacks(f) && set_rules(f) && set_transport(f) &&
              set_method(f, spec) && !curl_easy_setopt(f->easy, CURLOPT_CURLU, f->url) &&
              !curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers.list);
    return ok ? TDA_OK : error_set(e, TDA_E_NOMEM, NULL, "out of memory for a request to %s", f->origin);
}

tda_status http_request_make(struct http_flow *f, const struct http_spec *spec, struct error *e) {
    struct http_signed signature;
    struct http_spec whole = *spec;
    tda_status s = check_method(spec->method, e);
    if (!s) s = read_url(f, spec->url, e);
    if (!s && spec->sign) s = http_sign(spec, method_of(spec), f->url, &signature, e);
    if (s) return s;
    if (spec->sign) {
        whole.secrets = signature.headers;
        whole.n_secrets = signature.n;
    }
    s = fill(f, &whole, e);
    if (spec->sign) http_signed_fini(&signature);
    return s;
}

void http_request_drop(struct http_flow *f) {
    if (f->easy) curl_easy_cleanup(f->easy);
    curl_free(f->host);
    curl_url_cleanup(f->url);
    if (f->headers.block) wipe(f->headers.block, f->headers.size);
    free(f->headers.block);
}
