/* Calls of the host: which request each is, and how it begins and ends. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "call.h"

/* ---- the end ---- */

static void finish(struct call *call, const struct tda_result *result) {
    struct conn *c = call->x.conn;
    exchange_forget(&call->x);
    questions_of_call_over(c, call);
    mcp_host->finish(call->handle, result);
}

static struct tda_result new_result(uint32_t cls) {
    struct tda_result r;
    memset(&r, 0, sizeof r);
    r.size = sizeof r;
    r.cls = cls;
    r.retry_ms = -1;
    return r;
}

void call_ok(struct call *call, uint32_t is_error) {
    struct tda_result r = new_result(TDA_C_OK);
    r.is_error = is_error;
    finish(call, &r);
}

void call_fail(struct call *call, uint32_t cls, const char *format, ...) {
    char text[600];
    struct tda_result r = new_result(cls);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r.text = tda_str_of(text);
    finish(call, &r);
}

/* The server's error, or what became of the request on its way. */
void call_refused(struct call *call, const struct outcome *o) {
    char code[24];
    int64_t number = 0;
    uint32_t is_error = mcp_json->type(o->error) == TDA_JSON_OBJECT;
    struct tda_result r = new_result(o->cls == TDA_C_NOT_FOUND ? TDA_C_REQUEST : o->cls); /* it was there before */
    r.http_status = o->http_status >= 300 ? o->http_status : 0;
    r.retry_ms = o->retry_ms;
    r.text = o->text;
    if (is_error) {
        mcp_json->i64(mcp_json->get(o->error, "code"), &number);
        snprintf(code, sizeof code, "%lld", (long long)number);
        r.code = tda_str_of(code);
        if (!r.text.n) r.text = mcp_json->str(mcp_json->get(o->error, "message"));
        if (!o->cls)
            r.cls = (number <= -32600 && number >= -32602) || number == -32002 || is_modern_error(o->error) ? TDA_C_REQUEST
                                                                                                            : TDA_C_UPSTREAM;
        if (!r.text.n) r.text = TDA_STR("the server answered with an error");
    }
    finish(call, &r);
}

/* ---- which request ---- */

static const char *method_of(const struct call *call) {
    switch (call->is_relisting ? TDA_AOP_LIST_TOOLS : call->op) {
    case TDA_AOP_LIST_TOOLS: return "tools/list";
    case TDA_AOP_CALL_TOOL: return "tools/call";
    case TDA_AOP_LIST_PROMPTS: return "prompts/list";
    case TDA_AOP_GET_PROMPT: return "prompts/get";
    case TDA_AOP_LIST_RESOURCES: return "resources/list";
    case TDA_AOP_LIST_TEMPLATES: return "resources/templates/list";
    case TDA_AOP_READ_RESOURCE: return "resources/read";
    case TDA_AOP_COMPLETE: return "completion/complete";
    case TDA_AOP_SUBSCRIBE: return "resources/subscribe";
    case TDA_AOP_UNSUBSCRIBE: return "resources/unsubscribe";
    case TDA_AOP_LOG_LEVEL: return "logging/setLevel";
    default: return NULL;
    }
}

static uint32_t offered(const struct abilities *can, uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_TOOLS:
    case TDA_AOP_CALL_TOOL: return can->tools;
    case TDA_AOP_LIST_PROMPTS:
    case TDA_AOP_GET_PROMPT: return can->prompts;
    case TDA_AOP_LIST_RESOURCES:
    case TDA_AOP_LIST_TEMPLATES:
    case TDA_AOP_READ_RESOURCE: return can->resources;
    case TDA_AOP_SUBSCRIBE:
    case TDA_AOP_UNSUBSCRIBE: return can->subscribe;
    case TDA_AOP_LOG_LEVEL: return can->logging;
    default: return can->completions;
    }
}

static int is_list(uint32_t op) {
    return op == TDA_AOP_LIST_TOOLS || op == TDA_AOP_LIST_PROMPTS || op == TDA_AOP_LIST_RESOURCES || op == TDA_AOP_LIST_TEMPLATES;
}

