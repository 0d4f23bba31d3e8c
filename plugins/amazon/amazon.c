/* Where Amazon Bedrock is, how it is shown who asks, and which operation asks what.
 *
 *     models    https://bedrock-runtime.REGION.amazonaws.com/model/MODEL/converse    MODEL is one encoded step
 *     lists     https://bedrock.REGION.amazonaws.com/foundation-models, /inference-profiles
 *
 * A base_url stands in place of both. */
#include "amazon.h"

TDA_PLUGIN_NOTE("id amazon\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://bedrock-runtime.*.amazonaws.com\n"
                "host https://bedrock.*.amazonaws.com\n"
                "config base_url url u - another address in place of AWS's: a private endpoint, a proxy\n"
                "config region text - - region for contexts without aws_region: us-east-1\n"
                "config api text - converse how models are asked: converse, or invoke for Anthropic's own messages\n"
                "config max_tokens int - 8192 longest answer by invoke where the caller sets no limit; there it must be said\n"
                "config bearer_token secret u - a Bedrock API key; it is used before the access key\n"
                "config access_key_id secret u - id of the access key that requests are signed with\n"
                "config secret_access_key secret u - its secret\n"
                "config session_token secret u - the token that comes with temporary access keys\n"
                "env base_url AWS_ENDPOINT_URL_BEDROCK_RUNTIME\n"
                "env region AWS_REGION\n"
                "env region AWS_DEFAULT_REGION\n"
                "env bearer_token AWS_BEARER_TOKEN_BEDROCK\n"
                "env access_key_id AWS_ACCESS_KEY_ID\n"
                "env secret_access_key AWS_SECRET_ACCESS_KEY\n"
                "env session_token AWS_SESSION_TOKEN\n");

/* ---- asking ---- */

static void send(struct call *c, const struct text *url, tda_str body, uint32_t framing) {
    const struct tda_auth signature = {.size = sizeof signature,
                                       .kind = TDA_AUTH_AWS_SIGV4,
                                       .secret = TDA_STR("secret_access_key"),
                                       .optional = c->base_url.n > 0, /* a proxy may have credentials of its own */
                                       .region = tda_str_of(c->region),
                                       .service = TDA_STR("bedrock"),
                                       .key_id = TDA_STR("access_key_id"),
                                       .session = TDA_STR("session_token")};
    const struct tda_auth bearer = {.size = sizeof bearer,
                                    .kind = TDA_AUTH_HEADER,
                                    .header = TDA_STR("authorization"),
                                    .prefix = TDA_STR("Bearer "),
                                    .secret = TDA_STR("bearer_token"),
                                    .otherwise = &signature};
    if (!codec_url_is_good(&c->codec, url)) return;
    codec_send(&c->codec, &(struct codec_request){.url = text_str(url), .body = body, .framing = framing, .auth = &bearer});
}

static void add_host(struct call *c, struct text *url, const char *name) {
    if (c->base_url.n) {
        text_add(url, text_str(&c->base_url), URL_MAX);
        return;
    }
    text_add_z(url, "https://", URL_MAX);
    text_add_z(url, name, URL_MAX);
    text_add_z(url, ".", URL_MAX);
    text_add_z(url, c->region, URL_MAX);
    text_add_z(url, ".amazonaws.com", URL_MAX);
}

void ask_model(struct call *c, enum stage stage, const char *verb, tda_str body, bool stream) {
    struct text url = {0};
    c->codec.stage = stage;
    add_host(c, &url, "bedrock-runtime");
    text_add_z(&url, "/model/", URL_MAX);
    text_add_step(&url, text_str(&c->codec.model));
    text_add_z(&url, verb, URL_MAX);
    send(c, &url, body, stream ? TDA_FRAME_AWS_EVENTSTREAM : TDA_FRAME_NONE);
    text_fini(&url);
}

void ask_list(struct call *c, enum stage stage, const char *path, tda_str step) {
    struct text url = {0};
    c->codec.stage = stage;
    add_host(c, &url, "bedrock");
    text_add_z(&url, path, URL_MAX);
    text_add_step(&url, step);
    send(c, &url, (tda_str){NULL, 0}, TDA_FRAME_NONE);
    text_fini(&url);
}

/* ---- operations ---- */

static void ask_chat(struct call *c, const struct tda_request *r) {
    tda_str body;
    if (!invoke_choose(c)) return;
    if (c->invoke && invoke_body(c, r, &body))
        ask_model(c, STAGE_CHAT, r->stream ? "/invoke-with-response-stream" : "/invoke", body, r->stream != 0);
    else if (!c->invoke && request_body(c, r, &body))
        ask_model(c, STAGE_CHAT, r->stream ? "/converse-stream" : "/converse", body, r->stream != 0);
}

static void start(struct codec *base, const struct tda_request *r) {
    struct call *c = (struct call *)base;
    tda_str body;
    if (!address(c)) return;
    if (!base->model.n && r->op != TDA_OP_MODELS)
        call_fail(base, TDA_C_REQUEST, "there is no model: give the id of a model, or the ARN of an inference profile");
    if (base->over) return;
    switch (r->op) {
    case TDA_OP_CHAT: ask_chat(c, r); break;
    case TDA_OP_COUNT:
        if (request_body_count(c, r, &body)) ask_model(c, STAGE_COUNT, "/count-tokens", body, false);
        break;
    case TDA_OP_VALIDATE:
    case TDA_OP_MODELS: models_start(c, r->op); break;
    default: call_fail(base, TDA_C_REQUEST, "the amazon plugin does not know operation %u", (unsigned)r->op);
    }
}

static void answered(struct codec *base) {
    struct call *c = (struct call *)base;
    if (base->stage != STAGE_CHAT)
        models_answered(c);
    else if (!codec_is_success(base))
        errors_from_reply(base);
    else if (base->streaming)
        stream_end(c);
    else
        stream_whole(c);
}

static void fini(struct codec *c) {
    text_fini(&((struct call *)c)->base_url);
}

static const char *const request_ids[] = {"x-amzn-requestid", "x-amz-request-id", "x-request-id", NULL};

const struct codec_ops codec_service = {
    .name = "amazon",
    .address_advice = "does Bedrock have this model in this region, and does a base_url name a Bedrock runtime?",
    .request_id_headers = request_ids,
    .start = start,
    .item = stream_item,
    .answered = answered,
    .read_error = read_error,
    .judge = judge_error,
    .fini = fini};

CODEC_PLUGIN("amazon", "0.1.0", struct call);
