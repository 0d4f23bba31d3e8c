/* frozen-adapter: an adapter, which is where tools come from. The tool of this example adds two numbers, in this process. A server
 * behind a pipe is opened with a flow of kind TDA_FLOW_SERVER in connect, and answers in conn_flow; say READY when it is. */
#include <stdio.h>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id frozen-adapter\n"
                "version 0.1.0\n"
                "provides tda.adapter/1\n"
                "needs tda.json/1\n");

static const struct tda_host *host;
static const struct tda_json_api *json;

static void tell(tda_conn conn, uint32_t kind, uint32_t cls) {
    struct tda_conn_event e = {.size = sizeof e, .kind = kind, .cls = cls};
    host->conn_event(conn, &e);
}

static void finish(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .text = text};
    host->finish(call, &r);
}

/* ---- tools ---- */

static void list(tda_call call) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_ITEM, .name = TDA_STR("add"), .text = TDA_STR("adds two whole numbers")};
    e.json = TDA_STR("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}},"
                     "\"required\":[\"a\",\"b\"]}");
    host->emit(call, &e);
    finish(call, TDA_C_OK, TDA_STR(""));
}

static void add(tda_call call, tda_str args) {
    char text[32];
    tda_json root;
    int64_t a, b, sum;
    if (json->parse(call, args, &root) || !json->i64(json->get(root, "a"), &a) || !json->i64(json->get(root, "b"), &b) ||
        __builtin_add_overflow(a, b, &sum)) {
        finish(call, TDA_C_REQUEST, TDA_STR("add wants a and b, two whole numbers"));
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)sum);
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = tda_str_of(text)};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_CONTENT, .part = &part};
    host->emit(call, &e);
    finish(call, TDA_C_OK, TDA_STR(""));
}

static tda_status start(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *r) {
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

static tda_status on_connect(void *self, tda_conn conn, const struct tda_server *server) {
    (void)self, (void)server;
    tell(conn, TDA_CONN_READY, TDA_C_OK);
    return TDA_OK;
}

static void conn_flow(void *self, tda_conn conn, const struct tda_flow_event *e) {
    (void)self, (void)conn, (void)e; /* it opens none */
}

static void conn_close(void *self, tda_conn conn) {
    (void)self;
    tell(conn, TDA_CONN_CLOSED, TDA_C_CANCELLED);
}

/* ---- the plugin ---- */

static const struct tda_adapter adapter = {
    .size = sizeof adapter, .connect = on_connect, .conn_flow = conn_flow, .conn_close = conn_close, .start = start};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "frozen-adapter", "0.1.0", NULL, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    if (!TDA_HAS(h, struct tda_host, conn_event) || h->abi_major != TDA_ABI_MAJOR) return NULL;
    host = h;
    json = h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
