/* One connection: opened, greeted, listened to, said goodbye to. */
#include "conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "call.h"

/* Above the ids that a greeting can take, whichever way it went: what follows has the same ids in each transcript. */
enum { LAST_GREETING_ID = 20 };

/* ---- telling the host ---- */

static void tell(struct conn *c, uint32_t kind, uint32_t cls, uint32_t level, tda_str text, tda_str json) {
    struct tda_conn_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.cls = cls;
    event.level = level;
    event.text = text;
    event.json = json;
    mcp_host->conn_event(c->handle, &event);
}

void conn_tell(struct conn *c, uint32_t kind, tda_str text, tda_str json) {
    tell(c, kind, 0, TDA_LOG_INFO, text, json);
}

void conn_log(struct conn *c, uint32_t level, const char *format, ...) {
    char text[600];
    va_list args;
    if (c->state == CONN_OVER) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tell(c, TDA_CONN_LOG, 0, level, tda_str_of(text), ABSENT);
}

void conn_timer(struct conn *c, uint32_t token, int64_t ms) {
    mcp_host->timer(c->handle, token, ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms);
}

void conn_fail(struct conn *c, uint32_t cls, const char *format, ...) {
    char text[800];
    va_list args;
    if (c->state == CONN_OVER) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    uint32_t kind = c->state == CONN_OPENING ? TDA_CONN_FAILED : TDA_CONN_CLOSED;
    c->state = CONN_OVER;
    tell(c, kind, cls, 0, tda_str_of(text), ABSENT);
}

void conn_end(struct conn *c) {
    conn_fail(c, TDA_C_CANCELLED, "closed");
}

int conn_is_live(const struct conn *c) {
    return c->state != CONN_OVER && !c->is_closing;
}

void conn_ready(struct conn *c) {
    if (c->state != CONN_OPENING || c->is_closing) return;
    c->state = CONN_READY;
    c->last_id = LAST_GREETING_ID;
    c->stale = LIST_TOOLS | LIST_PROMPTS | LIST_RESOURCES;
    conn_timer(c, TOKEN_PROBE, 0);
    conn_tell(c, TDA_CONN_READY, ABSENT, tda_str_of(c->ready_json));
    free(c->ready_json);
    c->ready_json = NULL;
    c->era->settled(c);
}

/* ---- who the server is, and who we are ---- */

static uint8_t can(tda_json result, const char *path) {
    return mcp_json->type(mcp_json->get(result, path)) == TDA_JSON_OBJECT;
}

static uint8_t promises(tda_json result, const char *path) {
    int32_t yes = 0;
    return mcp_json->boolean(mcp_json->get(result, path), &yes) && yes;
}

static void put_if_there(tda_json_writer *w, const char *key, tda_json value) {
    if (mcp_json->type(value)) put_raw(w, key, mcp_json->raw(value));
}

tda_status conn_describe(struct conn *c, tda_json result, tda_json server_info) {
    tda_str text;
    tda_json_writer *w = mcp_json->writer(c->handle);
    struct abilities *a = &c->can;
    a->tools = can(result, "capabilities.tools");
    a->prompts = can(result, "capabilities.prompts");
    a->resources = can(result, "capabilities.resources");
    a->completions = can(result, "capabilities.completions");
    a->logging = can(result, "capabilities.logging");
    a->subscribe = promises(result, "capabilities.resources.subscribe");
    a->tools_change = promises(result, "capabilities.tools.listChanged");
    a->prompts_change = promises(result, "capabilities.prompts.listChanged");
    a->resources_change = promises(result, "capabilities.resources.listChanged");
    if (!w) return TDA_E_NOMEM;
    mcp_json->begin_object(w);
    put_text(w, "protocolVersion", tda_str_of(c->version));
    put_text(w, "era", tda_str_of(c->era->name));
    put_text(w, "transport", tda_str_of(c->transport->name));
    put_if_there(w, "capabilities", mcp_json->get(result, "capabilities"));
    put_if_there(w, "serverInfo", server_info);
    put_if_there(w, "instructions", mcp_json->get(result, "instructions"));
    mcp_json->end_object(w);
    tda_status status = mcp_json->text(w, &text);
    free(c->ready_json);
    c->ready_json = status ? NULL : text_dup(text);
    return status ? status : c->ready_json ? TDA_OK : TDA_E_NOMEM;
}

void conn_put_client(tda_json_writer *w) {
    mcp_json->begin_object(w);
    put_text(w, "name", TDA_STR("tda"));
    put_text(w, "version", TDA_STR(MCP_VERSION));
    mcp_json->end_object(w);
}

