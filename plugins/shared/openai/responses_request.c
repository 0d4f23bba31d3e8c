/* A request -> the body of POST responses.
 *
 *   SYSTEM       instructions
 *   USER         a message of input_text and input_image
 *   ASSISTANT    a message; TOOL_USE: a function_call item; THINKING: the reasoning item that its blob holds, as it
 * came TOOL_RESULT  a function_call_output item: a text, or a list when it holds images
 *
 * Nothing is stored at the service (store: false): the conversation is the caller's. Reasoning models then give their reasoning
 * encrypted, to be sent back. */
#include "wire.h"

/* ---- content ---- */

static void put_text(struct out *o, tda_str text) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("input_text"));
    put_str(o->w, TDA_STR("text"), text);
    json()->end_object(o->w);
}

static void put_image(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("input_image"));
    put_str(o->w, TDA_STR("detail"), TDA_STR("auto"));
    image_url_write(o, TDA_STR("image_url"), p);
    json()->end_object(o->w);
}

/* ---- items ---- */

static void put_call(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("function_call"));
    put_str(o->w, TDA_STR("call_id"), p->id);
    put_str(o->w, TDA_STR("name"), p->name);
    put_str(o->w, TDA_STR("arguments"), p->text.n ? p->text : TDA_STR("{}"));
    json()->end_object(o->w);
}

static void put_reply(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("role"), TDA_STR("assistant"));
    put_str(o->w, TDA_STR("content"), p->text);
    json()->end_object(o->w);
}

/* The blob went through the caller's hands: it is written only if it is what the service once sent. */
static bool is_reasoning(const struct codec *c, tda_str blob) {
    tda_json item;
    if (!blob.n || json()->parse(c->handle, blob, &item)) return false;
    return json()->type(item) == TDA_JSON_OBJECT && tda_str_eq(member(item, "type"), TDA_STR("reasoning"));
}

/* The order of reasoning, text and calls is the service's own: it comes back as it went. */
static void put_assistant(struct out *o, const struct codec *c, const struct tda_msg *m) {
    for (uint32_t i = 0; i < m->n_parts; i++) {
        const struct tda_part *p = m->parts[i];
        if (p->kind == TDA_PART_THINKING && is_reasoning(c, p->opaque)) json()->put_raw(o->w, p->opaque);
        if (p->kind == TDA_PART_TOOL_USE) put_call(o, p);
        if (part_is_text(p)) put_reply(o, p);
    }
}

static void put_output_list(struct out *o, const struct tda_part *result) {
    put_array(o->w, TDA_STR("output"));
    if (result->is_error) put_text(o, TDA_STR("Error:"));
    for (uint32_t i = 0; i < result->n_parts; i++) {
        if (part_is_text(result->parts[i])) put_text(o, result->parts[i]->text);
        if (part_is_image(result->parts[i])) put_image(o, result->parts[i]);
    }
    json()->end_array(o->w);
}

static void put_result(struct out *o, const struct tda_part *result) {
    uint32_t images = 0;
    for (uint32_t i = 0; i < result->n_parts; i++) images += part_is_image(result->parts[i]);
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("function_call_output"));
    put_str(o->w, TDA_STR("call_id"), result->id);
    if (images)
        put_output_list(o, result);
    else
        result_text_write(o, TDA_STR("output"), result);
    json()->end_object(o->w);
}

static void put_user(struct out *o, const struct tda_msg *m) {
    bool own = false;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i]->kind == TDA_PART_TOOL_RESULT) put_result(o, m->parts[i]);
        own = own || part_is_text(m->parts[i]) || part_is_image(m->parts[i]);
    }
    if (!own) return;
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("role"), TDA_STR("user"));
    put_array(o->w, TDA_STR("content"));
    for (uint32_t i = 0; i < m->n_parts; i++) {
        if (part_is_text(m->parts[i])) put_text(o, m->parts[i]->text);
        if (part_is_image(m->parts[i])) put_image(o, m->parts[i]);
    }
    json()->end_array(o->w);
    json()->end_object(o->w);
}

static void put_input(struct out *o, const struct codec *c, const struct tda_request *r) {
    put_array(o->w, TDA_STR("input"));
    for (uint32_t i = 0; i < r->n_msgs; i++) {
        if (r->msgs[i]->role == TDA_ROLE_USER) put_user(o, r->msgs[i]);
        if (r->msgs[i]->role == TDA_ROLE_ASSISTANT) put_assistant(o, c, r->msgs[i]);
    }
    json()->end_array(o->w);
}

