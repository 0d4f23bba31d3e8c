/* Calls on a connection: a JSON-RPC request each, several for a list with pages, matched to their answers by id. */
#include <stdio.h>
#include <stdlib.h>

#include "mcp.h"

static void finish(tda_call call, uint32_t cls, uint32_t is_error, tda_str code, tda_str text) {
    struct tda_result r;
    memset(&r, 0, sizeof r);
    r.size = sizeof r;
    r.cls = cls;
    r.is_error = is_error;
    r.retry_ms = -1;
    r.code = code;
    r.text = text;
    mcp_host->finish(call, &r);
}

static void fail(tda_call call, uint32_t cls, const char *text) {
    finish(call, cls, 0, (tda_str){NULL, 0}, tda_str_of(text));
}

static struct pending *find(struct session *s, int64_t id) {
    struct pending *p = s->pending;
    while (p && p->id != id) p = p->next;
    return p;
}

static void forget(struct session *s, struct pending *p) {
    struct pending **link = &s->pending;
    while (*link && *link != p) link = &(*link)->next;
    if (*link) {
        *link = p->next;
        s->n_pending--;
    }
    p->id = 0;
    free(p->cursor);
    p->cursor = NULL;
}

/* ---- asking ---- */

static const char *method_of(uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_TOOLS: return "tools/list";
    case TDA_AOP_CALL_TOOL: return "tools/call";
    case TDA_AOP_LIST_PROMPTS: return "prompts/list";
    case TDA_AOP_GET_PROMPT: return "prompts/get";
    case TDA_AOP_LIST_RESOURCES: return "resources/list";
    case TDA_AOP_READ_RESOURCE: return "resources/read";
    case TDA_AOP_COMPLETE: return "completion/complete";
    default: return NULL;
    }
}

static uint32_t offered(const struct session *s, uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_TOOLS:
    case TDA_AOP_CALL_TOOL: return s->has_tools;
    case TDA_AOP_LIST_PROMPTS:
    case TDA_AOP_GET_PROMPT: return s->has_prompts;
    case TDA_AOP_LIST_RESOURCES:
    case TDA_AOP_READ_RESOURCE: return s->has_resources;
    default: return s->has_completions;
    }
}

static int is_list(uint32_t op) {
    return op == TDA_AOP_LIST_TOOLS || op == TDA_AOP_LIST_PROMPTS || op == TDA_AOP_LIST_RESOURCES;
}

static void put_raw(tda_json_writer *w, const char *key, tda_str value) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->put_raw(w, value);
}

/* COMPLETE: args are the params. */
static void put_members(tda_json_writer *w, tda_conn conn, tda_str args) {
    tda_json root;
    if (mcp_json->parse(conn, args, &root)) return;
    for (tda_json m = mcp_json->first(root); mcp_json->type(m); m = mcp_json->next(m)) {
        mcp_json->put_key(w, mcp_json->name(m));
        mcp_json->put_raw(w, mcp_json->raw(m));
    }
}

static tda_status ask(struct session *s, struct pending *p, tda_str name, tda_str args) {
    p->id = ++s->last_id;
    tda_json_writer *w = wire_begin(s, p->id, method_of(p->op));
    if (!w) return TDA_E_NOMEM;
    if (p->cursor) put_text(w, "cursor", tda_str_of(p->cursor));
    if (p->op == TDA_AOP_CALL_TOOL || p->op == TDA_AOP_GET_PROMPT) {
        put_text(w, "name", name);
        put_raw(w, "arguments", args.n ? args : TDA_STR("{}"));
    }
    if (p->op == TDA_AOP_READ_RESOURCE) put_text(w, "uri", name);
    if (p->op == TDA_AOP_COMPLETE) put_members(w, s->conn, args);
    if (p->op == TDA_AOP_CALL_TOOL) {
        mcp_json->put_key(w, TDA_STR("_meta"));
        mcp_json->begin_object(w);
        mcp_json->put_key(w, TDA_STR("progressToken"));
        mcp_json->put_i64(w, p->id);
        mcp_json->end_object(w);
    }
    return wire_send(s, w);
}

tda_status calls_start(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *request) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    struct pending *p = (struct pending *)mcp_host->state(call);
    p->call = call;
    p->op = request->op;
    if (!method_of(p->op) || !offered(s, p->op)) {
        if (is_list(p->op) && method_of(p->op))
            finish(call, TDA_C_OK, 0, (tda_str){NULL, 0}, (tda_str){NULL, 0}); /* a server without tools has none */
        else
            fail(call, TDA_C_REQUEST, "the server does not offer that");
        return TDA_OK;
    }
    if (s->n_pending == IN_FLIGHT_MAX) {
        fail(call, TDA_C_OVERLOADED, "too many calls wait for this server");
        return TDA_OK;
    }
    p->next = s->pending;
    s->pending = p;
    s->n_pending++;
    tda_status status = ask(s, p, request->name, request->args);
    if (!status) return TDA_OK;
    forget(s, p);
    fail(call, status == TDA_E_LIMIT ? TDA_C_TOO_LARGE : TDA_C_NETWORK, "the request could not be written to the server");
    return TDA_OK;
}

/* ---- answers ---- */

