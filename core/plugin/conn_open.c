/* A new connection: which server it is for, and its first step. */
#include <stdio.h>

#include "base/clock.h"
#include "plugin/plugin_impl.h"

enum { INFO_MAX = 64 << 10 };

tda_status server_unknown(const struct config *c, tda_str name, struct error *e) {
    struct buf known;
    buf_init(&known, 160);
    for (size_t i = 0; i < c->n_servers; i++) buf_addf(&known, "%s%s", i ? ", " : "", c->servers[i].name);
    error_set(e, TDA_E_NOT_FOUND, "unknown_mcp_server", "there is no MCP server \"%.*s\"", (int)(name.n < 64 ? name.n : 64),
              name.p ? name.p : "");
    error_field(e, "mcp_server.name");
    error_hint(e, known.n ? "the operator's configuration has: %.*s" : "the operator's configuration has none%.*s",
               STR_FMT(buf_str(&known)));
    buf_fini(&known);
    return TDA_E_NOT_FOUND;
}

/* A server of the operator's by its name, or a url among the user's server_configs. */
tda_status server_find(const struct config *config, const struct snapshot *s, struct server_ref *ret, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    tda_str name = snapshot_get(s, TDA_CTX_MCP_SERVER_NAME);
    *ret = (struct server_ref){.name = name, .config = config_server_find(config, name)};
    const char *operators = ret->config ? ret->config->url : NULL;
    if (operators && !(ret->url = str_dup(tda_str_of(operators)))) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    if (ret->config) return TDA_OK;
    if (json_parse(snapshot_get(s, TDA_CTX_SERVER_CONFIGS), 0, &doc, NULL)) return server_unknown(config, name, e);
    tda_str url = json_str(json_key(json_key(json_root(doc), name), TDA_STR("url")));
    if (!url.n) return server_unknown(config, name, e);
    return (ret->url = str_dup(url)) ? TDA_OK : error_set(e, TDA_E_NOMEM, NULL, "out of memory");
}

static struct plugin *find_adapter(const struct plugins *ps, const char *id, struct error *e) {
    struct plugin *p = registry_find(registry_now(ps), id);
    if (p && p->loaded.adapter) return p;
    error_set(e, TDA_E_UNSUPPORTED, "plugin_not_loaded", "the adapter plugin \"%s\" is not loaded", id);
    error_hint(e, "add it to plugins.load; plugin.list says why it was refused");
    return NULL;
}

/* A shared connection is nobody's: it knows its server, and no user's context. */
static tda_status copy_fields(struct conn *c, const struct snapshot *s) {
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        uint32_t key = ctx_fields[i].key;
        tda_str v = snapshot_get(s, key);
        if (conn_is_shared(c) && key != TDA_CTX_MCP_SERVER_NAME && key != TDA_CTX_MCP_SERVER_ID) continue;
        if (v.p && !(c->fields[i] = str_dup(v))) return TDA_E_NOMEM;
    }
    return TDA_OK;
}

enum { ROOM_RETRY_MS = 250, FULL_RETRY_MS = 1000 };

static tda_status room_soon(struct error *e) {
    error_hint(e, "one that was idle is being ended: try again in a moment");
    if (e) e->retry_ms = ROOM_RETRY_MS;
    return TDA_E_LIMIT;
}

/* The user's own number is what he may raise against others; the total is what the host bears. */
static tda_status check_number(struct plugin_loop *pl, const char *user, bool shared, struct error *e) {
    const struct config *config = config_now(pl->plugins->config);
    int64_t n = shared ? 0 : conn_count_of(pl, user, false),
            open = (int64_t)atomic_load_explicit(&pl->plugins->conns_open, memory_order_relaxed);
    if (open >= config->limits_connections_mcp) {
        error_set(e, TDA_E_LIMIT, "too_many_connections", "%lld connections to MCP servers are open already", (long long)open);
        error_hint(e, "try again later; the operator may raise limits.mcp_connections");
        if (!shared && conn_make_room(pl, user)) return room_soon(e);
    } else if (!shared && n >= config->limits_user_connections_mcp && !conn_close_idle(pl, user)) {
        error_set(e, TDA_E_LIMIT, "too_many_connections", "this user has %lld connections to MCP servers already", (long long)n);
        error_hint(e, "all of them are in use: try again later; the operator may raise limits.mcp_connections_per_user");
    } else {
        return TDA_OK;
    }
    if (e) e->retry_ms = FULL_RETRY_MS;
    return TDA_E_LIMIT;
}