/* args are the params, but for what the host's caller has no say in. */
static tda_status put_members(tda_json_writer *w, tda_conn conn, tda_str args) {
    tda_json root;
    tda_status status = args.n ? mcp_json->parse(conn, args, &root) : TDA_E_INVALID;
    if (status) return status == TDA_E_NOMEM ? status : TDA_E_INVALID;
    for (tda_json m = mcp_json->first(root); mcp_json->type(m); m = mcp_json->next(m)) {
        if (text_is(mcp_json->name(m), "_meta")) continue;
        mcp_json->put_key(w, mcp_json->name(m));
        mcp_json->put_raw(w, mcp_json->raw(m));
    }
    return TDA_OK;
}

static tda_status put_params(struct exchange *x, tda_json_writer *w) {
    struct call *call = (struct call *)x;
    tda_str args = tda_str_of(call->args);
    if (call->cursor) put_text(w, "cursor", tda_str_of(call->cursor));
    if (call->is_relisting) return TDA_OK;
    switch (call->op) {
    case TDA_AOP_CALL_TOOL:
    case TDA_AOP_GET_PROMPT:
        put_text(w, "name", tda_str_of(call->name));
        put_raw(w, "arguments", args.n ? args : TDA_STR("{}"));
        break;
    case TDA_AOP_READ_RESOURCE:
    case TDA_AOP_SUBSCRIBE:
    case TDA_AOP_UNSUBSCRIBE: put_text(w, "uri", tda_str_of(call->name)); break;
    case TDA_AOP_LOG_LEVEL: put_text(w, "level", tda_str_of(call->name)); break;
    case TDA_AOP_COMPLETE: return put_members(w, x->conn->handle, args);
    default: break;
    }
    if (call->has_input) input_put(call, w);
    return TDA_OK;
}

void call_send(struct call *call) {
    struct exchange *x = &call->x;
    int names = !call->is_relisting &&
                (call->op == TDA_AOP_CALL_TOOL || call->op == TDA_AOP_GET_PROMPT || call->op == TDA_AOP_READ_RESOURCE);
    x->method = method_of(call);
    x->name = names ? tda_str_of(call->name) : ABSENT;
    x->arguments = call->op == TDA_AOP_CALL_TOOL && !call->is_relisting ? tda_str_of(call->args) : ABSENT;
    x->has_progress = call->op == TDA_AOP_CALL_TOOL && !call->is_relisting;
    tda_status status = exchange_send(x);
    if (!status) return;
    if (status == TDA_E_LIMIT && x->conn->n_exchanges >= EXCHANGES_MAX)
        call_fail(call, TDA_C_OVERLOADED, "%d calls wait for this server already", EXCHANGES_MAX);
    else if (status == TDA_E_LIMIT)
        call_fail(call, TDA_C_TOO_LARGE, "the request is too large for the server, or too much waits for it already");
    else if (status == TDA_E_DENIED)
        call_fail(call, TDA_C_PERMISSION, "the host's rules do not allow this address");
    else if (status == TDA_E_INVALID)
        call_fail(call, TDA_C_REQUEST, "the params of %s cannot be read", x->method);
    else if (status == TDA_E_NOMEM)
        call_fail(call, TDA_C_INTERNAL, "out of memory: %s was not sent", x->method);
    else
        call_fail(call, TDA_C_NETWORK, "the request could not be written to the server");
}

/* ---- modern: no requests of their own ---- */

static void follow(struct call *call) {
    struct conn *c = call->x.conn;
    if (call->op == TDA_AOP_UNSUBSCRIBE) {
        conn_unsubscribe(c, tda_str_of(call->name));
        listen_open(c);
        call_ok(call, 0);
        return;
    }
    conn_subscribe(c, tda_str_of(call->name));
    call->next_listener = c->listeners;
    c->listeners = call;
    listen_open(c);
}

