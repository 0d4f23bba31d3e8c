/* Calls that need the user's input on the way. A modern server answers "input_required" instead of asking (multi round-trip
 * requests, 2026-07-28: basic/patterns/mrtr): the call is made again, with the answers and with the server's state as it came. A
 * legacy one may answer with error -32042: visit a page, then call again. */
#include <stdlib.h>

#include "call.h"

void input_clear(struct call *call) {
    questions_of_call_over(call->x.conn, call);
    free(call->request_state);
    call->request_state = NULL;
    call->has_input = 0;
}

/* ---- input_required ---- */

static int may_ask(const struct call *call) {
    return call->op == TDA_AOP_CALL_TOOL || call->op == TDA_AOP_GET_PROMPT || call->op == TDA_AOP_READ_RESOURCE;
}

/* 1: all are asked, or there are none. */
static int ask_all(struct call *call, tda_json requests) {
    for (tda_json r = mcp_json->first(requests); mcp_json->type(r); r = mcp_json->next(r)) {
        tda_str method = mcp_json->str(mcp_json->get(r, "method"));
        const char *why = "that was not offered to it";
        if (text_is(method, "elicitation/create") && call->x.conn->asks &&
            !question_ask(call->x.conn, QUESTION_INPUT, call, mcp_json->name(r), mcp_json->get(r, "params"), &why))
            continue;
        call_fail(call, TDA_C_PROTOCOL, "the server asks for %.*s before it goes on: %s", CUT(method, 64), why);
        return 0;
    }
    return 1;
}

void input_required(struct call *call, tda_json result) {
    tda_json requests = mcp_json->get(result, "inputRequests"), state = mcp_json->get(result, "requestState");
    int has_state = mcp_json->type(state) == TDA_JSON_STRING;
    if (!may_ask(call)) {
        call_fail(call, TDA_C_PROTOCOL, "the server wants input for %s, which may not want any", call->x.method);
        return;
    }
    if (!has_state && mcp_json->type(requests) != TDA_JSON_OBJECT) {
        call_fail(call, TDA_C_PROTOCOL, "the server wants input, but says neither which nor in what state it is");
        return;
    }
    if (++call->rounds > ROUNDS_MAX) {
        call_fail(call, TDA_C_PROTOCOL, "the server wants input again and again: more than %d rounds are not made", ROUNDS_MAX);
        return;
    }
    if (has_state && !(call->request_state = text_dup(mcp_json->raw(state)))) {
        call_fail(call, TDA_C_INTERNAL, "out of memory");
        return;
    }
    call->has_input = 1;
    if (ask_all(call, requests) && mcp_json->count(requests) == 0) call_send(call);
}

void input_put(struct call *call, tda_json_writer *w) {
    int any = 0;
    for (struct question *q = call->x.conn->questions; q; q = q->next) {
        if (q->call != call || q->kind != QUESTION_INPUT || !q->answer) continue;
        if (!any++) {
            mcp_json->put_key(w, TDA_STR("inputResponses"));
            mcp_json->begin_object(w);
        }
        put_raw(w, q->key, tda_str_of(q->answer));
    }
    if (any) mcp_json->end_object(w);
    if (call->request_state) put_raw(w, "requestState", tda_str_of(call->request_state));
}

/* ---- error -32042 ---- */

int input_needs_visit(struct call *call, tda_json error) {
    struct conn *c = call->x.conn;
    tda_json list = mcp_json->get(error, "data.elicitations");
    const char *why;
    int64_t code = 0;
    mcp_json->i64(mcp_json->get(error, "code"), &code);
    if (code != -32042 || !(c->asks & TDA_ASK_URL) || call->has_visited || !mcp_json->count(list)) return 0;
    call->has_visited = 1;
    for (tda_json v = mcp_json->first(list); mcp_json->type(v); v = mcp_json->next(v)) {
        if (!question_ask(c, QUESTION_VISIT, call, mcp_json->str(mcp_json->get(v, "elicitationId")), v, &why)) continue;
        questions_of_call_over(c, call);
        return 0;
    }
    return 1;
}

static int are_accepted(const struct call *call) {
    static const char accept[] = "{\"action\":\"accept\"";
    for (const struct question *q = call->x.conn->questions; q; q = q->next)
        if (q->call == call && q->kind == QUESTION_VISIT && strncmp(q->answer, accept, sizeof accept - 1) != 0) return 0;
    return 1;
}

static int is_visit(const struct call *call) {
    for (const struct question *q = call->x.conn->questions; q; q = q->next)
        if (q->call == call && q->kind == QUESTION_VISIT) return 1;
    return 0;
}

/* Once visited, the call is made as if for the first time. */
void input_complete(struct call *call) {
    if (is_visit(call) && !are_accepted(call)) {
        call_fail(call, TDA_C_REQUEST, "the server wants a page to be visited first, and the user did not");
        return;
    }
    if (is_visit(call)) questions_of_call_over(call->x.conn, call);
    call_send(call);
}
