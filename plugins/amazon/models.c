/* VALIDATE, MODELS and COUNT.
 *
 *     VALIDATE  POST converse (or invoke), a few tokens
 *     MODELS    GET foundation-models, then GET inference-profiles, page by page
 *     COUNT     POST count-tokens
 *
 * No list tells whether a model answers these credentials in this region, and the right to list is another one than the right to
 * ask: so the model itself has the word. */
#include "amazon.h"

enum { PAGES_MAX = 100 };

static const tda_str none = {NULL, 0};

/* Outside of a configure there is nothing to write to. */
static void note_vendor(struct codec *c) {
    tda_str model = text_str(&c->model), vendor = model_vendor(model);
    if (model_is_arn(model) && vendor.n) codec_host->ctx_put(c->handle, TDA_CTX_MODEL_PROVIDER_IN_PROFILE, vendor);
}

void models_start(struct call *c, uint32_t op) {
    tda_str body;
    if (op == TDA_OP_MODELS) {
        ask_list(c, STAGE_MODELS, "/foundation-models?byOutputModality=TEXT", none);
        return;
    }
    note_vendor(&c->codec);
    if (!invoke_choose(c)) return;
    if (request_body_probe(c, &body)) ask_model(c, STAGE_VALIDATE, c->invoke ? "/invoke" : "/converse", body, false);
}

/* ---- VALIDATE ---- */

static void probe_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    if (!codec_is_success(c))
        errors_from_reply(c);
    else if (call->invoke && claude_is_answer(c))
        call_succeed(c);
    else if (codec_parse_body(c, &root) && json()->type(json()->get(root, "output.message")) == TDA_JSON_OBJECT)
        call_succeed(c);
    else
        errors_not_json(c, "an answer without output.message");
}

/* ---- MODELS ---- */

static bool read_list(struct codec *c, const char *name, tda_json *ret_root, tda_json *ret_list) {
    if (!codec_is_success(c)) {
        errors_from_reply(c);
        return false;
    }
    if (codec_parse_body(c, ret_root)) *ret_list = json()->key(*ret_root, tda_str_of(name));
    if (json()->type(*ret_list) == TDA_JSON_ARRAY) return true;
    errors_not_json(c, "an answer that is no list of models");
    return false;
}

/* Many models answer only through a profile, or with throughput that was bought; those ids are refused as they stand here. */
static bool is_on_demand(tda_json model) {
    tda_json types = json()->key(model, TDA_STR("inferenceTypesSupported"));
    for (tda_json v = json()->first(types); json()->type(v); v = json()->next(v))
        if (tda_str_eq(json()->str(v), TDA_STR("ON_DEMAND"))) return true;
    return !json()->type(types);
}

static void ask_profiles(struct call *c, tda_str token) {
    ask_list(c, STAGE_PROFILES, token.n ? "/inference-profiles?maxResults=1000&nextToken=" : "/inference-profiles?maxResults=1000",
             token);
}

static void models_listed(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root, list = {NULL, 0};
    if (!read_list(c, "modelSummaries", &root, &list)) return;
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        if (is_on_demand(v)) out_model(c, member(v, "modelId"), member(v, "modelName"));
    ask_profiles(call, none);
}

static void profiles_listed(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root, list = {NULL, 0};
    if (!read_list(c, "inferenceProfileSummaries", &root, &list)) return;
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        out_model(c, member(v, "inferenceProfileArn"), member(v, "inferenceProfileName"));
    tda_str token = member(root, "nextToken");
    if (token.n && ++call->pages < PAGES_MAX)
        ask_profiles(call, token);
    else
        call_succeed(c);
}

void models_answered(struct call *c) {
    switch (c->codec.stage) {
    case STAGE_MODELS: models_listed(c); break;
    case STAGE_PROFILES: profiles_listed(c); break;
    case STAGE_COUNT: count_answered(&c->codec, "inputTokens", NULL); break;
    default: probe_answered(c);
    }
}
