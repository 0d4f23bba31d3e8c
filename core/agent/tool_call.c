/* One call of a tool: the checks that no model and no caller can talk their way around, the call, its result cut to size. */
#include <stdio.h>

#include "agent/arguments.h"
#include "agent/events.h"
#include "agent/toolbox.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/schema.h"

enum { PARTS_MAX = 256 };

static void finish(struct tool_call *c, const struct error *e) {
    c->work->meta.upstream_ns += c->call ? call_upstream_ns(c->call) : 0;
    c->call = NULL;
    c->done(c, e);
}

static bool part_add(struct tool_call *c, const struct tda_part *p) {
    if (c->n_parts == c->cap_parts) {
        uint32_t cap = c->cap_parts ? c->cap_parts * 2 : 4;
        const struct tda_part **parts = arena_alloc(c->work->arena, cap * sizeof *parts);
        if (!parts) return false;
        if (c->n_parts) memcpy(parts, c->parts, c->n_parts * sizeof *parts);
        c->parts = parts;
        c->cap_parts = cap;
    }
    c->parts[c->n_parts++] = p;
    return true;
}

static struct tda_part *part_copy(struct arena *a, const struct tda_part *from, size_t text_max) {
    struct tda_part *p = arena_alloc(a, sizeof *p);
    struct buf clean;
    if (!p) return NULL;
    *p = (struct tda_part){.size = sizeof *p, .kind = from->kind};
    buf_init(&clean, from->text.n * 3 + 1);
    if (from->kind == TDA_PART_JSON)
        buf_add_str(&clean, from->text);
    else
        text_sanitise(from->text, &clean);
    if (clean.status == TDA_E_NOMEM) a->refused = true;
    tda_str text = buf_str(&clean);
    if (text.n > text_max) {
        text.n = text_max;
        while (text.n && ((unsigned char)text.p[text.n] & 0xC0) == 0x80) text.n--; /* never inside a character */
        p->kind = TDA_PART_TEXT;                                                   /* half a JSON value is text */
    }
    p->text = arena_str(a, text);
    p->mime = arena_str(a, from->mime);
    p->data = arena_str(a, from->data);
    p->url = arena_str(a, from->url);
    buf_fini(&clean);
    return p;
}

static void on_event(void *arg, const struct tda_event *event) {
    struct tool_call *c = arg;
    if (event->kind == TDA_EV_PROGRESS) event_progress(c->work, c->id, c->tool->name, event->text, event->json);
    if (event->kind != TDA_EV_CONTENT || !event->part) return;
    bool is_structured = event->part->kind == TDA_PART_JSON && tda_str_eq(event->part->name, TDA_STR("structuredContent"));
    c->has_structured |= is_structured;
    size_t max = (size_t)c->work->agent->config->calls_max_tool_result;
    size_t room = c->bytes < max ? max - c->bytes : 0;
    size_t size = event->part->text.n + event->part->data.n;
    bool whole_only = event->part->data.n > 0; /* an image cut in half is none */
    if (c->n_parts >= PARTS_MAX || room == 0 || (whole_only && size > room)) {
        c->dropped += size;
        return;
    }
    struct tda_part *p = part_copy(c->work->arena, event->part, room);
    if (!p || !part_add(c, p)) {
        c->dropped += size;
        return;
    }
    if (is_structured && p->kind == TDA_PART_JSON) c->structured = p;
    c->bytes += p->text.n + p->data.n;
    if (size > p->text.n + p->data.n) c->dropped += size - p->text.n - p->data.n;
}

static void say_cut(struct tool_call *c) {
    struct tda_part *p = c->dropped ? arena_alloc(c->work->arena, sizeof *p) : NULL;
    if (!p) return;
    char *text = arena_printf(c->work->arena, "[cut by the host: %zu bytes are left out; ask for less]", c->dropped);
    *p = (struct tda_part){.size = sizeof *p, .kind = TDA_PART_TEXT, .text = tda_str_of(text)};
    if (text) part_add(c, p);
}

/* In place of the result: what is not as it was promised is not shown to a model. */
static void refuse_result(struct tool_call *c, const char *where, const char *why) {
    struct tda_part *p = arena_alloc(c->work->arena, sizeof *p);
    char *text = arena_printf(c->work->arena, "[refused by the host: the result of %s of %s does not keep its output schema: %s%s]",
                              c->tool->name, c->toolbox->who, where, why);
    c->n_parts = 0;
    c->dropped = 0;
    c->is_error = true;
    if (!p || !text) return;
    *p = (struct tda_part){.size = sizeof *p, .kind = TDA_PART_TEXT, .text = tda_str_of(text)};
    part_add(c, p);
}

/* To MCP before 2025-06-18 an output schema means nothing: what stands there is the server's own. */
static bool knows_schemas(const struct conn *conn) {
    struct json_doc *info GUARD(json_free_p) = NULL;
    json_parse(conn_server_info(conn), 0, &info, NULL);
    tda_str version = json_str(json_key(json_root(info), TDA_STR("protocolVersion"))), first = TDA_STR("2025-06-18");
    return version.n != first.n || memcmp(version.p, first.p, first.n) >= 0;
}

