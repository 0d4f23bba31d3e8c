/* The conversation -> "system" and "messages".
 *
 *   SYSTEM       system: text blocks
 *   USER         role user: toolResult blocks first, then text and image blocks
 *   ASSISTANT    role assistant: text, toolUse, and the reasoningContent that came with a blob, in their order and unchanged: the
 *                service refuses a block that was touched
 *
 * The host hands on only blobs that this provider and model made; reasoning without one stays here. */
#include <inttypes.h>
#include <stdio.h>

#include "amazon.h"

enum { ID_MAX = 64 };

struct out {
    struct codec *c;
    tda_json_writer *w;
    struct turns turns;
    tda_status status; /* the first failure */
};

static void note(struct out *o, tda_status s) {
    if (s && !o->status) o->status = s;
}

/* ---- blocks: each is an object with one member ---- */

static void put_text_block(struct out *o, tda_str text) {
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("text"), text);
    json()->end_object(o->w);
}

static tda_str format_of(tda_str mime) {
    size_t n = strlen("image/");
    if (text_equal_nocase(mime, "image/jpg")) return TDA_STR("jpeg");
    return mime.n > n && memcmp(mime.p, "image/", n) == 0 ? (tda_str){mime.p + n, mime.n - n} : TDA_STR("png");
}

static bool is_s3(tda_str url) {
    return url.n > 5 && memcmp(url.p, "s3://", 5) == 0;
}

static void refuse_address(struct out *o) {
    o->c->fault = (struct fault){.cls = TDA_C_REQUEST,
                                 .retry_ms = -1,
                                 .text = "Bedrock takes an image as data, or by its address in S3 (s3://), not from the web"};
    note(o, TDA_E_INVALID);
}

static void put_image_block(struct out *o, const struct tda_part *p) {
    if (!p->data.n && !is_s3(p->url)) refuse_address(o);
    json()->begin_object(o->w);
    put_object(o->w, TDA_STR("image"));
    put_str(o->w, TDA_STR("format"), format_of(p->mime));
    put_object(o->w, TDA_STR("source"));
    if (p->data.n) {
        put_str(o->w, TDA_STR("bytes"), p->data);
    } else {
        put_object(o->w, TDA_STR("s3Location"));
        put_str(o->w, TDA_STR("uri"), p->url);
        json()->end_object(o->w);
    }
    for (int i = 0; i < 3; i++) json()->end_object(o->w);
}

/* ---- calls and results ---- */

static bool is_id_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.:-", c));
}

/* Ids that another service made may hold characters that this one refuses, or be longer than the 64 that it takes: the end of such
 * a one becomes a hash (FNV-1a), which call and result come to alike. */
static void put_id(struct out *o, tda_str id) {
    char clean[ID_MAX + 1];
    uint64_t hash = 0xcbf29ce484222325;
    size_t n = id.n <= ID_MAX ? id.n : ID_MAX - 16;
    for (size_t i = 0; i < n; i++) clean[i] = is_id_char(id.p[i]) ? id.p[i] : '_';
    clean[n] = 0;
    for (size_t i = 0; i < id.n; i++) hash = (hash ^ (unsigned char)id.p[i]) * 0x100000001b3;
    if (id.n > ID_MAX) snprintf(clean + n, sizeof clean - n, "%016" PRIx64, hash);
    put_str(o->w, TDA_STR("toolUseId"), tda_str_of(clean));
}

static void put_call(struct out *o, const struct tda_part *p) {
    json()->begin_object(o->w);
    put_object(o->w, TDA_STR("toolUse"));
    put_id(o, p->id);
    put_str(o->w, TDA_STR("name"), p->name);
    put_object_text(o->w, o->c, TDA_STR("input"), p->text);
    json()->end_object(o->w);
    json()->end_object(o->w);
}

