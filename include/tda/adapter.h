/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_ADAPTER_H
#define TDA_ADAPTER_H

#include "tda/host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TDA_ADAPTER_ID "tda.adapter/1"

/* Tools from anywhere, MCP first. A connection belongs to one user and configuration; several calls share it. */

enum tda_adapter_op {
    TDA_AOP_LIST_TOOLS = 1,   /* emit ITEM for each: name, text = description, json = input schema, whole         */
    TDA_AOP_CALL_TOOL = 2,    /* name, args; emit CONTENT; finish OK with is_error as the tool says             */
    TDA_AOP_LIST_PROMPTS = 3, /* emit ITEM: name, text, json = the prompt as the server describes it            */
    TDA_AOP_GET_PROMPT = 4,
    TDA_AOP_LIST_RESOURCES = 5, /* emit ITEM: name = uri, text, json                                              */
    TDA_AOP_READ_RESOURCE = 6,
    TDA_AOP_COMPLETE = 7,       /* args: the parameters; emit CONTENT                                             */
    TDA_AOP_LIST_TEMPLATES = 8, /* emit ITEM: name = uri template, text, json                                     */
    TDA_AOP_SUBSCRIBE = 9,      /* name = uri: RESOURCE_UPDATED of it until UNSUBSCRIBE or the connection's end   */
    TDA_AOP_UNSUBSCRIBE = 10,   /* name = uri                                                                     */
    TDA_AOP_LOG_LEVEL = 11      /* name = the least level the server is to send, as it calls it                   */
};

struct tda_adapter_request {
    uint32_t size;
    uint32_t op; /* enum tda_adapter_op */
    tda_str name;
    tda_str args; /* one JSON object, or absent */
    int64_t deadline_ms;
};

enum tda_server_transport { TDA_SERVER_PROCESS = 1, TDA_SERVER_URL = 2 };

/* Protocol eras of a server, as the operator knows them; ANY: find out. */
enum tda_server_era { TDA_ERA_ANY = 0, TDA_ERA_LEGACY = 1, TDA_ERA_MODERN = 2 };

/* What a server may ask its user for by TDA_CONN_ASK: bits of tda_server.asks. What is not set is not offered to the server. */
enum tda_server_asks { TDA_ASK_FORM = 1, TDA_ASK_URL = 2 };

/* The server that a connection is for. A process is opened with a flow of kind TDA_FLOW_SERVER; again, once the former has ended.
 * At a url with flows of kind TDA_FLOW_HTTP, to the origin of `url` and no other. */
struct tda_server {
    uint32_t size;
    uint32_t transport;  /* enum tda_server_transport */
    tda_str name;        /* as in the context */
    tda_str url;         /* TDA_SERVER_URL */
    int64_t deadline_ms; /* for becoming READY: enforced by the host, whose clock stops while the user is asked */
    uint32_t era;        /* enum tda_server_era */
    uint32_t asks;       /* enum tda_server_asks */
};

/* For each connect that returned TDA_OK: READY or FAILED by conn_event, in the end CLOSED (or FAILED), then one conn_drop. The
 * host ends a connection with conn_close; the plugin then says goodbye to its server and sends CLOSED. Calls on it are finished
 * before: what the plugin does not finish by CLOSED, the host finishes with NETWORK. */
struct tda_adapter {
    uint32_t size;
    uint32_t flags; /* 0 */
    uint32_t call_state_size;
    uint32_t conn_state_size;

    tda_status (*open)(uint32_t loop_index, void **ret_self); /* [loop] as in tda_provider */
    void (*close)(void *self);

    tda_status (*connect)(void *self, tda_conn conn, const struct tda_server *server); /* [loop] */
    /* [loop] Also of a flow that was opened with the handle of a call on this connection; it ends with that call. */
    void (*conn_flow)(void *self, tda_conn conn, const struct tda_flow_event *event);
    void (*conn_wake)(void *self, tda_conn conn, uint64_t token); /* [loop] may be NULL */
    void (*conn_close)(void *self, tda_conn conn);                /* [loop] */
    void (*conn_drop)(void *self, tda_conn conn);                 /* [loop] may be NULL */

    tda_status (*start)(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *request); /* [loop] */
    /* [loop] The user's answer to an ASK, once for each unless the connection ends before: {"action": "accept" | "decline" |
     * "cancel", "content": {...} with accept of a form}. `cancel` is also what comes when nobody can be asked. May be NULL. */
    tda_status (*answer)(void *self, tda_conn conn, tda_str request_id, tda_str json);
    void (*cancel)(void *self, tda_conn conn, tda_call call); /* [loop] may be NULL */
    void (*drop)(void *self, tda_conn conn, tda_call call);   /* [loop] may be NULL */
};

#ifdef __cplusplus
}
#endif
#endif
