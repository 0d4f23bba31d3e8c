/* A request of the SDK's -> the body of POST converse, or of count-tokens. The model stands in the path. */
#include "amazon.h"

enum { STUBS_MAX = 64, PROBE_TOKENS = 16 }; /* OpenAI's models, which are here too, refuse a limit below 16 */

/* ---- tools ---- */

/* The service insists on "type": "object" at the top of a schema. */
static void put_schema(const struct codec *c, tda_json_writer *w, tda_str schema) {
    tda_json root = {NULL, 0};
    put_object(w, TDA_STR("inputSchema"));
    if (schema.n && json()->parse(c->handle, schema, &root)) root = (tda_json){NULL, 0};
    if (tda_str_eq(member(root, "type"), TDA_STR("object"))) {
        put_raw(w, TDA_STR("json"), schema);
    } else {
        put_object(w, TDA_STR("json"));
        put_str(w, TDA_STR("type"), TDA_STR("object"));
        if (json()->type(root) == TDA_JSON_OBJECT) extra_put_but(w, root, "type");
        json()->end_object(w);
    }
    json()->end_object(w);
}

static void put_tool(const struct codec *c, tda_json_writer *w, tda_str name, tda_str description, tda_str schema) {
    json()->begin_object(w);
    put_object(w, TDA_STR("toolSpec"));
    put_str(w, TDA_STR("name"), name);
    if (description.n) put_str(w, TDA_STR("description"), description); /* an empty one is refused */
    put_schema(c, w, schema);
    json()->end_object(w);
    json()->end_object(w);
}

/* Names of the tools in the history, each once, as many as there is room for. */
static uint32_t names_of_history(const struct tda_request *r, tda_str names[STUBS_MAX]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_msgs; i++)
        for (uint32_t k = 0; k < r->msgs[i]->n_parts && n < STUBS_MAX; k++) {
            const struct tda_part *p = r->msgs[i]->parts[k];
            uint32_t at = 0;
            if (p->kind != TDA_PART_TOOL_USE && p->kind != TDA_PART_TOOL_RESULT) continue;
            tda_str name = p->name.n ? p->name : TDA_STR("tool");
            while (at < n && !tda_str_eq(names[at], name)) at++;
            names[at] = name;
            if (at == n) n++;
        }
    return n;
}

static void put_choice(tda_json_writer *w, const struct tda_request *r) {
    bool one = r->tool_choice == TDA_CHOICE_TOOL;
    if (!one && r->tool_choice != TDA_CHOICE_ANY) return;
    put_object(w, TDA_STR("toolChoice"));
    put_object(w, one ? TDA_STR("tool") : TDA_STR("any"));
    if (one) put_str(w, TDA_STR("name"), r->choice_name);
    json()->end_object(w);
    json()->end_object(w);
}

/* A conversation with calls or results in it is refused without toolConfig, so there it stays even for a choice of none, which
 * cannot be said; and where no tool is offered any more, those of the history are named. */
static void put_tools(const struct codec *c, tda_json_writer *w, const struct tda_request *r) {
    tda_str names[STUBS_MAX];
    uint32_t used = names_of_history(r, names);
    bool offered = r->n_tools && (r->tool_choice != TDA_CHOICE_NONE || used);
    if (!offered && !used) return;
    put_object(w, TDA_STR("toolConfig"));
    put_array(w, TDA_STR("tools"));
    for (uint32_t i = 0; offered && i < r->n_tools; i++) {
        const struct tda_tool *t = r->tools[i];
        put_tool(c, w, t->name, t->description, t->schema);
    }
    for (uint32_t i = 0; !offered && i < used; i++) put_tool(c, w, names[i], TDA_STR(""), TDA_STR(""));
    json()->end_array(w);
    if (offered) put_choice(w, r);
    json()->end_object(w);
}

/* ---- members that the caller's extra is merged into; his win ---- */

#define INFERENCE "inferenceConfig"
#define OUTPUT "outputConfig"

