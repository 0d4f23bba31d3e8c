/* chat.complete and agent.run: model and tools until the model stops or a limit is reached.
 *
 *   open toolbox -> ask model -> (tool calls side by side -> results in order -> ask model)* -> done
 *
 * One struct turn per work, in its arena, on its loop. Every callback that ends something is the last thing the ended part does, so
 * a turn may finish from inside it. */
#include <stdio.h>

#include "agent/account.h"
#include "agent/events.h"
#include "agent/message.h"
#include "agent/model_call.h"
#include "agent/tool_names.h"
#include "agent/toolbox.h"
#include "agent/trim.h"
#include "agent/turn_limits.h"

enum { TOOL_CALLS_MAX = 64, STEPS_LOG_MAX = 1 << 20, ANSWER_SHARE = 8 };

struct turn {
    struct work *work;
    struct history history;
    struct tda_request request;
    struct tool_names names; /* the caller's and the server's, as the model sees them */
    struct model_call model;
    struct toolbox box;
    bool box_open, model_running, cancelled, with_tools;
    struct tool_call *calls; /* of this step */
    uint32_t n_calls, pending;
    uint32_t step;
    struct turn_limits limits;
    const struct tda_msg **sent; /* of the history, what fits into the model's context */
    uint32_t n_sent, cap_sent;
    uint32_t left_out;
    int64_t budget;      /* tokens; set when the model said that it was too much: once is enough */
    struct buf log_text; /* the steps, for the reply */
    struct jw log;
};

static void turn_finish(struct turn *t, const struct error *e) {
    struct work *w = t->work;
    w->cancel = NULL;
    model_call_fini(&t->model);
    if (t->box_open) toolbox_fini(&t->box);
    buf_fini(&t->log_text);
    if (e) event_end(w, NULL, e);
    w->done(w, e);
}

static void turn_fail(struct turn *t, tda_status status, const char *kind, const char *text) {
    struct error e;
    error_set(&e, status, kind, "%s", text);
    turn_finish(t, &e);
}

/* A model that was stopped at the step limit has asked for tools: each gets its result, or no service takes the conversation again.
 */
static tda_status add_refusals(struct turn *t, const struct tda_msg *asked) {
    struct arena *a = t->work->arena;
    struct tda_msg *m = arena_alloc(a, sizeof *m);
    struct tda_part *parts = arena_alloc(a, asked->n_parts * sizeof *parts), *why = arena_alloc(a, sizeof *why);
    const struct tda_part **list = arena_alloc(a, (asked->n_parts + 1) * sizeof *list);
    uint32_t n = 0;
    if (!m || !parts || !why || !list) return TDA_E_NOMEM;
    *why = (struct tda_part){.size = sizeof *why, .kind = TDA_PART_TEXT, .text = TDA_STR("not run: the turn ended at its limit")};
    list[asked->n_parts] = why;
    for (uint32_t i = 0; i < asked->n_parts; i++) {
        const struct tda_part *p = asked->parts[i];
        if (p->kind != TDA_PART_TOOL_USE) continue;
        parts[n] =
            (struct tda_part){.size = sizeof *parts, .kind = TDA_PART_TOOL_RESULT, .id = p->id, .name = p->name, .is_error = 1};
        parts[n].n_parts = 1;
        parts[n].parts = &list[asked->n_parts];
        list[n] = &parts[n];
        n++;
    }
    *m = (struct tda_msg){.size = sizeof *m, .role = TDA_ROLE_USER, .n_parts = n, .parts = list};
    return n ? history_add(&t->history, m) : TDA_OK;
}

static tda_str own_name(void *arg, tda_str alias) {
    return tool_names_own(arg, alias);
}

/* What this turn adds to its session, with the tools' own names. */
static tda_status record(struct turn *t) {
    const struct tda_msg *answer = answer_message(&t->model.answer, t->history.tag);
    if (!answer || history_add(&t->history, answer) || add_refusals(t, answer)) return TDA_E_NOMEM;
    if (history_rename_tools(&t->history, own_name, &t->names)) return TDA_E_NOMEM;
    t->work->record = &t->history.msgs[t->history.own];
    t->work->n_record = t->history.n - t->history.own;
    return TDA_OK;
}

