/* Events of a stream, or the message of a whole answer -> parts.
 *
 *     messageStart (contentBlockStart? contentBlockDelta* contentBlockStop)* messageStop metadata
 *
 * contentBlockStart comes for tool calls only. The usage stands in metadata, behind messageStop: with it, or with the end of the
 * stream, the answer is whole. Events, blocks and members that we do not know are left out ("p" is padding). */
#include "amazon.h"

/* ---- reasoning ---- */

static void think(struct codec *c, tda_str text) {
    if (c->parts.open_kind != TDA_PART_THINKING) part_begin(c, TDA_PART_THINKING);
    part_text(c, TDA_PART_THINKING, text);
}

static void sign(struct codec *c, tda_str blob) {
    if (!blob.n) return;
    think(c, (tda_str){NULL, 0}); /* the text may be kept back by the vendor: the signature counts all the same */
    part_signature(c, c->parts.open_part, blob);
}

static void add_redacted(struct codec *c, tda_str data) {
    struct text blob = {0};
    if (!data.n) return;
    text_add_z(&blob, REDACTED_MARK, BODY_MAX);
    text_add(&blob, data, BODY_MAX);
    if (blob.status) call_fail_memory(c);
    part_begin(c, TDA_PART_THINKING);
    sign(c, text_str(&blob));
    text_fini(&blob);
}

/* ---- blocks ---- */

/* A tool that the service runs itself is none of the caller's. */
static void begin_tool(struct call *call, tda_json tool, int64_t index) {
    struct codec *c = &call->codec;
    call->passing_over = member(tool, "type").n > 0;
    if (call->passing_over) return;
    struct tool *t = tool_new(c, index);
    if (!t || !member(tool, "name").n) return; /* the end of the answer says what is missing */
    tool_open(c, t, member(tool, "toolUseId"), member(tool, "name"));
}

static void add_args(struct call *call, tda_str text, int64_t index) {
    struct tool *t = tool_find(&call->codec, index);
    if (call->passing_over || (t && t->closed)) return;
    if (!t) t = tool_new(&call->codec, index);
    if (t) tool_args(&call->codec, t, text);
}

static void end_block(struct call *call, int64_t index) {
    struct tool *t = tool_find(&call->codec, index);
    call->passing_over = false;
    if (t)
        tool_close(&call->codec, t);
    else
        part_end(&call->codec);
}

static void add_delta(struct call *call, tda_json delta, int64_t index) {
    struct codec *c = &call->codec;
    tda_json reasoning = json()->key(delta, TDA_STR("reasoningContent")), tool = json()->key(delta, TDA_STR("toolUse"));
    part_text(c, TDA_PART_TEXT, member(delta, "text"));
    if (json()->type(tool)) add_args(call, member(tool, "input"), index);
    if (!json()->type(reasoning)) return;
    if (member(reasoning, "text").n) think(c, member(reasoning, "text"));
    sign(c, member(reasoning, "signature"));
    add_redacted(c, member(reasoning, "redactedContent"));
}

/* A block of a whole answer. */
static void add_block(struct call *call, tda_json block, int64_t index) {
    struct codec *c = &call->codec;
    tda_json tool = json()->key(block, TDA_STR("toolUse")), reasoning = json()->key(block, TDA_STR("reasoningContent"));
    tda_json thought = json()->key(reasoning, TDA_STR("reasoningText"));
    part_text(c, TDA_PART_TEXT, member(block, "text"));
    if (json()->type(tool)) {
        begin_tool(call, tool, index);
        add_args(call, json()->raw(json()->key(tool, TDA_STR("input"))), index);
    }
    if (member(thought, "text").n) think(c, member(thought, "text"));
    sign(c, member(thought, "signature"));
    add_redacted(c, member(reasoning, "redactedContent"));
    end_block(call, index);
}

/* ---- usage ---- */

static uint64_t known(uint64_t n) {
    return n == TDA_UNKNOWN ? 0 : n;
}

/* inputTokens are those that no cache had a part in. */
static void note_usage(struct codec *c, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = count_at(usage, "inputTokens"),
                                  .output = count_at(usage, "outputTokens"),
                                  .cache_read = count_at(usage, "cacheReadInputTokens"),
                                  .cache_write = count_at(usage, "cacheWriteInputTokens"),
                                  .reasoning = TDA_UNKNOWN};
    if (c->usage.input != TDA_UNKNOWN) c->usage.input += known(c->usage.cache_read) + known(c->usage.cache_write);
}

/* ---- the end ---- */

