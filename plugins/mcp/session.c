/* One server: started, greeted, listened to, said goodbye to. stdio transport, handshake of 2025-11-25 and the eras before it. */
#include <stdio.h>
#include <stdlib.h>

#include "mcp.h"

enum { TOKEN_READY = 1 };

static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

/* ---- telling the host ---- */

static void tell(struct session *s, uint32_t kind, uint32_t cls, tda_str text, tda_str json) {
    struct tda_conn_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.cls = cls;
    event.level = TDA_LOG_INFO;
    event.text = text;
    event.json = json;
    mcp_host->conn_event(s->conn, &event);
}

void session_fail(struct session *s, uint32_t cls, const char *text) {
    if (s->phase == PHASE_OVER) return;
    uint32_t kind = s->phase == PHASE_READY ? TDA_CONN_CLOSED : TDA_CONN_FAILED;
    s->phase = PHASE_OVER;
    tell(s, kind, cls, tda_str_of(text), (tda_str){NULL, 0});
}

/* ---- the handshake ---- */

static tda_status greet(struct session *s) {
    s->greeting_id = ++s->last_id;
    tda_json_writer *w = wire_begin(s, s->greeting_id, "initialize");
    if (!w) return TDA_E_NOMEM;
    put_text(w, "protocolVersion", tda_str_of(versions[0]));
    mcp_json->put_key(w, TDA_STR("capabilities"));
    mcp_json->begin_object(w);
    mcp_json->end_object(w);
    mcp_json->put_key(w, TDA_STR("clientInfo"));
    mcp_json->begin_object(w);
    put_text(w, "name", TDA_STR("tda"));
    put_text(w, "version", TDA_STR("0.1.0"));
    mcp_json->end_object(w);
    return wire_send(s, w);
}

static int version_known(tda_str version) {
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (tda_str_eq(version, tda_str_of(versions[i]))) return 1;
    return 0;
}

static uint32_t has_capability(tda_json result, const char *path) {
    return mcp_json->type(mcp_json->get(result, path)) == TDA_JSON_OBJECT;
}

static void greeted(struct session *s, tda_json message) {
    char text[200];
    tda_json result = mcp_json->get(message, "result");
    tda_str version = mcp_json->str(mcp_json->get(result, "protocolVersion"));
    tda_str refusal = mcp_json->str(mcp_json->get(message, "error.message"));
    if (mcp_json->type(result) != TDA_JSON_OBJECT) {
        snprintf(text, sizeof text, "the server refused initialize: %.*s", (int)(refusal.n < 120 ? refusal.n : 120),
                 refusal.p ? refusal.p : "");
        session_fail(s, TDA_C_PROTOCOL, text);
        return;
    }
    if (!version_known(version)) {
        snprintf(text, sizeof text, "the server speaks version \"%.*s\" of the protocol; known are 2024-11-05 to 2025-11-25",
                 (int)(version.n < 32 ? version.n : 32), version.p ? version.p : "");
        session_fail(s, TDA_C_PROTOCOL, text);
        return;
    }
    s->has_tools = has_capability(result, "capabilities.tools");
    s->has_prompts = has_capability(result, "capabilities.prompts");
    s->has_resources = has_capability(result, "capabilities.resources");
    s->has_completions = has_capability(result, "capabilities.completions");
    if (wire_send(s, wire_begin(s, 0, "notifications/initialized"))) {
        session_fail(s, TDA_C_NETWORK, "the server does not take what is written to it");
        return;
    }
    s->phase = PHASE_READY;
    mcp_host->timer(s->conn, TOKEN_READY, 0);
    tell(s, TDA_CONN_READY, 0, (tda_str){NULL, 0}, mcp_json->raw(result));
}

/* ---- messages ---- */

static void notified(struct session *s, tda_str method, tda_json params) {
    tda_str text = mcp_json->str(mcp_json->get(params, "data"));
    if (tda_str_eq(method, TDA_STR("notifications/tools/list_changed")))
        tell(s, TDA_CONN_TOOLS_CHANGED, 0, (tda_str){NULL, 0}, (tda_str){NULL, 0});
    else if (tda_str_eq(method, TDA_STR("notifications/progress")))
        calls_progress(s, params);
    else if (tda_str_eq(method, TDA_STR("notifications/message")))
        tell(s, TDA_CONN_LOG, 0, text.p ? text : mcp_json->raw(mcp_json->get(params, "data")), (tda_str){NULL, 0});
}

/* What a server may ask of a client here: whether it is there. The rest was not offered in initialize. */
static void asked(struct session *s, tda_str method, tda_json id) {
    if (tda_str_eq(method, TDA_STR("ping")))
        wire_answer(s, id, 0, NULL);
    else
        wire_answer(s, id, -32601, "this client does not offer that");
}

static void answered(struct session *s, tda_json message, tda_json id) {
    int64_t number;
    if (!mcp_json->i64(id, &number)) return;
    if (s->phase == PHASE_GREETING && number == s->greeting_id)
        greeted(s, message);
    else
        calls_answer(s, message);
}

