/* The dialect of OpenAI itself, and of every server that follows it. */
#include "openai/wire.h"

#define OPENAI_BASE_URL "https://api.openai.com/v1"

TDA_PLUGIN_NOTE("id openai\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://api.openai.com\n"
                "config base_url url u https://api.openai.com/v1 address of the service, up to and with /v1\n"
                "config api text - chat which of its two: chat (chat completions) or responses\n"
                "config api_key secret ur - the key; a server of your own may want none\n"
                "config organization text u - sent as OpenAI-Organization\n"
                "config project text u - sent as OpenAI-Project\n"
                "env api_key OPENAI_API_KEY\n"
                "env base_url OPENAI_BASE_URL\n"
                "env organization OPENAI_ORG_ID\n"
                "env project OPENAI_PROJECT_ID\n");

static bool address(struct call *c) {
    tda_str url = codec_setting(&c->codec, TDA_STR("base_url"));
    if (!url.n) url = TDA_STR(OPENAI_BASE_URL);
    c->responses = tda_str_eq(codec_setting(&c->codec, TDA_STR("api")), TDA_STR("responses"));
    c->is_openai = text_equal_nocase(codec_host_of(url), "api.openai.com");
    return codec_base_url(&c->codec, url, &c->base_url);
}

/* Servers of one's own often want no key; OpenAI always does. */
static uint32_t headers(const struct call *c, struct tda_auth *auth, tda_kv out[DIALECT_HEADERS_MAX]) {
    auth->kind = TDA_AUTH_HEADER;
    auth->header = TDA_STR("authorization");
    auth->prefix = TDA_STR("Bearer ");
    auth->secret = TDA_STR("api_key");
    auth->optional = !c->is_openai;
    out[0] = (tda_kv){TDA_STR("openai-organization"), codec_setting(&c->codec, TDA_STR("organization"))};
    out[1] = (tda_kv){TDA_STR("openai-project"), codec_setting(&c->codec, TDA_STR("project"))};
    return 2;
}

static enum dialect_models models(const struct call *c) {
    (void)c;
    return DIALECT_LISTS;
}

const struct dialect dialect = {.address = address, .headers = headers, .models = models, .max_tokens = "max_completion_tokens"};
const struct codec_ops codec_service = WIRE_SERVICE("openai", "does base_url end with /v1?");

CODEC_PLUGIN("openai", "0.1.0", struct call);
