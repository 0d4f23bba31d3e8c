/* frozen-provider: a provider of models. The service of this example is asked with POST BASE_URL/generate and answers as a stream
 * of events:
 *
 *     data: {"text": "Hel"}        data: {"text": "lo"}        data: {"done": true}
 *
 * Put your service's words in their place. Nothing here waits, locks or opens a socket: the host does, and calls back. */
#include <stdio.h>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id frozen-provider\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://api.example.com\n"
                "config base_url url u https://api.example.com address of the service\n"
                "config api_key secret ur - the key\n");

enum { TEXT_MAX = 32 << 10, URL_MAX = 2048 };
enum step { SAY_BEGIN, SAY_TEXT, SAY_PART_STOP, SAY_STOP, SAID };

static const struct tda_host *host;
static const struct tda_json_api *json;

/* One call: host->state gives it zeroed, and takes it back after drop. */
struct call {
    tda_call handle;
    enum step step; /* what is said next: an event that the host cannot take now is said later */
    int ended, http_status;
    uint32_t cls; /* how it ends: enum tda_class */
    size_t n, said;
    char text[TEXT_MAX];
};

static tda_status emit(struct call *c, uint32_t kind, tda_str text) {
    struct tda_event e = {.size = sizeof e, .kind = kind, .part_kind = TDA_PART_TEXT, .text = text};
    if (kind == TDA_EV_STOP) e.stop = TDA_STOP_END_TURN;
    return host->emit(c->handle, &e);
}

static void finish(struct call *c, uint32_t cls) {
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .http_status = c->http_status};
    c->step = SAID;
    host->finish(c->handle, &r);
}

/* Says what there is to say, as far as the host takes it. */
static void go_on(struct call *c) {
    tda_status s = TDA_OK;
    while (c->step < SAID && s == TDA_OK) {
        if (!c->ended && c->said == c->n) return; /* more is to come */
        if (c->cls && c->said == c->n) break;
        if (c->step == SAY_BEGIN) s = emit(c, TDA_EV_PART_START, TDA_STR(""));
        if (c->step == SAY_TEXT && c->said < c->n) s = emit(c, TDA_EV_TEXT, (tda_str){c->text + c->said, c->n - c->said});
        if (c->step == SAY_PART_STOP) s = emit(c, TDA_EV_PART_STOP, TDA_STR(""));
        if (c->step == SAY_STOP) s = emit(c, TDA_EV_STOP, TDA_STR(""));
        if (s) break;
        if (c->step == SAY_TEXT) c->said = c->n;
        if (c->step != SAY_TEXT || c->ended) c->step++;
    }
    if (c->step == SAID || (c->ended && c->cls && c->said == c->n))
        finish(c, c->cls);
    else if (s && s != TDA_E_AGAIN)
        finish(c, TDA_C_INTERNAL);
}

/* ---- the request ---- */

static tda_str last_text(const struct tda_request *r) {
    const struct tda_msg *m = r->n_msgs ? r->msgs[r->n_msgs - 1] : NULL;
    return m && m->n_parts && m->parts[0]->kind == TDA_PART_TEXT ? m->parts[0]->text : TDA_STR("");
}

static tda_status open_flow(struct call *c, const struct tda_request *r) {
    char url[URL_MAX];
    tda_str base, body;
    tda_flow flow;
    tda_json_writer *w = json->writer(c->handle);
    json->begin_object(w);
    json->put_key(w, TDA_STR("model")), json->put_str(w, r->model);
    json->put_key(w, TDA_STR("prompt")), json->put_str(w, last_text(r));
    json->end_object(w);
    tda_status s = json->text(w, &body);
    if (!s) s = host->setting(c->handle, TDA_STR("base_url"), &base);
    if (s) return s;
    if (snprintf(url, sizeof url, "%.*s/generate", (int)base.n, base.p) >= (int)sizeof url) return TDA_E_INVALID;
    struct tda_auth auth = {.size = sizeof auth, .kind = TDA_AUTH_HEADER, .header = TDA_STR("authorization")};
    auth.prefix = TDA_STR("Bearer ");
    auth.secret = TDA_STR("api_key");
    tda_kv type = {TDA_STR("content-type"), TDA_STR("application/json")};
    struct tda_flow_request q = {.size = sizeof q, .kind = TDA_FLOW_HTTP, .framing = TDA_FRAME_SSE, .n_headers = 1};
    q.headers = &type;
    q.url = tda_str_of(url);
    q.body = body;
    q.auth = &auth;
    return host->flow_open(c->handle, &q, &flow);
}

static tda_status start(void *self, tda_call handle, const struct tda_request *r) {
    struct call *c = host->state(handle);
    (void)self;
    c->handle = handle;
    if (r->op != TDA_OP_CHAT && r->op != TDA_OP_VALIDATE)
        finish(c, TDA_C_REQUEST);
    else if (open_flow(c, r))
        finish(c, TDA_C_REQUEST);
    return TDA_OK;
}

/* ---- the answer ---- */

static uint32_t class_of(int status) {
    if (status == 401) return TDA_C_AUTH;
    if (status == 403) return TDA_C_PERMISSION;
    if (status == 404) return TDA_C_NOT_FOUND;
    if (status == 429) return TDA_C_RATE;
    return status >= 500 ? TDA_C_UPSTREAM : TDA_C_REQUEST;
}

static void take_item(struct call *c, tda_str data) {
    tda_json root;
    int32_t done = 0;
    tda_str text;
    if (json->parse(c->handle, data, &root)) {
        c->ended = 1, c->cls = TDA_C_PROTOCOL;
        return;
    }
    text = json->str(json->get(root, "text"));
    if (text.n > sizeof c->text - c->n) c->ended = 1, c->cls = TDA_C_TOO_LARGE;
    if (text.n && !c->cls) memcpy(c->text + c->n, text.p, text.n), c->n += text.n;
    if (json->boolean(json->get(root, "done"), &done) && done) c->ended = 1;
}

static void on_flow(void *self, tda_call handle, const struct tda_flow_event *e) {
    struct call *c = host->state(handle);
    (void)self;
    if (c->ended || c->step == SAID) return;
    if (e->kind == TDA_FLOW_STATUS) {
        c->http_status = e->status;
        if (e->status < 200 || e->status > 299) c->ended = 1, c->cls = class_of(e->status);
    }
    if (e->kind == TDA_FLOW_ITEM) take_item(c, e->data);
    if (e->kind == TDA_FLOW_END) c->ended = 1, c->cls = TDA_C_PROTOCOL; /* without "done" it was cut off */
    if (e->kind == TDA_FLOW_FAIL) c->ended = 1, c->cls = e->cls;
    go_on(c);
}

static void on_wake(void *self, tda_call handle, uint64_t token) {
    (void)self;
    if (token == TDA_TOKEN_DRAINED) go_on(host->state(handle));
}

/* ---- the plugin ---- */

static const struct tda_provider provider = {
    .size = sizeof provider, .call_state_size = sizeof(struct call), .start = start, .on_flow = on_flow, .on_wake = on_wake};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "frozen-provider", "0.1.0", NULL, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    if (!TDA_HAS(h, struct tda_host, flow_open) || h->abi_major != TDA_ABI_MAJOR) return NULL;
    host = h;
    json = h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
