/* The operations, and the errors' words.
 *
 * An error is {"error": {message, type, param, code}} at OpenAI. Others say {"error": "text"}, {"message": ...}, {"detail": ...},
 * or put an array around one of these. */
#include "wire.h"

const char *const wire_request_ids[] = {"x-request-id", "apim-request-id", NULL};

/* ---- asking ---- */

void wire_ask(struct call *c, const char *path, tda_str name, tda_str body, bool stream) {
    struct text url = {0};
    struct tda_auth auth = {.size = sizeof auth};
    tda_kv headers[DIALECT_HEADERS_MAX];
    text_add(&url, text_str(&c->base_url), URL_MAX);
    text_add_z(&url, "/", URL_MAX);
    text_add_z(&url, path, URL_MAX);
    if (name.n) {
        text_add_z(&url, "/", URL_MAX);
        text_add_step(&url, name);
    }
    text_add(&url, text_str(&c->query), URL_MAX);
    struct codec_request r = {.url = text_str(&url), .body = body, .auth = &auth, .headers = headers};
    r.n_headers = dialect.headers(c, &auth, headers);
    r.framing = stream ? TDA_FRAME_SSE : TDA_FRAME_NONE;
    if (codec_url_is_good(&c->codec, &url)) codec_send(&c->codec, &r);
    text_fini(&url);
}

void wire_start(struct codec *base, const struct tda_request *r) {
    struct call *c = (struct call *)base;
    tda_str body;
    base->stage = r->op == TDA_OP_VALIDATE ? STAGE_VALIDATE_MODEL : r->op == TDA_OP_MODELS ? STAGE_MODELS : STAGE_CHAT;
    if (r->op == TDA_OP_COUNT)
        call_fail(base, TDA_C_REQUEST, "this service cannot count tokens beforehand: send the request and look at its usage");
    else if (r->op > TDA_OP_MODELS)
        call_fail(base, TDA_C_REQUEST, "the %s plugin does not know operation %u", base->ops->name, (unsigned)r->op);
    if (base->over || !dialect.address(c)) return;
    if (r->op != TDA_OP_CHAT)
        models_start(c);
    else if (c->responses ? responses_body(c, r, &body) : request_body(c, r, &body))
        wire_ask(c, c->responses ? "responses" : "chat/completions", (tda_str){NULL, 0}, body, r->stream != 0);
}

void wire_answered(struct codec *base) {
    struct call *c = (struct call *)base;
    if (base->stage != STAGE_CHAT)
        models_answered(c);
    else if (!codec_is_success(base))
        errors_from_reply(base);
    else if (c->responses)
        base->streaming ? responses_end(c) : responses_whole(c);
    else
        base->streaming ? stream_end(c) : stream_whole(c);
}

void wire_fini(struct codec *base) {
    struct call *c = (struct call *)base;
    text_fini(&c->base_url);
    text_fini(&c->query);
    text_fini(&c->name);
    text_fini(&c->models);
}

tda_str wire_model(const struct call *c) {
    return text_str(c->name.n ? &c->name : &c->codec.model);
}

/* ---- errors ---- */

static tda_str word_of(tda_json v) {
    tda_str s = json()->str(v);
    return s.p || json()->type(v) != TDA_JSON_NUMBER ? s : json()->raw(v);
}

void wire_read_error(const struct codec *c, tda_json root, struct said *s) {
    (void)c;
    if (json()->type(root) == TDA_JSON_ARRAY) root = json()->first(root);
    tda_json error = json()->key(root, TDA_STR("error")), v;
    if (json()->type(error) != TDA_JSON_OBJECT) {
        s->message = json()->str(error);
        error = root;
    }
    s->code = word_of(json()->key(error, TDA_STR("code")));
    s->type = member(error, "type");
    if (!s->message.n) s->message = member(error, "message");
    if (s->message.n) return;
    v = json()->key(error, TDA_STR("detail"));
    s->message = json()->str(v).p ? json()->str(v) : json()->raw(v);
}

static const struct word_class words[] = {
    {"context_length_exceeded", TDA_C_CONTEXT_FULL},
    {"exceed_context_size_error", TDA_C_CONTEXT_FULL},
    {"insufficient_quota", TDA_C_QUOTA},
    {"content_filter", TDA_C_FILTER},
    {"content_policy_violation", TDA_C_FILTER},
    {"invalid_api_key", TDA_C_AUTH},
    {"authentication_error", TDA_C_AUTH},
    {"permission_error", TDA_C_PERMISSION},
    {"model_not_found", TDA_C_NOT_FOUND},
    {"not_found_error", TDA_C_NOT_FOUND},
    {"rate_limit_exceeded", TDA_C_RATE},
    {"rate_limit_error", TDA_C_RATE},
    {"overloaded", TDA_C_OVERLOADED},
    {"overloaded_error", TDA_C_OVERLOADED},
    {"server_error", TDA_C_UPSTREAM},
    {"api_error", TDA_C_UPSTREAM},
    {"timeout", TDA_C_TIMEOUT},
    {"invalid_request_error", TDA_C_REQUEST},
};

/* The code is the finer word; the type counts where the code says nothing. */
static uint32_t class_of_words(const struct said *s) {
    uint32_t cls = word_class_find(words, sizeof words / sizeof words[0], s->code);
    return cls ? cls : word_class_find(words, sizeof words / sizeof words[0], s->type);
}

static bool says_quota(const struct said *s) {
    static const char *const parts[] = {"insufficient_quota", "billing", "credit", "spend"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (text_has_nocase(s->code, parts[i]) || text_has_nocase(s->type, parts[i])) return true;
    return false;
}

/* Servers of one's own have no code for it. */
static bool says_context_full(const struct said *s) {
    return class_of_words(s) == TDA_C_CONTEXT_FULL || text_has_nocase(s->message, "maximum context length") ||
           text_has_nocase(s->message, "exceeds the available context size");
}

uint32_t wire_judge(const struct codec *c, const struct said *s, uint32_t by_status) {
    uint32_t cls = class_of_words(s);
    (void)c;
    switch (by_status) {
    case TDA_C_REQUEST:
        if (says_context_full(s)) return TDA_C_CONTEXT_FULL;
        return cls == TDA_C_FILTER || cls == TDA_C_AUTH || cls == TDA_C_NOT_FOUND ? cls : TDA_C_OK;
    case TDA_C_RATE: return says_quota(s) ? (uint32_t)TDA_C_QUOTA : (uint32_t)TDA_C_OK;
    case TDA_C_UPSTREAM:
        if (says_context_full(s)) return TDA_C_CONTEXT_FULL;
        return cls == TDA_C_OVERLOADED ? cls : (uint32_t)TDA_C_OK;
    case TDA_C_OK: /* inside an answer */
        if (says_context_full(s)) return TDA_C_CONTEXT_FULL;
        return says_quota(s) ? (uint32_t)TDA_C_QUOTA : cls;
    default: return TDA_C_OK;
    }
}
