/* Questions of a server to its user (elicitation): asked by CONN_ASK, answered by `answer`. They come in three ways: as a request
 * of the server's (legacy), inside of a result that wants input (modern), and as the error that says "visit this page first". */
#include <stdio.h>
#include <stdlib.h>

#include "call.h"

static void free_question(struct question *q) {
    free(q->key);
    free(q->schema);
    free(q->answer);
    free(q);
}

static void take_off(struct conn *c, struct question *q) {
    struct question **link = &c->questions;
    while (*link != q) link = &(*link)->next;
    *link = q->next;
    c->n_questions--;
    free_question(q);
}

void questions_free(struct conn *c) {
    while (c->questions) take_off(c, c->questions);
}

/* ---- asking ---- */

static void tell(struct conn *c, const struct question *q, uint32_t kind, tda_str json) {
    char id[16];
    struct tda_conn_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.json = json;
    event.call = q->call ? q->call->handle : 0;
    snprintf(id, sizeof id, "%u", q->number);
    event.id = tda_str_of(id);
    if (c->state != CONN_OVER) mcp_host->conn_event(c->handle, &event);
}

static int is_url(tda_str url) {
    return (url.n > 8 && memcmp(url.p, "https://", 8) == 0) || (url.n > 7 && memcmp(url.p, "http://", 7) == 0);
}

/* What is wrong with it; NULL: nothing. */
static const char *fault(const struct conn *c, tda_json params, int is_page) {
    if (c->n_questions >= QUESTIONS_MAX) return "too many questions wait for the user already";
    if (!mcp_json->str(mcp_json->get(params, "message")).p) return "elicitation/create lacks a message";
    if (is_page && !(c->asks & TDA_ASK_URL)) return "elicitation of mode url was not offered";
    if (is_page) return is_url(mcp_json->str(mcp_json->get(params, "url"))) ? NULL : "elicitation/create has no http or https url";
    if (!(c->asks & TDA_ASK_FORM)) return "elicitation of mode form was not offered";
    return mcp_json->type(mcp_json->get(params, "requestedSchema")) == TDA_JSON_OBJECT
               ? NULL
               : "elicitation/create lacks a requestedSchema";
}

static tda_status describe(struct conn *c, tda_json params, int is_page, tda_str *ret_text) {
    tda_json_writer *w = mcp_json->writer(c->handle);
    if (!w) return TDA_E_NOMEM;
    mcp_json->begin_object(w);
    put_text(w, "message", mcp_json->str(mcp_json->get(params, "message")));
    if (is_page)
        put_text(w, "url", mcp_json->str(mcp_json->get(params, "url")));
    else
        put_raw(w, "schema", mcp_json->raw(mcp_json->get(params, "requestedSchema")));
    mcp_json->end_object(w);
    return mcp_json->text(w, ret_text);
}

tda_status question_ask(struct conn *c, enum question_kind kind, struct call *call, tda_str key, tda_json params,
                        const char **ret_why) {
    tda_str mode = mcp_json->str(mcp_json->get(params, "mode")), json;
    int is_page = text_is(mode, "url");
    const char *why = mode.n && !is_page && !text_is(mode, "form") ? "elicitation/create is of an unknown mode" : NULL;
    if (!why) why = fault(c, params, is_page);
    *ret_why = why ? why : "out of memory";
    if (why) return c->n_questions >= QUESTIONS_MAX ? TDA_E_LIMIT : TDA_E_INVALID;
    struct question *q = (struct question *)calloc(1, sizeof *q);
    if (!q) return TDA_E_NOMEM;
    q->kind = kind;
    q->number = ++c->last_question;
    q->call = call;
    q->key = text_dup(key);
    q->schema = is_page ? NULL : text_dup(mcp_json->raw(mcp_json->get(params, "requestedSchema")));
    if (!q->key || (!is_page && !q->schema) || describe(c, params, is_page, &json)) {
        free_question(q);
        return TDA_E_NOMEM;
    }
    q->next = c->questions;
    c->questions = q;
    c->n_questions++;
    tell(c, q, TDA_CONN_ASK, json);
    return TDA_OK;
}

/* ---- answers ---- */

/* An ElicitResult. */
static tda_status write_result(struct conn *c, const struct question *q, tda_json answer, tda_str *ret_text) {
    tda_str action = mcp_json->str(mcp_json->get(answer, "action"));
    tda_json schema = {NULL, 0};
    int accepts = text_is(action, "accept");
    tda_json_writer *w = mcp_json->writer(c->handle);
    if (!w) return TDA_E_NOMEM;
    mcp_json->begin_object(w);
    put_text(w, "action", accepts || text_is(action, "decline") ? action : TDA_STR("cancel"));
    if (accepts && q->schema && !mcp_json->parse(c->handle, tda_str_of(q->schema), &schema)) {
        mcp_json->put_key(w, TDA_STR("content"));
        form_put(w, mcp_json->get(answer, "content"), schema);
    }
    mcp_json->end_object(w);
    return mcp_json->text(w, ret_text);
}

static int has_open(const struct conn *c, const struct call *call) {
    for (const struct question *q = c->questions; q; q = q->next)
        if (q->call == call && q->kind != QUESTION_REQUEST && !q->answer) return 1;
    return 0;
}

tda_status questions_answer(void *self, tda_conn conn, tda_str id, tda_str json) {
    (void)self;
    struct conn *c = (struct conn *)mcp_host->state(conn);
    char number[16];
    tda_json answer = {NULL, 0};
    tda_str result;
    struct question *q = c ? c->questions : NULL;
    for (; q; q = q->next) {
        snprintf(number, sizeof number, "%u", q->number);
        if (!q->answer && text_is(id, number)) break;
    }
    if (!q) return TDA_E_NOT_FOUND; /* the server or its call gave up meanwhile */
    if (mcp_json->parse(conn, json, &answer)) answer = (tda_json){NULL, 0};
    if (write_result(c, q, answer, &result)) return TDA_E_NOMEM;
    if (q->kind == QUESTION_REQUEST) {
        reply_result(c, tda_str_of(q->key), result);
        take_off(c, q);
        return TDA_OK;
    }
    struct call *call = q->call;
    if (!(q->answer = text_dup(result))) return TDA_E_NOMEM;
    if (!has_open(c, call)) input_complete(call);
    return TDA_OK;
}

/* ---- what is over before its answer ---- */

void question_over(struct conn *c, tda_str key) {
    for (struct question *q = c->questions; q; q = q->next) {
        if (q->kind != QUESTION_REQUEST || !text_is(key, q->key)) continue;
        tell(c, q, TDA_CONN_ASK_OVER, ABSENT);
        take_off(c, q);
        return;
    }
}

void questions_of_call_over(struct conn *c, const struct call *call) {
    for (struct question *q = c->questions, *next; q; q = next) {
        next = q->next;
        if (q->call != call) continue;
        if (!q->answer) tell(c, q, TDA_CONN_ASK_OVER, ABSENT);
        if (q->kind == QUESTION_REQUEST) reply_result(c, tda_str_of(q->key), TDA_STR("{\"action\":\"cancel\"}"));
        take_off(c, q);
    }
}
