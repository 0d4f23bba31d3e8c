/* A request -> the body of POST api/chat.
 *
 *   SYSTEM, USER  content: the texts; images: base64, without a data: address
 *   ASSISTANT     content, thinking, tool_calls (arguments are an object)
 *   TOOL_RESULT   role tool with the tool's name; images of a result follow in a user message
 *
 * What others call sampling parameters stands in "options". A tool cannot be forced here: TDA_CHOICE_NONE leaves the tools out,
 * TDA_CHOICE_TOOL offers that one alone. */
#include "ollama.h"

struct out {
    struct codec *c;
    tda_json_writer *w;
    tda_status status; /* the first failure */
};

static void note(struct out *o, tda_status s) {
    if (s && !o->status) o->status = s;
}

/* ---- messages ---- */

/* The texts of one kind, joined by line ends. */
static void put_texts(struct out *o, tda_str key, const struct tda_part *const *parts, uint32_t n, bool thinking, tda_str before) {
    struct text all = {0};
    text_add(&all, before, REQUEST_MAX);
    uint32_t texts = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool wanted = thinking ? parts[i]->kind == TDA_PART_THINKING && parts[i]->text.n : part_is_text(parts[i]);
        if (!wanted) continue;
        if (texts++) text_add_z(&all, "\n", REQUEST_MAX);
        text_add(&all, parts[i]->text, REQUEST_MAX);
    }
    note(o, all.status);
    if (!thinking || all.n) put_str(o->w, key, text_str(&all));
    text_fini(&all);
}

static uint32_t count_images(struct out *o, const struct tda_part *const *parts, uint32_t n) {
    uint32_t images = 0;
    for (uint32_t i = 0; i < n; i++) {
        images += part_is_image(parts[i]);
        if (!part_is_image(parts[i]) || parts[i]->data.n) continue;
        o->c->fault =
            (struct fault){.cls = TDA_C_REQUEST, .retry_ms = -1, .text = "Ollama takes an image as data, not by its address"};
        note(o, TDA_E_INVALID);
    }
    return images;
}

static void put_images(struct out *o, const struct tda_part *const *parts, uint32_t n) {
    if (!count_images(o, parts, n)) return;
    put_array(o->w, TDA_STR("images"));
    for (uint32_t i = 0; i < n; i++)
        if (part_is_image(parts[i])) json()->put_str(o->w, parts[i]->data);
    json()->end_array(o->w);
}

static void begin_message(struct out *o, tda_str role) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("role"), role);
}

static void put_tool_call(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("id"), p->id);
    put_object(o->w, TDA_STR("function"));
    put_str(o->w, TDA_STR("name"), p->name);
    put_object_text(o->w, o->c, TDA_STR("arguments"), p->text);
    json()->end_object(o->w);
    json()->end_object(o->w);
}

static void put_assistant(struct out *o, const struct tda_msg *m) {
    uint32_t calls = 0;
    begin_message(o, TDA_STR("assistant"));
    put_texts(o, TDA_STR("content"), m->parts, m->n_parts, false, TDA_STR(""));
    put_texts(o, TDA_STR("thinking"), m->parts, m->n_parts, true, TDA_STR(""));
    for (uint32_t i = 0; i < m->n_parts; i++) calls += m->parts[i]->kind == TDA_PART_TOOL_USE;
    if (calls) put_array(o->w, TDA_STR("tool_calls"));
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (m->parts[i]->kind == TDA_PART_TOOL_USE) put_tool_call(o, m->parts[i]);
    if (calls) json()->end_array(o->w);
    json()->end_object(o->w);
}

/* There is no field for "the tool failed": the text says it. */
static void put_result(struct out *o, const struct tda_part *p) {
    begin_message(o, TDA_STR("tool"));
    put_str(o->w, TDA_STR("tool_name"), p->name);
    put_str(o->w, TDA_STR("tool_call_id"), p->id);
    put_texts(o, TDA_STR("content"), p->parts, p->n_parts, false, p->is_error ? TDA_STR("Error: ") : TDA_STR(""));
    json()->end_object(o->w);
}

static void put_result_images(struct out *o, const struct tda_part *p) {
    if (!count_images(o, p->parts, p->n_parts)) return;
    begin_message(o, TDA_STR("user"));
    put_str(o->w, TDA_STR("content"), TDA_STR("Images that the tool gave."));
    put_images(o, p->parts, p->n_parts);
    json()->end_object(o->w);
}

static void put_user(struct out *o, const struct tda_msg *m) {
    bool own = false;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        own = own || part_is_text(m->parts[i]) || part_is_image(m->parts[i]);
        if (m->parts[i]->kind == TDA_PART_TOOL_RESULT) put_result(o, m->parts[i]);
    }
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (m->parts[i]->kind == TDA_PART_TOOL_RESULT) put_result_images(o, m->parts[i]);
    if (!own) return;
    begin_message(o, TDA_STR("user"));
    put_texts(o, TDA_STR("content"), m->parts, m->n_parts, false, TDA_STR(""));
    put_images(o, m->parts, m->n_parts);
    json()->end_object(o->w);
}