static void turn_succeed(struct turn *t, const char *stop) {
    if (t->work->records && record(t)) {
        turn_fail(t, TDA_E_LIMIT, "request_too_large", "the turn needs more memory than one request may have");
        return;
    }
    struct jw *out = t->work->out;
    struct answer *a = &t->model.answer;
    for (size_t i = 0; i < a->n_parts; i++)
        if (a->parts[i].kind == TDA_PART_TOOL_USE) a->parts[i].name = tool_names_own(&t->names, a->parts[i].name);
    answer_write(a, t->history.tag, out);
    if (stop) jw_put_z(out, "stopped_by", stop);
    if (t->left_out) jw_put_u64(out, "left_out", t->left_out);
    if (t->with_tools) {
        jw_end_array(&t->log);
        buf_inherit(out->out, &t->log_text);
        tda_str steps = {0};
        if (!t->log_text.status) steps = buf_str(&t->log_text); /* never cut in half */
        jw_put_raw(out, "steps", steps);
    }
    event_end(t->work, stop ? stop : stop_name(t->model.answer.stop), NULL);
    turn_finish(t, NULL);
}

static void ask_model(struct turn *t);
static void start_call(struct turn *t);

/* ---- tools of one step ---- */

static tda_str tool_name(const struct tool_call *c) {
    return c->tool ? tda_str_of(c->tool->name) : c->name;
}

static tda_str server_name(const struct turn *t) {
    return tda_str_of(t->box.catalogue ? t->box.catalogue->server : "");
}

static void log_call(struct turn *t, const struct tool_call *c, const struct error *e) {
    jw_begin_object(&t->log);
    jw_put_i64(&t->log, "step", t->step);
    jw_put_str(&t->log, "tool", tool_name(c));
    jw_put_str(&t->log, "server", server_name(t));
    tda_status s = json_check(c->args, 0, NULL);
    if (s == TDA_E_NOMEM) t->log_text.status = s;
    if (s == TDA_OK)
        jw_put_raw(&t->log, "args", c->args);
    else
        jw_put_str(&t->log, "args", c->args);
    jw_put_bool(&t->log, "is_error", e || c->is_error);
    if (e) jw_put_z(&t->log, "error", e->text);
    jw_end_object(&t->log);
}

/* What the model gets to see. A failed call is an error result: it may try something else. */
static tda_status result_part(struct turn *t, struct tool_call *c, struct tda_part *p) {
    *p = (struct tda_part){.size = sizeof *p,
                           .kind = TDA_PART_TOOL_RESULT,
                           .id = c->id,
                           .name = c->name,
                           .is_error = c->is_error || c->fault.text[0],
                           .n_parts = c->n_parts,
                           .parts = c->parts};
    if (c->fault.text[0]) {
        struct tda_part *text = arena_alloc(t->work->arena, sizeof *text);
        const struct tda_part **list = arena_alloc(t->work->arena, sizeof *list);
        if (!text || !list) return TDA_E_NOMEM;
        *text = (struct tda_part){
            .size = sizeof *text, .kind = TDA_PART_TEXT, .text = arena_str(t->work->arena, tda_str_of(c->fault.text))};
        list[0] = text;
        p->parts = list;
        p->n_parts = 1;
    }
    return TDA_OK;
}

static tda_status add_results(struct turn *t) {
    struct arena *a = t->work->arena;
    struct tda_msg *m = arena_alloc(a, sizeof *m);
    struct tda_part *parts = arena_alloc(a, t->n_calls * sizeof *parts);
    const struct tda_part **list = arena_alloc(a, t->n_calls * sizeof *list);
    if (!m || !parts || !list) return TDA_E_NOMEM;
    for (uint32_t i = 0; i < t->n_calls; i++) {
        if (result_part(t, &t->calls[i], &parts[i])) return TDA_E_NOMEM;
        list[i] = &parts[i];
    }
    *m = (struct tda_msg){.size = sizeof *m, .role = TDA_ROLE_USER, .n_parts = t->n_calls, .parts = list};
    return history_add(&t->history, m);
}

