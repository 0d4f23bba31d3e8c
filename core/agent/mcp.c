/* mcp.list, mcp.logs, mcp.restart: what a user may know and do about MCP servers. mcp.probe is probe.c's. */
#include "agent/agent.h"
#include "plugin/servers.h"

enum { LINES_DEFAULT = 100, LINES_MAX = 2000 };

static struct asking asking_of(const struct work *w) {
    struct asking a = {.plugins = w->agent->plugins, .snapshot = w->snapshot};
    bool shared = contexts_is_shared(w->agent->contexts);
    a.user = shared ? "" : w->snapshot ? snapshot_user(w->snapshot) : w->user.p;
    return a;
}

/* The one that the request names, else the context's. */
static tda_status find_name(const struct work *w, tda_str *ret, struct error *e) {
    struct json given = json_key(w->params, TDA_STR("server"));
    *ret = json_type(given) ? json_str(given) : w->snapshot ? snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME) : TDA_STR("");
    if (ret->n) return TDA_OK;
    error_set(e, TDA_E_INVALID, "missing_param", "which server? this context has none of its own");
    error_field(e, "server");
    error_hint(e, "mcp.list shows the servers there are");
    return TDA_E_INVALID;
}

static tda_status whole_number(const struct work *w, const char *name, uint64_t max, uint64_t *ret, struct error *e) {
    struct json v = json_key(w->params, tda_str_of(name));
    int64_t n;
    if (!json_type(v)) return TDA_OK;
    if (!json_i64(v, &n) || n < 0 || (uint64_t)n > max) {
        error_set(e, TDA_E_INVALID, "invalid_param", "%s wants a whole number from 0 to %llu", name, (unsigned long long)max);
        error_field(e, "%s", name);
        return TDA_E_INVALID;
    }
    *ret = (uint64_t)n;
    return TDA_OK;
}

void agent_mcp_list(struct work *w) {
    struct asking a = asking_of(w);
    jw_key(w->out, TDA_STR("servers"));
    servers_write(&a, w->out);
    w->done(w, NULL);
}

void agent_mcp_logs(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct asking a = asking_of(w);
    uint64_t lines = LINES_DEFAULT, after = 0;
    tda_str name;
    tda_status s = find_name(w, &name, &e);
    if (!s) s = whole_number(w, "lines", LINES_MAX, &lines, &e);
    if (!s) s = whole_number(w, "after", INT64_MAX, &after, &e);
    if (!s) s = server_write_log(&a, name, after, (size_t)lines, w->out, &e);
    w->done(w, s ? &e : NULL);
}

void agent_mcp_restart(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct asking a = asking_of(w);
    unsigned closed = 0;
    bool parked = false;
    tda_str name;
    tda_status s = find_name(w, &name, &e);
    if (!s) s = server_restart(&a, name, &closed, &parked, &e);
    if (!s) {
        jw_put_str(w->out, "server", name);
        jw_put_u64(w->out, "closed", closed);
        jw_put_bool(w->out, "was_parked", parked);
    }
    w->done(w, s ? &e : NULL);
}
