/* Events of a Responses stream, or a whole response object -> parts. Output items come one after the other: reasoning, messages,
 * function calls. The stream's last event holds the whole response; there is no [DONE]. A stream without a last event was cut off.
 */
#include "wire.h"

/* ---- the end ---- */

static void note_usage(struct codec *c, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = count_at(usage, "input_tokens"),
                                  .output = count_at(usage, "output_tokens"),
                                  .cache_read = count_at(usage, "input_tokens_details.cached_tokens"),
                                  .cache_write = TDA_UNKNOWN,
                                  .reasoning = count_at(usage, "output_tokens_details.reasoning_tokens")};
}

static uint32_t stop_of(const struct call *c, tda_str reason) {
    if (tda_str_eq(reason, TDA_STR("content_filter"))) return TDA_STOP_FILTER;
    if (tda_str_eq(reason, TDA_STR("max_output_tokens"))) return TDA_STOP_MAX_TOKENS;
    if (c->codec.parts.n_tools) return TDA_STOP_TOOL_USE;
    if (c->refused) return TDA_STOP_REFUSAL;
    return reason.n ? TDA_STOP_OTHER : TDA_STOP_END_TURN;
}

/* The response object at its end: completed, incomplete or failed. */
static void finish(struct call *call, tda_json response) {
    struct codec *c = &call->codec;
    tda_str reason = json()->str(json()->get(response, "incomplete_details.reason"));
    part_start_answer(c, member(response, "id"), member(response, "model"));
    if (json()->type(json()->key(response, TDA_STR("error"))) == TDA_JSON_OBJECT) {
        errors_from_event(c, response);
        return;
    }
    note_usage(c, json()->key(response, TDA_STR("usage")));
    codec_whole(c, stop_of(call, reason), reason.n ? reason : member(response, "status"));
}

/* ---- items ---- */

static int64_t index_of(tda_json event) {
    int64_t i = 0;
    json()->i64(json()->key(event, TDA_STR("output_index")), &i);
    return i;
}

static void begin_item(struct codec *c, int64_t index, tda_json item) {
    tda_str type = member(item, "type");
    if (tda_str_eq(type, TDA_STR("reasoning"))) part_begin(c, TDA_PART_THINKING);
    if (!tda_str_eq(type, TDA_STR("function_call")) || tool_find(c, index)) return;
    struct tool *t = tool_new(c, index);
    if (t && member(item, "name").n) tool_open(c, t, member(item, "call_id"), member(item, "name"));
}

/* The blob is the whole item: it goes back as one item of the input. */
static void end_reasoning(struct codec *c, tda_json item) {
    if (c->parts.open_kind != TDA_PART_THINKING) return;
    if (member(item, "encrypted_content").n) part_signature(c, c->parts.open_part, json()->raw(item));
    part_end(c);
}

static void end_item(struct call *call, int64_t index, tda_json item) {
    struct tool *t = tool_find(&call->codec, index);
    if (tda_str_eq(member(item, "type"), TDA_STR("reasoning"))) end_reasoning(&call->codec, item);
    if (!t) return;
    if (!call->has_args) tool_args(&call->codec, t, member(item, "arguments")); /* some servers stream no fragments */
    call->has_args = false;
    tool_close(&call->codec, t);
}

/* ---- a stream ---- */

static void add_delta(struct call *call, tda_str type, tda_json event) {
    struct codec *c = &call->codec;
    tda_str text = member(event, "delta");
    if (tda_str_eq(type, TDA_STR("response.output_text.delta"))) {
        part_text(c, TDA_PART_TEXT, text);
    } else if (tda_str_eq(type, TDA_STR("response.refusal.delta"))) {
        call->refused = true;
        part_text(c, TDA_PART_TEXT, text);
    } else if (tda_str_eq(type, TDA_STR("response.reasoning_summary_text.delta")) ||
               tda_str_eq(type, TDA_STR("response.reasoning_text.delta"))) {
        part_text(c, TDA_PART_THINKING, text);
    } else if (tda_str_eq(type, TDA_STR("response.function_call_arguments.delta"))) {
        struct tool *t = tool_find(c, index_of(event));
        call->has_args = true;
        if (t) tool_args(c, t, text);
    }
}

static bool ends(tda_str type) {
    return tda_str_eq(type, TDA_STR("response.completed")) || tda_str_eq(type, TDA_STR("response.incomplete")) ||
           tda_str_eq(type, TDA_STR("response.failed"));
}

static void on_event(struct call *call, tda_json event) {
    struct codec *c = &call->codec;
    tda_str type = member(event, "type");
    tda_json item = json()->key(event, TDA_STR("item")), response = json()->key(event, TDA_STR("response"));
    if (tda_str_eq(type, TDA_STR("error")) || json()->type(json()->key(event, TDA_STR("error"))) == TDA_JSON_OBJECT)
        errors_from_event(c, event);
    else if (ends(type))
        finish(call, response);
    else if (tda_str_eq(type, TDA_STR("response.created")))
        part_start_answer(c, member(response, "id"), member(response, "model"));
    else if (tda_str_eq(type, TDA_STR("response.output_item.added")))
        begin_item(c, index_of(event), item);
    else if (tda_str_eq(type, TDA_STR("response.output_item.done")))
        end_item(call, index_of(event), item);
    else
        add_delta(call, type, event);
}

void responses_item(struct call *call, tda_str data) {
    tda_json event;
    tda_status s = json()->parse(call->codec.handle, data, &event);
    if (s == TDA_E_NOMEM)
        call_fail_memory(&call->codec);
    else if (s)
        call_fail(&call->codec, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    else
        on_event(call, event);
}

void responses_end(struct call *c) {
    if (!c->codec.parts.started) errors_not_json(&c->codec, "this, which is no event stream,");
    call_fail(&c->codec, TDA_C_PROTOCOL, "the stream was cut off: it ended without response.completed");
}

/* ---- a whole answer ---- */

static void add_message(struct call *call, tda_json content) {
    for (tda_json v = json()->first(content); json()->type(v); v = json()->next(v)) {
        tda_str refusal = member(v, "refusal");
        if (refusal.n) call->refused = true;
        part_text(&call->codec, TDA_PART_TEXT, refusal.n ? refusal : member(v, "text"));
    }
}

static void add_summary(struct codec *c, tda_json summary) {
    for (tda_json v = json()->first(summary); json()->type(v); v = json()->next(v))
        part_text(c, TDA_PART_THINKING, member(v, "text"));
}

void responses_whole(struct call *call) {
    struct codec *c = &call->codec;
    tda_json root, output;
    int64_t i = 0;
    bool parsed = codec_parse_body(c, &root);
    output = parsed ? json()->key(root, TDA_STR("output")) : (tda_json){NULL, 0};
    if (parsed && json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT) {
        errors_from_event(c, root);
        return;
    }
    if (json()->type(output) != TDA_JSON_ARRAY) {
        errors_not_json(c, parsed ? "an answer without an output list" : "an answer that is not well-formed JSON");
        return;
    }
    part_start_answer(c, member(root, "id"), member(root, "model"));
    for (tda_json v = json()->first(output); json()->type(v) && !c->over; v = json()->next(v), i++) {
        begin_item(c, i, v);
        add_summary(c, json()->key(v, TDA_STR("summary")));
        if (tda_str_eq(member(v, "type"), TDA_STR("message"))) add_message(call, json()->key(v, TDA_STR("content")));
        end_item(call, i, v);
    }
    finish(call, root);
}
