/* Azure OpenAI. Its two forms of address:
 *
 *   classic   ENDPOINT/openai/deployments/DEPLOYMENT/chat/completions?api-version=2024-10-21
 *   v1        ENDPOINT/openai/v1/chat/completions        no version; the body's model is the deployment (api_version absent or v1)
 *
 * Neither lists deployments: a configured one is tried with a chat of one token. */
#include "openai/wire.h"

TDA_PLUGIN_NOTE("id azure\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "address azure_deployment_details.endpoint\n"
                "config base_url url u - the resource's endpoint: https://NAME.openai.azure.com; azure_deployment_details.endpoint "
                "counts first\n"
                "config deployment text - - name of the deployment, for contexts that name none\n"
                "config api_version text - v1 a date (2024-10-21) for the classic addresses, or v1\n"
                "config api text - chat which of its two: chat (chat completions) or responses (with v1)\n"
                "config api_key secret u - the resource's key, sent as api-key\n"
                "config entra_token secret u - a Microsoft Entra token, sent as Authorization: Bearer, where there is no api_key\n"
                "env base_url AZURE_OPENAI_ENDPOINT\n"
                "env deployment AZURE_OPENAI_DEPLOYMENT_NAME\n"
                "env api_version AZURE_OPENAI_API_VERSION\n"
                "env api_version OPENAI_API_VERSION\n"
                "env api_key AZURE_OPENAI_API_KEY\n");

/* The user's details first, then the setting. */
static tda_str detail(const struct call *c, tda_str name, tda_str setting) {
    tda_str value = codec_context_member(&c->codec, TDA_CTX_AZURE_DEPLOYMENT_DETAILS, name);
    return value.n ? value : codec_setting(&c->codec, setting);
}

static tda_str without(tda_str s, tda_str end) {
    while (s.n && s.p[s.n - 1] == '/') s.n--;
    if (s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0) s.n -= end.n;
    return s;
}

static void classic_address(struct call *c, tda_str version) {
    text_add_z(&c->base_url, "/openai/deployments/", URL_PART_MAX);
    text_add_step(&c->base_url, wire_model(c));
    text_add_z(&c->query, "?api-version=", URL_PART_MAX);
    text_add_step(&c->query, version);
}

static bool address(struct call *c) {
    struct codec *codec = &c->codec;
    tda_str endpoint = detail(c, TDA_STR("endpoint"), TDA_STR("base_url")),
            version = detail(c, TDA_STR("api_version"), TDA_STR("api_version"));
    bool v1 = !version.n || text_equal_nocase(version, "v1");
    c->is_openai = true;
    c->responses = tda_str_eq(codec_setting(codec, TDA_STR("api")), TDA_STR("responses"));
    text_add(&c->name, detail(c, TDA_STR("deployment_name"), TDA_STR("deployment")), URL_PART_MAX);
    if (!endpoint.n)
        call_fail(codec, TDA_C_REQUEST,
                  "there is no endpoint: give azure_deployment_details.endpoint (https://NAME.openai.azure.com)");
    if (c->responses && !v1) call_fail(codec, TDA_C_REQUEST, "responses have no classic address at Azure: set api_version to v1");
    endpoint = without(without(endpoint, TDA_STR("/openai/v1")), TDA_STR("/openai"));
    if (codec->over || !codec_base_url(codec, endpoint, &c->base_url)) return false;
    if (v1)
        text_add_z(&c->base_url, "/openai/v1", URL_PART_MAX);
    else
        classic_address(c, version);
    if (c->name.status || c->base_url.status || c->query.status)
        call_fail(codec, TDA_C_REQUEST, "the endpoint, the deployment's name or the api_version is longer than %d bytes",
                  URL_PART_MAX);
    return !codec->over;
}

static uint32_t headers(const struct call *c, struct tda_auth *auth, tda_kv out[DIALECT_HEADERS_MAX]) {
    static const struct tda_auth token = {.size = sizeof token,
                                          .kind = TDA_AUTH_HEADER,
                                          .header = {"authorization", 13},
                                          .prefix = {"Bearer ", 7},
                                          .secret = {"entra_token", 11}};
    (void)c, (void)out;
    auth->kind = TDA_AUTH_HEADER;
    auth->header = TDA_STR("api-key");
    auth->secret = TDA_STR("api_key");
    auth->otherwise = &token;
    return 0;
}

static enum dialect_models models(const struct call *c) {
    (void)c;
    return DIALECT_NO_LIST;
}

const struct dialect dialect = {.address = address, .headers = headers, .models = models, .max_tokens = "max_completion_tokens"};
const struct codec_ops codec_service =
    WIRE_SERVICE("azure", "is the endpoint https://NAME.openai.azure.com, and does it have a deployment of this name?");

CODEC_PLUGIN("azure", "0.1.0", struct call);
