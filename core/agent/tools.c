/* tools.list and tools.call. */
#include <stdio.h>

#include "agent/toolbox.h"

struct tools_op {
    struct work *work;
    struct toolbox box;
    struct tool_call call;
    bool calling;
};

static void op_finish(struct tools_op *op, const struct error *e) {
    struct work *w = op->work;
    w->cancel = NULL;
    toolbox_fini(&op->box);
    w->done(w, e);
}

static void op_cancel(struct work *w) {
    struct tools_op *op = w->operation;
    if (op->calling)
        tool_call_cancel(&op->call);
    else
        toolbox_cancel(&op->box);
}

static void put_json(struct jw *w, const char *key, const char *json) {
    if (json && json_check(tda_str_of(json), 0, NULL) == TDA_OK) jw_put_raw(w, key, tda_str_of(json));
}

static void write_tool(const struct tool *t, bool enabled, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "name", t->name);
    jw_put_z(w, "alias", t->alias);
    if (t->title) jw_put_z(w, "title", t->title);
    jw_put_z(w, "description", t->description);
    jw_put_bool(w, "enabled", enabled);
    put_json(w, "schema", t->schema);
    put_json(w, "output_schema", t->output_schema);
    if (t->annotations) {
        jw_open_object(w, "annotations");
        jw_put_bool(w, "trusted", false);
        put_json(w, "claims", t->annotations);
        jw_end_object(w);
    }
    jw_end_object(w);
}

static void write_catalogue(const struct work *work, const struct catalogue *c, struct jw *w) {
    jw_put_z(w, "server", c->server);
    jw_open_array(w, "tools");
    for (size_t i = 0; i < c->n; i++) write_tool(&c->tools[i], catalogue_enables(c, &c->tools[i], work->snapshot), w);
    jw_end_array(w);
}

static void on_listed(struct toolbox *box, const struct error *e) {
    struct tools_op *op = box->work->operation;
    struct error copy;
    if (e)
        copy = *e;
    else
        write_catalogue(op->work, box->catalogue, op->work->out);
    op_finish(op, e ? &copy : NULL);
}

static void write_part(const struct tda_part *p, struct jw *w) {
    jw_begin_object(w);
    if (p->kind == TDA_PART_JSON && json_check(p->text, 0, NULL) == TDA_OK) {
        jw_put_z(w, "type", "json");
        jw_put_raw(w, "value", p->text);
    } else if (p->kind == TDA_PART_IMAGE) {
        jw_put_z(w, "type", "image");
        jw_put_str(w, "mime", p->mime);
        if (p->data.p) jw_put_str(w, "data", p->data);
        if (p->url.p) jw_put_str(w, "url", p->url);
    } else {
        jw_put_z(w, "type", "text");
        jw_put_str(w, "text", p->text.p ? p->text : TDA_STR(""));
    }
    jw_end_object(w);
}

static void on_called(struct tool_call *c, const struct error *e) {
    struct tools_op *op = c->work->operation;
    struct error copy;
    if (e) {
        copy = *e;
        op_finish(op, &copy);
        return;
    }
    struct jw *out = op->work->out;
    jw_put_z(out, "server", op->box.catalogue->server);
    jw_put_z(out, "tool", c->tool->name);
    jw_open_array(out, "content");
    for (uint32_t i = 0; i < c->n_parts; i++) write_part(c->parts[i], out);
    jw_end_array(out);
    jw_put_bool(out, "is_error", c->is_error);
    op_finish(op, NULL);
}

static void on_ready_to_call(struct toolbox *box, const struct error *e) {
    struct tools_op *op = box->work->operation;
    if (e) {
        struct error copy = *e;
        op_finish(op, &copy);
        return;
    }
    op->calling = true;
    op->call = (struct tool_call){.work = op->work,
                                  .toolbox = box,
                                  .name = json_str(json_key(op->work->params, TDA_STR("name"))),
                                  .args = json_raw(json_key(op->work->params, TDA_STR("arguments"))),
                                  .done = on_called};
    tool_call_start(&op->call);
}

static void begin(struct work *w, void (*ready)(struct toolbox *, const struct error *)) {
    struct error e;
    struct tools_op *op = toolbox_wanted(w) ? arena_alloc(w->arena, sizeof *op) : NULL;
    if (!op) {
        if (toolbox_wanted(w)) {
            error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        } else {
            error_set(&e, TDA_E_NOT_FOUND, "no_mcp_server", "this context has no MCP server, so there are no tools");
            error_hint(&e, "call configure with mcp_server: {name: ...}; the operator's configuration lists the servers");
        }
        w->done(w, &e);
        return;
    }
    op->work = w;
    op->box = (struct toolbox){.work = w, .done = ready};
    w->operation = op;
    w->cancel = op_cancel;
    toolbox_open(&op->box);
}

void agent_tools_list(struct work *w) {
    begin(w, on_listed);
}

void agent_tools_call(struct work *w) {
    struct error e = {.retry_ms = -1};
    if (w->agent->limits && limits_begin(w->agent->limits, w->user, &e)) {
        w->done(w, &e);
        return;
    }
    begin(w, on_ready_to_call);
}
