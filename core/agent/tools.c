/* tools.list, tools.call and tools.approve. */
#include <stdio.h>

#include "agent/categories.h"
#include "agent/toolbox.h"

struct tools_op {
    struct work *work;
    struct toolbox box;
    struct tool_call call;
    struct pins approval;
    struct categories categories;
    bool calling, approving, cancelled;
};

static void op_finish(struct tools_op *op, const struct error *e) {
    struct work *w = op->work;
    w->cancel = NULL;
    toolbox_fini(&op->box);
    w->done(w, e);
}

static void op_cancel(struct work *w) {
    struct tools_op *op = w->operation;
    op->cancelled = true;
    if (op->calling)
        tool_call_cancel(&op->call);
    else if (op->categories.running)
        categories_cancel(&op->categories);
    else if (!op->approving) /* what is on its way to the disk gets there */
        toolbox_cancel(&op->box);
}

static void digest_hex(const struct tool *t, char out[2 * DIGEST_SIZE + 1]) {
    for (size_t i = 0; i < DIGEST_SIZE; i++) snprintf(out + 2 * i, 3, "%02x", t->digest[i]);
}

static void put_json(struct jw *w, const char *key, const char *json) {
    tda_status s = json ? json_check(tda_str_of(json), 0, NULL) : TDA_E_NOT_FOUND;
    if (s == TDA_E_NOMEM) w->out->status = s;
    if (s == TDA_OK) jw_put_raw(w, key, tda_str_of(json));
}

static void put_pin(const struct toolbox *box, const struct tool *t, struct jw *w) {
    char digest[2 * DIGEST_SIZE + 1];
    const char *pinned = pin_state_name(toolbox_pin(box, t));
    if (!pinned) return;
    digest_hex(t, digest);
    jw_put_z(w, "pinned", pinned);
    jw_put_z(w, "digest", digest);
}

static void write_tool(const struct toolbox *box, const struct tool *t, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "name", t->name);
    jw_put_z(w, "alias", t->alias);
    if (t->title) jw_put_z(w, "title", t->title);
    jw_put_z(w, "description", t->description);
    jw_put_bool(w, "enabled", catalogue_enables(box->catalogue, t, box->work->snapshot));
    put_pin(box, t, w);
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

static void write_catalogue(const struct toolbox *box, struct jw *w) {
    const struct catalogue *c = box->catalogue;
    jw_put_z(w, "server", c->server);
    jw_open_array(w, "tools");
    for (size_t i = 0; i < c->n; i++) write_tool(box, &c->tools[i], w);
    jw_end_array(w);
}

static void on_categories(struct categories *c) {
    struct tools_op *op = CONTAINER_OF(c, struct tools_op, categories);
    struct error e;
    if (op->cancelled) {
        error_set(&e, TDA_E_CANCELLED, "cancelled", "cancelled");
    } else {
        write_catalogue(&op->box, op->work->out);
        categories_write(c, op->work->out);
    }
    categories_fini(c);
    op_finish(op, op->cancelled ? &e : NULL);
}

static void on_listed(struct toolbox *box, const struct error *e) {
    struct tools_op *op = box->work->operation;
    if (e) {
        struct error copy = *e;
        op_finish(op, &copy);
        return;
    }
    op->categories = (struct categories){.work = op->work, .catalogue = box->catalogue, .done = on_categories};
    categories_find(&op->categories);
}

static void write_part(const struct tda_part *p, struct jw *w) {
    tda_status s = p->kind == TDA_PART_JSON ? json_check(p->text, 0, NULL) : TDA_E_NOT_FOUND;
    if (s == TDA_E_NOMEM) w->out->status = s;
    jw_begin_object(w);
    if (s == TDA_OK) {
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

/* ---- tools.approve ---- */

static void on_approved(struct pins *p, const struct error *e) {
    struct tools_op *op = CONTAINER_OF(p, struct tools_op, approval);
    struct jw *out = op->work->out;
    struct error copy;
    if (e) {
        copy = *e;
        op_finish(op, &copy);
        return;
    }
    jw_put_z(out, "server", p->catalogue->server);
    jw_open_array(out, "approved");
    for (size_t i = 0; i < p->catalogue->n; i++)
        if (!p->only || p->only == &p->catalogue->tools[i]) jw_str(out, tda_str_of(p->catalogue->tools[i].name));
    jw_end_array(out);
    op_finish(op, NULL);
}

static tda_status find_approved(struct tools_op *op, const struct tool **ret, struct error *e) {
    tda_str name = json_str(json_key(op->work->params, TDA_STR("tool")));
    tda_str digest = json_str(json_key(op->work->params, TDA_STR("digest")));
    char hex[2 * DIGEST_SIZE + 1];
    *ret = name.p ? catalogue_find(op->box.catalogue, name) : NULL;
    if (name.p && !*ret) {
        error_set(e, TDA_E_NOT_FOUND, "unknown_tool", "%s has no such tool", op->box.who);
        error_field(e, "tool");
        return TDA_E_NOT_FOUND;
    }
    if (*ret) digest_hex(*ret, hex);
    if (!digest.p || (*ret && tda_str_eq(digest, tda_str_of(hex)))) return TDA_OK;
    error_set(e, TDA_E_CONFLICT, "tool_changed", "what %s lists now does not have this digest", op->box.who);
    error_field(e, "digest");
    error_hint(e, "look at tools.list again");
    return TDA_E_CONFLICT;
}

static void on_ready_to_approve(struct toolbox *box, const struct error *e) {
    struct tools_op *op = box->work->operation;
    const struct tool *only = NULL;
    struct error fault = {.retry_ms = -1};
    if (e) fault = *e;
    if (e || find_approved(op, &only, &fault)) {
        op_finish(op, &fault);
        return;
    }
    op->approving = true;
    op->approval = (struct pins){.work = op->work, .catalogue = box->catalogue, .done = on_approved};
    pins_approve(&op->approval, only);
}

void agent_tools_approve(struct work *w) {
    struct error e = {.retry_ms = -1};
    tda_str server = snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME), asked = json_str(json_key(w->params, TDA_STR("server")));
    if (asked.p && !tda_str_eq(asked, server)) {
        error_set(&e, TDA_E_INVALID, "invalid_param", "the MCP server here is \"%.*s\"", STR_FMT(server));
        error_field(&e, "server");
    } else if (server.n && !pins_wanted(w)) {
        error_set(&e, TDA_E_UNSUPPORTED, "not_pinned", "the tools of MCP server %.*s are not pinned: there is nothing to approve",
                  STR_FMT(server));
        error_hint(&e, "the operator can set mcp_servers.%.*s.pin_tools", STR_FMT(server));
    } else {
        begin(w, on_ready_to_approve);
        return;
    }
    w->done(w, &e);
}