static void put_instructions(struct out *o, const struct tda_request *r) {
    struct text all = {0};
    for (uint32_t i = 0; i < r->n_msgs; i++) {
        const struct tda_msg *m = r->msgs[i];
        for (uint32_t k = 0; m->role == TDA_ROLE_SYSTEM && k < m->n_parts; k++) {
            if (!part_is_text(m->parts[k])) continue;
            if (all.n) text_add_z(&all, "\n\n", REQUEST_MAX);
            text_add(&all, m->parts[k]->text, REQUEST_MAX);
        }
    }
    if (all.status && !o->status) o->status = all.status;
    if (all.n) put_str(o->w, TDA_STR("instructions"), text_str(&all));
    text_fini(&all);
}

/* ---- tools, sampling ---- */

static void put_tool(struct out *o, const struct tda_tool *t) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("function"));
    put_str(o->w, TDA_STR("name"), t->name);
    if (t->description.n) put_str(o->w, TDA_STR("description"), t->description);
    put_raw(o->w, TDA_STR("parameters"), t->schema.n ? t->schema : TDA_STR("{\"type\":\"object\"}"));
    put_bool(o->w, TDA_STR("strict"), false); /* the service's default is true, and refuses most schemas of others */
    json()->end_object(o->w);
}

static void put_choice(struct out *o, const struct tda_request *r) {
    if (r->tool_choice == TDA_CHOICE_NONE) put_str(o->w, TDA_STR("tool_choice"), TDA_STR("none"));
    if (r->tool_choice == TDA_CHOICE_ANY) put_str(o->w, TDA_STR("tool_choice"), TDA_STR("required"));
    if (r->tool_choice != TDA_CHOICE_TOOL) return;
    put_object(o->w, TDA_STR("tool_choice"));
    put_str(o->w, TDA_STR("type"), TDA_STR("function"));
    put_str(o->w, TDA_STR("name"), r->choice_name);
    json()->end_object(o->w);
}

static void put_tools(struct out *o, const struct tda_request *r, tda_json extra) {
    if (r->n_tools == 0) return;
    put_array(o->w, TDA_STR("tools"));
    for (uint32_t i = 0; i < r->n_tools; i++) put_tool(o, r->tools[i]);
    json()->end_array(o->w);
    if (!extra_gives(extra, TDA_STR("tool_choice"))) put_choice(o, r);
}

static void put_reasoning(struct out *o, const struct tda_request *r, tda_json extra) {
    if (r->reasoning.n && !extra_gives(extra, TDA_STR("reasoning"))) {
        put_object(o->w, TDA_STR("reasoning"));
        put_str(o->w, TDA_STR("effort"), r->reasoning);
        json()->end_object(o->w);
    }
    /* Other models refuse to be asked for it. */
    if ((!r->reasoning.n && !model_reasons(r->model)) || extra_gives(extra, TDA_STR("include"))) return;
    put_array(o->w, TDA_STR("include"));
    json()->put_str(o->w, TDA_STR("reasoning.encrypted_content"));
    json()->end_array(o->w);
}

static void put_sampling(struct out *o, const struct tda_request *r, tda_json extra) {
    if ((r->set & TDA_SET_MAX_TOKENS) && !extra_gives(extra, TDA_STR("max_output_tokens")))
        put_u64(o->w, TDA_STR("max_output_tokens"), r->max_tokens);
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(extra, TDA_STR("temperature")))
        put_f64(o->w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(extra, TDA_STR("top_p"))) put_f64(o->w, TDA_STR("top_p"), r->top_p);
    if (!extra_gives(extra, TDA_STR("store"))) put_bool(o->w, TDA_STR("store"), false);
    if (r->stream) put_bool(o->w, TDA_STR("stream"), true);
    put_reasoning(o, r, extra);
}

static tda_status refuse_stop(struct codec *c) {
    c->fault = (struct fault){.cls = TDA_C_REQUEST,
                              .retry_ms = -1,
                              .text = "the Responses API has no stop sequences: leave stop out, or use chat completions"};
    return TDA_E_INVALID;
}

bool responses_body(struct call *call, const struct tda_request *r, tda_str *ret_body) {
    static const char *const ours[] = {"model", "input", "instructions", "tools", "stream", NULL};
    struct codec *c = &call->codec;
    struct out o = {json()->writer(c->handle), TDA_OK};
    tda_json extra = {NULL, 0};
    o.status = o.w ? extra_read(c, r, ours, &extra) : TDA_E_NOMEM;
    if (!o.status && r->n_stop) o.status = refuse_stop(c);
    if (o.status) return body_take(c, o.w, o.status, ret_body);
    json()->begin_object(o.w);
    put_str(o.w, TDA_STR("model"), wire_model(call));
    put_instructions(&o, r);
    put_input(&o, c, r);
    put_tools(&o, r, extra);
    put_sampling(&o, r, extra);
    extra_put(o.w, extra);
    json()->end_object(o.w);
    return body_take(c, o.w, o.status, ret_body);
}
