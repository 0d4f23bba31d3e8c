/* Chunks of a stream, or the message of a whole answer -> parts. Both have the same members, so one reader does.
 *
 * Servers that follow OpenAI are loose about tool calls: no index, every call with index 0, the id in every fragment, the
 * arguments before the name; all of these are taken. */
#include "wire.h"

/* ---- text and thinking ---- */

/* A string; some servers send an array of text parts. */
static void add_content(struct codec *c, tda_json content) {
    part_text(c, TDA_PART_TEXT, json()->str(content));
    if (json()->type(content) != TDA_JSON_ARRAY) return;
    for (tda_json v = json()->first(content); json()->type(v); v = json()->next(v)) part_text(c, TDA_PART_TEXT, member(v, "text"));
}

/* Not OpenAI's, but common among the servers that follow it. */
static void add_thinking(struct codec *c, tda_json delta) {
    tda_str text = member(delta, "reasoning_content");
    part_text(c, TDA_PART_THINKING, text.n ? text : member(delta, "reasoning"));
}

/* ---- tool calls ---- */

static bool begins_another(const struct tool *t, tda_str id, tda_str name) {
    return t->open && id.n && name.n && t->id.n && !tda_str_eq(id, text_str(&t->id));
}

/* position: place in the array, for whole answers, which have no index; -1 in a stream. */
static struct tool *find_call(struct codec *c, tda_json v, int64_t position) {
    struct parts *p = &c->parts;
    tda_str id = member(v, "id"), name = member(json()->key(v, TDA_STR("function")), "name");
    int64_t key = position;
    bool numbered = json()->i64(json()->key(v, TDA_STR("index")), &key) || position >= 0;
    for (uint32_t i = p->n_tools; i-- > 0;) {
        struct tool *t = &p->tools[i];
        if (numbered && t->key != key) continue;
        return begins_another(t, id, name) ? tool_new(c, key) : t;
    }
    return tool_new(c, numbered ? key : (int64_t)p->n_tools);
}

static void add_tool_call(struct codec *c, tda_json v, int64_t position) {
    struct tool *t = find_call(c, v, position);
    if (!t) return;
    tda_json function = json()->key(v, TDA_STR("function")), args = json()->key(function, TDA_STR("arguments"));
    tda_str name = member(function, "name");
    if (!t->open && !t->id.n) text_add(&t->id, member(v, "id"), TOOL_TEXT_MAX);
    if (!t->open && name.n) tool_open(c, t, (tda_str){NULL, 0}, name);
    tool_args(c, t, json()->type(args) == TDA_JSON_OBJECT ? json()->raw(args) : json()->str(args));
}

static void add_tool_calls(struct codec *c, tda_json list, bool whole) {
    int64_t i = 0;
    for (tda_json v = json()->first(list); json()->type(v) && !c->over; v = json()->next(v), i++)
        add_tool_call(c, v, whole ? i : -1);
}

/* ---- the rest of a chunk ---- */

/* Cached tokens are part of prompt_tokens, reasoning of completion_tokens, as the SDK counts. */
static void note_usage(struct codec *c, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = count_at(usage, "prompt_tokens"),
                                  .output = count_at(usage, "completion_tokens"),
                                  .cache_read = count_at(usage, "prompt_tokens_details.cached_tokens"),
                                  .cache_write = TDA_UNKNOWN,
                                  .reasoning = count_at(usage, "completion_tokens_details.reasoning_tokens")};
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

void answer_read(struct call *call, tda_json root, const char *name) {
    struct codec *c = &call->codec;
    note_usage(c, json()->key(root, TDA_STR("usage")));
    tda_json choice = first_choice(root), delta = json()->key(choice, tda_str_of(name));
    if (!json()->type(choice)) return; /* Azure's first chunk, and the one with the usage */
    part_start_answer(c, member(root, "id"), member(root, "model"));
    add_thinking(c, delta);
    add_content(c, json()->key(delta, TDA_STR("content")));
    tda_str refusal = member(delta, "refusal"), reason = member(choice, "finish_reason");
    if (refusal.n) call->refused = true;
    part_text(c, TDA_PART_TEXT, refusal);
    add_tool_calls(c, json()->key(delta, TDA_STR("tool_calls")), strcmp(name, "message") == 0);
    if (reason.n) line_copy(call->reason, sizeof call->reason, reason);
}

/* ---- the end ---- */

/* The word alone is not to be trusted where tools are concerned: servers say "stop" after a tool call. */
uint32_t answer_stop(const struct call *c) {
    tda_str reason = tda_str_of(c->reason);
    if (tda_str_eq(reason, TDA_STR("content_filter"))) return TDA_STOP_FILTER;
    if (tda_str_eq(reason, TDA_STR("length"))) return TDA_STOP_MAX_TOKENS;
    if (c->codec.parts.n_tools) return TDA_STOP_TOOL_USE;
    if (c->refused) return TDA_STOP_REFUSAL;
    if (tda_str_eq(reason, TDA_STR("stop"))) return TDA_STOP_END_TURN;
    if (tda_str_eq(reason, TDA_STR("tool_calls")) || tda_str_eq(reason, TDA_STR("function_call"))) return TDA_STOP_MALFORMED_TOOL;
    return TDA_STOP_OTHER;
}