static void put_sampling(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    tda_json given = json()->key(extra, TDA_STR(INFERENCE));
    if (!(r->set & (TDA_SET_MAX_TOKENS | TDA_SET_TEMPERATURE | TDA_SET_TOP_P)) && !r->n_stop && !json()->type(given)) return;
    put_object(w, TDA_STR(INFERENCE));
    if ((r->set & TDA_SET_MAX_TOKENS) && !extra_gives(given, TDA_STR("maxTokens"))) put_u64(w, TDA_STR("maxTokens"), r->max_tokens);
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(given, TDA_STR("temperature")))
        put_f64(w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(given, TDA_STR("topP"))) put_f64(w, TDA_STR("topP"), r->top_p);
    if (r->n_stop && !extra_gives(given, TDA_STR("stopSequences"))) put_list(w, TDA_STR("stopSequences"), r->stop, r->n_stop);
    extra_put(w, given);
    json()->end_object(w);
}

static void put_effort(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    tda_json given = json()->key(extra, TDA_STR(OUTPUT));
    bool effort = r->reasoning.n && !extra_gives(given, TDA_STR("effort"));
    if (!effort && !json()->type(given)) return;
    put_object(w, TDA_STR(OUTPUT));
    if (effort) put_str(w, TDA_STR("effort"), r->reasoning);
    extra_put(w, given);
    json()->end_object(w);
}

static bool is_merged(tda_str name) {
    return tda_str_eq(name, TDA_STR(INFERENCE)) || tda_str_eq(name, TDA_STR(OUTPUT));
}

/* ---- bodies ---- */

static void put_chat(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    put_sampling(w, r, extra);
    put_effort(w, r, extra);
    for (tda_json v = json()->first(extra); json()->type(v); v = json()->next(v))
        if (!is_merged(json()->name(v))) put_raw(w, json()->name(v), json()->raw(v));
}

/* count-tokens takes no member that does not change the count. */
static void put_counted(tda_json_writer *w, const struct tda_request *r, tda_json extra) {
    tda_json fields = json()->key(extra, TDA_STR("additionalModelRequestFields"));
    (void)r;
    if (json()->type(fields)) put_raw(w, TDA_STR("additionalModelRequestFields"), json()->raw(fields));
}

static tda_status put_conversation(struct codec *c, tda_json_writer *w, const struct tda_request *r,
                                   void (*put_rest)(tda_json_writer *, const struct tda_request *, tda_json)) {
    static const char *const ours[] = {"system", "messages", "toolConfig", NULL};
    tda_json extra = {NULL, 0};
    tda_status s = extra_read(c, r, ours, &extra);
    if (s) return s;
    json()->begin_object(w);
    s = messages_write(c, w, r);
    put_tools(c, w, r);
    put_rest(w, r, extra);
    json()->end_object(w);
    return s;
}

bool request_body(struct call *call, const struct tda_request *r, tda_str *ret_body) {
    struct codec *c = &call->codec;
    tda_json_writer *w = json()->writer(c->handle);
    return body_take(c, w, w ? put_conversation(c, w, r, put_chat) : TDA_E_NOMEM, ret_body);
}

bool request_body_count(struct call *call, const struct tda_request *r, tda_str *ret_body) {
    struct codec *c = &call->codec;
    tda_json_writer *w = json()->writer(c->handle);
    if (!w) return body_take(c, w, TDA_E_NOMEM, ret_body);
    json()->begin_object(w);
    put_object(w, TDA_STR("input"));
    json()->put_key(w, TDA_STR("converse"));
    tda_status s = put_conversation(c, w, r, put_counted);
    json()->end_object(w);
    json()->end_object(w);
    return body_take(c, w, s, ret_body);
}

bool request_body_probe(struct call *c, tda_str *ret_body) {
    struct probe probe;
    const struct tda_request *r = probe_request(&c->codec, &probe, PROBE_TOKENS);
    return c->invoke ? invoke_body(c, r, ret_body) : request_body(c, r, ret_body);
}
