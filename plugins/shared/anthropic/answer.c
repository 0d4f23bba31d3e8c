/* Events of a stream, or the message of a whole answer -> parts. A stream's block begins with content_block_start, which holds the
 * same object as a whole answer, only empty; so one reader does.
 *
 *     message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop
 *
 * `ping` may come anywhere, and events and blocks that we do not know are left out, as the service asks of its clients. */
#include "claude.h"

void claude_init(struct claude *a) {
    *a = (struct claude){.input = TDA_UNKNOWN, .created = TDA_UNKNOWN, .read = TDA_UNKNOWN, .output = TDA_UNKNOWN};
}

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
static void note_usage(struct codec *c, struct claude *a, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    take(&a->input, usage, "input_tokens");
    take(&a->created, usage, "cache_creation_input_tokens");
    take(&a->read, usage, "cache_read_input_tokens");
    take(&a->output, usage, "output_tokens");
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = a->input,
                                  .output = a->output,
                                  .cache_read = a->read,
                                  .cache_write = a->created,
                                  .reasoning = TDA_UNKNOWN};
    if (a->input != TDA_UNKNOWN) c->usage.input += known(a->created) + known(a->read);
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
static uint32_t stop_of(const struct codec *c, tda_str reason) {
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (tda_str_eq(reason, tda_str_of(stops[i].word))) return stops[i].stop;
    if (c->parts.n_tools) return TDA_STOP_TOOL_USE;
    if (tda_str_eq(reason, TDA_STR("tool_use"))) return TDA_STOP_MALFORMED_TOOL;
    return tda_str_eq(reason, TDA_STR("end_turn")) ? TDA_STOP_END_TURN : TDA_STOP_OTHER;
}

static void note_reason(struct claude *a, tda_json holder) {
    tda_str reason = member(holder, "stop_reason");
    if (reason.n) line_copy(a->reason, sizeof a->reason, reason);
}

static void whole(struct codec *c, const struct claude *a) {
    tda_str reason = tda_str_of(a->reason);
    codec_whole(c, stop_of(c, reason), reason);
}

/* ---- a stream ---- */

static void begin_message(struct codec *c, struct claude *a, tda_json message) {
    part_start_answer(c, member(message, "id"), member(message, "model"));
    note_usage(c, a, json()->key(message, TDA_STR("usage")));
}

static void read_event(struct codec *c, struct claude *a, tda_str type, tda_json root) {
    int64_t index = 0;
    json()->i64(json()->key(root, TDA_STR("index")), &index);
    if (tda_str_eq(type, TDA_STR("message_start"))) {
        begin_message(c, a, json()->key(root, TDA_STR("message")));
    } else if (tda_str_eq(type, TDA_STR("content_block_start"))) {
        begin_block(c, json()->key(root, TDA_STR("content_block")), index);
    } else if (tda_str_eq(type, TDA_STR("content_block_delta"))) {
        add_delta(c, json()->key(root, TDA_STR("delta")), index);
    } else if (tda_str_eq(type, TDA_STR("content_block_stop"))) {
        end_block(c, index);
    } else if (tda_str_eq(type, TDA_STR("message_delta"))) {
        note_reason(a, json()->key(root, TDA_STR("delta")));
        note_usage(c, a, json()->key(root, TDA_STR("usage")));
    } else if (tda_str_eq(type, TDA_STR("message_stop"))) {
        whole(c, a);
    } else if (tda_str_eq(type, TDA_STR("error"))) {
        errors_from_event(c, root);
    }
}

void claude_event(struct codec *c, struct claude *a, tda_str event, tda_str data) {
    tda_json root;
    if (!data.n) return;
    tda_status s = json()->parse(c->handle, data, &root);
    tda_str type = s ? event : member(root, "type");
    if (s == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (s)
        call_fail(c, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    else
        read_event(c, a, type.n ? type : event, root);
}

void claude_end(struct codec *c) {
    if (c->parts.started)
        call_fail(c, TDA_C_PROTOCOL, "the stream was cut off: it ended without message_stop");
    else
        errors_not_json(c, "this, which is no event stream,");
}

/* ---- a whole answer ---- */

static void read_message(struct codec *c, struct claude *a, tda_json root) {
    int64_t index = 0;
    begin_message(c, a, root);
    for (tda_json v = json()->first(json()->key(root, TDA_STR("content"))); json()->type(v); v = json()->next(v), index++) {
        begin_block(c, v, index);
        end_block(c, index);
    }
    note_reason(a, root);
    whole(c, a);
}

static bool read_body(struct codec *c, tda_json *ret_root) {
    if (!codec_parse_body(c, ret_root))
        errors_not_json(c, "an answer that is not well-formed JSON");
    else if (json()->type(json()->key(*ret_root, TDA_STR("error"))) == TDA_JSON_OBJECT)
        errors_from_event(c, *ret_root);
    else if (json()->type(json()->key(*ret_root, TDA_STR("content"))) != TDA_JSON_ARRAY)
        errors_not_json(c, "an answer without content");
    return !c->over;
}

void claude_whole(struct codec *c, struct claude *a) {
    tda_json root;
    if (read_body(c, &root)) read_message(c, a, root);
}

bool claude_is_answer(struct codec *c) {
    tda_json root;
    return read_body(c, &root);
}
