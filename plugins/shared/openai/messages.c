/* The conversation -> "messages".
 *
 *   SYSTEM     role system, or developer where that is the model's word
 *   USER       role user: text, text parts, image_url parts
 *   ASSISTANT  role assistant: text as content, TOOL_USE as tool_calls; THINKING stays here, the service takes none back
 *   TOOL_RESULT (in USER messages)  role tool, text only. They must follow the calls at once, so in a run of USER messages all
 * results come first; images of results follow in a user message. */
#include "wire.h"

static void begin_message(struct out *o, tda_str role) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("role"), role);
}

/* ---- parts of content ---- */

static void put_text_part(struct out *o, tda_str text) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("text"));
    put_str(o->w, TDA_STR("text"), text);
    json()->end_object(o->w);
}

void image_url_write(struct out *o, tda_str key, const struct tda_part *p) {
    struct text url = {0};
    if (p->url.n) {
        put_str(o->w, key, p->url);
        return;
    }
    text_add_z(&url, "data:", REQUEST_MAX);
    text_add(&url, p->mime.n ? p->mime : TDA_STR("image/png"), REQUEST_MAX);
    text_add_z(&url, ";base64,", REQUEST_MAX);
    text_add(&url, p->data, REQUEST_MAX);
    if (url.status && !o->status) o->status = url.status;
    put_str(o->w, key, text_str(&url));
    text_fini(&url);
}

static void put_image_part(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), TDA_STR("image_url"));
    json()->put_key(o->w, TDA_STR("image_url"));
    json()->begin_object(o->w);
    image_url_write(o, TDA_STR("url"), p);
    json()->end_object(o->w);
    json()->end_object(o->w);
}

/* A single text as a string, which every server takes; else an array of parts. */
static void put_content(struct out *o, const struct tda_msg *m, bool images) {
    uint32_t texts = 0, pictures = 0;
    tda_str only = {"", 0};
    for (uint32_t i = 0; i < m->n_parts; i++) {
        if (part_is_text(m->parts[i])) {
            texts++;
            only = m->parts[i]->text;
        }
        pictures += images && part_is_image(m->parts[i]);
    }
    json()->put_key(o->w, TDA_STR("content"));
    if (texts <= 1 && pictures == 0) {
        json()->put_str(o->w, only);
        return;
    }
    json()->begin_array(o->w);
    for (uint32_t i = 0; i < m->n_parts; i++) {
        if (part_is_text(m->parts[i])) put_text_part(o, m->parts[i]->text);
        if (images && part_is_image(m->parts[i])) put_image_part(o, m->parts[i]);
    }
    json()->end_array(o->w);
}

/* ---- system, assistant ---- */

bool model_reasons(tda_str model) {
    bool o_series = model.n >= 2 && model.p[0] == 'o' && model.p[1] >= '1' && model.p[1] <= '9';
    return o_series || (model.n >= 5 && memcmp(model.p, "gpt-5", 5) == 0);
}

/* OpenAI's reasoning models call it developer. Others, and the servers that follow OpenAI, know system. */
static tda_str system_role(const struct call *c, tda_str model) {
    return c->is_openai && model_reasons(model) ? TDA_STR("developer") : TDA_STR("system");
}

static void put_system(struct out *o, const struct tda_msg *m, tda_str role) {
    begin_message(o, role);
    put_content(o, m, false);
    json()->end_object(o->w);
}

static void put_tool_call(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("id"), p->id);
    put_str(o->w, TDA_STR("type"), TDA_STR("function"));
    json()->put_key(o->w, TDA_STR("function"));
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("name"), p->name);
    put_str(o->w, TDA_STR("arguments"), p->text.n ? p->text : TDA_STR("{}"));
    json()->end_object(o->w);
    json()->end_object(o->w);
}

static void put_assistant(struct out *o, const struct tda_msg *m) {
    bool text = false, calls = false;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        text = text || part_is_text(m->parts[i]);
        calls = calls || m->parts[i]->kind == TDA_PART_TOOL_USE;
    }
    if (!text && !calls) return; /* nothing but thinking: the service refuses an empty message */
    begin_message(o, TDA_STR("assistant"));
    if (text) {
        put_content(o, m, false);
    } else {
        json()->put_key(o->w, TDA_STR("content"));
        json()->put_null(o->w);
    }
    if (calls) {
        json()->put_key(o->w, TDA_STR("tool_calls"));
        json()->begin_array(o->w);
        for (uint32_t i = 0; i < m->n_parts; i++)
            if (m->parts[i]->kind == TDA_PART_TOOL_USE) put_tool_call(o, m->parts[i]);
        json()->end_array(o->w);
    }
    json()->end_object(o->w);
}

