/* From MCP's words to the host's: items of lists, parts of tool results. */
#include "mcp.h"

static void emit_item(tda_call call, tda_str name, tda_str text, tda_str json, tda_str whole) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_ITEM;
    event.name = name;
    event.text = text;
    event.json = json;
    event.whole = whole;
    mcp_host->emit(call, &event);
}

static tda_str text_or(tda_json v, const char *key, const char *otherwise) {
    tda_str text = mcp_json->str(mcp_json->get(v, key));
    return text.p ? text : mcp_json->str(mcp_json->get(v, otherwise));
}

int content_items(tda_call call, uint32_t op, tda_json result) {
    const char *key = op == TDA_AOP_LIST_TOOLS ? "tools" : op == TDA_AOP_LIST_PROMPTS ? "prompts" : "resources";
    tda_json list = mcp_json->get(result, key);
    if (mcp_json->type(list) != TDA_JSON_ARRAY) return 0;
    for (tda_json v = mcp_json->first(list); mcp_json->type(v); v = mcp_json->next(v)) {
        tda_str name = mcp_json->str(mcp_json->get(v, op == TDA_AOP_LIST_RESOURCES ? "uri" : "name"));
        tda_json schema = mcp_json->get(v, "inputSchema");
        if (!name.n) continue; /* one item without a name does not spoil the rest */
        if (op == TDA_AOP_LIST_TOOLS)
            emit_item(call, name, text_or(v, "description", "title"),
                      mcp_json->type(schema) == TDA_JSON_OBJECT ? mcp_json->raw(schema) : (tda_str){NULL, 0}, mcp_json->raw(v));
        else
            emit_item(call, name, text_or(v, "description", "name"), mcp_json->raw(v), (tda_str){NULL, 0});
    }
    return 1;
}

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

static void emit_content(tda_call call, tda_json v) {
    tda_str type = mcp_json->str(mcp_json->get(v, "type"));
    tda_str resource_text = mcp_json->str(mcp_json->get(v, "resource.text"));
    if (tda_str_eq(type, TDA_STR("text"))) {
        struct tda_part part = new_part(TDA_PART_TEXT);
        part.text = mcp_json->str(mcp_json->get(v, "text"));
        emit_part(call, &part);
    } else if (tda_str_eq(type, TDA_STR("image"))) {
        struct tda_part part = new_part(TDA_PART_IMAGE);
        part.mime = mcp_json->str(mcp_json->get(v, "mimeType"));
        part.data = mcp_json->str(mcp_json->get(v, "data"));
        emit_part(call, &part);
    } else if (tda_str_eq(type, TDA_STR("resource")) && resource_text.p) {
        struct tda_part part = new_part(TDA_PART_TEXT);
        part.text = resource_text;
        emit_part(call, &part);
    } else {
        struct tda_part part = new_part(TDA_PART_JSON); /* audio, links, and what comes after this version */
        part.text = mcp_json->raw(v);
        emit_part(call, &part);
    }
}

/* structuredContent is the result; the text beside it says the same for older clients, and goes only when there is nothing else. */
int content_tool_result(tda_call call, tda_json result) {
    tda_json content = mcp_json->get(result, "content"), structured = mcp_json->get(result, "structuredContent");
    int has_structured = mcp_json->type(structured) == TDA_JSON_OBJECT;
    if (mcp_json->type(content) != TDA_JSON_ARRAY && !has_structured) return 0;
    for (tda_json v = mcp_json->first(content); mcp_json->type(v); v = mcp_json->next(v)) {
        int is_text = tda_str_eq(mcp_json->str(mcp_json->get(v, "type")), TDA_STR("text"));
        if (!has_structured || !is_text) emit_content(call, v);
    }
    if (has_structured) {
        struct tda_part part = new_part(TDA_PART_JSON);
        part.name = TDA_STR("structuredContent");
        part.text = mcp_json->raw(structured);
        emit_part(call, &part);
    }
    return 1;
}