static void put_messages(struct out *o, const struct tda_request *r) {
    put_array(o->w, TDA_STR("messages"));
    for (uint32_t i = 0; i < r->n_msgs; i++) {
        const struct tda_msg *m = r->msgs[i];
        if (m->role == TDA_ROLE_USER) put_user(o, m);
        if (m->role == TDA_ROLE_ASSISTANT) put_assistant(o, m);
        if (m->role != TDA_ROLE_SYSTEM) continue;
        begin_message(o, TDA_STR("system"));
        put_texts(o, TDA_STR("content"), m->parts, m->n_parts, false, TDA_STR(""));
        json()->end_object(o->w);
    }
    json()->end_array(o->w);
}

/* ---- tools, options ---- */

static bool offered(const struct tda_request *r, const struct tda_tool *t) {
    return r->tool_choice != TDA_CHOICE_TOOL || tda_str_eq(t->name, r->choice_name);
}

static void put_tools(struct out *o, const struct tda_request *r) {
    if (r->n_tools == 0 || r->tool_choice == TDA_CHOICE_NONE) return;
    put_array(o->w, TDA_STR("tools"));
    for (uint32_t i = 0; i < r->n_tools; i++) {
        const struct tda_tool *t = r->tools[i];
        if (!offered(r, t)) continue;
        json()->begin_object(o->w);
        put_str(o->w, TDA_STR("type"), TDA_STR("function"));
        put_object(o->w, TDA_STR("function"));
        put_str(o->w, TDA_STR("name"), t->name);
        put_str(o->w, TDA_STR("description"), t->description);
        put_raw(o->w, TDA_STR("parameters"), t->schema.n ? t->schema : TDA_STR("{\"type\":\"object\"}"));
        json()->end_object(o->w);
        json()->end_object(o->w);
    }
    json()->end_array(o->w);
}

static bool wants_options(const struct tda_request *r) {
    return (r->set & (TDA_SET_MAX_TOKENS | TDA_SET_TEMPERATURE | TDA_SET_TOP_P)) || r->n_stop;
}

/* The caller's own options win over ours. */
static void put_options(struct out *o, const struct tda_request *r, tda_json extra) {
    tda_json given = json()->key(extra, TDA_STR("options"));
    if (!wants_options(r) && !json()->type(given)) return;
    put_object(o->w, TDA_STR("options"));
    if ((r->set & TDA_SET_MAX_TOKENS) && !extra_gives(given, TDA_STR("num_predict")))
        put_u64(o->w, TDA_STR("num_predict"), r->max_tokens);
    if ((r->set & TDA_SET_TEMPERATURE) && !extra_gives(given, TDA_STR("temperature")))
        put_f64(o->w, TDA_STR("temperature"), r->temperature);
    if ((r->set & TDA_SET_TOP_P) && !extra_gives(given, TDA_STR("top_p"))) put_f64(o->w, TDA_STR("top_p"), r->top_p);
    if (r->n_stop && !extra_gives(given, TDA_STR("stop"))) put_list(o->w, TDA_STR("stop"), r->stop, r->n_stop);
    extra_put(o->w, given);
    json()->end_object(o->w);
}

/* Most models know only yes and no; some have words for how much. */
static void put_think(struct out *o, const struct tda_request *r, tda_json extra) {
    if (!r->reasoning.n || extra_gives(extra, TDA_STR("think"))) return;
    if (tda_str_eq(r->reasoning, TDA_STR("true")) || tda_str_eq(r->reasoning, TDA_STR("on")))
        put_bool(o->w, TDA_STR("think"), true);
    else if (tda_str_eq(r->reasoning, TDA_STR("false")) || tda_str_eq(r->reasoning, TDA_STR("none")))
        put_bool(o->w, TDA_STR("think"), false);
    else
        put_str(o->w, TDA_STR("think"), r->reasoning);
}

bool request_body(struct call *call, const struct tda_request *r, tda_str *ret_body) {
    static const char *const ours[] = {"model", "messages", "tools", "stream", NULL};
    struct codec *c = &call->codec;
    struct out o = {c, json()->writer(c->handle), TDA_OK};
    tda_json extra = {NULL, 0};
    o.status = o.w ? extra_read(c, r, ours, &extra) : TDA_E_NOMEM;
    if (o.status) return body_take(c, o.w, o.status, ret_body);
    json()->begin_object(o.w);
    put_str(o.w, TDA_STR("model"), r->model);
    put_bool(o.w, TDA_STR("stream"), r->stream != 0); /* absent would mean yes */
    put_messages(&o, r);
    put_tools(&o, r);
    put_options(&o, r, extra);
    put_think(&o, r, extra);
    extra_put_but(o.w, extra, "options");
    json()->end_object(o.w);
    return body_take(c, o.w, o.status, ret_body);
}
