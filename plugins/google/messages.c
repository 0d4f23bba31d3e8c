/* The conversation -> "systemInstruction" and "contents".
 *
 *   SYSTEM       systemInstruction
 *   USER         role user: functionResponse parts, then the images of those results, then text and images
 *   ASSISTANT    role model: text, functionCall; thinking only where a signature came with it
 *   TOOL_RESULT  functionResponse {id, name, response: {output} or {error}}; the name is the call's where the result has none
 *
 * A signature stands on the part that it came with, whatever its kind, and goes back there; the host hands on only those that this
 * provider and model made. */
#include "google.h"

/* Gemini 3 and later refuse a turn whose first call has no signature. This is what Google's documentation gives for calls that it
 * did not make: those of another model, or of a caller who kept no blobs. */
#define NO_SIGNATURE "skip_thought_signature_validator"

struct out {
    const struct codec *c;
    const struct tda_request *r;
    tda_json_writer *w;
    struct turns turns;
    uint32_t calls; /* of the open turn */
    bool must_sign;
    tda_status status; /* the first failure */
};

static bool must_sign(tda_str model) {
    for (size_t i = 0; i + 8 <= model.n; i++)
        if (memcmp(model.p + i, "gemini-", 7) == 0) return model.p[i + 7] >= '3' && model.p[i + 7] <= '9';
    return false;
}

/* ---- parts ---- */

static void begin_part(struct out *o, uint32_t role) {
    if (o->turns.role != role) o->calls = 0;
    turns_part(&o->turns, role);
    json()->begin_object(o->w);
}

static void end_part(struct out *o, tda_str signature) {
    if (signature.n) put_str(o->w, TDA_STR("thoughtSignature"), signature);
    json()->end_object(o->w);
}

static void put_text(struct out *o, uint32_t role, const struct tda_part *p) {
    begin_part(o, role);
    put_str(o->w, TDA_STR("text"), p->text);
    if (p->kind == TDA_PART_THINKING) put_bool(o->w, TDA_STR("thought"), true);
    end_part(o, p->opaque);
}

static void put_image(struct out *o, uint32_t role, const struct tda_part *p) {
    begin_part(o, role);
    put_object(o->w, p->url.n ? TDA_STR("fileData") : TDA_STR("inlineData"));
    if (p->mime.n || !p->url.n) put_str(o->w, TDA_STR("mimeType"), p->mime.n ? p->mime : TDA_STR("image/png"));
    put_str(o->w, p->url.n ? TDA_STR("fileUri") : TDA_STR("data"), p->url.n ? p->url : p->data);
    json()->end_object(o->w);
    end_part(o, p->opaque);
}

static void put_call(struct out *o, uint32_t role, const struct tda_part *p) {
    begin_part(o, role);
    bool first = o->calls++ == 0;
    put_object(o->w, TDA_STR("functionCall"));
    if (p->id.n) put_str(o->w, TDA_STR("id"), p->id);
    put_str(o->w, TDA_STR("name"), p->name);
    put_object_text(o->w, o->c, TDA_STR("args"), p->text);
    json()->end_object(o->w);
    end_part(o, first && o->must_sign && !p->opaque.n ? TDA_STR(NO_SIGNATURE) : p->opaque);
}

/* ---- results ---- */

static tda_str name_of_call(const struct tda_request *r, tda_str id) {
    for (uint32_t i = r->n_msgs; i-- > 0;)
        for (uint32_t k = 0; k < r->msgs[i]->n_parts; k++) {
            const struct tda_part *p = r->msgs[i]->parts[k];
            if (p->kind == TDA_PART_TOOL_USE && tda_str_eq(p->id, id)) return p->name;
        }
    return TDA_STR("");
}

static void put_texts_of(struct out *o, tda_str key, const struct tda_part *result) {
    struct text all = {0};
    uint32_t texts = 0;
    for (uint32_t i = 0; i < result->n_parts; i++) {
        if (!part_is_text(result->parts[i])) continue;
        if (texts++) text_add_z(&all, "\n", REQUEST_MAX);
        text_add(&all, result->parts[i]->text, REQUEST_MAX);
    }
    if (!texts && result->is_error) text_add_z(&all, "the tool failed without saying why", REQUEST_MAX);
    if (all.status && !o->status) o->status = all.status;
    put_str(o->w, key, text_str(&all));
    text_fini(&all);
}

static void put_result(struct out *o, uint32_t role, const struct tda_part *p) {
    tda_str key = p->is_error ? TDA_STR("error") : TDA_STR("output");
    begin_part(o, role);
    put_object(o->w, TDA_STR("functionResponse"));
    if (p->id.n) put_str(o->w, TDA_STR("id"), p->id);
    put_str(o->w, TDA_STR("name"), p->name.n ? p->name : name_of_call(o->r, p->id));
    put_object(o->w, TDA_STR("response"));
    if (p->n_parts == 1 && p->parts[0]->kind == TDA_PART_JSON && p->parts[0]->text.n)
        put_raw(o->w, key, p->parts[0]->text);
    else
        put_texts_of(o, key, p);
    json()->end_object(o->w);
    json()->end_object(o->w);
    end_part(o, (tda_str){NULL, 0});
}

static void put_images_of(struct out *o, uint32_t role, const struct tda_part *result) {
    for (uint32_t i = 0; i < result->n_parts; i++)
        if (part_is_image(result->parts[i])) put_image(o, role, result->parts[i]);
}

/* ---- contents ---- */

static void put_part(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    struct out *o = arg;
    bool assistant = role == TDA_ROLE_ASSISTANT;
    if (part_is_text(p) || (assistant && p->opaque.n && (p->kind == TDA_PART_TEXT || p->kind == TDA_PART_THINKING)))
        put_text(o, role, p);
    else if (part_is_image(p))
        put_image(o, role, p);
    else if (p->kind == TDA_PART_TOOL_USE && assistant)
        put_call(o, role, p);
    else if (p->kind == TDA_PART_TOOL_RESULT && results)
        put_result(o, role, p);
    else if (p->kind == TDA_PART_TOOL_RESULT)
        put_images_of(o, role, p);
}

static void put_system_part(void *arg, uint32_t role, const struct tda_part *p, bool results) {
    struct out *o = arg;
    (void)role, (void)results;
    json()->begin_object(o->w);
    put_str(o->w, TDA_STR("text"), p->text);
    json()->end_object(o->w);
}

static void put_system(struct out *o) {
    if (!system_each(o->r, NULL, NULL)) return;
    put_object(o->w, TDA_STR("systemInstruction"));
    put_array(o->w, TDA_STR("parts"));
    system_each(o->r, put_system_part, o);
    json()->end_array(o->w);
    json()->end_object(o->w);
}

tda_status contents_write(const struct codec *c, tda_json_writer *w, const struct tda_request *r) {
    struct out o = {.c = c, .r = r, .w = w, .turns = {.w = w, .user = "user", .assistant = "model", .parts = "parts"}};
    o.must_sign = must_sign(r->model);
    put_system(&o);
    put_array(w, TDA_STR("contents"));
    turns_each(r, put_part, &o);
    turns_end(&o.turns);
    json()->end_array(w);
    return o.status;
}
