/* Chunks of a stream, or the message of a whole answer -> the SDK's events. Both have the same members, so one reader does.
 *
 * Text and thinking run one at a time: the next kind ends the part before. Tool calls may come interleaved and stay open to the
 * end. Servers that follow OpenAI are loose about tool calls: no index, every call with index 0, the id in every fragment, the
 * arguments before the name; all of these are taken. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "openai.h"

static const struct tda_json_api *json(void) {
    return openai_json;
}

static tda_str member(tda_json v, const char *name) {
    return json()->str(json()->key(v, tda_str_of(name)));
}

static void emit_text(struct call *c, uint32_t kind, uint32_t part, tda_str text) {
    struct tda_event e = {.size = sizeof e, .kind = kind, .index = part, .text = text};
    out_event(c, &e);
}

static void emit_part_stop(struct call *c, uint32_t part) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_STOP, .index = part};
    out_event(c, &e);
}

/* ---- text and thinking ---- */

static void end_running(struct call *c) {
    struct answer *a = &c->answer;
    if (a->open_kind) emit_part_stop(c, a->open_part);
    a->open_kind = 0;
}

static void add_text(struct call *c, uint32_t part_kind, tda_str text) {
    struct answer *a = &c->answer;
    if (!text.n) return;
    if (a->open_kind != part_kind) {
        end_running(c);
        a->open_kind = part_kind;
        a->open_part = a->n_parts++;
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_START, .index = a->open_part, .part_kind = part_kind};
        out_event(c, &e);
    }
    emit_text(c, part_kind == TDA_PART_TEXT ? TDA_EV_TEXT : TDA_EV_THINK, a->open_part, text);
}

/* A string; some servers send an array of text parts. */
static void add_content(struct call *c, tda_json content) {
    add_text(c, TDA_PART_TEXT, json()->str(content));
    if (json()->type(content) != TDA_JSON_ARRAY) return;
    for (tda_json v = json()->first(content); json()->type(v); v = json()->next(v)) add_text(c, TDA_PART_TEXT, member(v, "text"));
}

/* Not OpenAI's, but common among the servers that follow it. */
static void add_thinking(struct call *c, tda_json delta) {
    tda_str text = member(delta, "reasoning_content");
    add_text(c, TDA_PART_THINKING, text.n ? text : member(delta, "reasoning"));
}

/* ---- tool calls ---- */

static struct tool *tool_new(struct call *c, int64_t key) {
    struct answer *a = &c->answer;
    if (!a->tools) a->tools = calloc(TOOL_CALLS_MAX, sizeof *a->tools);
    if (!a->tools) {
        call_fail_memory(c);
        return NULL;
    }
    if (a->n_tools == TOOL_CALLS_MAX) {
        call_fail(c, TDA_C_PROTOCOL, "the answer has more than %d tool calls", TOOL_CALLS_MAX);
        return NULL;
    }
    struct tool *t = &a->tools[a->n_tools++];
    t->key = key;
    return t;
}

static bool begins_another(const struct tool *t, tda_str id, tda_str name) {
    return t->open && id.n && name.n && t->id.n && !tda_str_eq(id, text_str(&t->id));
}

/* position: place in the array, for whole answers, which have no index; -1 in a stream. */
static struct tool *tool_find(struct call *c, tda_json v, int64_t position) {
    struct answer *a = &c->answer;
    tda_str id = member(v, "id"), name = member(json()->key(v, TDA_STR("function")), "name");
    int64_t key = position;
    bool numbered = json()->i64(json()->key(v, TDA_STR("index")), &key) || position >= 0;
    for (uint32_t i = a->n_tools; i-- > 0;) {
        struct tool *t = &a->tools[i];
        if (numbered && t->key != key) continue;
        return begins_another(t, id, name) ? tool_new(c, key) : t;
    }
    return tool_new(c, numbered ? key : (int64_t)a->n_tools);
}

/* A server that gives no id: the result must still find its call, in this turn and in those before. */
static void make_id(struct tool *t) {
    char id[64];
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(id, sizeof id, "call_%" PRIx64 "%08lx_%" PRIu32, (uint64_t)now.tv_sec, (unsigned long)now.tv_nsec, t->part);
    text_add_z(&t->id, id, TOOL_TEXT_MAX);
}

static void tool_open(struct call *c, struct tool *t, tda_str name) {
    end_running(c);
    t->open = true;
    t->part = c->answer.n_parts++;
    if (!t->id.n) make_id(t);
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_START, .index = t->part, .part_kind = TDA_PART_TOOL_USE};
    e.id = text_str(&t->id);
    e.name = name;
    out_event(c, &e);
    if (t->early.n) emit_text(c, TDA_EV_ARGS, t->part, text_str(&t->early));
    text_fini(&t->early);
}

