/* Events of a stream, or the message of a whole answer -> parts. A stream's block begins with content_block_start, which holds the
 * same object as a whole answer, only empty; so one reader does.
 *
 *     message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop
 *
 * `ping` may come anywhere, and events and blocks that we do not know are left out, as the service asks of its clients. */
#include "anthropic.h"

/* ---- blocks ---- */

static void sign(struct codec *c, tda_str blob) {
    if (c->parts.open_kind == TDA_PART_THINKING) part_signature(c, c->parts.open_part, blob);
}

static void add_redacted(struct codec *c, tda_str data) {
    struct text blob = {0};
    text_add_z(&blob, REDACTED_MARK, BODY_MAX);
    text_add(&blob, data, BODY_MAX);
    if (blob.status) call_fail_memory(c);
    part_begin(c, TDA_PART_THINKING);
    sign(c, text_str(&blob));
    text_fini(&blob);
}

static void begin_tool(struct codec *c, tda_json block, int64_t index) {
    struct tool *t = tool_new(c, index);
    tda_json input = json()->key(block, TDA_STR("input"));
    if (!t || !member(block, "name").n) return; /* the end of the answer says what is missing */
    tool_open(c, t, member(block, "id"), member(block, "name"));
    if (json()->count(input)) tool_args(c, t, json()->raw(input)); /* {} where fragments follow */
}

static void begin_block(struct codec *c, tda_json block, int64_t index) {
    tda_str type = member(block, "type");
    part_end(c);
    if (tda_str_eq(type, TDA_STR("text"))) {
        part_text(c, TDA_PART_TEXT, member(block, "text"));
    } else if (tda_str_eq(type, TDA_STR("thinking"))) {
        part_begin(c, TDA_PART_THINKING); /* even without text: the signature counts */
        part_text(c, TDA_PART_THINKING, member(block, "thinking"));
        sign(c, member(block, "signature"));
    } else if (tda_str_eq(type, TDA_STR("redacted_thinking"))) {
        add_redacted(c, member(block, "data"));
    } else if (tda_str_eq(type, TDA_STR("tool_use"))) {
        begin_tool(c, block, index);
    }
}

static void add_delta(struct codec *c, tda_json delta, int64_t index) {
    tda_str type = member(delta, "type");
    struct tool *t = tool_find(c, index);
    if (tda_str_eq(type, TDA_STR("text_delta")))
        part_text(c, TDA_PART_TEXT, member(delta, "text"));
    else if (tda_str_eq(type, TDA_STR("thinking_delta")))
        part_text(c, TDA_PART_THINKING, member(delta, "thinking"));
    else if (tda_str_eq(type, TDA_STR("signature_delta")))
        sign(c, member(delta, "signature"));
    else if (tda_str_eq(type, TDA_STR("input_json_delta")) && t && !t->closed)
        tool_args(c, t, member(delta, "partial_json"));
}

static void end_block(struct codec *c, int64_t index) {
    struct tool *t = tool_find(c, index);
    if (t)
        tool_close(c, t);
    else
        part_end(c);
}

/* ---- usage ---- */

static void take(uint64_t *count, tda_json usage, const char *name) {
    uint64_t n = count_at(usage, name);
    if (n != TDA_UNKNOWN) *count = n;
}

static uint64_t known(uint64_t n) {
    return n == TDA_UNKNOWN ? 0 : n;
}

/* A stream counts twice: message_start has the input, message_delta the output, and sometimes all of it again; each is the sum so
 * far. input_tokens are those that no cache had a part in. */
static void note_usage(struct call *call, tda_json usage) {
    struct codec *c = &call->codec;
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    take(&call->input, usage, "input_tokens");
    take(&call->created, usage, "cache_creation_input_tokens");
    take(&call->read, usage, "cache_read_input_tokens");
    take(&call->output, usage, "output_tokens");
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = call->input,
                                  .output = call->output,
                                  .cache_read = call->read,
                                  .cache_write = call->created,
                                  .reasoning = TDA_UNKNOWN};
    if (call->input != TDA_UNKNOWN) c->usage.input += known(call->created) + known(call->read);
}

/* ---- the end ---- */

static const struct {
    const char *word;
    uint32_t stop;
} stops[] = {
    {"max_tokens", TDA_STOP_MAX_TOKENS}, {"stop_sequence", TDA_STOP_SEQUENCE},
    {"refusal", TDA_STOP_REFUSAL},       {"model_context_window_exceeded", TDA_STOP_CONTEXT_FULL},
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
    tda_str reason = member(holder, "stop_reason");
    if (reason.n) line_copy(c->reason, sizeof c->reason, reason);
}

static void whole(struct call *c) {
    codec_whole(&c->codec, stop_of(c), tda_str_of(c->reason));
}

/* ---- a stream ---- */

static void begin_message(struct call *c, tda_json message) {
    part_start_answer(&c->codec, member(message, "id"), member(message, "model"));
    note_usage(c, json()->key(message, TDA_STR("usage")));
}

static void read_event(struct call *call, tda_str type, tda_json root) {
    struct codec *c = &call->codec;
    int64_t index = 0;
    json()->i64(json()->key(root, TDA_STR("index")), &index);
    if (tda_str_eq(type, TDA_STR("message_start"))) {
        begin_message(call, json()->key(root, TDA_STR("message")));
    } else if (tda_str_eq(type, TDA_STR("content_block_start"))) {
        begin_block(c, json()->key(root, TDA_STR("content_block")), index);
    } else if (tda_str_eq(type, TDA_STR("content_block_delta"))) {
        add_delta(c, json()->key(root, TDA_STR("delta")), index);
    } else if (tda_str_eq(type, TDA_STR("content_block_stop"))) {
        end_block(c, index);
    } else if (tda_str_eq(type, TDA_STR("message_delta"))) {
        note_reason(call, json()->key(root, TDA_STR("delta")));
        note_usage(call, json()->key(root, TDA_STR("usage")));
    } else if (tda_str_eq(type, TDA_STR("message_stop"))) {
        whole(call);
    } else if (tda_str_eq(type, TDA_STR("error"))) {
        errors_from_event(c, root);
    }
}

void stream_item(struct codec *c, tda_str event, tda_str id, tda_str data) {
    tda_json root;
    (void)id;
    if (!data.n) return;
    tda_status s = json()->parse(c->handle, data, &root);
    tda_str type = s ? event : member(root, "type");
    if (s == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (s)
        call_fail(c, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    else
        read_event((struct call *)c, type.n ? type : event, root);
}

void stream_end(struct call *c) {
    if (c->codec.parts.started)
        call_fail(&c->codec, TDA_C_PROTOCOL, "the stream was cut off: it ended without message_stop");
    else
        errors_not_json(&c->codec, "this, which is no event stream,");
}

/* ---- a whole answer ---- */

static void read_message(struct call *c, tda_json root) {
    int64_t index = 0;
    begin_message(c, root);
    for (tda_json v = json()->first(json()->key(root, TDA_STR("content"))); json()->type(v); v = json()->next(v), index++) {
        begin_block(&c->codec, v, index);
        end_block(&c->codec, index);
    }
    note_reason(c, root);
    whole(c);
}

void stream_whole(struct call *c) {
    tda_json root;
    if (!codec_parse_body(&c->codec, &root))
        errors_not_json(&c->codec, "an answer that is not well-formed JSON");
    else if (json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT)
        errors_from_event(&c->codec, root);
    else if (json()->type(json()->key(root, TDA_STR("content"))) != TDA_JSON_ARRAY)
        errors_not_json(&c->codec, "an answer without content");
    else
        read_message(c, root);
}
