/* The legacy era: initialize, its answer, notifications/initialized. */
#include "conn.h"

static const char *const versions[] = {LEGACY_VERSION, "2025-06-18", "2025-03-26", "2024-11-05"};

const char *legacy_version(tda_str version) {
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (text_is(version, versions[i])) return versions[i];
    return NULL;
}

const char *legacy_choose(tda_json list) {
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        for (tda_json v = mcp_json->first(list); mcp_json->type(v); v = mcp_json->next(v))
            if (text_is(mcp_json->str(v), versions[i])) return versions[i];
    return NULL;
}

static tda_status put_initialize(struct exchange *x, tda_json_writer *w) {
    put_text(w, "protocolVersion", TDA_STR(LEGACY_VERSION));
    mcp_json->put_key(w, TDA_STR("capabilities"));
    conn_put_capabilities(x->conn, w);
    mcp_json->put_key(w, TDA_STR("clientInfo"));
    conn_put_client(w);
    return TDA_OK;
}

/* A new session in the place of a lost one: its lists may be others, and it knows of no subscription. */
static void reopened(struct conn *c) {
    c->http.is_reopening = 0;
    exchanges_unpark(c);
    c->era->settled(c);
    c->transport->settle(c);
    list_changed(c, LIST_TOOLS);
    if (c->can.prompts) list_changed(c, LIST_PROMPTS);
    if (c->can.resources) list_changed(c, LIST_RESOURCES);
}

static void initialized(struct exchange *x, const struct outcome *o) {
    struct conn *c = x->conn;
    if (o->cls)
        conn_fail(c, o->cls, "the server does not take notifications/initialized: %.*s", CUT(o->text, 400));
    else if (c->state == CONN_READY)
        reopened(c);
    else
        c->transport->settle(c);
}

static void greeted(struct exchange *x, const struct outcome *o) {
    struct conn *c = x->conn;
    tda_str version = mcp_json->str(mcp_json->get(o->result, "protocolVersion"));
    if (o->cls || mcp_json->type(o->result) != TDA_JSON_OBJECT) {
        era_not_legacy(c, o);
        return;
    }
    if (!(c->version = legacy_version(version))) {
        conn_fail(c, TDA_C_PROTOCOL,
                  "the server speaks version \"%.*s\" of the protocol; known are 2024-11-05 to " LEGACY_VERSION
                  " and " MODERN_VERSION,
                  CUT(version, 32));
        return;
    }
    if (conn_describe(c, o->result, mcp_json->get(o->result, "serverInfo"))) {
        conn_fail(c, TDA_C_INTERNAL, "out of memory");
        return;
    }
    era_known(c);
    x->method = "notifications/initialized";
    x->is_notification = 1;
    x->put_params = NULL;
    x->done = initialized;
    if (exchange_send(x)) conn_fail(c, TDA_C_NETWORK, "the server does not take notifications/initialized");
}

static tda_status greet(struct conn *c) {
    struct exchange *x = &c->greeting;
    c->version = NULL;
    x->method = "initialize";
    x->is_notification = 0;
    x->put_params = put_initialize;
    x->done = greeted;
    return exchange_send(x);
}

/* ---- afterwards ---- */

static tda_status put_uri(struct exchange *x, tda_json_writer *w) {
    put_text(w, "uri", x->name);
    return TDA_OK;
}

static tda_status put_level(struct exchange *x, tda_json_writer *w) {
    put_text(w, "level", x->name);
    return TDA_OK;
}

static void asked_again(struct exchange *x, const struct outcome *o);

/* One after the other, by the connection's own exchange: only after a session was lost is there anything to ask for again. */
static void ask_again(struct conn *c, struct subscription *s, int is_level) {
    struct exchange *x = &c->listen;
    if (!s && !is_level) return;
    x->method = is_level ? "logging/setLevel" : "resources/subscribe";
    x->name = tda_str_of(is_level ? c->log_level : s->uri);
    x->put_params = is_level ? put_level : put_uri;
    x->done = asked_again;
    exchange_send(x);
}

static void asked_again(struct exchange *x, const struct outcome *o) {
    struct conn *c = x->conn;
    struct subscription *s = c->subscriptions;
    if (!text_is(tda_str_of(x->method), "logging/setLevel")) {
        while (s && s->uri != x->name.p) s = s->next; /* unsubscribed meanwhile: then the rest is left */
        if (o->cls || mcp_json->type(o->error)) conn_log(c, TDA_LOG_WARN, "the new session does not follow a resource any more");
        s = s ? s->next : NULL;
    }
    ask_again(c, s, 0);
}

static void settled(struct conn *c) {
    ask_again(c, c->subscriptions, c->log_level[0] != 0);
}

const struct era era_legacy = {.name = "legacy", .greet = greet, .settled = settled, .stand = http_stand};
