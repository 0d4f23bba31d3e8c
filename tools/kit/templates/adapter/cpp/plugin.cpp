/* @NAME@: an adapter, which is where tools come from, in C++. No exception may cross the line. The tool of this example adds two
 * numbers, in this process. A server behind a pipe is opened with a flow of kind TDA_FLOW_SERVER in connect, and answers in
 * conn_flow; say READY when it is. */
#include <string>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id @NAME@\n"
                "version 0.1.0\n"
                "provides tda.adapter/1\n"
                "needs tda.json/1\n");

namespace {

const tda_host *host;
const tda_json_api *json;

void tell(tda_conn conn, uint32_t kind, uint32_t cls) {
    tda_conn_event e{.size = sizeof e, .kind = kind, .cls = cls};
    host->conn_event(conn, &e);
}

void finish(tda_call call, uint32_t cls, tda_str text) {
    tda_result r{.size = sizeof r, .cls = cls, .retry_ms = -1};
    r.text = text;
    host->finish(call, &r);
}

/* ---- tools ---- */

void list(tda_call call) {
    tda_event e{.size = sizeof e, .kind = TDA_EV_ITEM};
    e.name = TDA_STR("add");
    e.text = TDA_STR("adds two whole numbers");
    e.json = TDA_STR("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}},"
                     "\"required\":[\"a\",\"b\"]}");
    host->emit(call, &e);
    finish(call, TDA_C_OK, TDA_STR(""));
}

void add(tda_call call, tda_str args) {
    tda_json root;
    int64_t a, b, sum;
    if (json->parse(call, args, &root) || !json->i64(json->get(root, "a"), &a) || !json->i64(json->get(root, "b"), &b) ||
        __builtin_add_overflow(a, b, &sum)) {
        finish(call, TDA_C_REQUEST, TDA_STR("add wants a and b, two whole numbers"));
        return;
    }
    std::string text = std::to_string(sum);
    tda_part part{.size = sizeof part, .kind = TDA_PART_TEXT};
    part.text = {text.data(), text.size()};
    tda_event e{.size = sizeof e, .kind = TDA_EV_CONTENT};
    e.part = &part;
    host->emit(call, &e);
    finish(call, TDA_C_OK, TDA_STR(""));
}

tda_status start(void *self, tda_conn conn, tda_call call, const tda_adapter_request *r) {
    (void)self, (void)conn;
    if (r->op == TDA_AOP_LIST_TOOLS)
        list(call);
    else if (r->op == TDA_AOP_CALL_TOOL && tda_str_eq(r->name, TDA_STR("add")))
        add(call, r->args);
    else
        finish(call, TDA_C_NOT_FOUND, TDA_STR("there is nothing of this name"));
    return TDA_OK;
}

/* ---- connections ---- */

tda_status on_connect(void *self, tda_conn conn, const tda_server *server) {
    (void)self, (void)server;
    tell(conn, TDA_CONN_READY, TDA_C_OK);
    return TDA_OK;
}

void conn_flow(void *self, tda_conn conn, const tda_flow_event *e) {
    (void)self, (void)conn, (void)e; /* it opens none */
}

void conn_close(void *self, tda_conn conn) {
    (void)self;
    tell(conn, TDA_CONN_CLOSED, TDA_C_CANCELLED);
}

/* ---- the plugin ---- */

const tda_adapter adapter = [] {
    tda_adapter a{};
    a.size = sizeof a;
    a.connect = on_connect;
    a.conn_flow = conn_flow;
    a.conn_close = conn_close;
    a.start = start;
    return a;
}();

const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : nullptr;
}

const tda_plugin plugin{sizeof plugin, TDA_ABI_MINOR, "@NAME@", "0.1.0", nullptr, find_interface};

} // namespace

TDA_PLUGIN_ENTRY(const tda_host *h) {
    if (!TDA_HAS(h, tda_host, conn_event) || h->abi_major != TDA_ABI_MAJOR) return nullptr;
    host = h;
    json = static_cast<const tda_json_api *>(h->extension(TDA_STR("tda.json/1")));
    return json ? &plugin : nullptr;
}
