/* The SDK's messages as JSON, in the form that history_add_json reads. */
#include "agent/message.h"

static void write_opaque(const struct tda_part *p, struct jw *w) {
    if (!p->opaque.n) return;
    jw_put_str(w, "opaque", p->opaque);
    jw_put_str(w, "opaque_tag", p->opaque_tag);
}

static void put_given(struct jw *w, const char *key, tda_str v) {
    if (v.p) jw_put_str(w, key, v);
}

static void write_tool_use(const struct tda_part *p, struct jw *w) {
    jw_put_z(w, "type", "tool_use");
    jw_put_str(w, "id", p->id);
    jw_put_str(w, "name", p->name);
    /* What is no JSON was refused as a call; the conversation goes on without it. */
    jw_put_raw(w, "arguments", json_check(p->text, 0, NULL) == TDA_OK ? p->text : TDA_STR("{}"));
}

static void write_image(const struct tda_part *p, struct jw *w) {
    jw_put_z(w, "type", "image");
    put_given(w, "mime", p->mime);
    put_given(w, "data", p->data);
    put_given(w, "url", p->url);
}

/* What stands in a tool's result: text, images, JSON. */
static void write_content(const struct tda_part *p, struct jw *w) {
    jw_begin_object(w);
    if (p->kind == TDA_PART_IMAGE) {
        write_image(p, w);
    } else if (p->kind == TDA_PART_JSON && json_check(p->text, 0, NULL) == TDA_OK) {
        jw_put_z(w, "type", "json");
        jw_put_raw(w, "value", p->text);
    } else {
        jw_put_z(w, "type", "text");
        jw_put_str(w, "text", p->text.p ? p->text : TDA_STR(""));
    }
    jw_end_object(w);
}

static void write_tool_result(const struct tda_part *p, struct jw *w) {
    static const struct tda_part empty = {.size = sizeof empty, .kind = TDA_PART_TEXT};
    jw_begin_object(w);
    jw_put_z(w, "type", "tool_result");
    jw_put_str(w, "id", p->id);
    put_given(w, "name", p->name);
    jw_put_bool(w, "is_error", p->is_error);
    jw_open_array(w, "content");
    for (uint32_t i = 0; i < p->n_parts; i++) write_content(p->parts[i], w);
    if (!p->n_parts) write_content(&empty, w);
    jw_end_array(w);
    jw_end_object(w);
}

static void write_part(const struct tda_part *p, struct jw *w) {
    if (p->kind == TDA_PART_TOOL_RESULT) {
        write_tool_result(p, w);
        return;
    }
    if (p->kind == TDA_PART_IMAGE || p->kind == TDA_PART_JSON) {
        write_content(p, w);
        return;
    }
    jw_begin_object(w);
    if (p->kind == TDA_PART_TOOL_USE) {
        write_tool_use(p, w);
    } else {
        jw_put_z(w, "type", p->kind == TDA_PART_THINKING ? "thinking" : "text");
        jw_put_str(w, "text", p->text.p ? p->text : TDA_STR(""));
    }
    write_opaque(p, w);
    jw_end_object(w);
}

void message_write(const struct tda_msg *m, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "role", m->role == TDA_ROLE_USER ? "user" : m->role == TDA_ROLE_ASSISTANT ? "assistant" : "system");
    jw_open_array(w, "content");
    for (uint32_t i = 0; i < m->n_parts; i++) write_part(m->parts[i], w);
    jw_end_array(w);
    jw_end_object(w);
}