static void add_tool_call(struct call *c, tda_json v, int64_t position) {
    struct tool *t = tool_find(c, v, position);
    if (!t) return;
    tda_json function = json()->key(v, TDA_STR("function")), args = json()->key(function, TDA_STR("arguments"));
    tda_str name = member(function, "name");
    tda_str text = json()->type(args) == TDA_JSON_OBJECT ? json()->raw(args) : json()->str(args);
    if (!t->open && !t->id.n) text_add(&t->id, member(v, "id"), TOOL_TEXT_MAX);
    if (!t->open && name.n) tool_open(c, t, name);
    if (t->open && text.n) emit_text(c, TDA_EV_ARGS, t->part, text);
    if (!t->open) text_add(&t->early, text, TOOL_TEXT_MAX);
    if (t->id.status == TDA_E_NOMEM || t->early.status == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (t->id.status || t->early.status)
        call_fail(c, TDA_C_PROTOCOL, "a tool call in the answer has an id, or arguments before its name, above %d MiB",
                  TOOL_TEXT_MAX >> 20);
}

static void add_tool_calls(struct call *c, tda_json list, bool whole) {
    int64_t i = 0;
    for (tda_json v = json()->first(list); json()->type(v) && !c->over; v = json()->next(v), i++)
        add_tool_call(c, v, whole ? i : -1);
}

/* ---- the rest of a chunk ---- */

static uint64_t count(tda_json usage, const char *path) {
    int64_t n;
    return json()->i64(json()->get(usage, path), &n) && n >= 0 ? (uint64_t)n : TDA_UNKNOWN;
}

/* Cached tokens are part of prompt_tokens, reasoning of completion_tokens, as the SDK counts. */
static void note_usage(struct answer *a, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    a->has_usage = true;
    a->usage = (struct tda_usage){.size = sizeof a->usage,
                                  .input = count(usage, "prompt_tokens"),
                                  .output = count(usage, "completion_tokens"),
                                  .cache_read = count(usage, "prompt_tokens_details.cached_tokens"),
                                  .cache_write = TDA_UNKNOWN,
                                  .reasoning = count(usage, "completion_tokens_details.reasoning_tokens")};
}

static void start(struct call *c, tda_json root) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_START, .id = member(root, "id"), .name = member(root, "model")};
    if (c->answer.started) return;
    c->answer.started = true;
    out_event(c, &e);
}

/* One answer was asked for: the choice with index 0, or the only one. */
static tda_json first_choice(tda_json root) {
    tda_json list = json()->key(root, TDA_STR("choices"));
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v)) {
        int64_t index = 0;
        json()->i64(json()->key(v, TDA_STR("index")), &index);
        if (index == 0) return v;
    }
    return (tda_json){NULL, 0};
}

void answer_read(struct call *c, tda_json root, const char *name) {
    struct answer *a = &c->answer;
    note_usage(a, json()->key(root, TDA_STR("usage")));
    tda_json choice = first_choice(root), delta = json()->key(choice, tda_str_of(name));
    if (!json()->type(choice)) return; /* Azure's first chunk, and the one with the usage */
    start(c, root);
    add_thinking(c, delta);
    add_content(c, json()->key(delta, TDA_STR("content")));
    tda_str refusal = member(delta, "refusal"), reason = member(choice, "finish_reason");
    if (refusal.n) a->refused = true;
    add_text(c, TDA_PART_TEXT, refusal);
    add_tool_calls(c, json()->key(delta, TDA_STR("tool_calls")), strcmp(name, "message") == 0);
    if (reason.n) line_copy(a->reason, sizeof a->reason, reason);
}

/* ---- the end ---- */

/* The word alone is not to be trusted where tools are concerned: servers say "stop" after a tool call. */
static uint32_t stop_of(const struct answer *a) {
    tda_str reason = tda_str_of(a->reason);
    if (tda_str_eq(reason, TDA_STR("content_filter"))) return TDA_STOP_FILTER;
    if (tda_str_eq(reason, TDA_STR("length"))) return TDA_STOP_MAX_TOKENS;
    if (a->n_tools) return TDA_STOP_TOOL_USE;
    if (a->refused) return TDA_STOP_REFUSAL;
    if (tda_str_eq(reason, TDA_STR("stop"))) return TDA_STOP_END_TURN;
    if (tda_str_eq(reason, TDA_STR("tool_calls")) || tda_str_eq(reason, TDA_STR("function_call"))) return TDA_STOP_MALFORMED_TOOL;
    return TDA_STOP_OTHER;
}

static bool close_tools(struct call *c) {
    struct answer *a = &c->answer;
    for (uint32_t i = 0; i < a->n_tools; i++) {
        if (!a->tools[i].open) {
            call_fail(c, TDA_C_PROTOCOL, "the answer has a tool call without a name");
            return false;
        }
        emit_part_stop(c, a->tools[i].part);
    }
    return true;
}

void answer_close(struct call *c) {
    struct answer *a = &c->answer;
    if (a->closed || c->over) return;
    a->closed = true;
    end_running(c);
    if (!close_tools(c)) return;
    if (a->has_usage) {
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_USAGE, .usage = &a->usage};
        out_event(c, &e);
    }
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_STOP, .stop = stop_of(a)};
    if (a->reason[0]) e.raw = tda_str_of(a->reason);
    out_event(c, &e);
}

void answer_fini(struct answer *a) {
    for (uint32_t i = 0; i < a->n_tools; i++) {
        text_fini(&a->tools[i].id);
        text_fini(&a->tools[i].early);
    }
    free(a->tools);
    a->tools = NULL;
    a->n_tools = 0;
}