static void say_result(struct turn *t, struct tool_call *c) {
    struct tda_part part;
    if (t->work->event && !result_part(t, c, &part)) event_tool_result(t->work, &part, tool_name(c));
}

static void on_tool_done(struct tool_call *c, const struct error *e) {
    struct turn *t = c->work->operation;
    if (e && e != &c->fault) c->fault = *e;
    say_result(t, c);
    if (--t->pending) return;
    for (uint32_t i = 0; i < t->n_calls; i++) log_call(t, &t->calls[i], t->calls[i].fault.text[0] ? &t->calls[i].fault : NULL);
    if (t->cancelled)
        turn_fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
    else if (add_results(t))
        turn_fail(t, TDA_E_LIMIT, "request_too_large", "the turn needs more memory than one request may have");
    else
        ask_model(t);
}

static tda_status run_tools(struct turn *t) {
    const struct tda_msg *asked = t->history.msgs[t->history.n - 1];
    size_t uses = answer_tool_uses(&t->model.answer);
    if (uses > TOOL_CALLS_MAX) return TDA_E_LIMIT;
    t->calls = arena_alloc(t->work->arena, uses * sizeof *t->calls);
    if (!t->calls) return TDA_E_NOMEM;
    t->n_calls = 0;
    for (uint32_t i = 0; i < asked->n_parts; i++) {
        const struct tda_part *p = asked->parts[i];
        if (p->kind != TDA_PART_TOOL_USE) continue;
        t->calls[t->n_calls++] = (struct tool_call){
            .work = t->work, .toolbox = &t->box, .id = p->id, .name = p->name, .args = p->text, .done = on_tool_done};
    }
    t->pending = t->n_calls;
    for (uint32_t i = 0, n = t->n_calls; i < n; i++) {
        struct tool_call *c = &t->calls[i];
        const struct tool *known = catalogue_find(t->box.catalogue, c->name);
        event_tool_call(t->work, c->id, known ? tda_str_of(known->name) : c->name, server_name(t), c->args);
        tool_call_start(c);
    }
    return TDA_OK;
}

/* ---- model ---- */

static bool wants_tools(const struct turn *t) {
    return t->with_tools && t->box_open && answer_tool_uses(&t->model.answer) > 0;
}

/* Tokens that the conversation may take, where that is known: the answer needs room too. INT64_MAX: any number. */
static int64_t token_budget(const struct turn *t) {
    const struct work *w = t->work;
    int64_t context = config_model_context(w->agent->config, snapshot_get(w->snapshot, TDA_CTX_PROVIDER), t->request.model);
    int64_t answer = context / ANSWER_SHARE;
    if ((t->request.set & TDA_SET_MAX_TOKENS) && t->request.max_tokens < (uint64_t)context) answer = (int64_t)t->request.max_tokens;
    int64_t budget = context > 0 ? context - answer - tools_tokens(&t->request) : INT64_MAX;
    return t->budget && t->budget < budget ? t->budget : budget;
}

static tda_status choose_sent(struct turn *t) {
    const struct history *h = &t->history;
    if (h->n > t->cap_sent) {
        t->cap_sent = h->cap;
        t->sent = arena_alloc(t->work->arena, t->cap_sent * sizeof *t->sent);
        if (!t->sent) return TDA_E_NOMEM;
    }
    t->n_sent = history_trim(h, token_budget(t), t->sent);
    uint32_t out = h->n - t->n_sent;
    if (out > t->left_out)
        event_warning(t->work, "the %u oldest messages are left out, so that the rest fits into the model's context", out);
    t->left_out = out;
    return TDA_OK;
}

/* The model knows best what it takes: half of it, once. */
static bool ask_for_less(struct turn *t, const struct model_call *m) {
    uint32_t before = t->n_sent;
    if (m->cls != TDA_C_CONTEXT_FULL || m->heard || t->cancelled || t->budget) return false;
    t->budget = messages_tokens(t->sent, t->n_sent) / 2 + 1;
    if (choose_sent(t) || t->n_sent == before) return false;
    start_call(t);
    return true;
}

