/* Where requests go, and what stands around their bodies. */
#include <stdio.h>

#include "openai.h"

static tda_str setting(const struct call *c, tda_str name) {
    tda_str value = {NULL, 0};
    if (openai_host->setting(c->handle, name, &value)) return (tda_str){NULL, 0};
    return value;
}

/* "https://api.openai.com/v1" -> "api.openai.com"; a user name before '@' and the port do not belong to it. */
static tda_str host_of(tda_str url) {
    const char *colon = memchr(url.p, ':', url.n);
    size_t start = colon ? (size_t)(colon - url.p) + 1 : 0;
    while (start < url.n && url.p[start] == '/') start++;
    tda_str s = {url.p + start, url.n - start};
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/') s.n = i;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '@') s = (tda_str){s.p + i + 1, s.n - i - 1}, i = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ':') s.n = i;
    return s;
}

bool http_prepare(struct call *c) {
    tda_str url = setting(c, TDA_STR("base_url"));
    if (!url.n) url = TDA_STR(OPENAI_BASE_URL);
    while (url.n && url.p[url.n - 1] == '/') url.n--;
    if (memchr(url.p, '?', url.n) || memchr(url.p, '#', url.n)) {
        call_fail(c, TDA_C_REQUEST, "base_url has a '?' or '#': give the address up to and with /v1, without a query");
        return false;
    }
    c->is_openai = text_equal_nocase(host_of(url), "api.openai.com");
    text_add(&c->base_url, url, URL_PART_MAX);
    if (!c->base_url.status) return true;
    if (c->base_url.status == TDA_E_LIMIT)
        call_fail(c, TDA_C_REQUEST, "base_url is longer than %d bytes", URL_PART_MAX);
    else
        call_fail_memory(c);
    return false;
}

/* Everything but RFC 3986's unreserved characters is encoded, so that "org/model" stays one step of the path. */
static void add_step(struct text *url, tda_str name) {
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

static void make_url(const struct call *c, const char *path, tda_str name, struct text *url) {
    text_add(url, text_str(&c->base_url), URL_MAX);
    text_add_z(url, "/", URL_MAX);
    text_add_z(url, path, URL_MAX);
    if (!name.n) return;
    text_add_z(url, "/", URL_MAX);
    add_step(url, name);
}

static void add_header(tda_kv *headers, uint32_t *n, tda_str key, tda_str value) {
    if (!value.n) return;
    headers[*n] = (tda_kv){key, value};
    (*n)++;
}

static tda_status open_flow(struct call *c, tda_str url, tda_str body) {
    tda_kv headers[4];
    uint32_t n = 0;
    add_header(headers, &n, TDA_STR("accept"), c->streaming ? TDA_STR("text/event-stream") : TDA_STR("application/json"));
    add_header(headers, &n, TDA_STR("content-type"), body.p ? TDA_STR("application/json") : (tda_str){NULL, 0});
    add_header(headers, &n, TDA_STR("openai-organization"), setting(c, TDA_STR("organization")));
    add_header(headers, &n, TDA_STR("openai-project"), setting(c, TDA_STR("project")));
    /* Servers of one's own often want no key; OpenAI always does. */
    struct tda_auth auth = {.size = sizeof auth,
                            .kind = TDA_AUTH_HEADER,
                            .header = TDA_STR("authorization"),
                            .prefix = TDA_STR("Bearer "),
                            .secret = TDA_STR("api_key"),
                            .optional = !c->is_openai};
    struct tda_flow_request r = {.size = sizeof r, .kind = TDA_FLOW_HTTP, .n_headers = n, .headers = headers, .url = url};
    r.framing = c->streaming ? TDA_FRAME_SSE : TDA_FRAME_NONE;
    r.method = body.p ? TDA_STR("POST") : TDA_STR("GET");
    r.body = body;
    r.auth = &auth;
    return openai_host->flow_open(c->handle, &r, &c->flow);
}

static void fail_open(struct call *c, tda_status s) {
    switch (s) {
    case TDA_E_INVALID:
        call_fail(c, TDA_C_REQUEST, "the request could not be made: look at base_url, organization and project (%d)", (int)s);
        break;
    case TDA_E_NOT_FOUND: call_fail(c, TDA_C_AUTH, "there is no api_key: give one"); break;
    case TDA_E_DENIED: call_fail(c, TDA_C_PERMISSION, "the host does not allow requests to base_url"); break;
    case TDA_E_LIMIT: call_fail(c, TDA_C_TOO_LARGE, "the request, or the number of open ones, is above a limit of the host"); break;
    default: call_fail(c, TDA_C_INTERNAL, "the host could not open the request (status %d)", (int)s);
    }
}

void http_open(struct call *c, const char *path, tda_str name, tda_str body) {
    struct text url = {0};
    c->reply = (struct reply){.retry_ms = -1};
    c->request_id[0] = 0;
    text_clear(&c->body);
    make_url(c, path, name, &url);
    if (url.status == TDA_E_LIMIT) {
        call_fail(c, TDA_C_REQUEST, "the address made of base_url and the model's name is longer than %d bytes", URL_MAX);
    } else if (url.status) {
        call_fail_memory(c);
    } else {
        tda_status s = open_flow(c, text_str(&url), body);
        if (s) fail_open(c, s);
    }
    text_fini(&url);
}

/* ---- the answer's headers ---- */

static tda_str header(const struct tda_flow_event *e, const char *name) {
    for (uint32_t i = 0; i < e->n_headers; i++)
        if (text_equal_nocase(e->headers[i].key, name)) return e->headers[i].val;
    return (tda_str){NULL, 0};
}

void http_read_headers(struct call *c, const struct tda_flow_event *e) {
    c->reply.status = e->status;
    c->reply.retry_ms = errors_retry_after_ms(header(e, "retry-after-ms"));
    if (c->reply.retry_ms < 0) c->reply.retry_ms = errors_retry_after(header(e, "retry-after"), header(e, "date"));
    c->reply.must_not_retry = text_equal_nocase(header(e, "x-should-retry"), "false");
    line_copy(c->reply.content_type, sizeof c->reply.content_type, header(e, "content-type"));
    line_copy(c->request_id, sizeof c->request_id, header(e, "x-request-id"));
}
