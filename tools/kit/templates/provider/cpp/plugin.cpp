// @NAME@: a provider of models, in C++. The service of this example is asked with POST BASE_URL/generate and answers as a stream of
// events: {"text": "Hel"}, {"text": "lo"}, {"done": true}. Put your service's words in their place. No exception may cross the line.
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

constexpr size_t text_max = 1 << 20;
const tda_host *host;
const tda_json_api *json;

tda_str view(const std::string &s) {
    return {s.data(), s.size()};
}

enum Step { BEGIN, TEXT, PART_STOP, STOP, SAID };

struct Call {
    tda_call handle = 0;
    int step = BEGIN; // what is said next: an event that the host cannot take now is said later
    bool ended = false;
    int32_t http_status = 0;
    uint32_t cls = TDA_C_OK;
    std::string text;
    size_t said = 0;

    tda_status emit(uint32_t kind, tda_str what = {}) const {
        tda_event e{.size = sizeof e, .kind = kind, .part_kind = TDA_PART_TEXT};
        e.stop = kind == TDA_EV_STOP ? TDA_STOP_END_TURN : 0;
        e.text = what;
        return host->emit(handle, &e);
    }

    void finish(uint32_t how) {
        tda_result r{.size = sizeof r, .cls = how, .retry_ms = -1, .http_status = http_status};
        step = SAID;
        host->finish(handle, &r);
    }

    void end(uint32_t how) {
        if (!ended) cls = how;
        ended = true;
    }

    tda_status say_next() {
        switch (step) {
        case BEGIN: return emit(TDA_EV_PART_START);
        case TEXT: return said < text.size() ? emit(TDA_EV_TEXT, {text.data() + said, text.size() - said}) : TDA_OK;
        case PART_STOP: return emit(TDA_EV_PART_STOP);
        default: return emit(TDA_EV_STOP);
        }
    }

    // Says what there is to say, as far as the host takes it.
    void go_on() {
        while (step < SAID) {
            bool all_said = said == text.size();
            if (!ended && all_said) return; // more is to come
            if (cls && all_said) break;
            if (tda_status s = say_next()) {
                if (s != TDA_E_AGAIN) finish(TDA_C_INTERNAL);
                return;
            }
            if (step == TEXT) said = text.size();
            if (step != TEXT || ended) step++;
        }
        finish(cls);
    }

    tda_status open(const tda_request *r) {
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

    void take(tda_str data) {
        tda_json root;
        int32_t done = 0;
        if (json->parse(handle, data, &root)) return end(TDA_C_PROTOCOL);
        tda_str piece = json->str(json->get(root, "text"));
        if (piece.n > text_max - text.size()) return end(TDA_C_TOO_LARGE);
        if (piece.n) text.append(piece.p, piece.n);
        if (json->boolean(json->get(root, "done"), &done) && done) end(TDA_C_OK);
    }
};

Call *call_of(tda_call handle) {
    auto **slot = static_cast<Call **>(host->state(handle));
    return slot ? *slot : nullptr;
}

uint32_t class_of(int32_t status) {
    switch (status) {
    case 401: return TDA_C_AUTH;
    case 403: return TDA_C_PERMISSION;
    case 404: return TDA_C_NOT_FOUND;
    case 429: return TDA_C_RATE;
    default: return status >= 500 ? TDA_C_UPSTREAM : TDA_C_REQUEST;
    }
}

tda_status start(void *, tda_call handle, const tda_request *r) {
    auto *c = new (std::nothrow) Call;
    if (!c) return TDA_E_NOMEM;
    *static_cast<Call **>(host->state(handle)) = c;
    c->handle = handle;
    if ((r->op != TDA_OP_CHAT && r->op != TDA_OP_VALIDATE) || c->open(r)) c->finish(TDA_C_REQUEST);
    return TDA_OK;
}

void on_flow(void *, tda_call handle, const tda_flow_event *e) {
    Call *c = call_of(handle);
    if (!c || c->ended) return;
    if (e->kind == TDA_FLOW_STATUS) {
        c->http_status = e->status;
        if (e->status < 200 || e->status > 299) c->end(class_of(e->status));
    }
    if (e->kind == TDA_FLOW_ITEM) c->take(e->data);
    if (e->kind == TDA_FLOW_END) c->end(TDA_C_PROTOCOL); // without "done" it was cut off
    if (e->kind == TDA_FLOW_FAIL) c->end(e->cls);
    c->go_on();
}

void on_wake(void *, tda_call handle, uint64_t token) {
    if (Call *c = call_of(handle); c && token == TDA_TOKEN_DRAINED) c->go_on();
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
    p.on_wake = on_wake;
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
