/* One call of the host's: one exchange after the other (pages, rounds of input), and the questions in between. It is the memory
 * that the host gives with the call. */
#ifndef MCP_CALL_H
#define MCP_CALL_H

#include "conn.h"

struct call {
    struct exchange x;
    tda_call handle;
    uint32_t op; /* enum tda_adapter_op */
    char *name;
    char *args;   /* one JSON object; NULL: none */
    char *cursor; /* of the page asked for last; NULL: the first */
    uint32_t pages, items;
    uint32_t rounds;     /* of input */
    char *request_state; /* as it stood in the server's JSON, quotes included; NULL: none */
    uint8_t has_input;   /* the next request carries inputResponses */
    uint8_t is_relisting, has_relisted;
    uint8_t has_visited; /* the url of error -32042 */
    struct call *next_listener;
};

/* ---- calls.c ---- */

tda_status calls_start(void *self, tda_conn conn, tda_call handle, const struct tda_adapter_request *request);
void calls_cancel(void *self, tda_conn conn, tda_call handle);
void calls_drop(void *self, tda_conn conn, tda_call handle);

void call_send(struct call *call); /* its request, again */
void call_ok(struct call *call, uint32_t is_error);
void call_fail(struct call *call, uint32_t cls, const char *format, ...) __attribute__((format(printf, 3, 4)));
void call_refused(struct call *call, const struct outcome *o);
void call_progress(struct exchange *x, tda_json params);

/* ---- answers.c ---- */

void call_answered(struct exchange *x, const struct outcome *o);

/* ---- input.c: a result that asks for input first (MRTR), and error -32042 ---- */

void input_required(struct call *call, tda_json result);
int input_needs_visit(struct call *call, tda_json error); /* 1: the user is asked to visit a page, then it is tried again */
void input_put(struct call *call, tda_json_writer *w);    /* inputResponses and requestState, into the open params */
void input_clear(struct call *call);                      /* questions are over, answers forgotten */

/* ---- questions.c ---- */

enum question_kind { QUESTION_REQUEST, QUESTION_INPUT, QUESTION_VISIT };

struct question {
    struct question *next;
    enum question_kind kind;
    uint32_t number;
    struct call *call; /* NULL: not known */
    char *key;         /* REQUEST: the server's id, as JSON; INPUT: the key in inputRequests */
    char *schema;      /* of a form; NULL: none */
    char *answer;      /* INPUT, VISIT: the result, once it is there */
};

/* elicitation/create with these params. On failure *ret_why says what is wrong with them, and nobody was asked. */
tda_status question_ask(struct conn *c, enum question_kind kind, struct call *call, tda_str key, tda_json params,
                        const char **ret_why);
tda_status questions_answer(void *self, tda_conn conn, tda_str id, tda_str json);
void question_over(struct conn *c, tda_str key); /* the server gives up a request of its own */
void questions_of_call_over(struct conn *c, const struct call *call);
void questions_free(struct conn *c);
/* All of a call's questions have their answers. */
void input_complete(struct call *call);

/* The user's content, with the schema's defaults where he left something out. */
void form_put(tda_json_writer *w, tda_json content, tda_json schema);

/* ---- content.c ---- */

/* Emits what a result holds; false when it is not of the right form. */
int content_items(struct call *call, tda_json result);
int content_tool_result(struct call *call, tda_json result);
void content_whole(tda_call call, tda_json result);

#endif