static void on_model_done(struct model_call *m, const struct error *e) {
    struct turn *t = m->work->operation;
    t->model_running = false;
    if (e) {
        struct error copy = *e;
        if (!ask_for_less(t, m)) turn_finish(t, &copy);
        return;
    }
    if (!wants_tools(t)) {
        turn_succeed(t, NULL);
        return;
    }
    if (t->cancelled) { /* it came while this answer was on its way */
        turn_fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
        return;
    }
    const char *limit = turn_limits_reached(&t->limits, t->step, &t->work->meta);
    if (limit) {
        turn_succeed(t, limit);
        return;
    }
    const struct tda_msg *message = answer_message(&m->answer, t->history.tag);
    tda_status status = message ? history_add(&t->history, message) : TDA_E_NOMEM;
    if (!status) status = run_tools(t);
    if (status)
        turn_fail(t, TDA_E_LIMIT, "request_too_large", "the turn needs more memory or more tool calls than one request may have");
}

static void ask_model(struct turn *t) {
    t->step++;
    if (choose_sent(t))
        turn_fail(t, TDA_E_LIMIT, "request_too_large", "the turn needs more memory than one request may have");
    else
        start_call(t);
}

static void start_call(struct turn *t) {
    model_call_fini(&t->model);
    t->request.msgs = t->sent;
    t->request.n_msgs = t->n_sent;
    t->model = (struct model_call){.work = t->work, .request = t->request, .done = on_model_done};
    t->model_running = true;
    model_call_start(&t->model);
}

/* ---- begin ---- */

static tda_status offer_tools(struct turn *t) {
    const struct catalogue *c = t->box.catalogue;
    struct tda_tool *tools = arena_alloc(t->work->arena, (c->n + 1) * sizeof *tools);
    const struct tda_tool **list = arena_alloc(t->work->arena, (c->n + 1) * sizeof *list);
    if (!tools || !list) return TDA_E_NOMEM;
    uint32_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!toolbox_allows(&t->box, &c->tools[i])) continue;
        tools[n] = (struct tda_tool){.size = sizeof *tools,
                                     .name = tda_str_of(c->tools[i].alias),
                                     .description = tda_str_of(c->tools[i].description),
                                     .schema = tda_str_of(c->tools[i].schema)};
        list[n] = &tools[n];
        if (tool_names_add(&t->names, tda_str_of(c->tools[i].name), tools[n].name)) return TDA_E_NOMEM;
        n++;
    }
    t->request.tools = list;
    t->request.n_tools = n;
    return TDA_OK;
}

static tda_str rename_tool(void *arg, tda_str name) {
    return tool_names_alias(arg, name);
}

/* What the conversation names goes by the same aliases as what is offered. */
static tda_status name_tools(struct turn *t) {
    tda_status s = history_rename_tools(&t->history, rename_tool, &t->names);
    if (s || t->request.tool_choice != TDA_CHOICE_TOOL) return s;
    t->request.choice_name = tool_names_alias(&t->names, t->request.choice_name);
    return t->request.choice_name.p ? TDA_OK : TDA_E_NOMEM;
}

static void on_tools_ready(struct toolbox *box, const struct error *e) {
    struct turn *t = box->work->operation;
    if (e) {
        struct error copy = *e;
        turn_finish(t, &copy);
    } else if (offer_tools(t) || name_tools(t)) {
        turn_fail(t, TDA_E_LIMIT, "request_too_large", "the server's tools need more memory than one request may have");
    } else {
        ask_model(t);
    }
}

static void turn_cancel(struct work *w) {
    struct turn *t = w->operation;
    if (t->cancelled) return;
    t->cancelled = true;
    if (t->model_running) {
        model_call_cancel(&t->model);
    } else if (t->pending) {
        for (uint32_t i = 0, n = t->n_calls; i < n; i++) tool_call_cancel(&t->calls[i]);
    } else if (t->box_open) {
        toolbox_cancel(&t->box);
    }
}

