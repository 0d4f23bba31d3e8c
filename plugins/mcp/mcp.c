/* Servers of the Model Context Protocol. This file is what the host sees of the plugin. */
#include "mcp.h"

#include "call.h"

TDA_PLUGIN_NOTE("id mcp\n"
                "version " MCP_VERSION "\n"
                "provides tda.adapter/1\n"
                "needs tda.json/1\n");

const struct tda_host *mcp_host;
const struct tda_json_api *mcp_json;

static tda_status open_instance(uint32_t loop_index, void **ret_self) {
    (void)loop_index;
    (void)ret_self;
    verdicts_open();
    return TDA_OK;
}

static void close_instance(void *self) {
    (void)self;
    verdicts_close();
}

static const struct tda_adapter adapter = {
    .size = sizeof adapter,
    .call_state_size = sizeof(struct call),
    .conn_state_size = sizeof(struct conn),
    .open = open_instance,
    .close = close_instance,
    .connect = conn_connect,
    .conn_flow = conn_flow,
    .conn_wake = conn_wake,
    .conn_close = conn_close,
    .conn_drop = conn_drop,
    .start = calls_start,
    .answer = questions_answer,
    .cancel = calls_cancel,
    .drop = calls_drop,
};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
}

static const struct tda_plugin plugin = {
    .size = sizeof plugin, .abi_minor = TDA_ABI_MINOR, .id = "mcp", .version = MCP_VERSION, .interface = find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *host) {
    if (!TDA_HAS(host, struct tda_host, flow_abort) || host->abi_major != TDA_ABI_MAJOR) return NULL;
    mcp_host = host;
    mcp_json = (const struct tda_json_api *)host->extension(TDA_STR("tda.json/1"));
    return mcp_json ? &plugin : NULL;
}
