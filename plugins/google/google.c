/* Where the Gemini API is, what it is shown, and which operation asks what. The key goes in a header: as ?key= it would stand in
 * the logs of everything between. */
#include "google.h"

TDA_PLUGIN_NOTE("id google\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://generativelanguage.googleapis.com\n"
                "config base_url url u https://generativelanguage.googleapis.com address of the service, without the version\n"
                "config api_key secret ur - sent as x-goog-api-key\n"
                "config api_version text u v1beta the version in the address\n"
                "env base_url GOOGLE_GEMINI_BASE_URL\n"
                "env api_key GOOGLE_API_KEY\n"
                "env api_key GEMINI_API_KEY\n");

/* ---- address ---- */

static bool ends_with(const struct text *t, const struct text *end) {
    return t->n >= end->n && memcmp(t->p + t->n - end->n, end->p, end->n) == 0;
}

static bool address(struct call *c) {
    struct text version = {0};
    tda_str url = codec_setting(&c->codec, TDA_STR("base_url"));
    c->is_home = text_equal_nocase(codec_host_of(url), "generativelanguage.googleapis.com");
    if (!codec_base_url(&c->codec, url, &c->base_url)) return false;
    text_add_z(&version, "/", URL_MAX);
    text_add_step(&version, codec_setting(&c->codec, TDA_STR("api_version")));
    bool good = codec_url_is_good(&c->codec, &version);
    if (good && !ends_with(&c->base_url, &version)) text_add(&c->base_url, text_str(&version), URL_MAX);
    text_fini(&version);
    return good && codec_url_is_good(&c->codec, &c->base_url);
}

static bool begins_with(tda_str s, const char *start) {
    size_t n = strlen(start);
    return s.n > n && memcmp(s.p, start, n) == 0;
}

void add_model(struct text *out, tda_str model, bool encoded) {
    const char *collection = begins_with(model, "tunedModels/") ? "tunedModels/" : "models/";
    size_t n = begins_with(model, collection) ? strlen(collection) : 0;
    tda_str name = {model.p + n, model.n - n};
    text_add_z(out, collection, URL_MAX);
    if (encoded)
        text_add_step(out, name);
    else
        text_add(out, name, URL_MAX);
}

/* ---- asking ---- */

static void ask(struct call *c, enum stage stage, struct text *url, tda_str body, bool stream) {
    struct tda_auth auth = {.size = sizeof auth, .kind = TDA_AUTH_HEADER, .header = TDA_STR("x-goog-api-key")};
    auth.secret = TDA_STR("api_key");
    auth.optional = !c->is_home; /* a gateway of one's own may want none */
    c->codec.stage = stage;
    struct codec_request r = {.url = text_str(url), .body = body, .auth = &auth};
    r.framing = stream ? TDA_FRAME_SSE : TDA_FRAME_NONE;
    if (codec_url_is_good(&c->codec, url)) codec_send(&c->codec, &r);
    text_fini(url);
}

void ask_model(struct call *c, enum stage stage, const char *then, tda_str body, bool stream) {
    struct text url = {0};
    text_add(&url, text_str(&c->base_url), URL_MAX);
    text_add_z(&url, "/", URL_MAX);
    add_model(&url, text_str(&c->codec.model), true);
    text_add_z(&url, then, URL_MAX);
    ask(c, stage, &url, body, stream);
}

void ask_list(struct call *c, enum stage stage, const char *query, tda_str token) {
    struct text url = {0};
    text_add(&url, text_str(&c->base_url), URL_MAX);
    text_add_z(&url, "/models?", URL_MAX);
    text_add_z(&url, query, URL_MAX);
    text_add_step(&url, token);
    ask(c, stage, &url, (tda_str){NULL, 0}, false);
}

/* ---- operations ---- */

static void chat(struct call *c, const struct tda_request *r) {
    tda_str body;
    if (!request_body(c, r, &body)) return;
    ask_model(c, STAGE_CHAT, r->stream ? ":streamGenerateContent?alt=sse" : ":generateContent", body, r->stream != 0);
}

static void start(struct codec *base, const struct tda_request *r) {
    struct call *c = (struct call *)base;
    tda_str body;
    if (!address(c)) return;
    switch (r->op) {
    case TDA_OP_CHAT: chat(c, r); break;
    case TDA_OP_COUNT:
        if (request_body_count(c, r, &body)) ask_model(c, STAGE_COUNT, ":countTokens", body, false);
        break;
    case TDA_OP_VALIDATE:
    case TDA_OP_MODELS: models_start(c, r->op); break;
    default: call_fail(base, TDA_C_REQUEST, "the google plugin does not know operation %u", (unsigned)r->op);
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

static const char *const request_ids[] = {"x-request-id", NULL}; /* a gateway's; Google gives none */

const struct codec_ops codec_service = {.name = "google",
                                        .address_advice = "does base_url name a service that speaks the Gemini API?",
                                        .request_id_headers = request_ids,
                                        .start = start,
                                        .item = stream_item,
                                        .answered = answered,
                                        .read_error = read_error,
                                        .judge = judge_error,
                                        .fini = fini};

CODEC_PLUGIN("google", "0.1.0", struct call);
