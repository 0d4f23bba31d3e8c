/* JSON-RPC 2.0: one request object in, one reply object out. Every malformed message gets an error reply. */
#ifndef ROUTE_ENVELOPE_H
#define ROUTE_ENVELOPE_H

#include "json/json.h"

enum rpc_code {
    RPC_PARSE = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_PARAMS = -32602,
    RPC_INTERNAL = -32603
};

struct envelope {
    struct json_doc *doc;
    tda_str id; /* as it stands in the message; "null" when there is none to be had */
    tda_str method;
    struct json params; /* an object, or absent */
};

/* E_SYNTAX, E_LIMIT or E_INVALID: then `e` says why, env->id is what could be read of it and env->doc may be set; *ret_code is the
 * code of the error reply. The caller frees env->doc. */
tda_status envelope_parse(tda_str text, struct envelope *env, int *ret_code, struct error *e);

/* `body` is a member: "result":{...} or "error":{...}. */
void envelope_write(struct buf *out, tda_str id, tda_str body);
/* The member "error":{...}. code 0: derived from e->status. */
void envelope_error(struct buf *out, int code, const struct error *e);
/* -32602 for E_INVALID, else -32000 + status. */
int rpc_code_of(tda_status status);
/* "limit" for E_LIMIT, when an error has no kind of its own. */
void kind_of(const struct error *e, char *out, size_t size);

#endif
