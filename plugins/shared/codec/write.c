#include <stdio.h>

#include "codec.h"

/* ---- members ---- */

void put_str(tda_json_writer *w, tda_str key, tda_str value) {
    json()->put_key(w, key);
    json()->put_str(w, value.p ? value : TDA_STR(""));
}

void put_raw(tda_json_writer *w, tda_str key, tda_str value) {
    json()->put_key(w, key);
    json()->put_raw(w, value);
}

void put_bool(tda_json_writer *w, tda_str key, bool value) {
    json()->put_key(w, key);
    json()->put_bool(w, value);
}

void put_u64(tda_json_writer *w, tda_str key, uint64_t value) {
    json()->put_key(w, key);
    json()->put_u64(w, value);
}

void put_f64(tda_json_writer *w, tda_str key, double value) {
    json()->put_key(w, key);
    json()->put_f64(w, value);
}

void put_object(tda_json_writer *w, tda_str key) {
    json()->put_key(w, key);
    json()->begin_object(w);
}

void put_array(tda_json_writer *w, tda_str key) {
    json()->put_key(w, key);
    json()->begin_array(w);
}

void put_list(tda_json_writer *w, tda_str key, const tda_str *texts, uint32_t n) {
    put_array(w, key);
    for (uint32_t i = 0; i < n; i++) json()->put_str(w, texts[i]);
    json()->end_array(w);
}

void put_object_text(tda_json_writer *w, const struct codec *c, tda_str key, tda_str text) {
    tda_json root;
    bool good = text.n && json()->parse(c->handle, text, &root) == TDA_OK && json()->type(root) == TDA_JSON_OBJECT;
    put_raw(w, key, good ? text : TDA_STR("{}"));
}

tda_str member(tda_json v, const char *name) {
    return json()->str(json()->key(v, tda_str_of(name)));
}

/* ---- extra ---- */

bool extra_gives(tda_json extra, tda_str key) {
    return json()->type(json()->key(extra, key)) != TDA_JSON_NONE;
}

static tda_status invalid(struct codec *c, const char *text, const char *name) {
    c->fault = (struct fault){.cls = TDA_C_REQUEST, .retry_ms = -1};
    snprintf(c->fault.text, sizeof c->fault.text, text, name);
    return TDA_E_INVALID;
}

tda_status extra_read(struct codec *c, const struct tda_request *r, const char *const *ours, tda_json *ret_extra) {
    tda_json extra = {NULL, 0};
    if (!r->extra.n) return TDA_OK;
    tda_status s = json()->parse(c->handle, r->extra, &extra);
    if (s == TDA_E_NOMEM) return s;
    if (s || json()->type(extra) != TDA_JSON_OBJECT) return invalid(c, "extra is not one well-formed JSON object%s", "");
    for (; *ours; ours++)
        if (extra_gives(extra, tda_str_of(*ours)))
            return invalid(c, "extra may not hold \"%s\": say it with the request's own field", *ours);
    *ret_extra = extra;
    return TDA_OK;
}

void extra_put(tda_json_writer *w, tda_json extra) {
    extra_put_but(w, extra, "");
}

void extra_put_but(tda_json_writer *w, tda_json extra, const char *name) {
    for (tda_json v = json()->first(extra); json()->type(v); v = json()->next(v))
        if (!*name || !tda_str_eq(json()->name(v), tda_str_of(name))) put_raw(w, json()->name(v), json()->raw(v));
}

bool body_take(struct codec *c, tda_json_writer *w, tda_status s, tda_str *ret_body) {
    if (!s) s = json()->text(w, ret_body);
    switch (s) {
    case TDA_OK: return true;
    case TDA_E_INVALID: call_end(c); break;
    case TDA_E_LIMIT: call_fail(c, TDA_C_TOO_LARGE, "the request is larger than can be sent: shorten the conversation"); break;
    default: call_fail_memory(c);
    }
    return false;
}

/* ---- parts of messages ---- */

bool part_is_text(const struct tda_part *p) {
    return (p->kind == TDA_PART_TEXT || p->kind == TDA_PART_JSON) && p->text.n > 0;
}

bool part_is_image(const struct tda_part *p) {
    return p->kind == TDA_PART_IMAGE && (p->url.n || p->data.n);
}
