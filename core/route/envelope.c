#include "route/envelope.h"

#include <ctype.h>
#include <stdio.h>

static tda_status invalid(struct error *e, int *ret_code, const char *text, const char *field) {
    *ret_code = RPC_INVALID_REQUEST;
    error_set(e, TDA_E_INVALID, "invalid_request", "%s", text);
    error_field(e, "%s", field);
    error_hint(e, "send {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\",\"params\":{}}");
    return TDA_E_INVALID;
}

static bool id_valid(struct json id) {
    uint32_t type = json_type(id);
    return (type == TDA_JSON_STRING && json_raw(id).n <= 256) || (type == TDA_JSON_NUMBER && json_raw(id).n <= 64) ||
           type == TDA_JSON_NULL;
}

static tda_status unknown_member(struct json root, int *ret_code, struct error *e) {
    for (struct json v = json_first(root); json_type(v); v = json_next(v)) {
        tda_str name = json_name(v);
        if (tda_str_eq(name, TDA_STR("jsonrpc")) || tda_str_eq(name, TDA_STR("id")) || tda_str_eq(name, TDA_STR("method")) ||
            tda_str_eq(name, TDA_STR("params")))
            continue;
        char text[160];
        snprintf(text, sizeof text, "unknown member \"%.*s\": a request has jsonrpc, id, method and params",
                 (int)(name.n < 64 ? name.n : 64), name.p);
        return invalid(e, ret_code, text, "");
    }
    return TDA_OK;
}

tda_status envelope_parse(tda_str text, struct envelope *env, int *ret_code, struct error *e) {
    *env = (struct envelope){.id = TDA_STR("null")};
    tda_status s = json_parse(text, 0, &env->doc, e);
    if (s) {
        *ret_code = RPC_PARSE;
        return s;
    }
    struct json root = json_root(env->doc), id;
    if (json_type(root) == TDA_JSON_ARRAY) return invalid(e, ret_code, "batches are not supported: send one object a message", "");
    if (json_type(root) != TDA_JSON_OBJECT) return invalid(e, ret_code, "the message must be one JSON object", "");
    id = json_key(root, TDA_STR("id"));
    if (id_valid(id)) env->id = json_raw(id);
    if (!tda_str_eq(json_str(json_key(root, TDA_STR("jsonrpc"))), TDA_STR("2.0")))
        return invalid(e, ret_code, "jsonrpc must be \"2.0\"", "jsonrpc");
    if (!id_valid(id)) return invalid(e, ret_code, "id must be a text of up to 254 bytes, a number or null", "id");
    env->method = json_str(json_key(root, TDA_STR("method")));
    if (!env->method.n) return invalid(e, ret_code, "method must be a text", "method");
    env->params = json_key(root, TDA_STR("params"));
    if (json_type(env->params) && json_type(env->params) != TDA_JSON_OBJECT)
        return invalid(e, ret_code, "params must be an object: parameters have names here", "params");
    return unknown_member(root, ret_code, e);
}

void envelope_write(struct buf *out, tda_str id, tda_str body) {
    buf_add_z(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, id);
    buf_add_char(out, ',');
    buf_add_str(out, body);
    buf_add_char(out, '}');
}

int rpc_code_of(tda_status status) {
    return status == TDA_E_INVALID ? RPC_PARAMS : -32000 + (int)status;
}

void kind_of(const struct error *e, char *out, size_t size) {
    const char *name = e->kind[0] ? e->kind : status_name(e->status);
    if (!e->kind[0] && strncmp(name, "E_", 2) == 0) name += 2;
    snprintf(out, size, "%s", name);
    for (char *p = out; *p; p++) *p = (char)tolower((unsigned char)*p);
}

void envelope_error(struct buf *out, int code, const struct error *e) {
    struct jw w;
    char kind[32];
    kind_of(e, kind, sizeof kind);
    buf_add_z(out, "\"error\":");
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_put_i64(&w, "code", code ? code : rpc_code_of(e->status));
    jw_put_z(&w, "message", e->text[0] ? e->text : status_text(e->status));
    jw_open_object(&w, "data");
    jw_put_z(&w, "kind", kind);
    if (e->field[0]) jw_put_z(&w, "field", e->field);
    if (e->hint[0]) jw_put_z(&w, "hint", e->hint);
    if (e->profile[0]) jw_put_z(&w, "profile", e->profile);
    if (e->retry_ms >= 0) jw_put_i64(&w, "retry_ms", e->retry_ms);
    if (e->http_status) jw_put_i64(&w, "http_status", e->http_status);
    if (e->upstream_code[0]) jw_put_z(&w, "upstream_code", e->upstream_code);
    if (e->upstream_request_id[0]) jw_put_z(&w, "upstream_request_id", e->upstream_request_id);
    jw_end_object(&w);
    jw_end_object(&w);
}
