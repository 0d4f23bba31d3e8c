/* From an http_spec to what AWS's signature covers: host, path and query exactly as curl will send them. */
#include <stdio.h>

#include "base/clock.h"
#include "loop/http_impl.h"

struct sent {
    char *host, *port, *path, *query;
    char authority[300];
};

static void sent_free(struct sent *s) {
    curl_free(s->host);
    curl_free(s->port);
    curl_free(s->path);
    curl_free(s->query);
}

/* Like curl's Host header: the port only where it is not the scheme's own. */
static bool read_url(CURLU *url, struct sent *s) {
    CURLUcode port = curl_url_get(url, CURLUPART_PORT, &s->port, CURLU_NO_DEFAULT_PORT);
    CURLUcode query = curl_url_get(url, CURLUPART_QUERY, &s->query, 0);
    bool ok = !curl_url_get(url, CURLUPART_HOST, &s->host, 0) && !curl_url_get(url, CURLUPART_PATH, &s->path, 0) &&
              (!port || port == CURLUE_NO_PORT) && (!query || query == CURLUE_NO_QUERY);
    if (!ok) return false;
    return snprintf(s->authority, sizeof s->authority, "%s%s%s", s->host, s->port ? ":" : "", s->port ? s->port : "") <
           (int)sizeof s->authority;
}

static void put_headers(const struct sigv4_keys *k, struct http_signed *ret) {
    ret->n = 0;
    ret->headers[ret->n++] = (tda_kv){TDA_STR("x-amz-date"), tda_str_of(ret->signature.date)};
    ret->headers[ret->n++] = (tda_kv){TDA_STR("x-amz-content-sha256"), tda_str_of(ret->signature.content_sha256)};
    ret->headers[ret->n++] = (tda_kv){TDA_STR("authorization"), buf_str(&ret->signature.authorization)};
    if (k->session.p) ret->headers[ret->n++] = (tda_kv){TDA_STR("x-amz-security-token"), k->session};
}

tda_status http_sign(const struct http_spec *spec, tda_str method, CURLU *url, struct http_signed *ret, struct error *e) {
    struct sent sent = {0};
    tda_status s = TDA_E_INVALID;
    if (read_url(url, &sent)) {
        struct sigv4_request r = {.method = method,
                                  .host = tda_str_of(sent.authority),
                                  .path = tda_str_of(sent.path),
                                  .query = tda_str_of(sent.query),
                                  .headers = spec->headers,
                                  .n_headers = spec->n_headers,
                                  .body = spec->body,
                                  .time_s = clock_wall_ms() / 1000,
                                  .content_sha256 = true};
        s = sigv4_sign(spec->sign, &r, &ret->signature);
    }
    sent_free(&sent);
    if (!s) put_headers(spec->sign, ret);
    return s ? error_set(e, s, "invalid_request", "the request cannot be signed: %s", status_text(s)) : TDA_OK;
}

void http_signed_fini(struct http_signed *s) {
    buf_fini(&s->signature.authorization);
}
