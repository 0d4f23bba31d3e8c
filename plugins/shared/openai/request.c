/* A request of the SDK's -> the body of POST chat/completions. Sampling fields are written only when the caller asked for them:
 * many models refuse them. */
#include "wire.h"

/* ---- members ---- */

static void put_tool(tda_json_writer *w, const struct tda_tool *t) {
    json()->begin_object(w);
    put_str(w, TDA_STR("type"), TDA_STR("function"));
    put_object(w, TDA_STR("function"));
    put_str(w, TDA_STR("name"), t->name);
    if (t->description.n) put_str(w, TDA_STR("description"), t->description);
    if (t->schema.n) put_raw(w, TDA_STR("parameters"), t->schema);
    json()->end_object(w);
    json()->end_object(w);
}

static void put_choice(tda_json_writer *w, const struct tda_request *r) {
    if (r->tool_choice == TDA_CHOICE_NONE) put_str(w, TDA_STR("tool_choice"), TDA_STR("none"));
    if (r->tool_choice == TDA_CHOICE_ANY) put_str(w, TDA_STR("tool_choice"), TDA_STR("required"));
    if (r->tool_choice != TDA_CHOICE_TOOL) return;
    put_object(w, TDA_STR("tool_choice"));
    put_str(w, TDA_STR("type"), TDA_STR("function"));
    put_object(w, TDA_STR("function"));
    put_str(w, TDA_STR("name"), r->choice_name);
    json()->end_object(w);
    json()->end_object(w);
}

/* A choice without tools is refused by the service. */
static void put_tools(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (r->n_tools == 0) return;
    put_array(w, TDA_STR("tools"));
    for (uint32_t i = 0; i < r->n_tools; i++) put_tool(w, r->tools[i]);
    json()->end_array(w);
    if (!extra_gives(extra, TDA_STR("tool_choice"))) put_choice(w, r);
}

static void put_sampling(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    /* Who needs another name for an old server says it in extra, and then ours is left out. */
    bool limit_given = extra_gives(extra, TDA_STR("max_completion_tokens")) || extra_gives(extra, TDA_STR("max_tokens"));
    if ((r->set & TDA_SET_MAX_TOKENS) && !limit_given) put_u64(w, tda_str_of(dialect.max_tokens), r->max_tokens);
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(extra, TDA_STR("temperature")))
        put_f64(w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(extra, TDA_STR("top_p"))) put_f64(w, TDA_STR("top_p"), r->top_p);
    if (r->n_stop && !extra_gives(extra, TDA_STR("stop"))) put_list(w, TDA_STR("stop"), r->stop, r->n_stop);
    if (r->reasoning.n && !extra_gives(extra, TDA_STR("reasoning_effort"))) put_str(w, TDA_STR("reasoning_effort"), r->reasoning);
}

/* Without include_usage a stream says nothing of tokens. */
static void put_stream(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (!r->stream) return;
    put_bool(w, TDA_STR("stream"), true);
    if (extra_gives(extra, TDA_STR("stream_options"))) return;
    put_object(w, TDA_STR("stream_options"));
    put_bool(w, TDA_STR("include_usage"), true);
    json()->end_object(w);
}

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    static const char *const ours[] = {"model", "messages", "tools", "stream", "n", NULL};
    tda_json extra = {NULL, 0};
    tda_json_writer *w = json()->writer(c->codec.handle);
    tda_status s = w ? extra_read(&c->codec, r, ours, &extra) : TDA_E_NOMEM;
    if (s) return body_take(&c->codec, w, s, ret_body);
    json()->begin_object(w);
    put_str(w, TDA_STR("model"), wire_model(c));
    s = messages_write(c, w, r);
    put_tools(w, r, extra);
    put_sampling(w, r, extra);
    put_stream(w, r, extra);
    extra_put(w, extra);
    json()->end_object(w);
    return body_take(&c->codec, w, s, ret_body);
}

bool request_body_probe(struct call *c, tda_str *ret_body) {
    struct probe probe;
    const struct tda_request *r = probe_request(&c->codec, &probe, c->responses ? 16 : 1); /* the least that Responses take */
    return c->responses ? responses_body(c, r, ret_body) : request_body(c, r, ret_body);
}