static void refused(struct pending *p, tda_call call, tda_json error) {
    char code[24] = "";
    int64_t number = 0;
    (void)p;
    mcp_json->i64(mcp_json->get(error, "code"), &number);
    snprintf(code, sizeof code, "%lld", (long long)number);
    tda_str text = mcp_json->str(mcp_json->get(error, "message"));
    uint32_t cls = number == -32602 || number == -32601 || number == -32600 ? TDA_C_REQUEST : TDA_C_UPSTREAM;
    finish(call, cls, 0, tda_str_of(code), text.p ? text : TDA_STR("the server answered with an error"));
}

/* The next page of a list. A server that goes round in circles, or on for ever, is cut off. */
static void next_page(struct session *s, struct pending *p, tda_str cursor) {
    int again = p->cursor && tda_str_eq(tda_str_of(p->cursor), cursor);
    char *copy = (char *)malloc(cursor.n + 1);
    tda_call call = p->call;
    tda_status status = copy ? TDA_OK : TDA_E_NOMEM;
    if (copy) {
        memcpy(copy, cursor.p, cursor.n);
        copy[cursor.n] = 0;
    }
    free(p->cursor);
    p->cursor = copy;
    if (!status && !again && ++p->pages < PAGES_MAX) status = ask(s, p, (tda_str){NULL, 0}, (tda_str){NULL, 0});
    if (!status && !again && p->pages < PAGES_MAX) return;
    forget(s, p);
    fail(call, status ? TDA_C_NETWORK : TDA_C_PROTOCOL,
         status ? "the next page could not be asked for" : "the server's list has no end");
}

static void list_page(struct session *s, struct pending *p, tda_json result) {
    tda_call call = p->call;
    tda_str cursor = mcp_json->str(mcp_json->get(result, "nextCursor"));
    int ok = content_items(call, p->op, result);
    if (ok && cursor.n) {
        next_page(s, p, cursor);
        return;
    }
    forget(s, p);
    if (ok)
        finish(call, TDA_C_OK, 0, (tda_str){NULL, 0}, (tda_str){NULL, 0});
    else
        fail(call, TDA_C_PROTOCOL, "the server's list is not of the right form");
}

static void tool_answer(struct session *s, struct pending *p, tda_json result) {
    int32_t is_error = 0;
    tda_call call = p->call;
    forget(s, p);
    mcp_json->boolean(mcp_json->get(result, "isError"), &is_error);
    if (content_tool_result(call, result))
        finish(call, TDA_C_OK, is_error ? 1 : 0, (tda_str){NULL, 0}, (tda_str){NULL, 0});
    else
        fail(call, TDA_C_PROTOCOL, "the tool's result is not of the right form");
}

static void whole_answer(struct session *s, struct pending *p, tda_json result) {
    struct tda_part part;
    struct tda_event event;
    tda_call call = p->call;
    forget(s, p);
    memset(&part, 0, sizeof part);
    part.size = sizeof part;
    part.kind = TDA_PART_JSON;
    part.text = mcp_json->raw(result);
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_CONTENT;
    event.part = &part;
    mcp_host->emit(call, &event);
    finish(call, TDA_C_OK, 0, (tda_str){NULL, 0}, (tda_str){NULL, 0});
}

void calls_answer(struct session *s, tda_json message) {
    int64_t id;
    tda_json result = mcp_json->get(message, "result"), error = mcp_json->get(message, "error");
    struct pending *p = mcp_json->i64(mcp_json->get(message, "id"), &id) ? find(s, id) : NULL;
    if (!p) return; /* late: it was cancelled */
    tda_call call = p->call;
    if (mcp_json->type(error) == TDA_JSON_OBJECT) {
        forget(s, p);
        refused(p, call, error);
    } else if (mcp_json->type(result) != TDA_JSON_OBJECT) {
        forget(s, p);
        fail(call, TDA_C_PROTOCOL, "the server's answer has neither result nor error");
    } else if (is_list(p->op)) {
        list_page(s, p, result);
    } else if (p->op == TDA_AOP_CALL_TOOL) {
        tool_answer(s, p, result);
    } else {
        whole_answer(s, p, result);
    }
}

void calls_progress(struct session *s, tda_json params) {
    int64_t token;
    struct tda_event event;
    struct pending *p = mcp_json->i64(mcp_json->get(params, "progressToken"), &token) ? find(s, token) : NULL;
    if (!p) return;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_PROGRESS;
    event.text = mcp_json->str(mcp_json->get(params, "message"));
    event.json = mcp_json->raw(params);
    mcp_host->emit(p->call, &event);
}

/* ---- the end of a call ---- */

void calls_cancel(void *self, tda_conn conn, tda_call call) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    struct pending *p = (struct pending *)mcp_host->state(call);
    int64_t id = p->id;
    forget(s, p);
    if (id) {
        tda_json_writer *w = wire_begin(s, 0, "notifications/cancelled");
        if (w) {
            mcp_json->put_key(w, TDA_STR("requestId"));
            mcp_json->put_i64(w, id);
            put_text(w, "reason", TDA_STR("the caller gave up"));
            wire_send(s, w);
        }
    }
    fail(call, TDA_C_CANCELLED, "cancelled");
}

void calls_drop(void *self, tda_conn conn, tda_call call) {
    (void)self;
    forget((struct session *)mcp_host->state(conn), (struct pending *)mcp_host->state(call));
}
