/* A request of the SDK's -> the body of POST chat/completions. Sampling fields are written only when the caller asked for them:
 * many models refuse them. */
#include <stdio.h>

#include "openai.h"

static const struct tda_json_api *json(void) {
    return openai_json;
}

static void put_str(tda_json_writer *w, tda_str key, tda_str value) {
    json()->put_key(w, key);
    json()->put_str(w, value.p ? value : TDA_STR(""));
}

static void put_bool(tda_json_writer *w, tda_str key, bool value) {
    json()->put_key(w, key);
    json()->put_bool(w, value);
}

/* ---- extra: the caller's own members win over ours, but for those that this codec depends on ---- */

static bool gives(tda_json extra, tda_str key) {
    return json()->type(json()->key(extra, key)) != TDA_JSON_NONE;
}

static tda_status invalid(struct call *c, const char *text, tda_str name) {
    c->fault = (struct fault){.cls = TDA_C_REQUEST, .retry_ms = -1};
    snprintf(c->fault.text, sizeof c->fault.text, text, (int)name.n, name.p ? name.p : "");
    return TDA_E_INVALID;
}

static tda_status read_extra(struct call *c, const struct tda_request *r, tda_json *ret_extra) {
    static const char *const ours[] = {"model", "messages", "tools", "stream", "n"};
    tda_json extra = {NULL, 0};
    if (!r->extra.n) return TDA_OK;
    tda_status s = json()->parse(c->handle, r->extra, &extra);
    if (s == TDA_E_NOMEM) return s;
    if (s || json()->type(extra) != TDA_JSON_OBJECT)
        return invalid(c, "extra is not one well-formed JSON object%.*s", (tda_str){"", 0});
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (gives(extra, tda_str_of(ours[i])))
            return invalid(c, "extra may not hold \"%.*s\": say it with the request's own field", tda_str_of(ours[i]));
    *ret_extra = extra;
    return TDA_OK;
}

static void put_extra(tda_json_writer *w, tda_json extra) {
    for (tda_json v = json()->first(extra); json()->type(v); v = json()->next(v)) {
        json()->put_key(w, json()->name(v));
        json()->put_raw(w, json()->raw(v));
    }
}

/* ---- members ---- */

static void put_tool(tda_json_writer *w, const struct tda_tool *t) {
    json()->begin_object(w);
    put_str(w, TDA_STR("type"), TDA_STR("function"));
    json()->put_key(w, TDA_STR("function"));
    json()->begin_object(w);
    put_str(w, TDA_STR("name"), t->name);
    if (t->description.n) put_str(w, TDA_STR("description"), t->description);
    if (t->schema.n) {
        json()->put_key(w, TDA_STR("parameters"));
        json()->put_raw(w, t->schema);
    }
    json()->end_object(w);
    json()->end_object(w);
}

static void put_choice(tda_json_writer *w, const struct tda_request *r) {
    if (r->tool_choice == TDA_CHOICE_NONE) put_str(w, TDA_STR("tool_choice"), TDA_STR("none"));
    if (r->tool_choice == TDA_CHOICE_ANY) put_str(w, TDA_STR("tool_choice"), TDA_STR("required"));
    if (r->tool_choice != TDA_CHOICE_TOOL) return;
    json()->put_key(w, TDA_STR("tool_choice"));
    json()->begin_object(w);
    put_str(w, TDA_STR("type"), TDA_STR("function"));
    json()->put_key(w, TDA_STR("function"));
    json()->begin_object(w);
    put_str(w, TDA_STR("name"), r->choice_name);
    json()->end_object(w);
    json()->end_object(w);
}

/* A choice without tools is refused by the service. */
static void put_tools(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (r->n_tools == 0) return;
    json()->put_key(w, TDA_STR("tools"));
    json()->begin_array(w);
    for (uint32_t i = 0; i < r->n_tools; i++) put_tool(w, r->tools[i]);
    json()->end_array(w);
    if (!gives(extra, TDA_STR("tool_choice"))) put_choice(w, r);
}

static void put_sampling(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    /* "max_tokens" is the old name: who needs it for an old server says it in extra, and then ours is left out. */
    bool limit_given = gives(extra, TDA_STR("max_completion_tokens")) || gives(extra, TDA_STR("max_tokens"));
    if ((r->set & TDA_SET_MAX_TOKENS) && !limit_given) {
        json()->put_key(w, TDA_STR("max_completion_tokens"));
        json()->put_u64(w, r->max_tokens);
    }
    if ((r->set & TDA_SET_TEMPERATURE) && !gives(extra, TDA_STR("temperature"))) {
        json()->put_key(w, TDA_STR("temperature"));
        json()->put_f64(w, r->temperature);
    }
    if ((r->set & TDA_SET_TOP_P) && !gives(extra, TDA_STR("top_p"))) {
        json()->put_key(w, TDA_STR("top_p"));
        json()->put_f64(w, r->top_p);
    }
    if (r->n_stop && !gives(extra, TDA_STR("stop"))) {
        json()->put_key(w, TDA_STR("stop"));
        json()->begin_array(w);
        for (uint32_t i = 0; i < r->n_stop; i++) json()->put_str(w, r->stop[i]);
        json()->end_array(w);
    }
    if (r->reasoning.n && !gives(extra, TDA_STR("reasoning_effort"))) put_str(w, TDA_STR("reasoning_effort"), r->reasoning);
}

/* Without include_usage a stream says nothing of tokens. */
static void put_stream(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (!r->stream) return;
    put_bool(w, TDA_STR("stream"), true);
    if (gives(extra, TDA_STR("stream_options"))) return;
    json()->put_key(w, TDA_STR("stream_options"));
    json()->begin_object(w);
    put_bool(w, TDA_STR("include_usage"), true);
    json()->end_object(w);
}

tda_status request_body(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    tda_json extra = {NULL, 0};
    tda_status s = read_extra(c, r, &extra);
    if (s) return s;
    tda_json_writer *w = json()->writer(c->handle);
    if (!w) return TDA_E_NOMEM;
    json()->begin_object(w);
    put_str(w, TDA_STR("model"), r->model);
    s = messages_write(c, w, r);
    if (s) return s;
    put_tools(w, r, extra);
    put_sampling(w, r, extra);
    put_stream(w, r, extra);
    put_extra(w, extra);
    json()->end_object(w);
    return json()->text(w, ret_body);
}

tda_status request_body_probe(struct call *c, tda_str *ret_body) {
    struct tda_part text = {.size = sizeof text, .kind = TDA_PART_TEXT, .text = TDA_STR("Hi")};
    const struct tda_part *parts[] = {&text};
    struct tda_msg msg = {.size = sizeof msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = parts};
    const struct tda_msg *msgs[] = {&msg};
    struct tda_request r = {.size = sizeof r, .op = TDA_OP_CHAT, .model = text_str(&c->model), .msgs = msgs, .n_msgs = 1};
    r.set = TDA_SET_MAX_TOKENS;
    r.max_tokens = 1;
    return request_body(c, &r, ret_body);
}
