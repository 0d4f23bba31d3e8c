/* A GenerateContentResponse -> parts. A stream is a row of them, so one reader does. Function calls come whole, often without an
 * id, and end an answer with STOP: the part tells, not the word.
 *
 * A signature may stand on any part, an empty text among them. Text is joined into one part as long as nothing is signed; what is
 * signed stays a part of its own, so that it can go back as it came. */
#include <stdio.h>

#include "google.h"

/* ---- parts ---- */

static void add_signed(struct codec *c, uint32_t kind, tda_str text, tda_str signature) {
    part_begin(c, kind);
    part_text(c, kind, text);
    part_signature(c, c->parts.open_part, signature);
    part_end(c);
}

static void add_call(struct codec *c, tda_json call, tda_str signature) {
    struct tool *t = tool_new(c, c->parts.n_tools);
    tda_json args = json()->key(call, TDA_STR("args"));
    if (!t || !member(call, "name").n) return; /* the end of the answer says what is missing */
    tool_open(c, t, member(call, "id"), member(call, "name"));
    if (json()->count(args)) tool_args(c, t, json()->raw(args));
    part_signature(c, t->part, signature);
    tool_close(c, t);
}

static void add_part(struct codec *c, tda_json v) {
    int32_t thought = 0;
    tda_json call = json()->key(v, TDA_STR("functionCall")), text = json()->key(v, TDA_STR("text"));
    tda_str signature = member(v, "thoughtSignature");
    json()->boolean(json()->key(v, TDA_STR("thought")), &thought);
    uint32_t kind = thought ? TDA_PART_THINKING : TDA_PART_TEXT;
    bool bare = signature.n && json()->count(v) == 1; /* as good as an empty text */
    if (json()->type(call) == TDA_JSON_OBJECT)
        add_call(c, call, signature);
    else if (bare || (signature.n && json()->type(text) == TDA_JSON_STRING))
        add_signed(c, kind, json()->str(text), signature);
    else
        part_text(c, kind, json()->str(text));
}

/* ---- usage ---- */

static uint64_t sum(uint64_t a, uint64_t b) {
    if (a == TDA_UNKNOWN) return b;
    return b == TDA_UNKNOWN ? a : a + b;
}

/* Prompts count with what the cache held; thoughts, and what tools of the service's own took in, stand apart. A count of 0 is left
 * out, so an answer that was all thoughts has no candidatesTokenCount: the total tells then. */
static void note_usage(struct codec *c, tda_json usage) {
    if (json()->type(usage) != TDA_JSON_OBJECT) return;
    uint64_t total = count_at(usage, "totalTokenCount"), thoughts = count_at(usage, "thoughtsTokenCount");
    uint64_t input = sum(count_at(usage, "promptTokenCount"), count_at(usage, "toolUsePromptTokenCount"));
    uint64_t output = sum(count_at(usage, "candidatesTokenCount"), thoughts);
    if (output == TDA_UNKNOWN && input != TDA_UNKNOWN && total != TDA_UNKNOWN && total >= input) output = total - input;
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = input,
                                  .output = output,
                                  .cache_read = count_at(usage, "cachedContentTokenCount"),
                                  .cache_write = TDA_UNKNOWN,
                                  .reasoning = thoughts};
}

/* ---- the end ---- */

static const struct {
    const char *word;
    uint32_t stop;
} stops[] = {
    {"MAX_TOKENS", TDA_STOP_MAX_TOKENS},
    {"SAFETY", TDA_STOP_FILTER},
    {"RECITATION", TDA_STOP_FILTER},
    {"BLOCKLIST", TDA_STOP_FILTER},
    {"PROHIBITED_CONTENT", TDA_STOP_FILTER},
    {"SPII", TDA_STOP_FILTER},
    {"MALFORMED_FUNCTION_CALL", TDA_STOP_MALFORMED_TOOL},
    {"UNEXPECTED_TOOL_CALL", TDA_STOP_MALFORMED_TOOL},
    {"TOO_MANY_TOOL_CALLS", TDA_STOP_MALFORMED_TOOL},
};

