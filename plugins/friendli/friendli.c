/* Friendli: serverless, dedicated endpoints by their id, or an endpoint at an address of its own. */
#include "openai/wire.h"

#define SERVERLESS_URL "https://api.friendli.ai/serverless/v1"

TDA_PLUGIN_NOTE(
    "id friendli\n"
    "version 0.1.0\n"
    "provides tda.provider/1\n"
    "needs tda.json/1\n"
    "host https://api.friendli.ai\n"
    "address friendli_details.endpoint_url\n"
    "config base_url url u https://api.friendli.ai/serverless/v1 the service, up to and with /v1; friendli_details.endpoint_url "
    "counts first\n"
    "config token secret ur - the token, as friendli_details.token\n"
    "config team text u - sent as X-Friendli-Team\n"
    "env base_url FRIENDLI_ENDPOINT_URL\n"
    "env token FRIENDLI_TOKEN\n"
    "env team FRIENDLI_TEAM\n");

static bool ends_with(tda_str s, tda_str end) {
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* An endpoint's address is usually its root, and the path of its list (models_path, "/v1/models") says what comes before "models".
 */
static void add_prefix(struct call *c, tda_str models_path) {
    tda_str prefix = models_path.n ? models_path : TDA_STR("/v1/models");
    if (ends_with(prefix, TDA_STR("/models"))) prefix.n -= strlen("/models");
    if (prefix.n && !ends_with(text_str(&c->base_url), prefix)) text_add(&c->base_url, prefix, URL_PART_MAX);
}

static bool address(struct call *c) {
    struct codec *codec = &c->codec;
    tda_str url = codec_context_member(codec, TDA_CTX_FRIENDLI_DETAILS, TDA_STR("endpoint_url"));
    if (!url.n) url = codec_setting(codec, TDA_STR("base_url"));
    if (!url.n) url = TDA_STR(SERVERLESS_URL);
    if (!codec_base_url(codec, url, &c->base_url)) return false;
    add_prefix(c, codec_context_member(codec, TDA_CTX_FRIENDLI_DETAILS, TDA_STR("models_path")));
    if (c->base_url.status) call_fail(codec, TDA_C_REQUEST, "the address of the service is longer than %d bytes", URL_PART_MAX);
    return !codec->over;
}

static uint32_t headers(const struct call *c, struct tda_auth *auth, tda_kv out[DIALECT_HEADERS_MAX]) {
    auth->kind = TDA_AUTH_HEADER;
    auth->header = TDA_STR("authorization");
    auth->prefix = TDA_STR("Bearer ");
    auth->secret = TDA_STR("token");
    out[0] = (tda_kv){TDA_STR("x-friendli-team"), codec_setting(&c->codec, TDA_STR("team"))};
    return 1;
}

static enum dialect_models models(const struct call *c) {
    return ends_with(text_str(&c->base_url), TDA_STR("/serverless/v1")) ? DIALECT_NO_LIST : DIALECT_LISTS;
}

const struct dialect dialect = {.address = address, .headers = headers, .models = models, .max_tokens = "max_tokens"};
const struct codec_ops codec_service = WIRE_SERVICE("friendli", "does the address end with /v1, or is it an endpoint's root?");

CODEC_PLUGIN("friendli", "0.1.0", struct call);
