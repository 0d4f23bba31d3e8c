/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_HOST_H
#define TDA_HOST_H

#include "tda/flow.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the interface. During 0.x host and plugin need the very same minor. */
#define TDA_ABI_MAJOR 0u
#define TDA_ABI_MINOR 3u

enum tda_log_level { TDA_LOG_ERROR = 1, TDA_LOG_WARN = 2, TDA_LOG_INFO = 3, TDA_LOG_DEBUG = 4 };

/* The calling user's context: the eleven fields, with a request's override applied. Live objects are had by object_get. */
enum tda_ctx_key {
    TDA_CTX_PROVIDER = 1,
    TDA_CTX_MODEL = 2,
    TDA_CTX_AWS_REGION = 3,
    TDA_CTX_AZURE_DEPLOYMENT_DETAILS = 4, /* JSON object                                                          */
    TDA_CTX_FRIENDLI_DETAILS = 5,         /* JSON object, without the token                                       */
    TDA_CTX_MODEL_PROVIDER_IN_PROFILE = 6,
    TDA_CTX_MCP_SERVER_NAME = 7,
    TDA_CTX_MCP_SERVER_ID = 8,
    TDA_CTX_LLM_INSTANCE = 9,   /* object_get; ctx_get refuses                                                      */
    TDA_CTX_MCP_CLIENT = 10,    /* object_get; ctx_get refuses                                                      */
    TDA_CTX_SERVER_CONFIGS = 11 /* JSON object                                                                    */
};

enum tda_conn_event_kind {
    TDA_CONN_READY = 1,         /* json = what the server said of itself                                          */
    TDA_CONN_FAILED = 2,        /* cls, text; before READY. closed and drop follow                                */
    TDA_CONN_CLOSED = 3,        /* cls, text; the connection has ended. drop follows                              */
    TDA_CONN_TOOLS_CHANGED = 4, /* the host lists again                                                           */
    TDA_CONN_LOG = 5,           /* level = enum tda_log_level, text                                               */
    TDA_CONN_PROMPTS_CHANGED = 6,
    TDA_CONN_RESOURCES_CHANGED = 7,
    TDA_CONN_RESOURCE_UPDATED = 8, /* text = uri */
    /* The server asks its user: id, unique among this connection's open ones; call, where it is known for which; json =
     * {"message": "...", "schema": {...}} for a form, {"message": "...", "url": "..."} for a page he is to visit. `answer`
     * follows. */
    TDA_CONN_ASK = 9,
    TDA_CONN_ASK_OVER = 10 /* id: the server takes no answer any more; none follows */
};

struct tda_conn_event {
    uint32_t size;
    uint32_t kind; /* enum tda_conn_event_kind */
    uint32_t cls;  /* enum tda_class */
    uint32_t level;
    tda_str text;
    tda_str json;
    tda_call call;
    tda_str id;
};

/* What the host offers. Every function takes a handle: it is the calling user's context, and there is no other way to one.
 * The table lives as long as the process. Functions never call back into the plugin; what they cause comes later, as events.
 *
 * Returns TDA_E_STALE for a handle that has ended or is another thread's; on failure nothing has happened. */
struct tda_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;

    /* [any] A line for the log, with the handle's request and hashed user. h may be 0. Never log secrets or prompts. */
    void (*log)(tda_handle h, uint32_t level, tda_str text);

    /* [any] An optional table by its id ("tda.json/1"), or NULL. Lives as long as the process. */
    const void *(*extension)(tda_str id);

    /* [loop], [worker] The zeroed memory of call_state_size or conn_state_size bytes that comes with the handle, 16-aligned, there
     * from start or connect until drop returns. NULL when stale. */
    void *(*state)(tda_handle h);

    /* [loop], [worker] One event of a call. Never AGAIN: the host takes every event, and slowing down is its own business, by what
     * it reads of the call's flows; an answer above the operator's cap ends the call. On a worker it waits while much is on its
     * way, and says CANCELLED, TIMEOUT or STALE once the call has ended: return from run then. */
    tda_status (*emit)(tda_call call, const struct tda_event *event);

    /* [loop], [worker] The end of a call. The first wins, later ones are STALE. Nothing comes for the call any more but drop, after
     * the callback has returned. */
    tda_status (*finish)(tda_call call, const struct tda_result *result);

    /* [any] on_wake (conn_wake) of the handle's owner is called on its loop, with token. Tokens with the top bit set are the host's
     * own: use none. */
    tda_status (*wake)(tda_handle h, uint64_t token);

    /* [loop] The same after `ms`. One timer per token; setting it again moves it, 0 ms removes it. At most 16 per handle. */
    tda_status (*timer)(tda_handle h, uint64_t token, uint32_t ms);

    /* [loop], [worker] A field of the user's context, as UTF-8, valid until the callback returns. NOT_FOUND when unset. */
    tda_status (*ctx_get)(tda_handle h, uint32_t key, tda_str *ret_value);

    /* [loop] Set a field on the candidate under construction. Only in OP_VALIDATE, else DENIED; so are the provider and fields that
     * hold an address, which the credentials are bound to. */
    tda_status (*ctx_put)(tda_call call, uint32_t key, tda_str value);

    /* [loop], [worker] A setting from the plugin's own schema (its note): the user's where the user gave one and may, else the
     * operator's, else the default; base_url is the address that the calls of this user go to, whatever says so. Valid until the
     * callback returns. NOT_FOUND when unset; secrets are refused with DENIED. */
    tda_status (*setting)(tda_handle h, tda_str name, tda_str *ret_value);

    /* [loop] The plugin's object for this user and configuration (llm_instance, mcp_client). The host calls drop exactly once,
     * on this loop, when the last use of that configuration is over. EXISTS when there is one. */
    tda_status (*object_put)(tda_handle h, void *object, void (*drop)(void *self, void *object));
    tda_status (*object_get)(tda_handle h, void **ret_object);

    /* [loop] News of a connection. */
    tda_status (*conn_event)(tda_conn conn, const struct tda_conn_event *event);

    /* [loop] Flows. flow_send (processes) takes all or nothing: AGAIN when 1 MiB waits already, LIMIT for one piece above the
     * operator's cap. flow_abort gives no further event. */
    tda_status (*flow_open)(tda_handle h, const struct tda_flow_request *request, tda_flow *ret_flow);
    tda_status (*flow_send)(tda_handle h, tda_flow flow, tda_str bytes);
    tda_status (*flow_close_send)(tda_handle h, tda_flow flow);
    tda_status (*flow_abort)(tda_handle h, tda_flow flow);

    /* [worker] A secret in clear, for SDKs that sign themselves: only for a plugin whose note asks with `needs secrets` and
     * whom the operator allows it (plugins.allow_secrets), else DENIED. The memory is valid until run returns. */
    tda_status (*secret_get)(tda_call call, tda_str name, tda_str *ret_value);
};

#ifdef __cplusplus
}
#endif
#endif
