/* Where Anthropic's Messages API is, what it is shown, and which operation asks what.
 *
 * The default version is 2023-06-01. What 2026-10-21 takes, it takes too, and besides the temperature and top_p that a caller asks
 * for (2026-10-21 refuses them for every model); and the gateways that speak this API know it. Nobody who did not ask for sampling
 * notices a difference. */
#include "anthropic.h"

TDA_PLUGIN_NOTE("id anthropic\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://api.anthropic.com\n"
                "config base_url url u https://api.anthropic.com address of the service, without /v1\n"
                "config api_key secret u - the key, sent as `auth` says\n"
                "config auth text u x-api-key how api_key is sent: x-api-key or bearer\n"
                "config auth_token secret u - sent as a bearer token where there is no api_key\n"
                "config version text u 2023-06-01 sent as anthropic-version\n"
                "config beta text u - sent as anthropic-beta: names with commas between\n"
                "config max_tokens int u 8192 longest answer where the caller sets no limit; the service insists on one\n"
                "env base_url ANTHROPIC_BASE_URL\n"
                "env api_key ANTHROPIC_API_KEY\n"
                "env auth_token ANTHROPIC_AUTH_TOKEN\n");

enum { HEADERS = 2 };

/* ---- address ---- */

static bool address(struct call *c) {
    tda_str url = codec_setting(&c->codec, TDA_STR("base_url"));
    c->is_home = text_equal_nocase(codec_host_of(url), "api.anthropic.com");
    if (!codec_base_url(&c->codec, url, &c->base_url)) return false;
    if (c->base_url.n > 3 && memcmp(c->base_url.p + c->base_url.n - 3, "/v1", 3) == 0) c->base_url.n -= 3; /* as others want it */
    return true;
}

/* ---- credential and headers ---- */

enum { CREDENTIALS = 2 };

static struct tda_auth header_auth(bool bearer, const char *secret) {
    struct tda_auth a = {.size = sizeof a, .kind = TDA_AUTH_HEADER, .secret = tda_str_of(secret)};
    a.header = bearer ? TDA_STR("authorization") : TDA_STR("x-api-key");
    a.prefix = bearer ? TDA_STR("Bearer ") : TDA_STR("");
    return a;
}

/* The key, else the token: the service too takes the key when it sees both. */
static void fill_auth(const struct call *c, struct tda_auth auth[CREDENTIALS]) {
    auth[0] = header_auth(text_equal_nocase(codec_setting(&c->codec, TDA_STR("auth")), "bearer"), "api_key");
    auth[1] = header_auth(true, "auth_token");
    auth[1].optional = !c->is_home; /* a gateway of one's own may want none */
    auth[0].otherwise = &auth[1];
}

void ask(struct call *c, enum stage stage, const char *path, tda_str step, tda_str body, bool stream) {
    struct text url = {0};
    struct tda_auth auth[CREDENTIALS];
    tda_kv headers[HEADERS] = {{TDA_STR("anthropic-version"), codec_setting(&c->codec, TDA_STR("version"))},
                               {TDA_STR("anthropic-beta"), codec_setting(&c->codec, TDA_STR("beta"))}};
    c->codec.stage = stage;
    fill_auth(c, auth);
    text_add(&url, text_str(&c->base_url), URL_MAX);
    text_add_z(&url, "/v1/", URL_MAX);
    text_add_z(&url, path, URL_MAX);
    text_add_step(&url, step);
    struct codec_request r = {.url = text_str(&url), .body = body, .auth = auth, .headers = headers, .n_headers = HEADERS};
    r.framing = stream ? TDA_FRAME_SSE : TDA_FRAME_NONE;
    if (codec_url_is_good(&c->codec, &url)) codec_send(&c->codec, &r);
    text_fini(&url);
}

/* ---- operations ---- */

static void start(struct codec *base, const struct tda_request *r) {
    struct call *c = (struct call *)base;
    tda_str body, none = {NULL, 0};
    c->input = c->created = c->read = c->output = TDA_UNKNOWN;
    if (!address(c)) return;
    switch (r->op) {
    case TDA_OP_CHAT:
        if (request_body(c, r, &body)) ask(c, STAGE_CHAT, "messages", none, body, r->stream != 0);
        break;
    case TDA_OP_COUNT:
        if (request_body_count(c, r, &body)) ask(c, STAGE_COUNT, "messages/count_tokens", none, body, false);
        break;
    case TDA_OP_VALIDATE:
    case TDA_OP_MODELS: models_start(c, r->op); break;
    default: call_fail(base, TDA_C_REQUEST, "the anthropic plugin does not know operation %u", (unsigned)r->op);
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

static const char *const request_ids[] = {"request-id", "x-request-id", NULL};

const struct codec_ops codec_service = {.name = "anthropic",
                                        .address_advice = "does base_url name a service that speaks Anthropic's Messages API?",
                                        .request_id_headers = request_ids,
                                        .start = start,
                                        .item = stream_item,
                                        .answered = answered,
                                        .read_error = read_error,
                                        .judge = judge_error,
                                        .fini = fini};

CODEC_PLUGIN("anthropic", "0.1.0", struct call);
