/* The frames around chunks: a stream ends with "[DONE]"; servers that leave it out must at least have given a finish_reason. A
 * stream without either was cut off, however politely the connection was closed. */
#include "openai.h"

enum { LINGER_MS = 500, LINGER_TOKEN = 1 };

static const struct tda_json_api *json(void) {
    return openai_json;
}

/* The answer is whole. The end of the connection is waited for a little, so that the connection can be used again. */
static void done(struct call *c) {
    c->done = true;
    if (!c->answer.started) {
        call_fail(c, TDA_C_PROTOCOL, "the stream ended with [DONE] but held no answer");
        return;
    }
    answer_close(c);
    if (!c->over && openai_host->timer(c->handle, LINGER_TOKEN, LINGER_MS)) call_succeed(c);
}

static bool is_error(tda_json root) {
    uint32_t type = json()->type(json()->key(root, TDA_STR("error")));
    return type == TDA_JSON_OBJECT || type == TDA_JSON_STRING;
}

void stream_item(struct call *c, tda_str event, tda_str data) {
    tda_json root;
    while (data.n && data.p[data.n - 1] == ' ') data.n--;
    if (c->done || !data.n) return;
    if (tda_str_eq(data, TDA_STR("[DONE]"))) {
        done(c);
        return;
    }
    tda_status s = json()->parse(c->handle, data, &root);
    if (s == TDA_E_NOMEM) {
        call_fail_memory(c);
    } else if (s) {
        call_fail(c, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    } else if (is_error(root) || tda_str_eq(event, TDA_STR("error"))) {
        errors_from_event(c, root);
    } else {
        answer_read(c, root, "delta");
    }
}

void stream_end(struct call *c) {
    const struct answer *a = &c->answer;
    if (!c->done && !a->started)
        call_fail(c, TDA_C_PROTOCOL, "the service sent no event stream (content-type \"%s\"): does base_url end with /v1?",
                  c->reply.content_type);
    else if (!c->done && !a->reason[0])
        call_fail(c, TDA_C_PROTOCOL, "the stream was cut off: it ended without finish_reason or [DONE]");
    answer_close(c);
    call_succeed(c);
}

void stream_whole(struct call *c) {
    tda_json root;
    tda_status s = json()->parse(c->handle, text_str(&c->body), &root);
    if (s == TDA_E_NOMEM) {
        call_fail_memory(c);
    } else if (s) {
        call_fail(c, TDA_C_PROTOCOL, "the answer is not well-formed JSON (content-type \"%s\"): does base_url end with /v1?",
                  c->reply.content_type);
    } else if (is_error(root)) {
        errors_from_event(c, root);
    } else if (json()->type(json()->get(root, "choices.0.message")) != TDA_JSON_OBJECT) {
        call_fail(c, TDA_C_PROTOCOL, "the answer has no choices[0].message: does base_url speak Chat Completions?");
    } else {
        answer_read(c, root, "message");
        answer_close(c);
        call_succeed(c);
    }
}