/* ---- user, tool results ---- */

/* There is no field for "the tool failed": the text says it. */
void result_text_write(struct out *o, tda_str key, const struct tda_part *result) {
    struct text all = {0};
    uint32_t texts = 0, images = 0;
    if (result->is_error) text_add_z(&all, "Error: ", REQUEST_MAX);
    for (uint32_t i = 0; i < result->n_parts; i++) {
        const struct tda_part *p = result->parts[i];
        images += part_is_image(p);
        if (!part_is_text(p)) continue;
        if (texts++) text_add_z(&all, "\n", REQUEST_MAX);
        text_add(&all, p->text, REQUEST_MAX);
    }
    if (!texts && images) text_add_z(&all, "(an image, in the next message)", REQUEST_MAX);
    if (!texts && !images && result->is_error) text_add_z(&all, "the tool failed without saying why", REQUEST_MAX);
    if (all.status && !o->status) o->status = all.status;
    put_str(o->w, key, text_str(&all));
    text_fini(&all);
}

static void put_result(struct out *o, const struct tda_part *result) {
    begin_message(o, TDA_STR("tool"));
    put_str(o->w, TDA_STR("tool_call_id"), result->id);
    result_text_write(o, TDA_STR("content"), result);
    json()->end_object(o->w);
}

static void put_results(struct out *o, const struct tda_msg *m) {
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (m->parts[i]->kind == TDA_PART_TOOL_RESULT) put_result(o, m->parts[i]);
}

static uint32_t images_of(const struct tda_part *result) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < result->n_parts; i++) n += part_is_image(result->parts[i]);
    return n;
}

static void put_result_images(struct out *o, const struct tda_part *result) {
    begin_message(o, TDA_STR("user"));
    json()->put_key(o->w, TDA_STR("content"));
    json()->begin_array(o->w);
    struct text what = {0};
    text_add_z(&what, "Images that the tool gave, call ", REQUEST_MAX);
    text_add(&what, result->id, REQUEST_MAX);
    if (what.status && !o->status) o->status = what.status;
    put_text_part(o, text_str(&what));
    text_fini(&what);
    for (uint32_t i = 0; i < result->n_parts; i++)
        if (part_is_image(result->parts[i])) put_image_part(o, result->parts[i]);
    json()->end_array(o->w);
    json()->end_object(o->w);
}

static void put_user(struct out *o, const struct tda_msg *m) {
    bool own = false, results = false;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        const struct tda_part *p = m->parts[i];
        results = results || p->kind == TDA_PART_TOOL_RESULT;
        if (p->kind == TDA_PART_TOOL_RESULT && images_of(p)) put_result_images(o, p);
        own = own || part_is_text(p) || part_is_image(p);
    }
    if (!own && results) return;
    begin_message(o, TDA_STR("user"));
    put_content(o, m, true);
    json()->end_object(o->w);
}

/* One run of USER messages; returns the index behind it. */
static uint32_t put_user_run(struct out *o, const struct tda_request *r, uint32_t from) {
    uint32_t end = from;
    while (end < r->n_msgs && r->msgs[end]->role == TDA_ROLE_USER) end++;
    for (uint32_t i = from; i < end; i++) put_results(o, r->msgs[i]);
    for (uint32_t i = from; i < end; i++) put_user(o, r->msgs[i]);
    return end;
}

tda_status messages_write(const struct call *c, tda_json_writer *w, const struct tda_request *r) {
    struct out o = {w, TDA_OK};
    json()->put_key(w, TDA_STR("messages"));
    json()->begin_array(w);
    for (uint32_t i = 0; i < r->n_msgs;) {
        const struct tda_msg *m = r->msgs[i];
        if (m->role == TDA_ROLE_USER) {
            i = put_user_run(&o, r, i);
            continue;
        }
        if (m->role == TDA_ROLE_SYSTEM) put_system(&o, m, system_role(c, r->model));
        if (m->role == TDA_ROLE_ASSISTANT) put_assistant(&o, m);
        i++;
    }
    json()->end_array(w);
    return o.status;
}
