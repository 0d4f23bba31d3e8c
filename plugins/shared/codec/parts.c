/* The answer's parts, numbered as they begin. Text and thinking run one at a time: the next part ends the one before. Tool calls
 * may come interleaved and stay open until the service or the answer ends them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec.h"

static void emit_text(struct codec *c, uint32_t kind, uint32_t part, tda_str text) {
    struct tda_event e = {.size = sizeof e, .kind = kind, .index = part, .text = text};
    out_event(c, &e);
}

static void emit_part_stop(struct codec *c, uint32_t part) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_STOP, .index = part};
    out_event(c, &e);
}

void part_start_answer(struct codec *c, tda_str id, tda_str model) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_START, .id = id, .name = model};
    if (c->parts.started) return;
    c->parts.started = true;
    out_event(c, &e);
}

/* ---- text and thinking ---- */

void part_end(struct codec *c) {
    struct parts *p = &c->parts;
    if (p->open_kind) emit_part_stop(c, p->open_part);
    p->open_kind = 0;
}

void part_begin(struct codec *c, uint32_t part_kind) {
    struct parts *p = &c->parts;
    part_end(c);
    p->open_kind = part_kind;
    p->open_part = p->n++;
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_START, .index = p->open_part, .part_kind = part_kind};
    out_event(c, &e);
}

void part_text(struct codec *c, uint32_t part_kind, tda_str text) {
    if (!text.n) return;
    if (c->parts.open_kind != part_kind) part_begin(c, part_kind);
    emit_text(c, part_kind == TDA_PART_TEXT ? TDA_EV_TEXT : TDA_EV_THINK, c->parts.open_part, text);
}

void part_signature(struct codec *c, uint32_t part, tda_str blob) {
    if (blob.n) emit_text(c, TDA_EV_SIGNATURE, part, blob);
}

/* ---- tool calls ---- */

struct tool *tool_find(struct codec *c, int64_t key) {
    struct parts *p = &c->parts;
    for (uint32_t i = p->n_tools; i-- > 0;)
        if (p->tools[i].key == key) return &p->tools[i];
    return NULL;
}

struct tool *tool_new(struct codec *c, int64_t key) {
    struct parts *p = &c->parts;
    if (!p->tools) p->tools = calloc(TOOL_CALLS_MAX, sizeof *p->tools);
    if (!p->tools) {
        call_fail_memory(c);
        return NULL;
    }
    if (p->n_tools == TOOL_CALLS_MAX) {
        call_fail(c, TDA_C_PROTOCOL, "the answer has more than %d tool calls", TOOL_CALLS_MAX);
        return NULL;
    }
    struct tool *t = &p->tools[p->n_tools++];
    t->key = key;
    return t;
}

/* A service that gives no id: the result must still find its call, in this turn and in those before. */
static void make_id(struct tool *t) {
    char id[64];
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(id, sizeof id, "call_%" PRIx64 "%08lx_%" PRIu32, (uint64_t)now.tv_sec, (unsigned long)now.tv_nsec, t->part);
    text_add_z(&t->id, id, TOOL_TEXT_MAX);
}

static void check_tool(struct codec *c, const struct tool *t) {
    if (t->id.status == TDA_E_NOMEM || t->early.status == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (t->id.status || t->early.status)
        call_fail(c, TDA_C_PROTOCOL, "a tool call in the answer has an id, or arguments before its name, above %d MiB",
                  TOOL_TEXT_MAX >> 20);
}

void tool_open(struct codec *c, struct tool *t, tda_str id, tda_str name) {
    part_end(c);
    t->open = true;
    t->part = c->parts.n++;
    if (!t->id.n) text_add(&t->id, id, TOOL_TEXT_MAX);
    if (!t->id.n) make_id(t);
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_START, .index = t->part, .part_kind = TDA_PART_TOOL_USE};
    e.id = text_str(&t->id);
    e.name = name;
    out_event(c, &e);
    if (t->early.n) emit_text(c, TDA_EV_ARGS, t->part, text_str(&t->early));
    check_tool(c, t);
    text_fini(&t->early);
}

void tool_args(struct codec *c, struct tool *t, tda_str text) {
    if (!text.n) return;
    if (t->open) {
        emit_text(c, TDA_EV_ARGS, t->part, text);
        return;
    }
    text_add(&t->early, text, TOOL_TEXT_MAX);
    check_tool(c, t);
}

void tool_close(struct codec *c, struct tool *t) {
    if (t->open && !t->closed) emit_part_stop(c, t->part);
    t->closed = true;
}

/* ---- the end ---- */

static bool close_tools(struct codec *c) {
    for (uint32_t i = 0; i < c->parts.n_tools; i++) {
        if (!c->parts.tools[i].open) {
            call_fail(c, TDA_C_PROTOCOL, "the answer has a tool call without a name");
            return false;
        }
        tool_close(c, &c->parts.tools[i]);
    }
    return true;
}

void answer_close(struct codec *c, uint32_t stop, tda_str raw) {
    if (c->parts.closed || c->over) return;
    c->parts.closed = true;
    part_end(c);
    if (!close_tools(c)) return;
    if (c->has_usage) {
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_USAGE, .usage = &c->usage};
        out_event(c, &e);
    }
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_STOP, .stop = stop};
    if (raw.n) e.raw = raw;
    out_event(c, &e);
}

void parts_fini(struct parts *p) {
    for (uint32_t i = 0; i < p->n_tools; i++) {
        text_fini(&p->tools[i].id);
        text_fini(&p->tools[i].early);
    }
    free(p->tools);
    p->tools = NULL;
    p->n_tools = 0;
}

uint64_t count_at(tda_json usage, const char *path) {
    int64_t n;
    return json()->i64(json()->get(usage, path), &n) && n >= 0 ? (uint64_t)n : TDA_UNKNOWN;
}

void count_answered(struct codec *c, const char *input, const char *cached) {
    tda_json root;
    char missing[64];
    struct tda_usage usage = {sizeof usage, 0, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_USAGE, .usage = &usage};
    if (!codec_is_success(c)) {
        errors_from_reply(c);
        return;
    }
    if (codec_parse_body(c, &root)) {
        usage.input = count_at(root, input);
        if (cached) usage.cache_read = count_at(root, cached);
    }
    snprintf(missing, sizeof missing, "an answer without %s", input);
    if (usage.input == TDA_UNKNOWN) errors_not_json(c, missing);
    out_event(c, &e);
    call_succeed(c);
}
