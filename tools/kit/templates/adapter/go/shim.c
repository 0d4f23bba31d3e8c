/* The plugin's tables, and the host's functions for Go. Go's runtime brings threads, exports and static TLS: the note says so. */
#include "shim.h"

#include "_cgo_export.h"

TDA_PLUGIN_NOTE("id @NAME@\n"
                "version 0.1.0\n"
                "provides tda.adapter/1\n"
                "threads\n"
                "exports\n"
                "static-tls\n");

static const struct tda_host *host;

void tda_item(tda_call call, tda_str name, tda_str description, tda_str schema) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_ITEM, .name = name, .text = description, .json = schema};
    host->emit(call, &e);
}

void tda_content(tda_call call, tda_str text) {
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = text};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_CONTENT, .part = &part};
    host->emit(call, &e);
}

void tda_end(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .text = text};
    host->finish(call, &r);
}

static void tell(tda_conn conn, uint32_t kind, uint32_t cls) {
    struct tda_conn_event e = {.size = sizeof e, .kind = kind, .cls = cls};
    host->conn_event(conn, &e);
}

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

static tda_status start(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *r) {
    (void)self, (void)conn;
    goStart(call, r->op, r->name, r->args);
    return TDA_OK;
}

static const struct tda_adapter adapter = {
    .size = sizeof adapter, .connect = on_connect, .conn_flow = conn_flow, .conn_close = conn_close, .start = start};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "@NAME@", "0.1.0", NULL, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    if (!TDA_HAS(h, struct tda_host, conn_event) || h->abi_major != TDA_ABI_MAJOR) return NULL;
    host = h;
    return &plugin;
}
