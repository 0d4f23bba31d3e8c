#include "agent/answer.h"

enum { PARTS_MAX = 1024 };

void answer_init(struct answer *a, struct arena *arena, size_t max_bytes) {
    *a = (struct answer){.arena = arena, .max_bytes = max_bytes};
}

void answer_fini(struct answer *a) {
    for (size_t i = 0; i < a->n_parts; i++) {
        buf_fini(&a->parts[i].text);
        buf_fini(&a->parts[i].opaque);
    }
    free(a->parts);
    a->parts = NULL;
    a->n_parts = a->cap_parts = 0;
}

void answer_reset(struct answer *a) {
    answer_fini(a);
    answer_init(a, a->arena, a->max_bytes);
}

static struct answer_part *part_new(struct answer *a, uint32_t index, uint32_t kind) {
    if (a->n_parts == PARTS_MAX) {
        a->too_large = true;
        return NULL;
    }
    if (a->n_parts == a->cap_parts) {
        size_t cap = a->cap_parts ? a->cap_parts * 2 : 4;
        struct answer_part *parts = realloc(a->parts, cap * sizeof *parts);
        if (!parts) {
            a->too_large = true;
            return NULL;
        }
        a->parts = parts;
        a->cap_parts = cap;
    }
    struct answer_part *p = &a->parts[a->n_parts++];
    *p = (struct answer_part){.index = index, .kind = kind};
    buf_init(&p->text, a->max_bytes);
    buf_init(&p->opaque, a->max_bytes);
    return p;
}

/* The newest part with that number: a provider may use a number again after PART_STOP. */
static struct answer_part *part_find(struct answer *a, uint32_t index, uint32_t kind) {
    for (size_t i = a->n_parts; i-- > 0;)
        if (a->parts[i].index == index && a->parts[i].kind == kind) return &a->parts[i];
    return NULL;
}

static void append(struct answer *a, struct buf *b, tda_str text) {
    if (text.n > a->max_bytes - a->bytes || buf_add_str(b, text)) {
        a->too_large = true;
        return;
    }
    a->bytes += text.n;
}

static void delta(struct answer *a, const struct tda_event *e, uint32_t kind) {
    struct answer_part *p = part_find(a, e->index, kind);
    if (!p && kind != TDA_PART_TOOL_USE) p = part_new(a, e->index, kind);
    if (p) append(a, &p->text, e->text);
}

static void signature(struct answer *a, const struct tda_event *e) {
    for (size_t i = a->n_parts; i-- > 0;)
        if (a->parts[i].index == e->index) {
            append(a, &a->parts[i].opaque, e->text);
            return;
        }
}

void answer_event(struct answer *a, const struct tda_event *e) {
    switch (e->kind) {
    case TDA_EV_START:
        if (e->id.n) a->id = arena_str(a->arena, e->id);
        if (e->name.n) a->model = arena_str(a->arena, e->name);
        break;
    case TDA_EV_PART_START: {
        struct answer_part *p = part_new(a, e->index, e->part_kind);
        if (!p) break;
        p->id = arena_str(a->arena, e->id);
        p->name = arena_str(a->arena, e->name);
        break;
    }
    case TDA_EV_TEXT: delta(a, e, TDA_PART_TEXT); break;
    case TDA_EV_THINK: delta(a, e, TDA_PART_THINKING); break;
    case TDA_EV_ARGS: delta(a, e, TDA_PART_TOOL_USE); break;
    case TDA_EV_SIGNATURE: signature(a, e); break;
    case TDA_EV_USAGE:
        if (e->usage) {
            a->usage = *e->usage;
            a->has_usage = true;
        }
        break;
    case TDA_EV_STOP:
        a->stop = e->stop;
        a->stop_raw = arena_str(a->arena, e->raw);
        break;
    default: break;
    }
}

size_t answer_tool_uses(const struct answer *a) {
    size_t n = 0;
    for (size_t i = 0; i < a->n_parts; i++) n += a->parts[i].kind == TDA_PART_TOOL_USE;
    return n;
}

static bool part_fill(const struct answer *a, const struct answer_part *from, tda_str tag, struct tda_part *p) {
    *p = (struct tda_part){.size = sizeof *p, .kind = from->kind, .id = from->id, .name = from->name};
    p->text = arena_str(a->arena, buf_str(&from->text));
    if (from->kind == TDA_PART_TOOL_USE && p->text.n == 0) p->text = TDA_STR("{}");
    if (from->opaque.n) {
        p->opaque = arena_str(a->arena, buf_str(&from->opaque));
        p->opaque_tag = tag;
    }
    return p->text.p && (!from->opaque.n || p->opaque.p);
}

