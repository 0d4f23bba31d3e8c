/* subscriptions/listen (2026-07-28): one long request, whose stream says what has changed. It is made anew when what is to be heard
 * changes, and when the server lets it go. */
#include "call.h"

enum { DELAY_MIN_MS = 1000, DELAY_MAX_MS = 60000 };

int listen_is(const struct conn *c, tda_json id) {
    int64_t number;
    return c->listen.is_listed && mcp_json->i64(id, &number) && number == c->listen.id;
}

static void put_true(tda_json_writer *w, const char *key) {
    mcp_json->put_key(w, tda_str_of(key));
    mcp_json->put_bool(w, 1);
}

static tda_status put_filter(struct exchange *x, tda_json_writer *w) {
    const struct conn *c = x->conn;
    mcp_json->put_key(w, TDA_STR("notifications"));
    mcp_json->begin_object(w);
    if (c->can.tools_change) put_true(w, "toolsListChanged");
    if (c->can.prompts_change) put_true(w, "promptsListChanged");
    if (c->can.resources_change) put_true(w, "resourcesListChanged");
    if (c->subscriptions) {
        mcp_json->put_key(w, TDA_STR("resourceSubscriptions"));
        mcp_json->begin_array(w);
        for (struct subscription *s = c->subscriptions; s; s = s->next) mcp_json->put_str(w, tda_str_of(s->uri));
        mcp_json->end_array(w);
    }
    mcp_json->end_object(w);
    return TDA_OK;
}

static void refuse_listeners(struct conn *c, const char *why) {
    while (c->listeners) {
        struct call *call = c->listeners;
        c->listeners = call->next_listener;
        conn_unsubscribe(c, tda_str_of(call->name));
        call_fail(call, TDA_C_REQUEST, "%s", why);
    }
}

static void again_later(struct conn *c) {
    c->listen_delay_ms = c->listen_delay_ms ? c->listen_delay_ms * 2 : DELAY_MIN_MS;
    if (c->listen_delay_ms > DELAY_MAX_MS) c->listen_delay_ms = DELAY_MAX_MS;
    conn_timer(c, TOKEN_STAND, c->listen_delay_ms);
}

/* An error is an answer: the server does not offer it. An end, or a stream that breaks, is none. */
static void over(struct exchange *x, const struct outcome *o) {
    struct conn *c = x->conn;
    refuse_listeners(c, "the server ended the subscription");
    if (mcp_json->type(o->error) || (o->http_status >= 400 && o->http_status < 500))
        conn_log(c, TDA_LOG_INFO, "the server does not tell of changes: %.*s",
                 CUT(o->text.n ? o->text : mcp_json->str(mcp_json->get(o->error, "message")), 200));
    else
        again_later(c);
}

void listen_over(struct conn *c) {
    exchange_forget(&c->listen);
    again_later(c);
}

void listen_open(struct conn *c) {
    struct exchange *x = &c->listen;
    if (x->is_listed) exchange_cancel(x);
    conn_timer(c, TOKEN_STAND, 0);
    if (!c->can.tools_change && !c->can.prompts_change && !c->can.resources_change && !c->subscriptions) return;
    x->method = "subscriptions/listen";
    x->put_params = put_filter;
    x->done = over;
    if (exchange_send(x)) again_later(c);
}

static int is_agreed(tda_json list, const char *uri) {
    for (tda_json v = mcp_json->first(list); mcp_json->type(v); v = mcp_json->next(v))
        if (text_is(mcp_json->str(v), uri)) return 1;
    return 0;
}

void listen_acknowledged(struct conn *c, tda_json params) {
    tda_json agreed = mcp_json->get(params, "notifications.resourceSubscriptions");
    while (c->listeners) {
        struct call *call = c->listeners;
        c->listeners = call->next_listener;
        if (is_agreed(agreed, call->name)) {
            call_ok(call, 0);
        } else {
            conn_unsubscribe(c, tda_str_of(call->name));
            call_fail(call, TDA_C_REQUEST, "the server does not follow this resource");
        }
    }
}
