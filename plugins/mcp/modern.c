/* The modern era: server/discover, and what every request carries. */
#include "conn.h"

enum { DISCOVERS_MAX = 3 };

int is_modern_error(tda_json error) {
    int64_t code = 0;
    mcp_json->i64(mcp_json->get(error, "code"), &code);
    return code == -32020 || code == -32021 || code == -32022;
}

int modern_choose(tda_json versions) {
    for (tda_json v = mcp_json->first(versions); mcp_json->type(v); v = mcp_json->next(v))
        if (text_is(mcp_json->str(v), MODERN_VERSION)) return 1;
    return 0;
}

static void put_meta(const struct exchange *x, tda_json_writer *w) {
    const struct conn *c = x->conn;
    put_text(w, "io.modelcontextprotocol/protocolVersion", TDA_STR(MODERN_VERSION));
    mcp_json->put_key(w, TDA_STR("io.modelcontextprotocol/clientInfo"));
    conn_put_client(w);
    mcp_json->put_key(w, TDA_STR("io.modelcontextprotocol/clientCapabilities"));
    conn_put_capabilities(c, w);
    if (c->log_level[0]) put_text(w, "io.modelcontextprotocol/logLevel", tda_str_of(c->log_level));
}

/* The server lists its versions, and ours is not among them; or it refused ours and lists it all the same. */
static void choose(struct conn *c, tda_json versions) {
    if (modern_choose(versions) && c->probe.discovers < DISCOVERS_MAX) {
        if (c->era->greet(c)) conn_fail(c, TDA_C_NETWORK, "the server does not take what is written to it");
    } else if (!modern_choose(versions) && legacy_choose(versions) && !c->probe.is_sure && !c->probe.did_legacy) {
        era_try(c, &era_legacy, c->transport);
    } else {
        conn_fail(c, TDA_C_PROTOCOL,
                  "no version of the protocol in common: the server speaks %.*s, known are 2024-11-05 to " LEGACY_VERSION
                  " and " MODERN_VERSION,
                  CUT(mcp_json->raw(versions), 200));
    }
}

static void known(struct conn *c, tda_json result) {
    tda_json info = mcp_json->key(mcp_json->get(result, "_meta"), TDA_STR("io.modelcontextprotocol/serverInfo"));
    c->version = MODERN_VERSION;
    if (!mcp_json->type(info)) info = mcp_json->get(result, "serverInfo");
    if (conn_describe(c, result, info)) {
        conn_fail(c, TDA_C_INTERNAL, "out of memory");
        return;
    }
    era_known(c);
    conn_ready(c);
}

static void discovered(struct exchange *x, const struct outcome *o) {
    struct conn *c = x->conn;
    tda_json versions = mcp_json->get(o->result, "supportedVersions");
    int64_t code = 0;
    mcp_json->i64(mcp_json->get(o->error, "code"), &code);
    if (mcp_json->type(versions) == TDA_JSON_ARRAY && modern_choose(versions))
        known(c, o->result);
    else if (mcp_json->type(versions) == TDA_JSON_ARRAY)
        choose(c, versions);
    else if (code == -32022)
        choose(c, mcp_json->get(o->error, "data.supported"));
    else if (is_modern_error(o->error))
        conn_fail(c, TDA_C_PROTOCOL, "the server refused server/discover with error %lld: %.*s", (long long)code,
                  CUT(mcp_json->str(mcp_json->get(o->error, "message")), 300));
    else
        era_not_modern(c, o);
}

static tda_status greet(struct conn *c) {
    struct exchange *x = &c->greeting;
    c->version = NULL;
    c->probe.discovers++;
    x->method = "server/discover";
    x->is_notification = 0;
    x->put_params = NULL;
    x->done = discovered;
    return exchange_send(x);
}

static void settled(struct conn *c) {
    listen_open(c);
}

const struct era era_modern = {
    .name = "modern", .is_modern = 1, .greet = greet, .put_meta = put_meta, .settled = settled, .stand = listen_open};