const struct tda_msg *answer_message(const struct answer *a, tda_str tag) {
    struct tda_msg *m = arena_alloc(a->arena, sizeof *m);
    const struct tda_part **list = arena_alloc(a->arena, (a->n_parts + 1) * sizeof *list);
    struct tda_part *parts = arena_alloc(a->arena, (a->n_parts + 1) * sizeof *parts);
    if (!m || !list || !parts) return NULL;
    uint32_t n = 0;
    for (size_t i = 0; i < a->n_parts; i++) {
        const struct answer_part *from = &a->parts[i];
        if (from->kind == TDA_PART_TEXT && from->text.n == 0 && from->opaque.n == 0) continue; /* services refuse empty text */
        if (!part_fill(a, from, tag, &parts[n])) return NULL;
        list[n] = &parts[n];
        n++;
    }
    *m = (struct tda_msg){.size = sizeof *m, .role = TDA_ROLE_ASSISTANT, .n_parts = n, .parts = list};
    return m;
}

tda_status answer_text(const struct answer *a, struct buf *out) {
    for (size_t i = 0; i < a->n_parts; i++)
        if (a->parts[i].kind == TDA_PART_TEXT) {
            tda_status s = text_sanitise(buf_str(&a->parts[i].text), out);
            if (s) return s;
        }
    return TDA_OK;
}

const char *stop_name(uint32_t stop) {
    static const char *const names[] = {"unknown", "end_turn",     "max_tokens", "stop_sequence",  "tool_use", "refusal",
                                        "filter",  "context_full", "pause",      "malformed_tool", "other"};
    return stop < ARRAY_LEN(names) ? names[stop] : "other";
}

static void write_part(const struct answer_part *p, tda_str tag, struct jw *w, struct buf *scratch) {
    jw_begin_object(w);
    if (p->kind == TDA_PART_TOOL_USE) {
        jw_put_z(w, "type", "tool_use");
        jw_put_str(w, "id", p->id);
        jw_put_str(w, "name", p->name);
        tda_str args = p->text.n ? buf_str(&p->text) : TDA_STR("{}");
        tda_status s = json_check(args, 0, NULL);
        if (s == TDA_E_NOMEM) w->out->status = s;
        if (s == TDA_OK)
            jw_put_raw(w, "arguments", args);
        else
            jw_put_str(w, "arguments_text", args);
    } else {
        jw_put_z(w, "type", p->kind == TDA_PART_THINKING ? "thinking" : "text");
        buf_clear(scratch);
        text_sanitise(buf_str(&p->text), scratch);
        buf_inherit(w->out, scratch);
        jw_put_str(w, "text", buf_str(scratch));
    }
    if (p->opaque.n) {
        jw_put_str(w, "opaque", buf_str(&p->opaque));
        jw_put_str(w, "opaque_tag", tag);
    }
    jw_end_object(w);
}

enum { AROUND = 512 }; /* bytes of what is said about an answer */

void answer_write(const struct answer *a, tda_str tag, struct jw *w) {
    struct buf text;
    buf_init(&text, a->max_bytes * 3); /* each bad byte may become the three of U+FFFD */
    answer_text(a, &text);
    buf_inherit(w->out, &text);
    buf_reserve(w->out, 2 * text.n + AROUND); /* it comes twice; growing step by step copies */
    jw_put_str(w, "text", buf_str(&text));
    jw_open_array(w, "parts");
    for (size_t i = 0; i < a->n_parts; i++) write_part(&a->parts[i], tag, w, &text);
    jw_end_array(w);
    jw_put_z(w, "stop", stop_name(a->stop));
    if (a->stop_raw.p) jw_put_str(w, "stop_raw", a->stop_raw);
    if (a->id.p) jw_put_str(w, "id", a->id);
    if (a->model.p) jw_put_str(w, "answered_by", a->model);
    buf_fini(&text);
}

static uint64_t add_known(uint64_t a, uint64_t b) {
    return a == TDA_UNKNOWN || b == TDA_UNKNOWN ? TDA_UNKNOWN : a + b;
}

void usage_add(struct tda_usage *sum, const struct tda_usage *u, bool first) {
    if (first) {
        *sum = *u;
        return;
    }
    sum->input = add_known(sum->input, u->input);
    sum->output = add_known(sum->output, u->output);
    sum->cache_read = add_known(sum->cache_read, u->cache_read);
    sum->cache_write = add_known(sum->cache_write, u->cache_write);
    sum->reasoning = add_known(sum->reasoning, u->reasoning);
}

static void put_known(struct jw *w, const char *key, uint64_t v) {
    if (v == TDA_UNKNOWN) {
        jw_key(w, tda_str_of(key));
        jw_null(w);
    } else {
        jw_put_u64(w, key, v);
    }
}

void usage_write(const struct tda_usage *u, struct jw *w) {
    jw_begin_object(w);
    put_known(w, "input", u->input);
    put_known(w, "output", u->output);
    put_known(w, "cache_read", u->cache_read);
    put_known(w, "cache_write", u->cache_write);
    put_known(w, "reasoning", u->reasoning);
    jw_put_bool(w, "known", u->input != TDA_UNKNOWN && u->output != TDA_UNKNOWN);
    jw_end_object(w);
}
