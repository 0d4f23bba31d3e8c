/* VALIDATE and MODELS.
 *
 * VALIDATE asks for the model itself. Servers that have no such path answer 404 or 405, or with a web page: then the list is asked,
 * and where there is no list either, the model says one token.
 *
 *     GET models/MODEL --404, 405, no JSON--> GET models --404, 405, no list--> POST chat/completions, 1 token */
#include <stdio.h>

#include "wire.h"

static void ask(struct call *c, enum stage stage) {
    tda_str body = {NULL, 0};
    char path[URL_PART_MAX];
    if (c->codec.over) return;
    c->codec.stage = stage;
    snprintf(path, sizeof path, "%.*s", (int)c->models.n, c->models.n ? c->models.p : "");
    if (stage == STAGE_VALIDATE_CHAT) {
        if (request_body_probe(c, &body))
            wire_ask(c, c->responses ? "responses" : "chat/completions", (tda_str){NULL, 0}, body, false);
        return;
    }
    wire_ask(c, path[0] ? path : "models", stage == STAGE_VALIDATE_MODEL ? text_str(&c->codec.model) : (tda_str){NULL, 0}, body,
             false);
}

/* Where nothing can be listed, the one name that is known is the list. */
static void start_without_list(struct call *c) {
    tda_str name = wire_model(c);
    if (c->codec.stage != STAGE_MODELS) {
        ask(c, STAGE_VALIDATE_CHAT);
        return;
    }
    out_model(&c->codec, name, name);
    call_succeed(&c->codec);
}

void models_start(struct call *c) {
    if (dialect.models(c) == DIALECT_NO_LIST) {
        start_without_list(c);
        return;
    }
    if (c->codec.stage == STAGE_VALIDATE_MODEL && !c->codec.model.n) c->codec.stage = STAGE_VALIDATE_LIST; /* at least the key */
    ask(c, (enum stage)c->codec.stage);
}

static bool is_missing(const struct codec *c) {
    return c->reply.status == 404 || c->reply.status == 405;
}

/* {"data": [...]} or, at some, the bare array. */
static bool find_list(struct codec *c, tda_json *ret_list) {
    tda_json root;
    if (!codec_parse_body(c, &root)) return false;
    tda_json list = json()->type(root) == TDA_JSON_ARRAY ? root : json()->key(root, TDA_STR("data"));
    if (json()->type(list) != TDA_JSON_ARRAY) return false;
    *ret_list = list;
    return true;
}

static tda_str id_of(tda_json entry) {
    tda_str id = json()->str(entry);
    return id.p ? id : member(entry, "id");
}

/* ---- VALIDATE ---- */

static void model_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    bool object = codec_is_success(c) && codec_parse_body(c, &root) && json()->type(root) == TDA_JSON_OBJECT;
    if (object && json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT)
        errors_from_event(c, root);
    else if (object)
        call_succeed(c);
    else if (codec_is_success(c) || is_missing(c))
        ask(call, STAGE_VALIDATE_LIST);
    else
        errors_from_reply(c);
}

static void fail_not_listed(struct codec *c, tda_json list) {
    char names[200] = "", model[100];
    size_t n = 0;
    for (tda_json v = json()->first(list); json()->type(v) && n < 120; v = json()->next(v)) {
        char name[64];
        line_copy(name, sizeof name, id_of(v));
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", name);
    }
    line_copy(model, sizeof model, text_str(&c->model));
    call_fail(c, TDA_C_NOT_FOUND, "the service does not list the model \"%s\"; of its %llu models the first are: %s", model,
              (unsigned long long)json()->count(list), names[0] ? names : "(none)");
}

static bool is_listed(const struct codec *c, tda_json list) {
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        if (tda_str_eq(id_of(v), text_str(&c->model))) return true;
    return false;
}

static void list_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json list;
    if (codec_is_success(c) && find_list(c, &list)) {
        if (c->model.n && !is_listed(c, list)) fail_not_listed(c, list);
        call_succeed(c);
    } else if ((is_missing(c) || codec_is_success(c)) && c->model.n) {
        ask(call, STAGE_VALIDATE_CHAT);
    } else if (codec_is_success(c)) {
        errors_not_json(c, "an answer that is no list of models");
    } else {
        errors_from_reply(c);
    }
}

static void probe_answered(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root;
    if (!codec_is_success(c))
        errors_from_reply(c);
    else if (!codec_parse_body(c, &root))
        errors_not_json(c, "an answer that is not well-formed JSON");
    else if (json()->type(json()->get(root, call->responses ? "output" : "choices.0")))
        call_succeed(c);
    else
        errors_from_event(c, root);
}

/* ---- MODELS ---- */

static void models_listed(struct codec *c) {
    tda_json list;
    if (!codec_is_success(c)) {
        errors_from_reply(c);
        return;
    }
    if (!find_list(c, &list)) {
        errors_not_json(c, "an answer that is no list of models");
        return;
    }
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v)) out_model(c, id_of(v), member(v, "name"));
    call_succeed(c);
}

void models_answered(struct call *c) {
    switch (c->codec.stage) {
    case STAGE_MODELS: models_listed(&c->codec); break;
    case STAGE_VALIDATE_MODEL: model_answered(c); break;
    case STAGE_VALIDATE_LIST: list_answered(c); break;
    default: probe_answered(c);
    }
}
