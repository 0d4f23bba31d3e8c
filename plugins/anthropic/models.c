/* VALIDATE, MODELS and COUNT.
 *
 *     VALIDATE  GET models/MODEL --404, 405, no JSON--> POST messages, 1 token
 *     MODELS    GET models, page by page
 *     COUNT     POST messages/count_tokens
 *
 * Gateways seldom know the list, and a new model's other names are not in it either: so the model itself has the last word. */
#include "anthropic.h"

enum { PAGES_MAX = 100 };

#define PAGE_PATH "models?limit=1000&after_id="

static const tda_str none = {NULL, 0};

void models_start(struct call *c, uint32_t op) {
    tda_str model = text_str(&c->codec.model);
    if (op == TDA_OP_MODELS)
        ask(c, STAGE_MODELS, "models?limit=1000", none, none, false);
    else if (model.n)
        ask(c, STAGE_VALIDATE_MODEL, "models/", model, none, false);
    else
        ask(c, STAGE_VALIDATE_LIST, "models?limit=1", none, none, false);
}

/* ---- VALIDATE ---- */

static bool is_missing(const struct codec *c) {
    return c->reply.status == 404 || c->reply.status == 405;
}

static void probe(struct call *c) {
    tda_str body;
    if (c->codec.over) return;
    if (claude_body_probe(&c->codec, none, &body)) ask(c, STAGE_VALIDATE_CHAT, "messages", none, body, false);
}

static void model_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    bool object = codec_is_success(c) && codec_parse_body(c, &root) && json()->type(root) == TDA_JSON_OBJECT;
    if (object && member(root, "id").n)
        call_succeed(c);
    else if (codec_is_success(c) || is_missing(c))
        probe(call);
    else
        errors_from_reply(c);
}

static void probe_answered(struct codec *c) {
    if (!codec_is_success(c))
        errors_from_reply(c);
    else if (claude_is_answer(c))
        call_succeed(c);
}

/* ---- MODELS ---- */

static bool read_page(struct codec *c, tda_json *ret_root, tda_json *ret_list) {
    if (!codec_is_success(c)) {
        errors_from_reply(c);
        return false;
    }
    if (codec_parse_body(c, ret_root)) *ret_list = json()->key(*ret_root, TDA_STR("data"));
    if (json()->type(*ret_list) == TDA_JSON_ARRAY) return true;
    errors_not_json(c, "an answer that is no list of models");
    return false;
}

static void page_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root, list = {NULL, 0};
    int32_t more = 0;
    if (!read_page(c, &root, &list)) return;
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        out_model(c, member(v, "id"), member(v, "display_name"));
    json()->boolean(json()->key(root, TDA_STR("has_more")), &more);
    tda_str last = member(root, "last_id");
    if (more && last.n && ++call->pages < PAGES_MAX)
        ask(call, STAGE_MODELS, PAGE_PATH, last, none, false);
    else
        call_succeed(c);
}

static void list_answered(struct codec *c) {
    tda_json root, list = {NULL, 0};
    if (read_page(c, &root, &list)) call_succeed(c);
}

void models_answered(struct call *c) {
    switch (c->codec.stage) {
    case STAGE_MODELS: page_answered(c); break;
    case STAGE_COUNT: count_answered(&c->codec, "input_tokens", NULL); break;
    case STAGE_VALIDATE_MODEL: model_answered(c); break;
    case STAGE_VALIDATE_LIST: list_answered(&c->codec); break;
    default: probe_answered(&c->codec);
    }
}
