/* A request of the SDK's -> the body of POST messages. Sampling fields are written only when the caller asked for them: newer
 * models, and newer versions of the API, refuse them. */
#include "anthropic.h"

/* ---- members ---- */

static void put_tool(tda_json_writer *w, const struct tda_tool *t) {
    json()->begin_object(w);
    put_str(w, TDA_STR("name"), t->name);
    if (t->description.n) put_str(w, TDA_STR("description"), t->description);
    put_raw(w, TDA_STR("input_schema"), t->schema.n ? t->schema : TDA_STR("{\"type\":\"object\"}"));
    json()->end_object(w);
}

static const char *choice_type(uint32_t choice) {
    switch (choice) {
    case TDA_CHOICE_NONE: return "none";
    case TDA_CHOICE_ANY: return "any";
    default: return "tool";
    }
}

/* A choice without tools is refused by the service. */
static void put_tools(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (r->n_tools == 0) return;
    put_array(w, TDA_STR("tools"));
    for (uint32_t i = 0; i < r->n_tools; i++) put_tool(w, r->tools[i]);
    json()->end_array(w);
    if (r->tool_choice == TDA_CHOICE_AUTO || extra_gives(extra, TDA_STR("tool_choice"))) return;
    put_object(w, TDA_STR("tool_choice"));
    put_str(w, TDA_STR("type"), tda_str_of(choice_type(r->tool_choice)));
    if (r->tool_choice == TDA_CHOICE_TOOL) put_str(w, TDA_STR("name"), r->choice_name);
    json()->end_object(w);
}

/* An effort in the vendor's words: the model decides when and how long it thinks. Models that want a budget instead are told so in
 * extra: {"thinking": {"type": "enabled", "budget_tokens": 4000}}. */
static void put_thinking(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    tda_json given = json()->key(extra, TDA_STR("output_config"));
    bool off = tda_str_eq(r->reasoning, TDA_STR("none")) || tda_str_eq(r->reasoning, TDA_STR("disabled"));
    bool effort = r->reasoning.n && !off && !extra_gives(given, TDA_STR("effort"));
    if (r->reasoning.n && !extra_gives(extra, TDA_STR("thinking"))) {
        put_object(w, TDA_STR("thinking"));
        put_str(w, TDA_STR("type"), off ? TDA_STR("disabled") : TDA_STR("adaptive"));
        json()->end_object(w);
    }
    if (!effort && !json()->type(given)) return;
    put_object(w, TDA_STR("output_config"));
    if (effort) put_str(w, TDA_STR("effort"), r->reasoning);
    extra_put(w, given);
    json()->end_object(w);
}

static void put_sampling(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(extra, TDA_STR("temperature")))
        put_f64(w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(extra, TDA_STR("top_p"))) put_f64(w, TDA_STR("top_p"), r->top_p);
    if (r->n_stop && !extra_gives(extra, TDA_STR("stop_sequences"))) put_list(w, TDA_STR("stop_sequences"), r->stop, r->n_stop);
}

static tda_status put_limit(struct codec *c, tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    double setting = 0;
    if (extra_gives(extra, TDA_STR("max_tokens"))) return TDA_OK;
    if (r->set & TDA_SET_MAX_TOKENS) {
        put_u64(w, TDA_STR("max_tokens"), r->max_tokens);
        return TDA_OK;
    }
    if (!text_number(codec_setting(c, TDA_STR("max_tokens")), &setting) || setting < 1 || setting > 1e9) {
        c->fault = (struct fault){.cls = TDA_C_REQUEST,
                                  .retry_ms = -1,
                                  .text = "the setting max_tokens of the anthropic plugin is not a number from 1 on"};
        return TDA_E_INVALID;
    }
    put_u64(w, TDA_STR("max_tokens"), (uint64_t)setting);
    return TDA_OK;
}

/* ---- bodies ---- */

static tda_status put_chat(struct codec *c, tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    put_sampling(w, r, extra);
    if (r->stream) put_bool(w, TDA_STR("stream"), true);
    extra_put_but(w, extra, "output_config");
    return put_limit(c, w, r, extra);
}

/* count_tokens refuses members that do not change the count. */
static tda_status put_count(struct codec *c, tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    static const char *const counted[] = {"thinking", "tool_choice", "cache_control"};
    (void)c, (void)r;
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        tda_json v = json()->key(extra, tda_str_of(counted[i]));
        if (json()->type(v)) put_raw(w, tda_str_of(counted[i]), json()->raw(v));
    }
    return TDA_OK;
}

static bool make_body(struct codec *c, const struct tda_request *r, tda_str *ret_body,
                      tda_status (*put_rest)(struct codec *, tda_json_writer *, const struct tda_request *, tda_json)) {
    static const char *const ours[] = {"model", "system", "messages", "tools", "stream", NULL};
    tda_json extra = {NULL, 0};
    tda_json_writer *w = json()->writer(c->handle);
    tda_status s = w ? extra_read(c, r, ours, &extra) : TDA_E_NOMEM;
    if (s) return body_take(c, w, s, ret_body);
    json()->begin_object(w);
    put_str(w, TDA_STR("model"), r->model);
    s = messages_write(c, w, r);
    put_tools(w, r, extra);
    put_thinking(w, r, extra);
    if (!s) s = put_rest(c, w, r, extra);
    json()->end_object(w);
    return body_take(c, w, s, ret_body);
}

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    return make_body(&c->codec, r, ret_body, put_chat);
}

bool request_body_count(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    return make_body(&c->codec, r, ret_body, put_count);
}

bool request_body_probe(struct call *c, tda_str *ret_body) {
    struct probe probe;
    return request_body(c, probe_request(&c->codec, &probe, 1), ret_body);
}
