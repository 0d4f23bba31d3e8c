/* MCP servers as children that speak JSON-RPC over stdin and stdout. This file is what the host sees of the plugin. */
#include "mcp.h"

TDA_PLUGIN_NOTE("id mcp\n"
                "version 0.1.0\n"
                "provides tda.adapter/1\n"
                "needs tda.json/1\n");

const struct tda_host *mcp_host;
const struct tda_json_api *mcp_json;

static const struct tda_adapter adapter = {
    .size = sizeof adapter,
    .call_state_size = sizeof(struct pending),
    .conn_state_size = sizeof(struct session),
    .connect = session_connect,
    .conn_flow = session_flow,
    .conn_wake = session_wake,
    .conn_close = session_close,
    .conn_drop = session_drop,
    .start = calls_start,
    .cancel = calls_cancel,
    .drop = calls_drop,
};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
}

static const struct tda_plugin plugin = {
    .size = sizeof plugin, .abi_minor = TDA_ABI_MINOR, .id = "mcp", .version = "0.1.0", .interface = find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *host) {
    if (!TDA_HAS(host, struct tda_host, flow_close_send) || host->abi_major != TDA_ABI_MAJOR) return NULL;
    mcp_host = host;
    mcp_json = (const struct tda_json_api *)host->extension(TDA_STR("tda.json/1"));
    return mcp_json ? &plugin : NULL;
}
