#include "rpc.h"

static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

static void begin(struct jw *w, struct buf *out, struct json id) {
    jw_init(w, out);
    jw_begin_object(w);
    jw_put_z(w, "jsonrpc", "2.0");
    jw_put_raw(w, "id", json_type(id) ? json_raw(id) : TDA_STR("null"));
}

static void write_error(struct buf *out, struct json id, int64_t code, const char *text) {
    struct jw w;
    buf_clear(out);
    begin(&w, out, id);
    jw_open_object(&w, "error");
    jw_put_i64(&w, "code", code);
    jw_put_z(&w, "message", text);
    jw_end_object(&w);
    jw_end_object(&w);
}

/* The client's version where we know it, else our newest: the client decides then. */
static const char *agree(tda_str asked) {
    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        if (tda_str_eq(asked, tda_str_of(versions[i]))) return versions[i];
    return versions[0];
}

static void write_initialize(struct jw *w, struct json params, const char *database_name) {
    struct buf text;
    buf_init(&text, 512);
    buf_addf(&text, "Read-only SQL on the SQLite database %.200s. Begin with list_tables.", database_name);
    jw_begin_object(w);
    jw_put_z(w, "protocolVersion", agree(json_str(json_key(params, TDA_STR("protocolVersion")))));
    jw_put_raw(w, "capabilities", TDA_STR("{\"tools\":{\"listChanged\":false}}"));
    jw_put_raw(w, "serverInfo", TDA_STR("{\"name\":\"mcp-sqlite\",\"version\":\"" MCP_SQLITE_VERSION "\"}"));
    jw_put_str(w, "instructions", buf_str(&text));
    jw_end_object(w);
    buf_fini(&text);
}

static void answer(struct db *db, const char *database_name, struct json message, tda_str method, struct buf *out) {
    struct json id = json_key(message, TDA_STR("id")), params = json_key(message, TDA_STR("params"));
    struct jw w;
    begin(&w, out, id);
    jw_key(&w, TDA_STR("result"));
    if (tda_str_eq(method, TDA_STR("initialize"))) {
        write_initialize(&w, params, database_name);
    } else if (tda_str_eq(method, TDA_STR("ping"))) {
        jw_raw(&w, TDA_STR("{}"));
    } else if (tda_str_eq(method, TDA_STR("tools/list"))) {
        jw_begin_object(&w);
        jw_key(&w, TDA_STR("tools"));
        tools_list(&w);
        jw_end_object(&w);
    } else if (tda_str_eq(method, TDA_STR("tools/call"))) {
        if (!tools_call(db, json_str(json_key(params, TDA_STR("name"))), json_key(params, TDA_STR("arguments")), &w)) {
            write_error(out, id, -32602, "unknown tool; there are list_tables, describe_table and query");
            return;
        }
    } else {
        write_error(out, id, -32601, "unknown method");
        return;
    }
    jw_end_object(&w);
    if (out->status) {
        enum tda_status_number why = out->status == TDA_E_LIMIT ? TDA_E_LIMIT : TDA_E_NOMEM;
        size_t max = out->max;
        buf_fini(out);
        buf_init(out, max);
        write_error(out, id, -32603, why == TDA_E_LIMIT ? "the answer is too large" : "out of memory");
    }
}

void rpc_line(struct db *db, const char *database_name, tda_str line, struct buf *out) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct error e = {.retry_ms = -1};
    buf_clear(out);
    if (json_parse(line, 0, &doc, &e)) {
        write_error(out, JSON_ABSENT, -32700, e.text);
        return;
    }
    struct json message = json_root(doc), id = json_key(message, TDA_STR("id"));
    tda_str method = json_str(json_key(message, TDA_STR("method")));
    uint32_t id_type = json_type(id);
    if (json_type(message) != TDA_JSON_OBJECT || !tda_str_eq(json_str(json_key(message, TDA_STR("jsonrpc"))), TDA_STR("2.0")) ||
        !method.p)
        write_error(out, id, -32600, "not a JSON-RPC 2.0 request");
    else if (id_type == TDA_JSON_STRING || id_type == TDA_JSON_NUMBER)
        answer(db, database_name, message, method, out); /* without an id: a notification, and there is none to act on */
    else if (id_type != TDA_JSON_NONE)
        write_error(out, JSON_ABSENT, -32600, "an id is a text or a number");
}
