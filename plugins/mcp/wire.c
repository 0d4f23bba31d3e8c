#include <stdlib.h>

#include "mcp.h"

void put_text(tda_json_writer *w, const char *key, tda_str value) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->put_str(w, value);
}

tda_json_writer *wire_begin(struct session *s, int64_t id, const char *method) {
    tda_json_writer *w = mcp_json->writer(s->conn);
    if (!w) return NULL;
    mcp_json->begin_object(w);
    put_text(w, "jsonrpc", TDA_STR("2.0"));
    if (id) {
        mcp_json->put_key(w, TDA_STR("id"));
        mcp_json->put_i64(w, id);
    }
    put_text(w, "method", tda_str_of(method));
    mcp_json->put_key(w, TDA_STR("params"));
    mcp_json->begin_object(w);
    return w;
}

/* Behind what waits already, or as all that waits. */
static tda_status enqueue(struct session *s, tda_str line) {
    if (line.n > QUEUE_MAX - s->queue_n) return TDA_E_LIMIT;
    char *queue = (char *)realloc(s->queue, s->queue_n + line.n);
    if (!queue) return TDA_E_NOMEM;
    memcpy(queue + s->queue_n, line.p, line.n);
    s->queue = queue;
    s->queue_n += line.n;
    return TDA_OK;
}

static tda_status send_line(struct session *s, tda_str text) {
    char *line = (char *)malloc(text.n + 1);
    if (!line) return TDA_E_NOMEM;
    memcpy(line, text.p, text.n);
    line[text.n] = '\n';
    tda_str whole = {line, text.n + 1};
    tda_status status = s->queue_n ? TDA_E_AGAIN : mcp_host->flow_send(s->conn, s->flow, whole);
    if (status == TDA_E_AGAIN) status = enqueue(s, whole);
    free(line);
    return status;
}

static tda_status finish_message(struct session *s, tda_json_writer *w) {
    tda_str text;
    mcp_json->end_object(w);
    tda_status status = mcp_json->text(w, &text);
    return status ? status : send_line(s, text);
}

tda_status wire_send(struct session *s, tda_json_writer *w) {
    if (!w) return TDA_E_NOMEM;
    mcp_json->end_object(w);
    return finish_message(s, w);
}

tda_status wire_answer(struct session *s, tda_json id, int64_t error_code, const char *error_text) {
    tda_json_writer *w = mcp_json->writer(s->conn);
    if (!w) return TDA_E_NOMEM;
    mcp_json->begin_object(w);
    put_text(w, "jsonrpc", TDA_STR("2.0"));
    mcp_json->put_key(w, TDA_STR("id"));
    mcp_json->put_raw(w, mcp_json->raw(id));
    mcp_json->put_key(w, error_code ? TDA_STR("error") : TDA_STR("result"));
    mcp_json->begin_object(w);
    if (error_code) {
        mcp_json->put_key(w, TDA_STR("code"));
        mcp_json->put_i64(w, error_code);
        put_text(w, "message", tda_str_of(error_text));
    }
    mcp_json->end_object(w);
    return finish_message(s, w);
}

/* Line by line, as they came: the host takes no more at once than one line may have. */
tda_status wire_flush(struct session *s) {
    size_t sent = 0;
    tda_status status = TDA_OK;
    while (!status && sent < s->queue_n) {
        const char *line = s->queue + sent, *end = (const char *)memchr(line, '\n', s->queue_n - sent);
        tda_str whole = {line, end ? (size_t)(end - line) + 1 : s->queue_n - sent};
        status = mcp_host->flow_send(s->conn, s->flow, whole);
        if (!status) sent += whole.n;
    }
    if (sent) memmove(s->queue, s->queue + sent, s->queue_n - sent);
    s->queue_n -= sent;
    if (status == TDA_E_AGAIN) return TDA_OK;
    free(s->queue);
    s->queue = NULL;
    s->queue_n = 0;
    return status;
}
