/* A request of the SDK's -> the body of generateContent. The model stands in the address. Tools' schemas go over as they are
 * (parametersJsonSchema), not as the subset of OpenAPI that "parameters" wants. */
#include "google.h"

/* ---- tools ---- */

static void put_tool(tda_json_writer *w, const struct tda_tool *t) {
    json()->begin_object(w);
    put_str(w, TDA_STR("name"), t->name);
    if (t->description.n) put_str(w, TDA_STR("description"), t->description);
    if (t->schema.n) put_raw(w, TDA_STR("parametersJsonSchema"), t->schema);
    json()->end_object(w);
}

static void put_choice(tda_json_writer *w, const struct tda_request *r) {
    put_object(w, TDA_STR("toolConfig"));
    put_object(w, TDA_STR("functionCallingConfig"));
    put_str(w, TDA_STR("mode"), r->tool_choice == TDA_CHOICE_NONE ? TDA_STR("NONE") : TDA_STR("ANY"));
    if (r->tool_choice == TDA_CHOICE_TOOL) put_list(w, TDA_STR("allowedFunctionNames"), &r->choice_name, 1);
    json()->end_object(w);
    json()->end_object(w);
}

/* A choice without tools is refused by the service. */
static void put_tools(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    if (r->n_tools == 0) return;
    put_array(w, TDA_STR("tools"));
    json()->begin_object(w);
    put_array(w, TDA_STR("functionDeclarations"));
    for (uint32_t i = 0; i < r->n_tools; i++) put_tool(w, r->tools[i]);
    json()->end_array(w);
    json()->end_object(w);
    json()->end_array(w);
    if (r->tool_choice != TDA_CHOICE_AUTO && !extra_gives(extra, TDA_STR("toolConfig"))) put_choice(w, r);
}

/* ---- generationConfig ---- */

/* A level in the vendor's word, or a budget in tokens for models that want one: 0 is none, -1 the model's own choice. */
static void put_thinking(tda_json_writer *w, tda_str reasoning) {
    double budget = 0;
    put_object(w, TDA_STR("thinkingConfig"));
    if (tda_str_eq(reasoning, TDA_STR("-1")))
        put_raw(w, TDA_STR("thinkingBudget"), reasoning);
    else if (tda_str_eq(reasoning, TDA_STR("none")) || (text_number(reasoning, &budget) && budget < 1e9))
        put_u64(w, TDA_STR("thinkingBudget"), (uint64_t)budget);
    else
        put_str(w, TDA_STR("thinkingLevel"), reasoning);
    put_bool(w, TDA_STR("includeThoughts"), true);
    json()->end_object(w);
}

static bool wants_config(const struct tda_request *r) {
    return (r->set & (TDA_SET_MAX_TOKENS | TDA_SET_TEMPERATURE | TDA_SET_TOP_P)) || r->n_stop || r->reasoning.n;
}

/* The caller's own members win over ours. */
static void put_config(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    tda_json given = json()->key(extra, TDA_STR("generationConfig"));
    if (!wants_config(r) && !json()->type(given)) return;
    put_object(w, TDA_STR("generationConfig"));
    if ((r->set & TDA_SET_MAX_TOKENS) && !extra_gives(given, TDA_STR("maxOutputTokens")))
        put_u64(w, TDA_STR("maxOutputTokens"), r->max_tokens);
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(given, TDA_STR("temperature")))
        put_f64(w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(given, TDA_STR("topP"))) put_f64(w, TDA_STR("topP"), r->top_p);
    if (r->n_stop && !extra_gives(given, TDA_STR("stopSequences"))) put_list(w, TDA_STR("stopSequences"), r->stop, r->n_stop);
    if (r->reasoning.n && !extra_gives(given, TDA_STR("thinkingConfig"))) put_thinking(w, r->reasoning);
    extra_put(w, given);
    json()->end_object(w);
}

/* ---- bodies ---- */

/* countTokens takes the whole request, and in it the model's name. */
static void put_counted_model(tda_json_writer *w, tda_str model) {
    struct text name = {0};
    add_model(&name, model, false);
    put_object(w, TDA_STR("generateContentRequest"));
    put_str(w, TDA_STR("model"), text_str(&name));
    text_fini(&name);
}

static bool make_body(struct codec *c, const struct tda_request *r, bool count, tda_str *ret_body) {
    static const char *const ours[] = {"model", "systemInstruction", "contents", "tools", NULL};
    tda_json extra = {NULL, 0};
    tda_json_writer *w = json()->writer(c->handle);
    tda_status s = w ? extra_read(c, r, ours, &extra) : TDA_E_NOMEM;
    if (s) return body_take(c, w, s, ret_body);
    json()->begin_object(w);
    if (count) put_counted_model(w, r->model);
    s = contents_write(c, w, r);
    put_tools(w, r, extra);
    put_config(w, r, extra);
    extra_put_but(w, extra, "generationConfig");
    if (count) json()->end_object(w);
    json()->end_object(w);
    return body_take(c, w, s, ret_body);
}

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    return make_body(&c->codec, r, false, ret_body);
}

bool request_body_count(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    return make_body(&c->codec, r, true, ret_body);
}

bool request_body_probe(struct call *c, tda_str *ret_body) {
    struct probe probe;
    return request_body(c, probe_request(&c->codec, &probe, 1), ret_body);
}
