/* What the answer to a call's request means for the call: its end, another page, another round. */
#include <stdlib.h>

#include "call.h"

/* ---- lists ---- */

static void relisted(struct call *call) {
    call->is_relisting = 0;
    call->has_relisted = 1;
    free(call->cursor);
    call->cursor = NULL;
    call_send(call);
}

/* A server that goes round in circles, or on for ever, is cut off. */
static void next_page(struct call *call, tda_str cursor) {
    int again = call->cursor && text_is(cursor, call->cursor);
    free(call->cursor);
    call->cursor = text_dup(cursor);
    if (!call->cursor)
        call_fail(call, TDA_C_INTERNAL, "out of memory");
    else if (again)
        call_fail(call, TDA_C_PROTOCOL, "the server's list has no end: it gives the same cursor again");
    else if (++call->pages >= PAGES_MAX)
        call_fail(call, TDA_C_PROTOCOL, "the server's list has no end: more than %d pages are not taken", PAGES_MAX);
    else if (call->items >= ITEMS_MAX)
        call_fail(call, TDA_C_TOO_LARGE, "the server's list is too long: more than %d entries are not taken", ITEMS_MAX);
    else
        call_send(call);
}

static void list_page(struct call *call, tda_json result) {
    tda_str cursor = mcp_json->str(mcp_json->get(result, "nextCursor"));
    if (!content_items(call, result)) {
        call_fail(call, TDA_C_PROTOCOL, "the answer to %s is not of the right form", call->x.method);
    } else if (cursor.n) {
        next_page(call, cursor);
    } else if (call->is_relisting) {
        relisted(call);
    } else {
        if (call->op == TDA_AOP_LIST_TOOLS) tools_fresh_for(call->x.conn, result);
        call_ok(call, 0);
    }
}

/* -32020: the server wants an argument in a header that the tool did not have when it was listed. Listed anew, tried once more. */
static void relist(struct call *call) {
    struct conn *c = call->x.conn;
    schemas_clear(&c->schemas);
    call->is_relisting = 1;
    call->pages = call->items = 0;
    list_changed(c, LIST_TOOLS);
    call_send(call);
}

static int wants_headers(const struct call *call, tda_json error) {
    const struct conn *c = call->x.conn;
    int64_t code = 0;
    return c->era->is_modern && c->url && call->op == TDA_AOP_CALL_TOOL && !call->has_relisted && !call->is_relisting &&
           mcp_json->i64(mcp_json->get(error, "code"), &code) && code == -32020;
}

/* ---- results ---- */

static void tool_answer(struct call *call, tda_json result) {
    int32_t is_error = 0;
    mcp_json->boolean(mcp_json->get(result, "isError"), &is_error);
    if (content_tool_result(call, result))
        call_ok(call, is_error ? 1 : 0);
    else
        call_fail(call, TDA_C_PROTOCOL, "the answer to tools/call has neither content nor structuredContent");
}

static void noted(struct call *call) {
    struct conn *c = call->x.conn;
    if (call->op == TDA_AOP_SUBSCRIBE) conn_subscribe(c, tda_str_of(call->name));
    if (call->op == TDA_AOP_UNSUBSCRIBE) conn_unsubscribe(c, tda_str_of(call->name));
    if (call->op == TDA_AOP_LOG_LEVEL && call->name) {
        size_t n = strlen(call->name);
        if (n >= sizeof c->log_level) n = sizeof c->log_level - 1;
        memcpy(c->log_level, call->name, n);
        c->log_level[n] = 0;
    }
    call_ok(call, 0);
}

static void result_came(struct call *call, tda_json result) {
    if (call->is_relisting) {
        list_page(call, result);
        return;
    }
    switch (call->op) {
    case TDA_AOP_LIST_TOOLS:
    case TDA_AOP_LIST_PROMPTS:
    case TDA_AOP_LIST_RESOURCES:
    case TDA_AOP_LIST_TEMPLATES: list_page(call, result); break;
    case TDA_AOP_CALL_TOOL: tool_answer(call, result); break;
    case TDA_AOP_SUBSCRIBE:
    case TDA_AOP_UNSUBSCRIBE:
    case TDA_AOP_LOG_LEVEL: noted(call); break;
    default: content_whole(call->handle, result); call_ok(call, 0);
    }
}

void call_answered(struct exchange *x, const struct outcome *o) {
    struct call *call = (struct call *)x;
    tda_str type = mcp_json->str(mcp_json->get(o->result, "resultType"));
    int is_modern = x->conn->era->is_modern;
    int asks_headers = !o->cls && wants_headers(call, o->error);
    if (!asks_headers && !call->is_relisting) input_clear(call); /* else the same request goes out again, answers and all */
    if (o->cls)
        call_refused(call, o);
    else if (asks_headers)
        relist(call);
    else if (mcp_json->type(o->error) == TDA_JSON_OBJECT && !input_needs_visit(call, o->error))
        call_refused(call, o);
    else if (mcp_json->type(o->error) == TDA_JSON_OBJECT)
        return; /* the user is being asked */
    else if (!is_modern || !type.p || text_is(type, "complete"))
        result_came(call, o->result);
    else if (text_is(type, "input_required"))
        input_required(call, o->result);
    else
        call_fail(call, TDA_C_PROTOCOL, "the answer to %s is of the unknown resultType \"%.*s\"", x->method, CUT(type, 64));
}