static void unlisten(struct conn *c, struct call *call) {
    struct call **link = &c->listeners;
    while (*link && *link != call) link = &(*link)->next_listener;
    if (*link) *link = call->next_listener;
}

static void set_log_level(struct conn *c, const char *level) {
    snprintf(c->log_level, sizeof c->log_level, "%s", level);
}

/* ---- from the host ---- */

static int keep(struct call *call, const struct tda_adapter_request *request) {
    call->name = text_dup(request->name);
    call->args = request->args.n ? text_dup(request->args) : NULL;
    return (call->name || !request->name.p) && (call->args || !request->args.n);
}

static void refuse(struct call *call, const struct conn *c) {
    if (is_list(call->op) && !offered(&c->can, call->op))
        call_ok(call, 0); /* a server without tools has none */
    else
        call_fail(call, TDA_C_REQUEST, "the server does not offer %s", method_of(call) ? method_of(call) : "that");
}

static uint32_t lists_anew(uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_TOOLS: return LIST_TOOLS;
    case TDA_AOP_LIST_PROMPTS: return LIST_PROMPTS;
    case TDA_AOP_LIST_RESOURCES:
    case TDA_AOP_LIST_TEMPLATES: return LIST_RESOURCES;
    default: return 0;
    }
}

static void begin(struct call *call) {
    struct conn *c = call->x.conn;
    int is_follow = call->op == TDA_AOP_SUBSCRIBE || call->op == TDA_AOP_UNSUBSCRIBE;
    if (call->op == TDA_AOP_LIST_TOOLS) schemas_clear(&c->schemas);
    c->stale &= ~lists_anew(call->op);
    if (is_follow && !call->name) {
        call_fail(call, TDA_C_REQUEST, "which resource: a uri is missing");
    } else if (call->op == TDA_AOP_SUBSCRIBE && c->n_subscriptions >= SUBSCRIPTIONS_MAX) {
        call_fail(call, TDA_C_OVERLOADED, "%d resources are followed already", SUBSCRIPTIONS_MAX);
    } else if (is_follow && c->era->is_modern) {
        follow(call);
    } else if (call->op == TDA_AOP_LOG_LEVEL && c->era->is_modern) {
        set_log_level(c, call->name ? call->name : "");
        call_ok(call, 0);
    } else {
        call_send(call);
    }
}

tda_status calls_start(void *self, tda_conn conn, tda_call handle, const struct tda_adapter_request *request) {
    (void)self;
    struct call *call = (struct call *)mcp_host->state(handle);
    struct conn *c = (struct conn *)mcp_host->state(conn);
    call->handle = call->x.call = handle;
    call->op = request->op;
    call->x.conn = c;
    call->x.put_params = put_params;
    call->x.done = call_answered;
    call->x.stream.retry_ms = -1;
    if (!keep(call, request))
        call_fail(call, TDA_C_INTERNAL, "out of memory");
    else if (!method_of(call) || !offered(&c->can, call->op))
        refuse(call, c);
    else
        begin(call);
    return TDA_OK;
}

void calls_cancel(void *self, tda_conn conn, tda_call handle) {
    (void)self;
    struct call *call = (struct call *)mcp_host->state(handle);
    exchange_cancel(&call->x);
    unlisten((struct conn *)mcp_host->state(conn), call);
    call_fail(call, TDA_C_CANCELLED, "cancelled");
}

void calls_drop(void *self, tda_conn conn, tda_call handle) {
    (void)self;
    struct call *call = (struct call *)mcp_host->state(handle);
    struct conn *c = (struct conn *)mcp_host->state(conn);
    if (!call->x.conn) return;
    exchange_forget(&call->x);
    unlisten(c, call);
    questions_of_call_over(c, call);
    stream_clear(&call->x.stream);
    free(call->name);
    free(call->args);
    free(call->cursor);
    free(call->request_state);
}

void call_progress(struct exchange *x, tda_json params) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_PROGRESS;
    event.text = mcp_json->str(mcp_json->get(params, "message"));
    event.json = mcp_json->raw(params);
    mcp_host->emit(x->call, &event);
}