static const struct {
    const char *word;
    uint32_t stop;
} stops[] = {
    {"max_tokens", TDA_STOP_MAX_TOKENS},
    {"stop_sequence", TDA_STOP_SEQUENCE},
    {"guardrail_intervened", TDA_STOP_FILTER},
    {"content_filtered", TDA_STOP_FILTER},
    {"malformed_tool_use", TDA_STOP_MALFORMED_TOOL},
    {"model_context_window_exceeded", TDA_STOP_CONTEXT_FULL},
    {"refusal", TDA_STOP_REFUSAL},
    {"pause_turn", TDA_STOP_PAUSE},
};

/* Where tools are concerned the answer itself is believed, not the word. */
static uint32_t stop_of(const struct call *c) {
    tda_str reason = tda_str_of(c->reason);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (tda_str_eq(reason, tda_str_of(stops[i].word))) return stops[i].stop;
    if (c->codec.parts.n_tools) return TDA_STOP_TOOL_USE;
    if (tda_str_eq(reason, TDA_STR("tool_use"))) return TDA_STOP_MALFORMED_TOOL;
    return tda_str_eq(reason, TDA_STR("end_turn")) ? TDA_STOP_END_TURN : TDA_STOP_OTHER;
}

static void note_reason(struct call *c, tda_json holder) {
    line_copy(c->reason, sizeof c->reason, member(holder, "stopReason"));
}

static void whole(struct call *c) {
    codec_whole(&c->codec, stop_of(c), tda_str_of(c->reason));
}

static void begin_message(struct codec *c) {
    part_start_answer(c, tda_str_of(c->request_id), (tda_str){NULL, 0}); /* an answer has no id of its own */
}

/* ---- a stream ---- */

static void read_event(struct call *call, tda_str name, tda_json root) {
    struct codec *c = &call->codec;
    int64_t index = 0;
    json()->i64(json()->key(root, TDA_STR("contentBlockIndex")), &index);
    begin_message(c);
    if (tda_str_eq(name, TDA_STR("contentBlockStart"))) {
        tda_json tool = json()->get(root, "start.toolUse");
        part_end(c);
        if (json()->type(tool)) begin_tool(call, tool, index);
    } else if (tda_str_eq(name, TDA_STR("contentBlockDelta"))) {
        add_delta(call, json()->key(root, TDA_STR("delta")), index);
    } else if (tda_str_eq(name, TDA_STR("contentBlockStop"))) {
        end_block(call, index);
    } else if (tda_str_eq(name, TDA_STR("messageStop"))) {
        note_reason(call, root);
    } else if (tda_str_eq(name, TDA_STR("metadata"))) {
        note_usage(c, json()->key(root, TDA_STR("usage")));
        if (call->reason[0]) whole(call);
    }
}

void stream_item(struct codec *c, tda_str name, tda_str kind, tda_str data) {
    struct call *call = (struct call *)c;
    tda_json root = {NULL, 0};
    tda_status s = json()->parse(c->handle, data, &root);
    if (s == TDA_E_NOMEM) {
        call_fail_memory(c);
    } else if (!tda_str_eq(kind, TDA_STR("event"))) {
        call->exception = name;
        if (s) call->exception_text = data;
        errors_from_event(c, s ? (tda_json){NULL, 0} : root);
    } else if (s) {
        call_fail(c, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    } else if (call->invoke) {
        invoke_chunk(call, root);
    } else {
        read_event(call, name, root);
    }
}

void stream_end(struct call *c) {
    if (c->invoke)
        claude_end(&c->codec);
    else if (c->reason[0])
        whole(c);
    else if (c->codec.parts.started)
        call_fail(&c->codec, TDA_C_PROTOCOL, "the stream was cut off: it ended without messageStop");
    else
        errors_not_json(&c->codec, "this, which is no event stream,");
}

/* ---- a whole answer ---- */

static void read_message(struct call *c, tda_json root, tda_json content) {
    int64_t index = 0;
    begin_message(&c->codec);
    for (tda_json v = json()->first(content); json()->type(v) && !c->codec.over; v = json()->next(v)) add_block(c, v, index++);
    note_reason(c, root);
    note_usage(&c->codec, json()->key(root, TDA_STR("usage")));
    whole(c);
}

static void read_body(struct call *c) {
    tda_json root, content = {NULL, 0};
    bool parsed = codec_parse_body(&c->codec, &root);
    if (parsed) content = json()->get(root, "output.message.content");
    if (!parsed)
        errors_not_json(&c->codec, "an answer that is not well-formed JSON");
    else if (json()->type(content) != TDA_JSON_ARRAY)
        errors_not_json(&c->codec, "an answer without output.message");
    else
        read_message(c, root, content);
}

void stream_whole(struct call *c) {
    if (c->invoke)
        claude_whole(&c->codec, &c->claude);
    else
        read_body(c);
}
