/* The conversation -> "system" and "messages".
 *
 *   SYSTEM     "system": a string, or text blocks where there are several
 *   USER       role user: tool_result blocks first, then text and image blocks
 *   ASSISTANT  role assistant: text, tool_use, and the thinking that came with a signature, in their order and unchanged: the
 *              service refuses a block that was touched
 *
 * The host hands on only blobs that this provider and model made; thinking without one stays here. */
#include "anthropic.h"

struct out {
    const struct codec *c;
    tda_json_writer *w;
    struct turns turns;
    tda_status status; /* the first failure */
};

/* ---- blocks ---- */

/* The service refuses text that is nothing but space. */
static bool has_ink(const struct tda_part *p) {
    if (!part_is_text(p)) return false;
    for (size_t i = 0; i < p->text.n; i++)
        if (!strchr(" \t\r\n", p->text.p[i]) || !p->text.p[i]) return true;
    return false;
}

static void begin_block(struct out *o, const char *type) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("type"), tda_str_of(type));
}

static void put_text_block(struct out *o, tda_str text) {
    begin_block(o, "text");
    put_str(o->w, TDA_STR("text"), text);
    json()->end_object(o->w);
}

static void put_image_block(struct out *o, const struct tda_part *p) {
    begin_block(o, "image");
    put_object(o->w, TDA_STR("source"));
    put_str(o->w, TDA_STR("type"), p->url.n ? TDA_STR("url") : TDA_STR("base64"));
    if (p->url.n) {
        put_str(o->w, TDA_STR("url"), p->url);
    } else {
        put_str(o->w, TDA_STR("media_type"), p->mime.n ? p->mime : TDA_STR("image/png"));
        put_str(o->w, TDA_STR("data"), p->data);
    }
    json()->end_object(o->w);
    json()->end_object(o->w);
}

static bool is_id_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Ids that another service made may hold characters which this one refuses. */
static void put_id(struct out *o, const char *key, tda_str id) {
    struct text clean = {0};
    text_add(&clean, id, REQUEST_MAX);
    for (size_t i = 0; i < clean.n; i++)
        if (!is_id_char(clean.p[i])) clean.p[i] = '_';
    if (clean.status && !o->status) o->status = clean.status;
    put_str(o->w, tda_str_of(key), text_str(&clean));
    text_fini(&clean);
}

static void put_tool_use(struct out *o, const struct tda_part *p) {
    begin_block(o, "tool_use");
    put_id(o, "id", p->id);
    put_str(o->w, TDA_STR("name"), p->name);
    put_object_text(o->w, o->c, TDA_STR("input"), p->text);
    json()->end_object(o->w);
}

static void put_thinking_block(struct out *o, const struct tda_part *p) {
    size_t mark = sizeof REDACTED_MARK - 1;
    if (p->opaque.n > mark && memcmp(p->opaque.p, REDACTED_MARK, mark) == 0) {
        begin_block(o, "redacted_thinking");
        put_str(o->w, TDA_STR("data"), (tda_str){p->opaque.p + mark, p->opaque.n - mark});
    } else {
        begin_block(o, "thinking");
        put_str(o->w, TDA_STR("thinking"), p->text);
        put_str(o->w, TDA_STR("signature"), p->opaque);
    }
    json()->end_object(o->w);
}

static void put_result(struct out *o, const struct tda_part *result) {
    uint32_t n = 0;
    begin_block(o, "tool_result");
    put_id(o, "tool_use_id", result->id);
    if (result->is_error) put_bool(o->w, TDA_STR("is_error"), true);
    put_array(o->w, TDA_STR("content"));
    for (uint32_t i = 0; i < result->n_parts; i++) {
        const struct tda_part *p = result->parts[i];
        n += has_ink(p) || part_is_image(p);
        if (has_ink(p)) put_text_block(o, p->text);
        if (part_is_image(p)) put_image_block(o, p);
    }
    if (!n && result->is_error) put_text_block(o, TDA_STR("the tool failed without saying why")); /* an empty error is refused */
    json()->end_array(o->w);
    json()->end_object(o->w);
}

/* ---- messages ---- */

static void put_part(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    struct out *o = arg;
    bool assistant = role == TDA_ROLE_ASSISTANT;
    if (has_ink(p)) {
        turns_part(&o->turns, role);
        put_text_block(o, p->text);
    } else if (part_is_image(p) && !assistant) {
        turns_part(&o->turns, role);
        put_image_block(o, p);
    } else if (p->kind == TDA_PART_TOOL_USE && assistant) {
        turns_part(&o->turns, role);
        put_tool_use(o, p);
    } else if (p->kind == TDA_PART_THINKING && p->opaque.n && assistant) {
        turns_part(&o->turns, role);
        put_thinking_block(o, p);
    } else if (p->kind == TDA_PART_TOOL_RESULT && results) {
        turns_part(&o->turns, role);
        put_result(o, p);
    }
}

static void put_system_text(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    (void)role, (void)results;
    put_text_block(arg, p->text);
}

static void put_system_string(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    struct out *o = arg;
    (void)role, (void)results;
    put_str(o->w, TDA_STR("system"), p->text);
}

static void put_system(struct out *o, const struct tda_request *r) {
    uint32_t n = system_each(r, NULL, NULL);
    if (n == 1) system_each(r, put_system_string, o);
    if (n < 2) return;
    put_array(o->w, TDA_STR("system"));
    system_each(r, put_system_text, o);
    json()->end_array(o->w);
}

tda_status messages_write(const struct codec *c, tda_json_writer *w, const struct tda_request *r) {
    struct out o = {.c = c, .w = w, .turns = {.w = w, .user = "user", .assistant = "assistant", .parts = "content"}};
    put_system(&o, r);
    put_array(w, TDA_STR("messages"));
    turns_each(r, put_part, &o);
    turns_end(&o.turns);
    json()->end_array(w);
    return o.status;
}
