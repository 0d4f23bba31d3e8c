/* VALIDATE, MODELS and COUNT.
 *
 *     VALIDATE  GET models/MODEL --404, 405, no JSON--> POST models/MODEL:generateContent, 1 token
 *     MODELS    GET models, page by page: those that generate content
 *     COUNT     POST models/MODEL:countTokens */
#include "google.h"

enum { PAGES_MAX = 100 };

static const tda_str none = {NULL, 0};

void models_start(struct call *c, uint32_t op) {
    if (op == TDA_OP_MODELS)
        ask_list(c, STAGE_MODELS, "pageSize=1000", none);
    else if (c->codec.model.n)
        ask_model(c, STAGE_VALIDATE_MODEL, "", none, false);
    else
        ask_list(c, STAGE_VALIDATE_LIST, "pageSize=1", none);
}

/* ---- VALIDATE ---- */

static void probe(struct call *c) {
    tda_str body;
    if (c->codec.over) return;
    if (request_body_probe(c, &body)) ask_model(c, STAGE_VALIDATE_CHAT, ":generateContent", body, false);
}

static void model_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    bool missing = c->reply.status == 404 || c->reply.status == 405;
    if (codec_is_success(c) && codec_parse_body(c, &root) && member(root, "name").n)
        call_succeed(c);
    else if (codec_is_success(c) || missing)
        probe(call);
    else
        errors_from_reply(c);
}

/* A question that the filter refused shows as well that key and model work. */
static void probe_answered(struct codec *c) {
    tda_json root;
    if (!codec_is_success(c))
        errors_from_reply(c);
    else if (!codec_parse_body(c, &root))
        errors_not_json(c, "an answer that is not well-formed JSON");
    else if (json()->type(json()->key(root, TDA_STR("candidates"))) || json()->type(json()->key(root, TDA_STR("promptFeedback"))))
        call_succeed(c);
    else
        errors_from_event(c, root);
}

/* ---- MODELS ---- */

static bool read_page(struct codec *c, tda_json *ret_root) {
    if (!codec_is_success(c)) {
        errors_from_reply(c);
        return false;
    }
    if (codec_parse_body(c, ret_root) && json()->type(*ret_root) == TDA_JSON_OBJECT) return true;
    errors_not_json(c, "an answer that is no list of models");
    return false;
}

/* Embeddings and the like are in the list too. A gateway may not say what a model can. */
static bool generates(tda_json model) {
    tda_json methods = json()->key(model, TDA_STR("supportedGenerationMethods"));
    for (tda_json v = json()->first(methods); json()->type(v); v = json()->next(v))
        if (tda_str_eq(json()->str(v), TDA_STR("generateContent"))) return true;
    return !json()->type(methods);
}

/* "models/gemini-x" -> "gemini-x"; a tuned model keeps its whole name. */
static tda_str id_of(tda_json model) {
    tda_str name = member(model, "name");
    size_t n = strlen("models/");
    if (name.n > n && memcmp(name.p, "models/", n) == 0) return (tda_str){name.p + n, name.n - n};
    return name;
}

static void page_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    if (!read_page(c, &root)) return;
    for (tda_json v = json()->first(json()->key(root, TDA_STR("models"))); json()->type(v); v = json()->next(v))
        if (generates(v)) out_model(c, id_of(v), member(v, "displayName"));
    tda_str token = member(root, "nextPageToken");
    if (token.n && ++call->pages < PAGES_MAX)
        ask_list(call, STAGE_MODELS, "pageSize=1000&pageToken=", token);
    else
        call_succeed(c);
}

static void list_answered(struct codec *c) {
    tda_json root;
    if (read_page(c, &root)) call_succeed(c);
}

void models_answered(struct call *c) {
    switch (c->codec.stage) {
    case STAGE_MODELS: page_answered(c); break;
    case STAGE_COUNT: count_answered(&c->codec, "totalTokens", "cachedContentTokenCount"); break;
    case STAGE_VALIDATE_MODEL: model_answered(c); break;
    case STAGE_VALIDATE_LIST: list_answered(&c->codec); break;
    default: probe_answered(&c->codec);
    }
}
