/* What a server sends: answers to us, requests of its own, notifications. And our answers to it. */
#include <stdio.h>

#include "call.h"

/* ---- to the server ---- */

static tda_json_writer *begin(struct conn *c) {
    tda_json_writer *w = mcp_json->writer(c->handle);
    if (!w) return NULL;
    mcp_json->begin_object(w);
    put_text(w, "jsonrpc", TDA_STR("2.0"));
    return w;
}

/* Nobody waits for what becomes of it: what cannot be sent is lost, and the server's own deadline counts. */
static void send(struct conn *c, tda_json_writer *w) {
    tda_str text;
    mcp_json->end_object(w);
    if (!conn_is_live(c) || mcp_json->text(w, &text)) return;
    if (c->transport->send(c, NULL, text)) conn_log(c, TDA_LOG_WARN, "an answer to the server could not be sent");
}

void reply_result(struct conn *c, tda_str id, tda_str result) {
    tda_json_writer *w = begin(c);
    if (!w) return;
    put_raw(w, "id", id);
    put_raw(w, "result", result);
    send(c, w);
}

void reply_error(struct conn *c, tda_str id, int64_t code, const char *text) {
    tda_json_writer *w = begin(c);
    if (!w) return;
    put_raw(w, "id", id);
    mcp_json->put_key(w, TDA_STR("error"));
    mcp_json->begin_object(w);
    mcp_json->put_key(w, TDA_STR("code"));
    mcp_json->put_i64(w, code);
    put_text(w, "message", tda_str_of(text));
    mcp_json->end_object(w);
    send(c, w);
}

void say_cancelled(struct conn *c, int64_t id) {
    tda_json_writer *w = begin(c);
    if (!w) return;
    put_text(w, "method", TDA_STR("notifications/cancelled"));
    mcp_json->put_key(w, TDA_STR("params"));
    mcp_json->begin_object(w);
    mcp_json->put_key(w, TDA_STR("requestId"));
    mcp_json->put_i64(w, id);
    put_text(w, "reason", TDA_STR("the caller gave up"));
    mcp_json->end_object(w);
    send(c, w);
}

/* ---- from the server ---- */

/* The call that a question is for: the one on whose stream it came, or the only one there is. */
static struct call *call_behind(struct conn *c, struct exchange *via) {
    struct exchange *only = NULL;
    if (via) return via->call ? (struct call *)via : NULL;
    for (struct exchange *x = c->exchanges; x; x = x->next) {
        if (!x->call) continue;
        if (only) return NULL;
        only = x;
    }
    return (struct call *)only;
}

/* Requests that a server may make here: whether we are there, and questions, if they were offered. Modern servers make none. */
static void requested(struct conn *c, tda_str method, tda_json message, struct exchange *via) {
    tda_str id = mcp_json->raw(mcp_json->get(message, "id"));
    const char *why = "";
    if (c->era->is_modern && c->transport->has_streams) {
        conn_log(c, TDA_LOG_WARN, "the server asks for %.*s on a stream, where " MODERN_VERSION " lets nobody answer",
                 CUT(method, 64));
    } else if (text_is(method, "ping")) {
        reply_result(c, id, TDA_STR("{}"));
    } else if (text_is(method, "elicitation/create") && c->asks && !c->era->is_modern) {
        tda_status s = question_ask(c, QUESTION_REQUEST, call_behind(c, via), id, mcp_json->get(message, "params"), &why);
        if (s) reply_error(c, id, s == TDA_E_INVALID ? -32602 : -32603, why);
    } else {
        reply_error(c, id, -32601, "this client does not offer that");
    }
}

static void answered(struct exchange *x, tda_json message) {
    struct outcome o;
    memset(&o, 0, sizeof o);
    o.retry_ms = -1;
    o.http_status = x->stream.status;
    o.result = mcp_json->get(message, "result");
    o.error = mcp_json->get(message, "error");
    if (mcp_json->type(o.error) != TDA_JSON_OBJECT && mcp_json->type(o.result) != TDA_JSON_OBJECT)
        exchange_fail(x, TDA_C_PROTOCOL, o.http_status, "the answer to %s has neither a result nor an error", x->method);
    else
        exchange_done(x, &o);
}

/* Ours are integers. An error may lack the id where the server could not read it: then it is for the request it answers. */
static void take_answer(struct conn *c, tda_json message, struct exchange *via) {
    int64_t number;
    tda_json id = mcp_json->get(message, "id");
    struct exchange *x = mcp_json->i64(id, &number) ? exchange_find(c, number) : NULL;
    int is_error = mcp_json->type(mcp_json->get(message, "error")) == TDA_JSON_OBJECT;
    if (!x && via && is_error && mcp_json->type(id) <= TDA_JSON_NULL) x = via;
    if (x) answered(x, message); /* else it is late: cancelled meanwhile */
}

static int take_message(struct conn *c, tda_json message, struct exchange *via) {
    if (mcp_json->type(message) != TDA_JSON_OBJECT) return 0;
    tda_str method = mcp_json->str(mcp_json->get(message, "method"));
    uint32_t id = mcp_json->type(mcp_json->get(message, "id"));
    if (method.p && (id == TDA_JSON_NUMBER || id == TDA_JSON_STRING))
        requested(c, method, message, via);
    else if (method.p)
        notice(c, method, mcp_json->get(message, "params"));
    else if (mcp_json->type(mcp_json->get(message, "result")) || mcp_json->type(mcp_json->get(message, "error")))
        take_answer(c, message, via);
    else
        return 0;
    return 1;
}

tda_status receive(struct conn *c, tda_str text, struct exchange *via) {
    tda_json root;
    int taken = 0;
    tda_status status = mcp_json->parse(c->handle, text, &root);
    if (status) return status == TDA_E_NOMEM || status == TDA_E_LIMIT ? status : TDA_E_SYNTAX;
    if (mcp_json->type(root) != TDA_JSON_ARRAY) return take_message(c, root, via) ? TDA_OK : TDA_E_SYNTAX;
    /* batches were part of 2025-03-26 */
    for (tda_json m = mcp_json->first(root); mcp_json->type(m) && c->state != CONN_OVER; m = mcp_json->next(m))
        taken |= take_message(c, m, via);
    return taken ? TDA_OK : TDA_E_SYNTAX;
}

/* Programs print to stdout what belongs on stderr. A little of it is borne. */
void receive_item(struct conn *c, tda_str text, struct exchange *via) {
    tda_status status = receive(c, text, via);
    if (!status) {
        c->garbage = 0;
        return;
    }
    if (c->state == CONN_OVER) return;
    if (status == TDA_E_NOMEM) { /* an answer that is lost would be waited for until the deadline */
        conn_fail(c, TDA_C_INTERNAL, "out of memory: a message of the server could not be read");
        return;
    }
    if (broken_answer(c, text, status, via)) return;
    if (c->garbage++ == 0) conn_log(c, TDA_LOG_WARN, "what the server sent is no JSON-RPC, ignored: %.*s", CUT(text, 80));
    if (c->garbage > GARBAGE_MAX)
        conn_fail(c, TDA_C_PROTOCOL, "the server sent %u messages in a row that are no JSON-RPC, the last begins: %.*s", c->garbage,
                  CUT(text, 60));
}
