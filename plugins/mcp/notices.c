/* What a server says unasked: changes, progress, its log, the end of a request of its own. */
#include <stdio.h>

#include "call.h"

enum { LOG_WINDOW_MS = 1000 };

/* ---- lists ---- */

/* Servers send one for each tool that they add. The host hears of the first; until it has begun to list again, the rest is no news.
 */
void list_changed(struct conn *c, enum list what) {
    if (c->state != CONN_READY || (c->stale & what)) return;
    c->stale |= what;
    conn_tell(c,
              what == LIST_TOOLS     ? TDA_CONN_TOOLS_CHANGED
              : what == LIST_PROMPTS ? TDA_CONN_PROMPTS_CHANGED
                                     : TDA_CONN_RESOURCES_CHANGED,
              ABSENT, ABSENT);
}

/* ttlMs (2026-07-28): the host is told to list again once the list is old, unless the server promised to say so. Nothing is kept
 * here, so whether others may share it (cacheScope) does not matter. */
void tools_fresh_for(struct conn *c, tda_json result) {
    enum { LEAST_MS = 1000, DAY_MS = 86400000 };
    int64_t ttl;
    if (!c->era->is_modern || c->can.tools_change || !mcp_json->i64(mcp_json->get(result, "ttlMs"), &ttl)) return;
    conn_timer(c, TOKEN_FRESH, ttl < LEAST_MS ? LEAST_MS : ttl > DAY_MS ? DAY_MS : ttl);
}

/* ---- the server's log ---- */

static uint32_t log_level(tda_str name) {
    if (text_is(name, "debug")) return TDA_LOG_DEBUG;
    if (text_is(name, "warning")) return TDA_LOG_WARN;
    if (text_is(name, "error") || text_is(name, "critical") || text_is(name, "alert") || text_is(name, "emergency"))
        return TDA_LOG_ERROR;
    return TDA_LOG_INFO;
}

static void logged(struct conn *c, tda_json params) {
    tda_json data = mcp_json->get(params, "data");
    tda_str text = mcp_json->str(data), logger = mcp_json->str(mcp_json->get(params, "logger"));
    if (!text.p) text = mcp_json->raw(data);
    if (c->log_lines == 0) conn_timer(c, TOKEN_LOG, LOG_WINDOW_MS);
    if (++c->log_lines > LOG_LINES_MAX)
        c->log_dropped++;
    else
        conn_log(c, log_level(mcp_json->str(mcp_json->get(params, "level"))), "%.*s%s%.*s", CUT(logger, 60), logger.n ? ": " : "",
                 CUT(text, 400));
}

void notices_log(struct conn *c) {
    uint32_t dropped = c->log_dropped;
    c->log_lines = c->log_dropped = 0;
    if (dropped)
        conn_log(c, TDA_LOG_WARN, "%u more log lines within a second were left out: more than %d are not taken", dropped,
                 LOG_LINES_MAX);
}

/* ---- requests ---- */

static void progressed(struct conn *c, tda_json params) {
    int64_t token;
    struct exchange *x = mcp_json->i64(mcp_json->get(params, "progressToken"), &token) ? exchange_find(c, token) : NULL;
    if (x && x->call) call_progress(x, params);
}

static void cancelled(struct conn *c, tda_json params) {
    tda_json id = mcp_json->get(params, "requestId");
    if (c->era->is_modern && listen_is(c, id))
        listen_over(c);
    else if (!c->era->is_modern)
        question_over(c, mcp_json->raw(id));
}

/* On a pipe all subscriptions share one channel: what is not of ours is not for us. */
static int is_of_old_subscription(const struct conn *c, tda_json params) {
    tda_json id = mcp_json->key(mcp_json->get(params, "_meta"), TDA_STR("io.modelcontextprotocol/subscriptionId"));
    return c->era->is_modern && mcp_json->type(id) && !listen_is(c, id);
}

void notice(struct conn *c, tda_str method, tda_json params) {
    if (is_of_old_subscription(c, params)) return;
    if (text_is(method, "notifications/progress"))
        progressed(c, params);
    else if (text_is(method, "notifications/message"))
        logged(c, params);
    else if (text_is(method, "notifications/cancelled"))
        cancelled(c, params);
    else if (text_is(method, "notifications/tools/list_changed"))
        list_changed(c, LIST_TOOLS);
    else if (text_is(method, "notifications/prompts/list_changed"))
        list_changed(c, LIST_PROMPTS);
    else if (text_is(method, "notifications/resources/list_changed"))
        list_changed(c, LIST_RESOURCES);
    else if (text_is(method, "notifications/subscriptions/acknowledged"))
        listen_acknowledged(c, params);
    else if (text_is(method, "notifications/resources/updated") && c->state == CONN_READY)
        conn_tell(c, TDA_CONN_RESOURCE_UPDATED, mcp_json->str(mcp_json->get(params, "uri")), ABSENT);
}
