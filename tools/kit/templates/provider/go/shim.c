/* The plugin's tables, and the host's functions for Go. Go's runtime brings threads, exports and static TLS: the note says so. */
#include "shim.h"

#include "_cgo_export.h"

TDA_PLUGIN_NOTE("id @NAME@\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "host https://api.example.com\n"
                "config base_url url u https://api.example.com address of the service\n"
                "config api_key secret ur - the key\n"
                "threads\n"
                "exports\n"
                "static-tls\n");

static const struct tda_host *host;

void tda_say(tda_call call, uint32_t kind, const char *text, size_t n) {
    struct tda_event e = {.size = sizeof e, .kind = kind, .part_kind = TDA_PART_TEXT, .text = {text, n}};
    if (kind == TDA_EV_STOP) e.stop = TDA_STOP_END_TURN;
    host->emit(call, &e);
}

void tda_end(tda_call call, uint32_t cls, int32_t http_status) {
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .http_status = http_status};
    host->finish(call, &r);
}

tda_str tda_base_url(tda_call call) {
    tda_str value = {NULL, 0};
    return host->setting(call, TDA_STR("base_url"), &value) ? (tda_str){NULL, 0} : value;
}

int32_t tda_open(tda_call call, tda_str url, tda_str body) {
    tda_flow flow;
    tda_kv type = {TDA_STR("content-type"), TDA_STR("application/json")};
    struct tda_auth auth = {.size = sizeof auth, .kind = TDA_AUTH_HEADER, .header = TDA_STR("authorization")};
    auth.prefix = TDA_STR("Bearer ");
    auth.secret = TDA_STR("api_key");
    struct tda_flow_request q = {
        .size = sizeof q, .kind = TDA_FLOW_HTTP, .framing = TDA_FRAME_SSE, .n_headers = 1, .headers = &type};
    q.url = url;
    q.body = body;
    q.auth = &auth;
    return host->flow_open(call, &q, &flow);
}

tda_str tda_prompt(const struct tda_request *r) {
    const struct tda_msg *m = r->n_msgs ? r->msgs[r->n_msgs - 1] : NULL;
    return m && m->n_parts && m->parts[0]->kind == TDA_PART_TEXT ? m->parts[0]->text : TDA_STR("");
}

static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    (void)self;
    goStart(call, r->op, r->model, tda_prompt(r));
    return TDA_OK;
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *e) {
    (void)self;
    goFlow(call, e->kind, e->status, e->cls, e->data);
}

static void drop(void *self, tda_call call) {
    (void)self;
    goDrop(call);
}

static const struct tda_provider provider = {.size = sizeof provider, .start = start, .on_flow = on_flow, .drop = drop};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "@NAME@", "0.1.0", NULL, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    if (!TDA_HAS(h, struct tda_host, flow_open) || h->abi_major != TDA_ABI_MAJOR) return NULL;
    host = h;
    return &plugin;
}