/* Programs print to stdout what belongs on stderr. A little of it is borne. */
static void garbage(struct session *s, tda_str line) {
    char text[160];
    if (s->garbage++ == 0) {
        snprintf(text, sizeof text, "a line on stdout is no JSON-RPC, ignored: %.*s", (int)(line.n < 80 ? line.n : 80), line.p);
        tell(s, TDA_CONN_LOG, 0, tda_str_of(text), (tda_str){NULL, 0});
    }
    if (s->garbage > GARBAGE_MAX) session_fail(s, TDA_C_PROTOCOL, "the server writes lines to stdout that are no JSON-RPC");
}

static void take_message(struct session *s, tda_json message) {
    tda_json id = mcp_json->get(message, "id");
    tda_str method = mcp_json->str(mcp_json->get(message, "method"));
    uint32_t id_type = mcp_json->type(id);
    if (method.p && id_type != TDA_JSON_NONE)
        asked(s, method, id);
    else if (method.p)
        notified(s, method, mcp_json->get(message, "params"));
    else if (id_type != TDA_JSON_NONE && id_type != TDA_JSON_NULL)
        answered(s, message, id);
}

static void take_line(struct session *s, tda_str line) {
    tda_json root;
    if (line.n == 0) return;
    if (mcp_json->parse(s->conn, line, &root)) {
        garbage(s, line);
        return;
    }
    uint32_t type = mcp_json->type(root);
    if (type == TDA_JSON_ARRAY) /* batches were part of 2025-03-26 */
        for (tda_json m = mcp_json->first(root); mcp_json->type(m) && s->phase != PHASE_OVER; m = mcp_json->next(m))
            take_message(s, m);
    else if (type == TDA_JSON_OBJECT)
        take_message(s, root);
    else
        garbage(s, line);
}

/* ---- the process ---- */

static void keep_last_words(struct session *s, tda_str line) {
    size_t n = line.n < STDERR_KEPT - 1 ? line.n : STDERR_KEPT - 1;
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) s->last_words[i] = (unsigned char)line.p[i] < ' ' ? ' ' : line.p[i];
    s->last_words[n] = 0;
}

static void ended(struct session *s, const struct tda_flow_event *event) {
    char text[STDERR_KEPT + 120];
    int by_signal = event->status > 128;
    snprintf(text, sizeof text, "the server %s %d%s%s", by_signal ? "was ended by signal" : "ended with exit code",
             by_signal ? event->status - 128 : event->status, s->last_words[0] ? "; its last line on stderr: " : "", s->last_words);
    s->flow = 0;
    session_fail(s, TDA_C_NETWORK, text);
}

void session_flow(void *self, tda_conn conn, const struct tda_flow_event *event) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    char text[300];
    switch (event->kind) {
    case TDA_FLOW_ITEM: take_line(s, event->data); break;
    case TDA_FLOW_STDERR:
        keep_last_words(s, event->data);
        mcp_host->log(conn, TDA_LOG_DEBUG, event->data);
        break;
    case TDA_FLOW_WRITABLE:
        if (wire_flush(s)) session_fail(s, TDA_C_NETWORK, "the server does not take what is written to it");
        break;
    case TDA_FLOW_END: ended(s, event); break;
    case TDA_FLOW_FAIL:
        s->flow = 0;
        snprintf(text, sizeof text, "%.*s", (int)(event->text.n < 280 ? event->text.n : 280), event->text.p);
        session_fail(s, event->cls, text);
        break;
    default: break;
    }
}

tda_status session_connect(void *self, tda_conn conn, const struct tda_server *server) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    struct tda_flow_request request;
    s->conn = conn;
    s->phase = PHASE_GREETING;
    if (server->transport != TDA_SERVER_PROCESS) {
        session_fail(s, TDA_C_REQUEST,
                     "MCP servers at a url are not available yet; use one that the operator's configuration starts");
        return TDA_OK;
    }
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    request.kind = TDA_FLOW_SERVER;
    request.framing = TDA_FRAME_LINES;
    tda_status status = mcp_host->flow_open(conn, &request, &s->flow);
    if (!status) status = greet(s);
    if (!status) status = mcp_host->timer(conn, TOKEN_READY, server->deadline_ms > 0 ? (uint32_t)server->deadline_ms : 1);
    if (status) session_fail(s, TDA_C_NETWORK, "the server cannot be started");
    return TDA_OK;
}

void session_wake(void *self, tda_conn conn, uint64_t token) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    if (token == TOKEN_READY && s->phase == PHASE_GREETING) session_fail(s, TDA_C_TIMEOUT, "no answer to initialize in time");
}

/* The host waits, then signals the process; its end closes the connection. */
void session_close(void *self, tda_conn conn) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    if (s->flow)
        mcp_host->flow_close_send(conn, s->flow);
    else
        session_fail(s, TDA_C_CANCELLED, "closed");
}

void session_drop(void *self, tda_conn conn) {
    (void)self;
    struct session *s = (struct session *)mcp_host->state(conn);
    free(s->queue);
    s->queue = NULL;
}
