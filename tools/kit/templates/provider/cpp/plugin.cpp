// @NAME@: a provider of models, in C++. The service of this example is asked with POST BASE_URL/generate and answers as a stream of
// events: {"text": "Hel"}, {"text": "lo"}, {"done": true}. Put your service's words in their place. No exception crosses the line.
#include <new>
#include <string>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id @NAME@\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://api.example.com\n"
                "config base_url url u https://api.example.com address of the service\n"
                "config api_key secret ur - the key\n");

namespace {

const tda_host *host;
const tda_json_api *json;

tda_str view(const std::string &s) {
    return {s.data(), s.size()};
}

uint32_t class_of(int32_t status) {
    if (status >= 200 && status <= 299) return TDA_C_OK;
    switch (status) {
    case 401: return TDA_C_AUTH;
    case 403: return TDA_C_PERMISSION;
    case 404: return TDA_C_NOT_FOUND;
    case 429: return TDA_C_RATE;
    default: return status >= 500 ? TDA_C_UPSTREAM : TDA_C_REQUEST;
    }
}

// One call. The host's state for it holds a pointer to this.
struct Call {
    tda_call handle;
    int32_t http_status = 0;

    void emit(uint32_t kind, tda_str what = {}) const {
        tda_event e{.size = sizeof e, .kind = kind, .part_kind = TDA_PART_TEXT};
        e.stop = kind == TDA_EV_STOP ? TDA_STOP_END_TURN : 0;
        e.text = what;
        host->emit(handle, &e);
    }

    void finish(uint32_t cls) const {
        tda_result r{.size = sizeof r, .cls = cls, .retry_ms = -1, .http_status = http_status};
        host->finish(handle, &r);
    }

    tda_status open(const tda_request *r) const {
        tda_str prompt{}, base{}, body{};
        const tda_msg *last = r->n_msgs ? r->msgs[r->n_msgs - 1] : nullptr;
        if (last && last->n_parts && last->parts[0]->kind == TDA_PART_TEXT) prompt = last->parts[0]->text;
        tda_json_writer *w = json->writer(handle);
        json->begin_object(w);
        json->put_key(w, TDA_STR("model")), json->put_str(w, r->model);
        json->put_key(w, TDA_STR("prompt")), json->put_str(w, prompt);
        json->end_object(w);
        if (tda_status s = json->text(w, &body)) return s;
        if (tda_status s = host->setting(handle, TDA_STR("base_url"), &base)) return s;
        std::string url = std::string(base.p, base.n) + "/generate";
        tda_auth auth{.size = sizeof auth, .kind = TDA_AUTH_HEADER, .header = TDA_STR("authorization")};
        auth.prefix = TDA_STR("Bearer ");
        auth.secret = TDA_STR("api_key");
        tda_kv type{TDA_STR("content-type"), TDA_STR("application/json")};
        tda_flow_request q{.size = sizeof q, .kind = TDA_FLOW_HTTP, .framing = TDA_FRAME_SSE, .n_headers = 1, .headers = &type};
        q.url = view(url);
        q.body = body;
        q.auth = &auth;
        tda_flow flow;
        return host->flow_open(handle, &q, &flow);
    }

    void take_status(int32_t status) {
        http_status = status;
        if (uint32_t cls = class_of(status)) return finish(cls);
        emit(TDA_EV_PART_START);
    }

    void take_item(tda_str data) const {
        tda_json root;
        int32_t done = 0;
        if (json->parse(handle, data, &root)) return finish(TDA_C_PROTOCOL);
        tda_str text = json->str(json->get(root, "text"));
        if (text.n) emit(TDA_EV_TEXT, text);
        if (!json->boolean(json->get(root, "done"), &done) || !done) return;
        emit(TDA_EV_PART_STOP);
        emit(TDA_EV_STOP);
        finish(TDA_C_OK);
    }
};

Call *call_of(tda_call handle) {
    return *static_cast<Call **>(host->state(handle));
}

tda_status start(void *, tda_call handle, const tda_request *r) {
    auto *c = new (std::nothrow) Call{handle};
    if (!c) return TDA_E_NOMEM;
    *static_cast<Call **>(host->state(handle)) = c;
    if ((r->op != TDA_OP_CHAT && r->op != TDA_OP_VALIDATE) || c->open(r)) c->finish(TDA_C_REQUEST);
    return TDA_OK;
}

// After finish nothing comes any more.
void on_flow(void *, tda_call handle, const tda_flow_event *e) {
    Call *c = call_of(handle);
    if (e->kind == TDA_FLOW_STATUS) c->take_status(e->status);
    if (e->kind == TDA_FLOW_ITEM) c->take_item(e->data);
    if (e->kind == TDA_FLOW_END) c->finish(TDA_C_PROTOCOL); // without "done" it was cut off
    if (e->kind == TDA_FLOW_FAIL) c->finish(e->cls);
}

void drop(void *, tda_call handle) {
    delete call_of(handle);
}

const tda_provider provider = [] {
    tda_provider p{};
    p.size = sizeof p;
    p.call_state_size = sizeof(Call *);
    p.start = start;
    p.on_flow = on_flow;
    p.drop = drop;
    return p;
}();

const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : nullptr;
}

const tda_plugin plugin{sizeof plugin, TDA_ABI_MINOR, "@NAME@", "0.1.0", nullptr, find_interface};

} // namespace

TDA_PLUGIN_ENTRY(const tda_host *h) {
    if (!TDA_HAS(h, tda_host, flow_open) || h->abi_major != TDA_ABI_MAJOR) return nullptr;
    host = h;
    json = static_cast<const tda_json_api *>(h->extension(TDA_STR("tda.json/1")));
    return json ? &plugin : nullptr;
}
