/* Ollama, on this machine or anywhere. VALIDATE asks api/show for the model (or the list, where
 * that is missing), MODELS lists api/tags. */
#include <stdio.h>

#include "ollama.h"

TDA_PLUGIN_NOTE("id ollama\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host http://127.0.0.1:11434\n"
                "config base_url url u http://127.0.0.1:11434 the server's root, without /api or /v1\n"
                "config api_key secret u - for ollama.com and servers behind a proxy; a local one wants none\n"
                "env base_url OLLAMA_HOST\n"
                "env api_key OLLAMA_API_KEY\n");

/* ---- asking ---- */

static void ask(struct call *c, enum stage stage, const char *path, tda_str body, bool stream) {
    struct text url = {0};
    struct tda_auth auth = {.size = sizeof auth,
                            .kind = TDA_AUTH_HEADER,
                            .header = TDA_STR("authorization"),
                            .prefix = TDA_STR("Bearer "),
                            .secret = TDA_STR("api_key"),
                            .optional = 1};
    c->codec.stage = stage;
    text_add(&url, text_str(&c->base_url), URL_MAX);
    text_add_z(&url, path, URL_MAX);
    if (url.status) call_fail_memory(&c->codec);
    codec_send(&c->codec,
               &(struct codec_request){
                   .url = text_str(&url), .body = body, .framing = stream ? TDA_FRAME_NDJSON : TDA_FRAME_NONE, .auth = &auth});
    text_fini(&url);
}

static void ask_list(struct call *c, enum stage stage) {
    ask(c, stage, "/api/tags", (tda_str){NULL, 0}, false);
}

static void ask_show(struct call *c) {
    tda_json_writer *w = json()->writer(c->codec.handle);
    tda_str body;
    if (w) {
        json()->begin_object(w);
        put_str(w, TDA_STR("model"), text_str(&c->codec.model));
        json()->end_object(w);
    }
    if (body_take(&c->codec, w, w ? TDA_OK : TDA_E_NOMEM, &body)) ask(c, STAGE_VALIDATE, "/api/show", body, false);
}

static void start(struct codec *base, const struct tda_request *r) {
    struct call *c = (struct call *)base;
    tda_str body;
    if (!codec_base_url(base, codec_setting(base, TDA_STR("base_url")), &c->base_url)) return;
    switch (r->op) {
    case TDA_OP_CHAT:
        if (request_body(c, r, &body)) ask(c, STAGE_CHAT, "/api/chat", body, r->stream != 0);
        break;
    case TDA_OP_VALIDATE: ask_show(c); break;
    case TDA_OP_MODELS: ask_list(c, STAGE_MODELS); break;
    default: call_fail(base, TDA_C_REQUEST, "Ollama cannot do operation %u: it counts no tokens beforehand", (unsigned)r->op);
    }
}

/* ---- lists ---- */

static tda_str name_of(tda_json entry) {
    tda_str name = member(entry, "name");
    return name.n ? name : member(entry, "model");
}

/* "llama3" means "llama3:latest". */
static bool is_model(tda_str listed, tda_str model) {
    if (tda_str_eq(listed, model)) return true;
    return listed.n == model.n + 7 && memcmp(listed.p, model.p, model.n) == 0 && memcmp(listed.p + model.n, ":latest", 7) == 0;
}

static void read_list(struct codec *c) {
    tda_json root, list;
    bool found = false, parsed = codec_parse_body(c, &root);
    list = parsed ? json()->key(root, TDA_STR("models")) : (tda_json){NULL, 0};
    if (json()->type(list) != TDA_JSON_ARRAY) {
        errors_not_json(c, "an answer that is no list of models");
        return;
    }
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v)) {
        tda_str name = name_of(v);
        found = found || is_model(name, text_str(&c->model));
        if (c->stage == STAGE_MODELS) out_model(c, name, name);
    }
    if (c->stage == STAGE_VALIDATE_LIST && !found)
        call_fail(c, TDA_C_NOT_FOUND, "the server does not have the model \"%.100s\": pull it there first",
                  c->model.n ? c->model.p : "");
    call_succeed(c);
}

/* A 404 that speaks of the model is an answer; any other comes from a server that has no api/show. */
static bool has_no_show(const struct codec *c) {
    if (c->stage != STAGE_VALIDATE) return false;
    return c->reply.status == 405 || (c->reply.status == 404 && !text_has_nocase(text_str(&c->body), "model"));
}

static void answered(struct codec *c) {
    if (has_no_show(c))
        ask_list((struct call *)c, STAGE_VALIDATE_LIST);
    else if (!codec_is_success(c))
        errors_from_reply(c);
    else if (c->stage == STAGE_VALIDATE)
        call_succeed(c);
    else if (c->stage != STAGE_CHAT)
        read_list(c);
    else if (!c->streaming)
        answer_whole(c);
    else
        call_fail(c, TDA_C_PROTOCOL, "the stream was cut off: it ended without \"done\": true");
}

/* ---- errors: {"error": "text"} ---- */

static void read_error(const struct codec *c, tda_json root, struct said *s) {
    tda_json error = json()->key(root, TDA_STR("error"));
    (void)c;
    s->message = json()->type(error) == TDA_JSON_OBJECT ? member(error, "message") : json()->str(error);
}

static uint32_t judge(const struct codec *c, const struct said *s, uint32_t by_status) {
    (void)c;
    if (text_has_nocase(s->message, "exceeds the available context") || text_has_nocase(s->message, "exceeds maximum context"))
        return TDA_C_CONTEXT_FULL;
    if (by_status == TDA_C_RATE && text_has_nocase(s->message, "usage limit")) return TDA_C_QUOTA;
    return TDA_C_OK;
}

static void fini(struct codec *c) {
    text_fini(&((struct call *)c)->base_url);
}

static const char *const request_ids[] = {"x-request-id", NULL};

const struct codec_ops codec_service = {.name = "ollama",
                                        .address_advice = "is base_url the root of an Ollama server, without /api or /v1?",
                                        .request_id_headers = request_ids,
                                        .start = start,
                                        .item = answer_line,
                                        .answered = answered,
                                        .read_error = read_error,
                                        .judge = judge,
                                        .fini = fini};

CODEC_PLUGIN("ollama", "0.1.0", struct call);
