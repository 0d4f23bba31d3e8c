#include "agent/server_op.h"

#include <stdio.h>

#include "base/clock.h"

enum { LIMIT_DEFAULT = 200, LIMIT_MAX = 1000 };

void put_member(struct jw *w, const char *key, struct json from, const char *name) {
    struct json v = json_key(from, tda_str_of(name));
    if (json_type(v)) jw_put_raw(w, key, json_raw(v));
}

void server_op_end(struct server_op *op, const struct error *e) {
    struct work *w = op->work;
    struct error copy;
    if (e) copy = *e;
    w->cancel = NULL;
    if (op->stopping) op->stopping(op);
    toolbox_fini(&op->box);
    buf_fini(&op->items);
    json_free(op->answer);
    w->done(w, e ? &copy : NULL);
}

static void op_cancel(struct work *w) {
    struct server_op *op = w->operation;
    op->cancelled = true;
    if (op->call)
        call_cancel(op->call);
    else
        toolbox_cancel(&op->box);
}

/* ---- what the server offers ---- */

static const char *capability(uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_PROMPTS:
    case TDA_AOP_GET_PROMPT: return "prompts";
    case TDA_AOP_COMPLETE: return "completions";
    case TDA_AOP_SUBSCRIBE: return "resources.subscribe";
    default: return "resources";
    }
}

/* An adapter that says nothing of its server's capabilities is asked. */
static bool is_offered(const struct server_op *op) {
    struct json_doc *info GUARD(json_free_p) = NULL;
    bool flag = true;
    if (json_parse(conn_server_info(op->box.conn), 0, &info, NULL)) return true;
    struct json all = json_key(json_root(info), TDA_STR("capabilities"));
    struct json own = json_get(all, capability(op->op));
    if (json_type(all) != TDA_JSON_OBJECT) return true;
    return json_type(own) == TDA_JSON_OBJECT || (json_bool(own, &flag) && flag);
}

static void not_offered(struct server_op *op) {
    struct error e;
    bool watches = op->op == TDA_AOP_SUBSCRIBE;
    error_set(&e, TDA_E_UNSUPPORTED, "not_offered", "%s offers no %s", op->box.who,
              watches ? "news of its resources" : capability(op->op));
    error_hint(&e, "what a server offers is its own; mcp.list shows it");
    server_op_end(op, &e);
}

/* ---- what comes ---- */

static void take_item(struct server_op *op, const struct tda_event *event) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    uint64_t n = op->seen++;
    if (n < op->skip || op->more) return;
    op->more = n >= op->skip + op->limit;
    if (op->more || json_parse(event->json, 0, &doc, NULL)) return;
    jw_begin_object(&op->items_w);
    op->write(op, json_root(doc));
    jw_end_object(&op->items_w);
}

static void on_event(void *arg, const struct tda_event *event) {
    struct server_op *op = arg;
    if (op->list && event->kind == TDA_EV_ITEM && event->name.n) take_item(op, event);
    if (op->list || event->kind != TDA_EV_CONTENT || !event->part || event->part->kind != TDA_PART_JSON || op->answer) return;
    op->too_large = event->part->text.n > (size_t)op->work->agent->config->calls_max_tool_result;
    if (!op->too_large && json_parse(event->part->text, 0, &op->answer, NULL)) op->answer = NULL;
}

static void write_list(struct server_op *op) {
    struct jw *out = op->work->out;
    char cursor[24];
    jw_end_array(&op->items_w);
    jw_put_raw(out, op->list, buf_str(&op->items));
    if (!op->more) return;
    snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)(op->skip + op->limit));
    jw_put_z(out, "cursor", cursor);
}

static void succeed(struct server_op *op) {
    struct error e;
    bool unreadable = !op->list && !op->answered && !op->answer;
    if (op->too_large || op->items.status) {
        error_set(&e, TDA_E_LIMIT, "too_large", "%s: the answer is larger than calls.max_tool_result allows", op->box.who);
        error_hint(&e, op->list ? "ask for less with limit" : "the operator can raise calls.max_tool_result");
    } else if (unreadable) {
        error_set(&e, TDA_E_PROTOCOL, "protocol", "%s: the answer could not be understood", op->box.who);
    }
    if (op->too_large || op->items.status || unreadable) {
        server_op_end(op, &e);
        return;
    }
    jw_put_z(op->work->out, "server", conn_server_name(op->box.conn));
    if (op->list)
        write_list(op);
    else if (op->answer)
        op->write(op, json_root(op->answer));
    if (op->answered)
        op->answered(op);
    else
        server_op_end(op, NULL);
}

