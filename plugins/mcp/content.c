/* From MCP's words to the host's: items of lists, parts of tool results. */
#include "call.h"

/* ---- lists ---- */

static const char *list_key(uint32_t op) {
    switch (op) {
    case TDA_AOP_LIST_TOOLS: return "tools";
    case TDA_AOP_LIST_PROMPTS: return "prompts";
    case TDA_AOP_LIST_TEMPLATES: return "resourceTemplates";
    default: return "resources";
    }
}

static const char *name_key(uint32_t op) {
    return op == TDA_AOP_LIST_RESOURCES ? "uri" : op == TDA_AOP_LIST_TEMPLATES ? "uriTemplate" : "name";
}

static tda_str text_or(tda_json v, const char *key, const char *otherwise) {
    tda_str text = mcp_json->str(mcp_json->get(v, key));
    return text.p ? text : mcp_json->str(mcp_json->get(v, otherwise));
}

/* A tool whose arguments are to go into headers, but in a way that they cannot, is left out (2026-07-28, server/tools). */
static int is_fit(struct conn *c, tda_str name, tda_json schema) {
    const char *why = "";
    if (!c->era->is_modern || !c->url) return 1;
    enum params_verdict verdict = params_check(schema, &why);
    if (verdict == PARAMS_SOME) schemas_add(&c->schemas, name, mcp_json->raw(schema));
    if (verdict != PARAMS_INVALID) return 1;
    conn_log(c, TDA_LOG_WARN, "tool \"%.*s\" is left out: %s", CUT(name, 128), why);
    return 0;
}

static void emit_item(struct call *call, tda_json v, tda_str name) {
    struct tda_event event;
    tda_json schema = mcp_json->get(v, "inputSchema");
    int is_tool = call->op == TDA_AOP_LIST_TOOLS;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_ITEM;
    event.name = name;
    event.text = text_or(v, "description", is_tool ? "title" : "name");
    event.json = !is_tool ? mcp_json->raw(v) : mcp_json->type(schema) == TDA_JSON_OBJECT ? mcp_json->raw(schema) : ABSENT;
    event.whole = is_tool ? mcp_json->raw(v) : ABSENT;
    mcp_host->emit(call->handle, &event);
}

int content_items(struct call *call, tda_json result) {
    struct conn *c = call->x.conn;
    tda_json list = mcp_json->get(result, list_key(call->is_relisting ? TDA_AOP_LIST_TOOLS : call->op));
    int is_tools = call->is_relisting || call->op == TDA_AOP_LIST_TOOLS;
    if (mcp_json->type(list) != TDA_JSON_ARRAY) return 0;
    for (tda_json v = mcp_json->first(list); mcp_json->type(v); v = mcp_json->next(v)) {
        tda_str name = mcp_json->str(mcp_json->get(v, call->is_relisting ? "name" : name_key(call->op)));
        if (!name.n) continue; /* one item without a name does not spoil the rest */
        call->items++;
        if (is_tools && !is_fit(c, name, mcp_json->get(v, "inputSchema"))) continue;
        if (!call->is_relisting) emit_item(call, v, name);
    }
    return 1;
}

/* ---- results ---- */

static void emit_part(tda_call call, struct tda_part *part) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_CONTENT;
    event.part = part;
    mcp_host->emit(call, &event);
}

static struct tda_part new_part(uint32_t kind) {
    struct tda_part part;
    memset(&part, 0, sizeof part);
    part.size = sizeof part;
    part.kind = kind;
    return part;
}

/* The host knows structuredContent by this name, and holds it to the tool's output schema. */
static void emit_structured(tda_call call, tda_json value) {
    struct tda_part part = new_part(TDA_PART_JSON);
    part.name = TDA_STR("structuredContent");
    part.text = mcp_json->raw(value);
    emit_part(call, &part);
}

static void emit_text(tda_call call, uint32_t kind, tda_str text) {
    struct tda_part part = new_part(kind);
    part.text = text;
    emit_part(call, &part);
}

static void emit_image(tda_call call, tda_str mime, tda_str data) {
    struct tda_part part = new_part(TDA_PART_IMAGE);
    part.mime = mime;
    part.data = data;
    emit_part(call, &part);
}

static int is_image(tda_str mime) {
    return mime.n > 6 && memcmp(mime.p, "image/", 6) == 0;
}

/* Audio, links, blobs, and what comes after this version, go on as the server wrote them. */
static void emit_content(tda_call call, tda_json v) {
    tda_str type = mcp_json->str(mcp_json->get(v, "type")), text = mcp_json->str(mcp_json->get(v, "text"));
    tda_str data = mcp_json->str(mcp_json->get(v, "data")), blob = mcp_json->str(mcp_json->get(v, "resource.blob"));
    tda_str inner = mcp_json->str(mcp_json->get(v, "resource.text")), mime = mcp_json->str(mcp_json->get(v, "resource.mimeType"));
    if (text_is(type, "text") && text.p)
        emit_text(call, TDA_PART_TEXT, text);
    else if (text_is(type, "image") && data.p)
        emit_image(call, mcp_json->str(mcp_json->get(v, "mimeType")), data);
    else if (text_is(type, "resource") && inner.p)
        emit_text(call, TDA_PART_TEXT, inner);
    else if (text_is(type, "resource") && blob.p && is_image(mime))
        emit_image(call, mime, blob);
    else
        emit_text(call, TDA_PART_JSON, mcp_json->raw(v));
}

/* structuredContent is the result; the text beside it says the same for older clients, and goes only when there is nothing else. An
 * object until 2025-11-25, any value since. */
int content_tool_result(struct call *call, tda_json result) {
    tda_json content = mcp_json->get(result, "content"), structured = mcp_json->get(result, "structuredContent");
    int is_modern = call->x.conn->era->is_modern;
    int has_structured = is_modern ? mcp_json->type(structured) != TDA_JSON_NONE : mcp_json->type(structured) == TDA_JSON_OBJECT;
    if (mcp_json->type(content) != TDA_JSON_ARRAY && !has_structured) return 0;
    for (tda_json v = mcp_json->first(content); mcp_json->type(v); v = mcp_json->next(v)) {
        int is_text = text_is(mcp_json->str(mcp_json->get(v, "type")), "text");
        if (!has_structured || !is_text) emit_content(call->handle, v);
    }
    if (has_structured) emit_structured(call->handle, structured);
    return 1;
}

void content_whole(tda_call call, tda_json result) {
    emit_text(call, TDA_PART_JSON, mcp_json->raw(result));
}
