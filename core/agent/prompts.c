/* prompts.list, prompts.get, completions.get. Which prompts are enabled is checked here, like tools: whoever asks. */
#include "agent/server_op.h"

static bool is_enabled(const struct work *w, tda_str prompt) {
    return snapshot_enables(w->snapshot, ENABLED_PROMPTS, prompt);
}

static void write_prompt(struct server_op *op, struct json prompt) {
    struct jw *w = &op->items_w;
    put_member(w, "name", prompt, "name");
    put_member(w, "title", prompt, "title");
    put_member(w, "description", prompt, "description");
    put_member(w, "arguments", prompt, "arguments");
    jw_put_bool(w, "enabled", is_enabled(op->work, json_str(json_key(prompt, TDA_STR("name")))));
}

void agent_prompts_list(struct work *w) {
    server_op_begin(&(struct server_op){.work = w, .op = TDA_AOP_LIST_PROMPTS, .list = "prompts", .write = write_prompt});
}

static tda_status check_enabled(const struct work *w, tda_str prompt, struct error *e) {
    if (is_enabled(w, prompt)) return TDA_OK;
    error_set(e, TDA_E_DENIED, "prompt_disabled", "the prompt %.*s is not enabled here", (int)(prompt.n < 128 ? prompt.n : 128),
              prompt.p);
    error_field(e, "name");
    error_hint(e, "profile.put and tools.enable say which prompts are");
    return TDA_E_DENIED;
}

static void write_messages(struct server_op *op, struct json answer) {
    struct jw *w = op->work->out;
    jw_put_str(w, "prompt", op->name);
    put_member(w, "description", answer, "description");
    put_member(w, "messages", answer, "messages");
}

void agent_prompts_get(struct work *w) {
    struct error e = {.retry_ms = -1};
    tda_str name = json_str(json_key(w->params, TDA_STR("name")));
    if (check_enabled(w, name, &e)) {
        w->done(w, &e);
        return;
    }
    server_op_begin(&(struct server_op){.work = w,
                                        .op = TDA_AOP_GET_PROMPT,
                                        .name = name,
                                        .args = json_raw(json_key(w->params, TDA_STR("arguments"))),
                                        .write = write_messages});
}

/* ---- completions ---- */

static void write_completion(struct server_op *op, struct json answer) {
    struct json c = json_key(answer, TDA_STR("completion"));
    put_member(op->work->out, "values", c, "values");
    put_member(op->work->out, "total", c, "total");
    put_member(op->work->out, "has_more", c, "hasMore");
}

/* In MCP's words, which are an adapter's parameters of COMPLETE. */
static void write_params(const struct work *w, tda_str prompt, tda_str resource, struct jw *out) {
    struct json context = json_key(w->params, TDA_STR("context"));
    jw_begin_object(out);
    jw_open_object(out, "ref");
    jw_put_z(out, "type", prompt.p ? "ref/prompt" : "ref/resource");
    jw_put_str(out, prompt.p ? "name" : "uri", prompt.p ? prompt : resource);
    jw_end_object(out);
    jw_open_object(out, "argument");
    put_member(out, "name", w->params, "argument");
    put_member(out, "value", w->params, "value");
    jw_end_object(out);
    if (json_type(context)) {
        jw_open_object(out, "context");
        jw_put_raw(out, "arguments", json_raw(context));
        jw_end_object(out);
    }
    jw_end_object(out);
}

static tda_status completion_params(struct work *w, tda_str *ret, struct error *e) {
    tda_str prompt = json_str(json_key(w->params, TDA_STR("prompt"))),
            resource = json_str(json_key(w->params, TDA_STR("template")));
    struct buf text;
    struct jw out;
    if (!prompt.p == !resource.p) {
        error_set(e, TDA_E_INVALID, "invalid_param", "either prompt or template is wanted: whose argument is to be completed");
        error_field(e, "prompt");
        return TDA_E_INVALID;
    }
    if (prompt.p && check_enabled(w, prompt, e)) return e->status;
    buf_init(&text, json_raw(w->params).n * 2 + 1024);
    jw_init(&out, &text);
    write_params(w, prompt, resource, &out);
    *ret = arena_str(w->arena, buf_str(&text));
    if (text.status) *ret = (tda_str){0};
    buf_fini(&text);
    return ret->p ? TDA_OK : error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
}

void agent_completions_get(struct work *w) {
    struct error e = {.retry_ms = -1};
    tda_str args;
    if (completion_params(w, &args, &e)) {
        w->done(w, &e);
        return;
    }
    server_op_begin(&(struct server_op){.work = w, .op = TDA_AOP_COMPLETE, .args = args, .write = write_completion});
}