static void on_done(void *arg, const struct tda_result *r) {
    struct server_op *op = arg;
    struct error e;
    op->work->meta.upstream_ns += call_upstream_ns(op->call);
    op->call = NULL;
    if (r->cls == TDA_C_OK && !op->cancelled) {
        succeed(op);
        return;
    }
    struct tda_result cancelled = {.size = sizeof cancelled, .cls = TDA_C_CANCELLED, .retry_ms = -1};
    error_from_result(&e, op->cancelled ? &cancelled : r, op->box.who);
    if (r->cls == TDA_C_NOT_FOUND) snprintf(e.kind, sizeof e.kind, "not_found");
    server_op_end(op, &e);
}

/* ---- asking ---- */

static void on_ready(struct toolbox *box, const struct error *e) {
    struct server_op *op = box->work->operation;
    if (e) {
        server_op_end(op, e);
        return;
    }
    if (!is_offered(op)) {
        not_offered(op);
        return;
    }
    struct error fault = {.retry_ms = -1};
    struct call_spec spec = work_call_spec(op->work, op->work->agent->config->calls_tool_timeout, "calls.tool_timeout");
    struct tda_adapter_request request = {.size = sizeof request,
                                          .op = op->op,
                                          .name = op->name,
                                          .args = op->args,
                                          .deadline_ms = (spec.deadline_ns - clock_now_ns()) / NS_PER_MS};
    spec.on_event = on_event;
    spec.on_done = on_done;
    spec.arg = op;
    if (op->starting) op->starting(op);
    if (adapter_call(box->conn, &spec, &request, &op->call, &fault)) server_op_end(op, &fault);
}

static tda_status read_page(struct server_op *op, struct error *e) {
    struct json limit = json_key(op->work->params, TDA_STR("limit"));
    tda_str cursor = json_str(json_key(op->work->params, TDA_STR("cursor")));
    int64_t n = LIMIT_DEFAULT;
    if (json_type(limit) && (!json_i64(limit, &n) || n < 1 || n > LIMIT_MAX)) {
        error_set(e, TDA_E_INVALID, "invalid_param", "limit must be a whole number from 1 to %d", LIMIT_MAX);
        error_field(e, "limit");
        return TDA_E_INVALID;
    }
    op->limit = (uint64_t)n;
    for (size_t i = 0; i < cursor.n; i++) {
        if (cursor.p[i] < '0' || cursor.p[i] > '9' || i > 9) {
            error_set(e, TDA_E_INVALID, "invalid_param", "cursor is not one that a reply of this method gave");
            error_field(e, "cursor");
            return TDA_E_INVALID;
        }
        op->skip = op->skip * 10 + (uint64_t)(cursor.p[i] - '0');
    }
    return TDA_OK;
}

static tda_status check(struct server_op *op, struct error *e) {
    struct work *w = op->work;
    tda_status s = w->agent->limits ? limits_begin(w->agent->limits, w->user, e) : TDA_OK;
    if (s) return s;
    if (toolbox_wanted(w)) return read_page(op, e);
    error_set(e, TDA_E_NOT_FOUND, "no_mcp_server", "this context has no MCP server");
    error_hint(e, "call configure with mcp_server: {name: ...}; the operator's configuration lists the servers");
    return TDA_E_NOT_FOUND;
}

void server_op_begin(const struct server_op *wanted) {
    struct error e = {.retry_ms = -1};
    struct work *w = wanted->work;
    struct server_op *op = arena_alloc(w->arena, sizeof *op);
    if (!op) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        w->done(w, &e);
        return;
    }
    *op = *wanted;
    if (check(op, &e)) {
        w->done(w, &e);
        return;
    }
    buf_init(&op->items, (size_t)w->agent->config->limits_message / 2);
    jw_init(&op->items_w, &op->items);
    jw_begin_array(&op->items_w);
    op->box = (struct toolbox){.work = w, .done = on_ready, .only_connect = true};
    w->operation = op;
    w->cancel = op_cancel;
    toolbox_open(&op->box);
}