static uint32_t stop_of(const struct call *c) {
    tda_str reason = tda_str_of(c->reason);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (tda_str_eq(reason, tda_str_of(stops[i].word))) return stops[i].stop;
    if (c->codec.parts.n_tools) return TDA_STOP_TOOL_USE;
    return tda_str_eq(reason, TDA_STR("STOP")) ? TDA_STOP_END_TURN : TDA_STOP_OTHER;
}

static void whole(struct call *c) {
    codec_whole(&c->codec, stop_of(c), tda_str_of(c->reason));
}

/* ---- one response ---- */

/* The question itself was refused: no candidates, only why. */
static void fail_blocked(struct codec *c, tda_json feedback, tda_str why) {
    char word[64], message[256];
    line_copy(word, sizeof word, why);
    line_copy(message, sizeof message, member(feedback, "blockReasonMessage"));
    c->fault = (struct fault){.cls = TDA_C_FILTER, .retry_ms = -1, .http_status = c->reply.status};
    line_copy(c->fault.code, sizeof c->fault.code, why);
    snprintf(c->fault.text, sizeof c->fault.text, "the service's filter refused the question (%s)%s%s", word,
             message[0] ? ": " : "", message);
    call_end(c);
}

/* false: the call has ended. */
static bool read_response(struct call *call, tda_json root) {
    struct codec *c = &call->codec;
    tda_json candidate = json()->get(root, "candidates.0"), feedback = json()->key(root, TDA_STR("promptFeedback"));
    tda_str blocked = member(feedback, "blockReason"), reason = member(candidate, "finishReason");
    note_usage(c, json()->key(root, TDA_STR("usageMetadata")));
    if (blocked.n && json()->type(candidate) != TDA_JSON_OBJECT) {
        fail_blocked(c, feedback, blocked);
        return false;
    }
    if (json()->type(candidate) != TDA_JSON_OBJECT) return true; /* one with the usage only */
    part_start_answer(c, member(root, "responseId"), member(root, "modelVersion"));
    tda_json parts = json()->get(candidate, "content.parts");
    for (tda_json v = json()->first(parts); json()->type(v) && !c->over; v = json()->next(v)) add_part(c, v);
    if (reason.n) line_copy(call->reason, sizeof call->reason, reason);
    return !c->over;
}

static bool is_error(tda_json root) {
    return json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT;
}

/* ---- a stream, a whole answer ---- */

void stream_item(struct codec *c, tda_str event, tda_str id, tda_str data) {
    tda_json root;
    (void)event, (void)id;
    if (!data.n) return;
    tda_status s = json()->parse(c->handle, data, &root);
    if (s == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (s)
        call_fail(c, TDA_C_PROTOCOL, "an event of the stream is not well-formed JSON");
    else if (is_error(root))
        errors_from_event(c, root);
    else
        read_response((struct call *)c, root);
}

/* The stream has no mark at its end: it is whole when an answer had its reason and the connection ended well. */
void stream_end(struct call *c) {
    if (!c->codec.parts.started)
        errors_not_json(&c->codec, "this, which is no event stream,");
    else if (!c->reason[0])
        call_fail(&c->codec, TDA_C_PROTOCOL, "the stream was cut off: it ended without finishReason");
    whole(c);
}

static bool is_response(tda_json root) {
    return json()->type(json()->get(root, "candidates.0")) == TDA_JSON_OBJECT ||
           json()->str(json()->get(root, "promptFeedback.blockReason")).n > 0;
}

void stream_whole(struct call *c) {
    tda_json root;
    if (!codec_parse_body(&c->codec, &root))
        errors_not_json(&c->codec, "an answer that is not well-formed JSON");
    else if (is_error(root))
        errors_from_event(&c->codec, root);
    else if (!is_response(root))
        errors_not_json(&c->codec, "an answer without candidates");
    else if (read_response(c, root))
        whole(c);
}
