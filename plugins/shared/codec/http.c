/* Where requests go, and what stands around their bodies. */
#include "codec.h"

enum { HEADERS_MAX = 24 };

/* ---- settings ---- */

tda_str codec_setting(const struct codec *c, tda_str name) {
    tda_str value = {NULL, 0};
    if (codec_host->setting(c->handle, name, &value)) return (tda_str){NULL, 0};
    return value;
}

tda_str codec_context(const struct codec *c, uint32_t key) {
    tda_str value = {NULL, 0};
    if (codec_host->ctx_get(c->handle, key, &value)) return (tda_str){NULL, 0};
    return value;
}

tda_str codec_context_member(const struct codec *c, uint32_t key, tda_str name) {
    tda_json root;
    tda_str object = codec_context(c, key);
    if (!object.n || json()->parse(c->handle, object, &root)) return (tda_str){NULL, 0};
    return json()->str(json()->key(root, name));
}

tda_str codec_host_of(tda_str url) {
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

bool codec_base_url(struct codec *c, tda_str url, struct text *out) {
    while (url.n && url.p[url.n - 1] == '/') url.n--;
    if (url.n && (memchr(url.p, '?', url.n) || memchr(url.p, '#', url.n))) {
        call_fail(c, TDA_C_REQUEST, "the address of the service has a '?' or '#': give it without a query");
        return false;
    }
    text_add(out, url, URL_PART_MAX);
    if (!out->status) return true;
    if (out->status == TDA_E_LIMIT)
        call_fail(c, TDA_C_REQUEST, "the address of the service is longer than %d bytes", URL_PART_MAX);
    else
        call_fail_memory(c);
    return false;
}

bool codec_url_is_good(struct codec *c, const struct text *url) {
    if (url->status == TDA_E_LIMIT)
        call_fail(c, TDA_C_REQUEST, "the address made of base_url and the model's name is longer than %d bytes", URL_MAX);
    else if (url->status)
        call_fail_memory(c);
    return !url->status;
}

/* ---- opening ---- */

static void add_header(tda_kv *headers, uint32_t *n, tda_str key, tda_str value) {
    if (!value.n || *n == HEADERS_MAX) return;
    headers[*n] = (tda_kv){key, value};
    (*n)++;
}

static tda_str accepts(uint32_t framing) {
    switch (framing) {
    case TDA_FRAME_SSE: return TDA_STR("text/event-stream");
    case TDA_FRAME_NDJSON: return TDA_STR("application/x-ndjson");
    case TDA_FRAME_AWS_EVENTSTREAM: return TDA_STR("application/vnd.amazon.eventstream");
    default: return TDA_STR("application/json");
    }
}

static tda_status open_flow(struct codec *c, const struct codec_request *r) {
    tda_kv headers[HEADERS_MAX];
    uint32_t n = 0;
    add_header(headers, &n, TDA_STR("accept"), accepts(r->framing));
    add_header(headers, &n, TDA_STR("content-type"), r->body.p ? TDA_STR("application/json") : (tda_str){NULL, 0});
    for (uint32_t i = 0; i < r->n_headers; i++) add_header(headers, &n, r->headers[i].key, r->headers[i].val);
    struct tda_flow_request request = {.size = sizeof request, .kind = TDA_FLOW_HTTP, .n_headers = n, .headers = headers};
    request.url = r->url;
    request.framing = r->framing;
    request.method = r->body.p ? TDA_STR("POST") : TDA_STR("GET");
    request.body = r->body;
    request.auth = r->auth;
    return codec_host->flow_open(c->handle, &request, &c->flow);
}

static void fail_open(struct codec *c, tda_status s) {
    switch (s) {
    case TDA_E_INVALID:
        call_fail(c, TDA_C_REQUEST, "the request could not be made: look at the address of the service and the other settings");
        break;
    case TDA_E_NOT_FOUND: call_fail(c, TDA_C_AUTH, "there is no credential for this service: give one"); break;
    case TDA_E_DENIED: call_fail(c, TDA_C_PERMISSION, "the host does not allow requests to this address"); break;
    case TDA_E_LIMIT: call_fail(c, TDA_C_TOO_LARGE, "the request, or the number of open ones, is above a limit of the host"); break;
    default: call_fail(c, TDA_C_INTERNAL, "the host could not open the request (status %d)", (int)s);
    }
}

void codec_send(struct codec *c, const struct codec_request *r) {
    if (c->over) return;
    c->reply = (struct reply){.retry_ms = -1};
    c->request_id[0] = 0;
    c->streaming = r->framing != TDA_FRAME_NONE;
    text_clear(&c->body);
    tda_status s = open_flow(c, r);
    if (s) fail_open(c, s);
}

/* ---- the answer's head ---- */

static tda_str header(const struct tda_flow_event *e, const char *name) {
    for (uint32_t i = 0; i < e->n_headers; i++)
        if (text_equal_nocase(e->headers[i].key, name)) return e->headers[i].val;
    return (tda_str){NULL, 0};
}

void codec_read_head(struct codec *c, const struct tda_flow_event *e) {
    struct reply *r = &c->reply;
    r->status = e->status;
    r->retry_ms = errors_retry_after_ms(header(e, "retry-after-ms"));
    if (r->retry_ms < 0) r->retry_ms = errors_retry_after(header(e, "retry-after"), header(e, "date"));
    r->must_not_retry = text_equal_nocase(header(e, "x-should-retry"), "false");
    line_copy(r->content_type, sizeof r->content_type, header(e, "content-type"));
    line_copy(r->error_type, sizeof r->error_type, header(e, "x-amzn-errortype"));
    for (const char *const *name = c->ops->request_id_headers; *name && !c->request_id[0]; name++)
        line_copy(c->request_id, sizeof c->request_id, header(e, *name));
}
