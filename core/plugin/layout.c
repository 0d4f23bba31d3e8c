/* The ABI's golden layout: sizes, offsets and numbers that a compiled plugin relies on. A change here is a new version of the
 * interface. */
#include "tda/plugin.h"

#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), "ABI: " #type "." #field " has moved")
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "ABI: " #type " has another size")
#define NUMBER(name, value) _Static_assert((name) == (value), "ABI: " #name " has another number")

SIZE(tda_str, 16);
SIZE(tda_kv, 32);
SIZE(tda_part, 152);
AT(tda_part, parts, 16);
AT(tda_part, opaque, 136);
SIZE(tda_msg, 24);
SIZE(tda_tool, 56);
AT(tda_request, model, 8);
AT(tda_request, msgs, 24);
AT(tda_request, max_tokens, 72);
AT(tda_request, deadline_ms, 144);
SIZE(tda_usage, 48);
AT(tda_event, id, 24);
AT(tda_event, usage, 104);
AT(tda_event, part, 112);
AT(tda_result, retry_ms, 8);
AT(tda_result, request_id, 56);
AT(tda_auth, header, 8);
AT(tda_auth, optional, 56);
AT(tda_auth, region, 64);
AT(tda_auth, session, 112);
AT(tda_auth, otherwise, 128);
SIZE(tda_auth, 136);
NUMBER(TDA_AUTH_AWS_SIGV4, 3);
AT(tda_flow_request, headers, 16);
AT(tda_flow_request, auth, 72);
AT(tda_flow_request, max_bytes, 96);
AT(tda_flow_event, flow, 8);
AT(tda_flow_event, headers, 24);
AT(tda_flow_event, text, 88);
AT(tda_conn_event, json, 32);
AT(tda_host, log, 16);
AT(tda_host, finish, 48);
AT(tda_host, ctx_get, 72);
AT(tda_host, flow_open, 120);
AT(tda_host, secret_get, 152);
AT(tda_provider, open, 16);
AT(tda_provider, start, 32);
AT(tda_provider, run, 72);
AT(tda_adapter, connect, 32);
AT(tda_adapter, start, 72);
AT(tda_adapter, drop, 96);
AT(tda_plugin, id, 8);
AT(tda_plugin, interface, 32);
NUMBER(TDA_C_INTERNAL, 16);
NUMBER(TDA_E_INTERNAL, -19);
NUMBER(TDA_EV_PROGRESS, 14);
NUMBER(TDA_FLOW_STDERR, 6);
NUMBER(TDA_CTX_SERVER_CONFIGS, 11);
NUMBER(TDA_STOP_OTHER, 10);
