/* The frames around chunks: a stream ends with "[DONE]"; servers that leave it out must at least have given a finish_reason. A
 * stream without either was cut off, however politely the connection was closed. */
#include "wire.h"

static bool is_error(tda_json root) {
    uint32_t type = json()->type(json()->key(root, TDA_STR("error")));
    return type == TDA_JSON_OBJECT || type == TDA_JSON_STRING;
}

static void whole(struct call *c) {
    codec_whole(&c->codec, answer_stop(c), tda_str_of(c->reason));
}

void stream_item(struct codec *base, tda_str event, tda_str id, tda_str data) {
    struct call *c = (struct call *)base;
    tda_json root;
    (void)id;
    while (data.n && data.p[data.n - 1] == ' ') data.n--;
    if (!data.n) return;
    if (c->responses) {
        responses_item(c, data);
        return;
    }
    if (tda_str_eq(data, TDA_STR("[DONE]"))) {
        if (base->parts.started)
            whole(c);
        else
            call_fail(base, TDA_C_PROTOCOL, "the stream ended with [DONE] but held no answer");
        return;
    }
    tda_status s = json()->parse(base->handle, data, &root);
    if (s == TDA_E_NOMEM) {
        call_fail_memory(base);
    } else if (s) {
        call_fail(base, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    } else if (is_error(root) || tda_str_eq(event, TDA_STR("error"))) {
        errors_from_event(base, root);
    } else {
        answer_read(c, root, "delta");
    }
}

void stream_end(struct call *c) {
    if (!c->codec.parts.started)
        errors_not_json(&c->codec, "this, which is no event stream,");
    else if (!c->reason[0])
        call_fail(&c->codec, TDA_C_PROTOCOL, "the stream was cut off: it ended without finish_reason or [DONE]");
    whole(c);
}

void stream_whole(struct call *c) {
    tda_json root;
    if (!codec_parse_body(&c->codec, &root)) {
        errors_not_json(&c->codec, "an answer that is not well-formed JSON");
    } else if (is_error(root)) {
        errors_from_event(&c->codec, root);
    } else if (json()->type(json()->get(root, "choices.0.message")) != TDA_JSON_OBJECT) {
        errors_not_json(&c->codec, "an answer without choices[0].message");
    } else {
        answer_read(c, root, "message");
        whole(c);
    }
}