/* A process takes its time to end, so one that makes room does so for the next attempt. */
static tda_status check_process(struct plugin_loop *pl, const char *user, bool shared, struct error *e) {
    tda_status s = flow_may_open_proc(pl->loop, shared ? NULL : user, e);
    if (s != TDA_E_LIMIT) return s;
    if (!shared && conn_make_room(pl, user)) return room_soon(e);
    if (e) e->retry_ms = FULL_RETRY_MS;
    return s;
}

/* Takes `server`'s url. */
static tda_status fill(struct conn *c, const struct call_spec *spec, struct server_ref *server, struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    c->refs = 1;
    c->server = server->config;
    c->url = server->url;
    server->url = NULL;
    const struct secrets *own = c->server ? NULL : snapshot_server_secrets(spec->snapshot);
    c->secrets = (struct secrets *)(uintptr_t)own;
    if (c->secrets) secrets_ref(c->secrets);
    buf_init(&c->info, INFO_MAX);
    const char *user = conn_is_shared(c) ? "" : snapshot_user(spec->snapshot);
    struct health_id id = {user, server->name, c->server, tda_str_of(c->url)};
    c->health = health_get(&pl->health, &id);
    if (!c->health) return TDA_E_NOMEM;
    tda_status s = health_admit(c->health, e);
    if (!s) s = check_number(pl, user, conn_is_shared(c), e);
    if (!s && !c->url) s = check_process(pl, user, conn_is_shared(c), e);
    if (s) return s;
    struct plugin *p = find_adapter(pl->plugins, c->server ? c->server->adapter : "mcp", e);
    if (!p) return TDA_E_UNSUPPORTED;
    s = copy_fields(c, spec->snapshot);
    if (!s) s = owner_init(&c->owner, HANDLE_CONN, pl, p, p->on[pl->index].adapter, p->loaded.adapter->conn_state_size);
    owner_set_user(&c->owner, user);
    return s;
}

tda_status conn_new(const struct call_spec *spec, struct server_ref *server, struct conn **ret, struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    struct conn *c = calloc(1, sizeof *c);
    tda_status s = c ? fill(c, spec, server, e) : TDA_E_NOMEM;
    if (s) {
        if (c) conn_unref(c);
        if (e && !e->text[0]) error_set(e, s, NULL, "no connection can be made: %s", status_text(s));
        return s;
    }
    conn_init(c);
    c->health->starts++;
    LIST_INSERT_HEAD(&pl->conns, c, of_loop);
    atomic_fetch_add_explicit(&pl->plugins->conns_open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->owner.plugin->conns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pl->plugins->conns_total, 1, memory_order_relaxed);
    *ret = c;
    return TDA_OK;
}

/* A connect that failed gets no drop. */
static void connect_failed(struct conn *c, tda_status s) {
    char text[160];
    snprintf(text, sizeof text, "plugin %s could not connect: %s", c->owner.plugin->loaded.note.id, status_text(s));
    conn_set_end(c, TDA_C_INTERNAL, tda_str_of(text));
    conn_leave_set(c);
    c->state = CONN_DROPPED;
    asks_end(c);
    conn_queue_step(c);
    conn_fini(c);
}

/* The plugin's reference is the one it was made with. */
void conn_connect(struct conn *c) {
    int64_t ready_ns = loop_config(c->owner.pl->loop)->mcp_ready_timeout;
    struct tda_server server = {.size = sizeof server,
                                .transport = c->url ? TDA_SERVER_URL : TDA_SERVER_PROCESS,
                                .name = tda_str_of(conn_server_name(c)),
                                .url = tda_str_of(c->url),
                                .deadline_ms = ready_ns / NS_PER_MS,
                                .era = c->server ? c->server->era : TDA_ERA_ANY,
                                .asks = c->server ? c->server->asks : 0}; /* only who answers for a server lets it ask */
    conn_ready_clock(c, true);
    conn_say(c, LOG_FROM_HOST, TDA_STR("connecting"));
    plugin_enter(&c->owner);
    tda_status s = c->owner.plugin->loaded.adapter->connect(c->owner.self, c->owner.handle, &server);
    plugin_leave();
    if (s) connect_failed(c, s);
}
