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

static const struct tda_host *host;
static const struct tda_json_api *json;

/* One call: host->state gives it zeroed, and takes it back after drop. */
struct call {
    int32_t http_status;
};

static void emit(tda_call call, uint32_t kind, tda_str text) {
    struct tda_event e = {.size = sizeof e, .kind = kind, .part_kind = TDA_PART_TEXT, .text = text};
    if (kind == TDA_EV_STOP) e.stop = TDA_STOP_END_TURN;
    host->emit(call, &e);
}

static void finish(tda_call call, uint32_t cls) {
    const struct call *c = host->state(call);
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .http_status = c->http_status};
    host->finish(call, &r);
}

/* ---- the request ---- */

static tda_str last_text(const struct tda_request *r) {
    const struct tda_msg *m = r->n_msgs ? r->msgs[r->n_msgs - 1] : NULL;
    return m && m->n_parts && m->parts[0]->kind == TDA_PART_TEXT ? m->parts[0]->text : TDA_STR("");
}

static tda_status open_flow(tda_call call, const struct tda_request *r) {
    char url[2048];
    tda_str base, body;
    tda_flow flow;
    tda_json_writer *w = json->writer(call);
    json->begin_object(w);
    json->put_key(w, TDA_STR("model")), json->put_str(w, r->model);
    json->put_key(w, TDA_STR("prompt")), json->put_str(w, last_text(r));
    json->end_object(w);
    tda_status s = json->text(w, &body);
    if (!s) s = host->setting(call, TDA_STR("base_url"), &base);
    if (s) return s;
    if (snprintf(url, sizeof url, "%.*s/generate", (int)base.n, base.p) >= (int)sizeof url) return TDA_E_INVALID;
    tda_kv type = {TDA_STR("content-type"), TDA_STR("application/json")};
    struct tda_auth auth = {.size = sizeof auth, .kind = TDA_AUTH_HEADER, .header = TDA_STR("authorization")};
    auth.prefix = TDA_STR("Bearer "), auth.secret = TDA_STR("api_key");
    struct tda_flow_request q = {.size = sizeof q, .kind = TDA_FLOW_HTTP, .framing = TDA_FRAME_SSE, .url = tda_str_of(url)};
    q.headers = &type, q.n_headers = 1, q.body = body, q.auth = &auth;
    return host->flow_open(call, &q, &flow);
}

static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    (void)self;
    if ((r->op != TDA_OP_CHAT && r->op != TDA_OP_VALIDATE) || open_flow(call, r)) finish(call, TDA_C_REQUEST);
    return TDA_OK;
}

/* ---- the answer ---- */

static uint32_t class_of(int32_t status) {
    if (status >= 200 && status <= 299) return TDA_C_OK;
    if (status == 401) return TDA_C_AUTH;
    if (status == 403) return TDA_C_PERMISSION;
    if (status == 404) return TDA_C_NOT_FOUND;
    if (status == 429) return TDA_C_RATE;
    return status >= 500 ? TDA_C_UPSTREAM : TDA_C_REQUEST;
}

static void take_status(tda_call call, int32_t status) {
    struct call *c = host->state(call);
    c->http_status = status;
    if (class_of(status))
        finish(call, class_of(status));
    else
        emit(call, TDA_EV_PART_START, TDA_STR(""));
}

static void take_item(tda_call call, tda_str data) {
    tda_json root;
    int32_t done = 0;
    if (json->parse(call, data, &root)) {
        finish(call, TDA_C_PROTOCOL);
        return;
    }
    tda_str text = json->str(json->get(root, "text"));
    if (text.n) emit(call, TDA_EV_TEXT, text);
    if (!json->boolean(json->get(root, "done"), &done) || !done) return;
    emit(call, TDA_EV_PART_STOP, TDA_STR(""));
    emit(call, TDA_EV_STOP, TDA_STR(""));
    finish(call, TDA_C_OK);
}

/* After finish nothing comes any more. */
static void on_flow(void *self, tda_call call, const struct tda_flow_event *e) {
    (void)self;
    if (e->kind == TDA_FLOW_STATUS) take_status(call, e->status);
    if (e->kind == TDA_FLOW_ITEM) take_item(call, e->data);
    if (e->kind == TDA_FLOW_END) finish(call, TDA_C_PROTOCOL); /* without "done" it was cut off */
    if (e->kind == TDA_FLOW_FAIL) finish(call, e->cls);
}

/* ---- the plugin ---- */

static const struct tda_provider provider = {
    .size = sizeof provider, .call_state_size = sizeof(struct call), .start = start, .on_flow = on_flow};

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