static tda_status tool_from_json(struct turn *t, struct json v, uint32_t i, struct tda_tool *tool, struct error *e) {
    tda_str name = json_str(json_key(v, TDA_STR("name")));
    bool whole = name.n && json_type(json_key(v, TDA_STR("schema"))) == TDA_JSON_OBJECT;
    if (!whole || tool_names_has(&t->names, name)) {
        error_set(e, TDA_E_INVALID, "invalid_param", "tools.%u %s", i,
                  whole ? "has the name of another tool" : "needs a name and a schema (an object)");
        error_field(e, "tools.%u", i);
        return TDA_E_INVALID;
    }
    *tool = (struct tda_tool){.size = sizeof *tool,
                              .name = tool_names_alias(&t->names, name),
                              .description = json_str(json_key(v, TDA_STR("description"))),
                              .schema = json_raw(json_key(v, TDA_STR("schema")))};
    return tool->name.p ? TDA_OK : error_set(e, TDA_E_LIMIT, "request_too_large", "too many tools");
}

/* Tools that a caller of chat.complete brings along: the model may ask for them, he runs them. */
static tda_status tools_from_params(struct turn *t, struct error *e) {
    struct json list = json_key(t->work->params, TDA_STR("tools"));
    uint64_t n = json_count(list);
    if (!n) return TDA_OK;
    struct tda_tool *tools = arena_alloc(t->work->arena, n * sizeof *tools);
    const struct tda_tool **pointers = arena_alloc(t->work->arena, n * sizeof *pointers);
    if (!tools || !pointers) return error_set(e, TDA_E_LIMIT, "request_too_large", "too many tools");
    uint32_t i = 0;
    for (struct json v = json_first(list); json_type(v); v = json_next(v), i++) {
        tda_status s = tool_from_json(t, v, i, &tools[i], e);
        if (s) return s;
        pointers[i] = &tools[i];
    }
    t->request.tools = pointers;
    t->request.n_tools = i;
    return TDA_OK;
}

static void begin(struct work *w, bool with_tools) {
    struct error e = {.retry_ms = -1};
    struct turn *t = arena_alloc(w->arena, sizeof *t);
    char *tag = arena_printf(w->arena, "%.*s/%.*s", STR_FMT(snapshot_get(w->snapshot, TDA_CTX_PROVIDER)),
                             STR_FMT(snapshot_get(w->snapshot, TDA_CTX_MODEL)));
    if (!t || !tag) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        w->done(w, &e);
        return;
    }
    t->work = w;
    t->with_tools = with_tools;
    t->history = (struct history){.arena = w->arena, .tag = tda_str_of(tag), .past = w->past, .n_past = w->n_past};
    t->names.arena = w->arena;
    t->request =
        (struct tda_request){.size = sizeof t->request, .op = TDA_OP_CHAT, .model = snapshot_get(w->snapshot, TDA_CTX_MODEL)};
    buf_init(&t->log_text, STEPS_LOG_MAX);
    jw_init(&t->log, &t->log_text);
    jw_begin_array(&t->log);
    w->operation = t;
    w->cancel = turn_cancel;
    event_start(w);
    tda_status s = history_from_params(&t->history, w->params, &e);
    if (!s) s = turn_limits_from_params(&t->limits, w, &e);
    if (!s) s = request_from_params(&t->request, w->params, w->arena, &e);
    if (!s && !with_tools) s = tools_from_params(t, &e);
    bool waits = with_tools && toolbox_wanted(w);
    if (!s && !waits && name_tools(t)) s = error_set(&e, TDA_E_LIMIT, "request_too_large", "too many tools are named");
    if (s) {
        turn_finish(t, &e);
    } else if (waits) {
        t->box = (struct toolbox){.work = w, .done = on_tools_ready};
        t->box_open = true;
        toolbox_open(&t->box);
    } else {
        ask_model(t);
    }
}

void turn_chat(struct work *w) {
    begin(w, false);
}

void turn_run(struct work *w) {
    begin(w, true);
}
