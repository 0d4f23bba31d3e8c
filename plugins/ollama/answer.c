/* Lines of a stream, or the one object of a whole answer -> parts. Both have the same members, so one reader does. The last line
 * says "done": true; a stream without it was cut off. Tool calls come whole, often without an id. */
#include "ollama.h"

static void add_tool_calls(struct codec *c, tda_json list) {
    for (tda_json v = json()->first(list); json()->type(v) && !c->over; v = json()->next(v)) {
        tda_json function = json()->key(v, TDA_STR("function")), args = json()->key(function, TDA_STR("arguments"));
        struct tool *t = tool_new(c, c->parts.n_tools);
        if (!t) return;
        if (!member(function, "name").n) continue; /* the answer's end says so */
        tool_open(c, t, member(v, "id"), member(function, "name"));
        tool_args(c, t, json()->type(args) == TDA_JSON_STRING ? json()->str(args) : json()->raw(args));
        tool_close(c, t);
    }
}

static uint32_t stop_of(const struct codec *c, tda_str reason) {
    if (tda_str_eq(reason, TDA_STR("length"))) return TDA_STOP_MAX_TOKENS;
    if (c->parts.n_tools) return TDA_STOP_TOOL_USE;
    return tda_str_eq(reason, TDA_STR("stop")) || !reason.n ? TDA_STOP_END_TURN : TDA_STOP_OTHER;
}

/* prompt_eval_count is left out where the prompt was cached: unknown, not 0. */
static void note_usage(struct codec *c, tda_json root) {
    c->has_usage = true;
    c->usage = (struct tda_usage){.size = sizeof c->usage,
                                  .input = count_at(root, "prompt_eval_count"),
                                  .output = count_at(root, "eval_count"),
                                  .cache_read = TDA_UNKNOWN,
                                  .cache_write = TDA_UNKNOWN,
                                  .reasoning = TDA_UNKNOWN};
}

static void read_object(struct codec *c, tda_json root) {
    tda_json message = json()->key(root, TDA_STR("message"));
    int32_t done = 0;
    if (json()->type(json()->key(root, TDA_STR("error")))) {
        errors_from_event(c, root);
        return;
    }
    if (json()->type(message) != TDA_JSON_OBJECT) {
        errors_not_json(c, "an answer without a message");
        return;
    }
    part_start_answer(c, (tda_str){NULL, 0}, member(root, "model"));
    part_text(c, TDA_PART_THINKING, member(message, "thinking"));
    part_text(c, TDA_PART_TEXT, member(message, "content"));
    add_tool_calls(c, json()->key(message, TDA_STR("tool_calls")));
    json()->boolean(json()->key(root, TDA_STR("done")), &done);
    if (!done || c->over) return;
    note_usage(c, root);
    tda_str reason = member(root, "done_reason");
    codec_whole(c, stop_of(c, reason), reason);
}

void answer_line(struct codec *c, tda_str name, tda_str id, tda_str line) {
    tda_json root;
    (void)name, (void)id;
    tda_status s = json()->parse(c->handle, line, &root);
    if (s == TDA_E_NOMEM)
        call_fail_memory(c);
    else if (s)
        errors_not_json(c, "a line that is not well-formed JSON");
    else
        read_object(c, root);
}

void answer_whole(struct codec *c) {
    tda_json root;
    if (!codec_parse_body(c, &root))
        errors_not_json(c, "an answer that is not well-formed JSON");
    else
        read_object(c, root);
    if (!c->whole) call_fail(c, TDA_C_PROTOCOL, "the answer was cut off: it does not say \"done\": true");
}
