/* VALIDATE and MODELS.
 *
 * VALIDATE asks for the model itself. Servers that have no such path answer 404 or 405, or with a web page: then the list is asked,
 * and where there is no list either, the model says one token.
 *
 *     GET models/MODEL --404, 405, no JSON--> GET models --404, 405, no list--> POST chat/completions, 1 token */
#include <stdio.h>

#include "openai.h"

static const struct tda_json_api *json(void) {
    return openai_json;
}

static void ask(struct call *c, enum stage stage) {
    tda_str body = {NULL, 0};
    if (c->over) return;
    c->stage = stage;
    if (stage == STAGE_VALIDATE_MODEL) {
        http_open(c, "models", text_str(&c->model), body);
    } else if (stage == STAGE_VALIDATE_CHAT) {
        if (request_body_probe(c, &body))
            call_fail_memory(c);
        else
            http_open(c, "chat/completions", (tda_str){NULL, 0}, body);
    } else {
        http_open(c, "models", (tda_str){NULL, 0}, body);
    }
}

void models_start(struct call *c) {
    if (c->stage == STAGE_VALIDATE_MODEL && !c->model.n) c->stage = STAGE_VALIDATE_LIST; /* at least the credentials */
    ask(c, (enum stage)c->stage);
}

static bool is_missing(const struct call *c) {
    return c->reply.status == 404 || c->reply.status == 405;
}

static bool is_success(const struct call *c) {
    return c->reply.status >= 200 && c->reply.status < 300;
}

static bool parse(struct call *c, tda_json *ret_root) {
    tda_status s = json()->parse(c->handle, text_str(&c->body), ret_root);
    if (s == TDA_E_NOMEM) call_fail_memory(c); /* else it would look like an answer that is no JSON */
    return s == TDA_OK;
}

/* {"data": [...]} or, at some, the bare array. */
static bool find_list(struct call *c, tda_json *ret_list) {
    tda_json root;
    if (!parse(c, &root)) return false;
    tda_json list = json()->type(root) == TDA_JSON_ARRAY ? root : json()->key(root, TDA_STR("data"));
    if (json()->type(list) != TDA_JSON_ARRAY) return false;
    *ret_list = list;
    return true;
}

static tda_str id_of(tda_json entry) {
    tda_str id = json()->str(entry);
    return id.p ? id : json()->str(json()->key(entry, TDA_STR("id")));
}

static void fail_no_list(struct call *c) {
    call_fail(c, TDA_C_PROTOCOL,
              "the service answered models with something that is no list (content-type \"%s\"): does base_url end "
              "with /v1?",
              c->reply.content_type);
}

/* ---- VALIDATE ---- */

static void model_answered(struct call *c) {
    tda_json root;
    bool object = is_success(c) && parse(c, &root) && json()->type(root) == TDA_JSON_OBJECT;
    if (object && json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT)
        errors_from_event(c, root);
    else if (object)
        call_succeed(c);
    else if (is_success(c) || is_missing(c))
        ask(c, STAGE_VALIDATE_LIST);
    else
        errors_from_reply(c);
}

static void fail_not_listed(struct call *c, tda_json list) {
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

static void list_answered(struct call *c) {
    tda_json list;
    bool missing = is_missing(c);
    if (is_success(c) && find_list(c, &list)) {
        for (tda_json v = json()->first(list); json()->type(v) && c->model.n; v = json()->next(v))
            if (tda_str_eq(id_of(v), text_str(&c->model))) {
                call_succeed(c);
                return;
            }
        if (c->model.n)
            fail_not_listed(c, list);
        else
            call_succeed(c);
        return;
    }
    missing = missing || is_success(c);
    if (missing && c->model.n)
        ask(c, STAGE_VALIDATE_CHAT);
    else if (is_success(c))
        fail_no_list(c);
    else
        errors_from_reply(c);
}

static void probe_answered(struct call *c) {
    tda_json root;
    if (!is_success(c))
        errors_from_reply(c);
    else if (!parse(c, &root))
        call_fail(c, TDA_C_PROTOCOL, "the answer is not well-formed JSON (content-type \"%s\"): does base_url end with /v1?",
                  c->reply.content_type);
    else if (json()->type(json()->get(root, "choices.0")) == TDA_JSON_OBJECT)
        call_succeed(c);
    else
        errors_from_event(c, root);
}

/* ---- MODELS ---- */

static void models_listed(struct call *c) {
    tda_json list;
    if (!is_success(c)) {
        errors_from_reply(c);
        return;
    }
    if (!find_list(c, &list)) {
        fail_no_list(c);
        return;
    }
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v)) {
        tda_str id = id_of(v), name = json()->str(json()->key(v, TDA_STR("name")));
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_MODEL, .id = id, .name = name.n ? name : id};
        if (id.n) out_event(c, &e);
    }
    call_succeed(c);
}

void models_answered(struct call *c) {
    switch (c->stage) {
    case STAGE_MODELS: models_listed(c); break;
    case STAGE_VALIDATE_MODEL: model_answered(c); break;
    case STAGE_VALIDATE_LIST: list_answered(c); break;
    default: probe_answered(c);
    }
}