/* No sampling and no roots, ever: a server must not ask for what is not in here. */
void conn_put_capabilities(const struct conn *c, tda_json_writer *w) {
    mcp_json->begin_object(w);
    if (c->asks) {
        mcp_json->put_key(w, TDA_STR("elicitation"));
        mcp_json->begin_object(w);
        if (c->asks & TDA_ASK_FORM) put_empty(w, "form");
        if (c->asks & TDA_ASK_URL) put_empty(w, "url");
        mcp_json->end_object(w);
    }
    mcp_json->end_object(w);
}

/* ---- resources that are followed ---- */

void conn_subscribe(struct conn *c, tda_str uri) {
    for (struct subscription *s = c->subscriptions; s; s = s->next)
        if (text_is(uri, s->uri)) return;
    struct subscription *s = (struct subscription *)malloc(sizeof *s + uri.n + 1);
    if (!s) return;
    memcpy(s->uri, uri.p, uri.n);
    s->uri[uri.n] = 0;
    s->next = c->subscriptions;
    c->subscriptions = s;
    c->n_subscriptions++;
}

void conn_unsubscribe(struct conn *c, tda_str uri) {
    for (struct subscription **link = &c->subscriptions; *link; link = &(*link)->next) {
        struct subscription *s = *link;
        if (!text_is(uri, s->uri)) continue;
        *link = s->next;
        c->n_subscriptions--;
        free(s);
        return;
    }
}

/* ---- from the host ---- */

tda_status conn_connect(void *self, tda_conn handle, const struct tda_server *server) {
    struct conn *c = (struct conn *)mcp_host->state(handle);
    c->handle = handle;
    (void)self;
    c->asks = server->asks & (TDA_ASK_FORM | TDA_ASK_URL);
    c->deadline_ms = server->deadline_ms > 0 ? server->deadline_ms : 1;
    c->greeting.conn = c->listen.conn = c;
    c->http.standing.retry_ms = -1;
    c->name = text_dup(server->name);
    c->probe.is_sure = server->era != TDA_ERA_ANY;
    c->era = server->era == TDA_ERA_LEGACY ? &era_legacy : &era_modern;
    c->transport = server->transport == TDA_SERVER_URL ? &transport_http : &transport_stdio;
    if (server->transport == TDA_SERVER_URL && !(c->url = text_dup(server->url))) {
        conn_fail(c, TDA_C_INTERNAL, "out of memory");
        return TDA_OK;
    }
    era_begin(c);
    return TDA_OK;
}

void conn_flow(void *self, tda_conn handle, const struct tda_flow_event *event) {
    (void)self;
    struct conn *c = (struct conn *)mcp_host->state(handle);
    if (c && c->state != CONN_OVER) c->transport->flow(c, event);
}

void conn_wake(void *self, tda_conn handle, uint64_t token) {
    (void)self;
    struct conn *c = (struct conn *)mcp_host->state(handle);
    if (!c || !conn_is_live(c)) return;
    if (token == TOKEN_PROBE)
        era_silence(c);
    else if (token == TOKEN_LOG)
        notices_log(c);
    else if (token == TOKEN_STAND)
        c->era->stand(c);
    else if (token == TOKEN_SETTLE)
        http_settled(c);
    else if (token == TOKEN_FRESH)
        list_changed(c, LIST_TOOLS);
    else if (token > TOKEN_RESUME)
        stream_resume(c, (uint32_t)(token - TOKEN_RESUME));
}

/* The host has finished the calls, waits, and then ends what is still open. */
void conn_close(void *self, tda_conn handle) {
    (void)self;
    struct conn *c = (struct conn *)mcp_host->state(handle);
    if (!c || c->state == CONN_OVER) return;
    c->is_closing = 1;
    c->transport->close(c);
}

void conn_drop(void *self, tda_conn handle) {
    (void)self;
    struct conn *c = (struct conn *)mcp_host->state(handle);
    if (!c) return;
    c->state = CONN_OVER;
    questions_free(c);
    schemas_clear(&c->schemas);
    free(c->pipe.queue);
    c->pipe.queue = NULL;
    http_drop(c);
    stream_clear(&c->greeting.stream);
    stream_clear(&c->listen.stream);
    while (c->subscriptions) conn_unsubscribe(c, tda_str_of(c->subscriptions->uri));
    free(c->ready_json);
    free(c->name);
    free(c->url);
}