static void check_structured(struct tool_call *c) {
    struct json_doc *schema GUARD(json_free_p) = NULL, *value GUARD(json_free_p) = NULL;
    struct schema_report report;
    if (c->is_error || !c->tool->output_schema) return;
    if (!c->has_structured && knows_schemas(c->toolbox->conn)) refuse_result(c, "", "it has no structuredContent");
    if (!c->structured) return;
    tda_status s = json_parse(tda_str_of(c->tool->output_schema), 0, &schema, NULL);
    if (!s) s = json_parse(c->structured->text, 0, &value, NULL);
    if (s == TDA_E_NOMEM) c->work->arena->refused = true; /* never shown unchecked */
    if (s) return;
    enum schema_verdict v = schema_check(json_root(schema), json_root(value), &report);
    if (v == SCHEMA_UNKNOWN) log_debug("a result is not checked", LOG_Z("tool", c->tool->name), LOG_Z("why", report.why));
    if (v != SCHEMA_INVALID) return;
    char where[sizeof report.where + 16];
    snprintf(where, sizeof where, "%s ", report.where[0] ? report.where : "the whole");
    refuse_result(c, where, report.why);
}

/* What users call servers of their own says nothing to an operator, and must not use up his table. */
static struct meter *server_meter(const struct work *w) {
    tda_str name = snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME);
    bool operators = config_server_find(w->agent->config, name) != NULL;
    return meters_get(w->agent->servers, operators ? name : TDA_STR("(users' own)"));
}

static void on_done(void *arg, const struct tda_result *r) {
    struct tool_call *c = arg;
    meter_record(server_meter(c->work), call_upstream_ns(c->call), r->cls != TDA_C_OK);
    if (r->cls == TDA_C_OK) {
        c->is_error = r->is_error != 0;
        check_structured(c);
        say_cut(c);
        finish(c, NULL);
        return;
    }
    struct error e;
    char who[160];
    snprintf(who, sizeof who, "tool %s of %s", c->tool->name, c->toolbox->who);
    error_from_result(&e, r, who);
    finish(c, &e);
}

static tda_status unknown_tool(struct tool_call *c, struct error *e) {
    const struct catalogue *k = c->toolbox->catalogue;
    const char *names[64];
    size_t n = 0;
    for (; n < k->n && n < ARRAY_LEN(names); n++) names[n] = k->tools[n].name;
    const char *near = nearest_word(c->name, names, n);
    error_set(e, TDA_E_NOT_FOUND, "unknown_tool", "%s has no tool %.*s", c->toolbox->who, (int)(c->name.n < 128 ? c->name.n : 128),
              c->name.p ? c->name.p : "");
    error_field(e, "name");
    if (near)
        error_hint(e, "did you mean %s?", near);
    else
        error_hint(e, "tools.list shows what there is");
    return TDA_E_NOT_FOUND;
}

static tda_status disabled_tool(struct tool_call *c, struct error *e) {
    error_set(e, TDA_E_DENIED, "tool_disabled", "the tool %s of %s is not enabled here", c->tool->name, c->toolbox->who);
    error_field(e, "name");
    error_hint(e, "profile.put and tools.enable say which tools are");
    return TDA_E_DENIED;
}

static tda_status unapproved_tool(struct tool_call *c, enum pin_state pin, struct error *e) {
    error_set(e, TDA_E_DENIED, pin == PIN_NEW ? "tool_unapproved" : "tool_changed", "the tool %s of %s %s", c->tool->name,
              c->toolbox->who, pin == PIN_NEW ? "is new, and not approved" : "is not as it was when it was approved");
    error_field(e, "name");
    error_hint(e, "look at it in tools.list, then call tools.approve");
    return TDA_E_DENIED;
}

static tda_status check(struct tool_call *c, struct error *e) {
    if (!c->tool) return unknown_tool(c, e);
    enum pin_state pin = toolbox_pin(c->toolbox, c->tool);
    if (!catalogue_enables(c->toolbox->catalogue, c->tool, c->work->snapshot)) return disabled_tool(c, e);
    if (!toolbox_allows(c->toolbox, c->tool)) return unapproved_tool(c, pin, e);
    return arguments_fit(c->tool, c->work->arena, &c->args, e);
}

static void on_fault(struct timer *t) {
    struct tool_call *c = CONTAINER_OF(t, struct tool_call, later);
    finish(c, &c->fault);
}

void tool_call_start(struct tool_call *c) {
    struct call_spec spec = work_call_spec(c->work, c->work->agent->config->calls_tool_timeout, "calls.tool_timeout");
    c->tool = catalogue_find(c->toolbox->catalogue, c->name);
    tda_status s = check(c, &c->fault);
    if (s == TDA_OK) {
        struct tda_adapter_request request = {.size = sizeof request,
                                              .op = TDA_AOP_CALL_TOOL,
                                              .name = tda_str_of(c->tool->name),
                                              .args = c->args,
                                              .deadline_ms = (spec.deadline_ns - clock_now_ns()) / NS_PER_MS};
        spec.on_event = on_event;
        spec.on_done = on_done;
        spec.arg = c;
        s = adapter_call(c->toolbox->conn, &spec, &request, &c->call, &c->fault);
    }
    if (s == TDA_OK) return;
    c->later.fire = on_fault;
    if (timer_set(c->work->loop, &c->later, 0)) finish(c, &c->fault);
}

void tool_call_cancel(struct tool_call *c) {
    c->cancelled = true;
    if (c->call) call_cancel(c->call);
}