/* "json" takes objects only, and none with a "__type" in it. */
static bool is_json_block(const struct out *o, const struct tda_part *p) {
    tda_json root;
    if (p->kind != TDA_PART_JSON || text_has_nocase(p->text, "\"__type\"")) return false;
    return json()->parse(o->c->handle, p->text, &root) == TDA_OK && json()->type(root) == TDA_JSON_OBJECT;
}

static bool put_result_part(struct out *o, const struct tda_part *p) {
    if (part_is_image(p)) {
        put_image_block(o, p);
    } else if (!part_has_ink(p)) {
        return false;
    } else if (is_json_block(o, p)) {
        json()->begin_object(o->w);
        put_raw(o->w, TDA_STR("json"), p->text);
        json()->end_object(o->w);
    } else {
        put_text_block(o, p->text);
    }
    return true;
}

/* Only some models know a status; success is what all of them take its absence for. */
static void put_result(struct out *o, const struct tda_part *result) {
    bool any = false;
    json()->begin_object(o->w);
    put_object(o->w, TDA_STR("toolResult"));
    put_id(o, result->id);
    if (result->is_error) put_str(o->w, TDA_STR("status"), TDA_STR("error"));
    put_array(o->w, TDA_STR("content"));
    for (uint32_t i = 0; i < result->n_parts; i++) any = put_result_part(o, result->parts[i]) || any;
    if (!any && result->is_error) put_text_block(o, TDA_STR("the tool failed without saying why")); /* an empty error is refused */
    json()->end_array(o->w);
    json()->end_object(o->w);
    json()->end_object(o->w);
}

/* ---- reasoning ---- */

static void put_reasoning(struct out *o, const struct tda_part *p) {
    size_t mark = sizeof REDACTED_MARK - 1;
    json()->begin_object(o->w);
    put_object(o->w, TDA_STR("reasoningContent"));
    if (p->opaque.n > mark && memcmp(p->opaque.p, REDACTED_MARK, mark) == 0) {
        put_str(o->w, TDA_STR("redactedContent"), (tda_str){p->opaque.p + mark, p->opaque.n - mark});
    } else {
        put_object(o->w, TDA_STR("reasoningText"));
        put_str(o->w, TDA_STR("text"), p->text);
        put_str(o->w, TDA_STR("signature"), p->opaque);
        json()->end_object(o->w);
    }
    json()->end_object(o->w);
    json()->end_object(o->w);
}

/* ---- messages ---- */

static void put_part(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    struct out *o = arg;
    bool assistant = role == TDA_ROLE_ASSISTANT;
    if (part_has_ink(p)) {
        turns_part(&o->turns, role);
        put_text_block(o, p->text);
    } else if (part_is_image(p) && !assistant) {
        turns_part(&o->turns, role);
        put_image_block(o, p);
    } else if (p->kind == TDA_PART_TOOL_USE && assistant) {
        turns_part(&o->turns, role);
        put_call(o, p);
    } else if (p->kind == TDA_PART_THINKING && p->opaque.n && assistant) {
        turns_part(&o->turns, role);
        put_reasoning(o, p);
    } else if (p->kind == TDA_PART_TOOL_RESULT && results) {
        turns_part(&o->turns, role);
        put_result(o, p);
    }
}

static void put_system_text(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    (void)role, (void)results;
    if (part_has_ink(p)) put_text_block(arg, p->text);
}

tda_status messages_write(struct codec *c, tda_json_writer *w, const struct tda_request *r) {
    struct out o = {.c = c, .w = w, .turns = {.w = w, .user = "user", .assistant = "assistant", .parts = "content"}};
    if (system_each(r, NULL, NULL)) {
        put_array(w, TDA_STR("system"));
        system_each(r, put_system_text, &o);
        json()->end_array(w);
    }
    put_array(w, TDA_STR("messages"));
    turns_each(r, put_part, &o);
    turns_end(&o.turns);
    json()->end_array(w);
    return o.status;
}
