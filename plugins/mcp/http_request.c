/* HTTP requests to a server: what they carry, and the flows that they are. */
#include <stdlib.h>

#include "conn.h"

/* MESSAGE_MS: for what nobody waits for. GOODBYE_MS: a silent server holds up no end of a connection. */
enum { MESSAGE_MS = 10000, GOODBYE_MS = 1500 };

static const struct tda_auth server_auth = {.size = sizeof server_auth, .kind = TDA_AUTH_SERVER};

/* ---- headers ---- */

/* A server refuses a call that lacks them, or takes it for another: without them it is not sent. */
static void add_params(struct header_list *h, struct conn *c, const struct exchange *x) {
    tda_json schema = {NULL, 0}, args = {NULL, 0};
    tda_str text = schemas_find(&c->schemas, x->name);
    if (!text.p || !x->arguments.n) return;
    tda_status status = mcp_json->parse(c->handle, text, &schema);
    if (!status) status = mcp_json->parse(c->handle, x->arguments, &args);
    if (status)
        h->status = status;
    else
        params_headers(h, schema, args);
}

static void add_modern(struct header_list *h, struct conn *c, const struct exchange *x) {
    header_add(h, "MCP-Protocol-Version", TDA_STR(MODERN_VERSION));
    if (!x) return;
    header_add(h, "Mcp-Method", tda_str_of(x->method));
    if (x->name.p) header_add_dup(h, "Mcp-Name", ABSENT, x->name);
    add_params(h, c, x);
}

/* Before a version is agreed upon, there is none to say; and initialize asks for a new session. */
static void add_legacy(struct header_list *h, const struct conn *c) {
    if (c->version) header_add(h, "MCP-Protocol-Version", tda_str_of(c->version));
    if (c->http.session_id) header_add(h, "Mcp-Session-Id", tda_str_of(c->http.session_id));
}

static tda_status open_flow(struct conn *c, struct header_list *h, const char *url, tda_str body, int64_t total_ms,
                            const char *method, tda_flow *ret_flow) {
    struct tda_flow_request r;
    memset(&r, 0, sizeof r);
    r.size = sizeof r;
    r.kind = TDA_FLOW_HTTP;
    r.framing = TDA_FRAME_BY_TYPE;
    r.headers = h->kv;
    r.n_headers = h->n;
    r.method = tda_str_of(method);
    r.url = tda_str_of(url);
    r.body = body;
    r.auth = &server_auth;
    r.idle_ms = -1; /* who waits has a deadline */
    r.total_ms = total_ms;
    tda_status status = h->status ? h->status : mcp_host->flow_open(c->handle, &r, ret_flow);
    header_list_fini(h);
    return status;
}

tda_status http_open(struct conn *c, const struct exchange *x, const char *url, tda_str text, const struct stream *from,
                     tda_flow *ret_flow) {
    struct header_list h;
    h.n = h.n_owned = 0;
    h.status = TDA_OK;
    if (text.p) header_add(&h, "Content-Type", TDA_STR("application/json"));
    header_add(&h, "Accept", text.p ? TDA_STR("application/json, text/event-stream") : TDA_STR("text/event-stream"));
    if (c->era->is_modern)
        add_modern(&h, c, x);
    else
        add_legacy(&h, c);
    if (from && from->last_id) header_add(&h, "Last-Event-ID", tda_str_of(from->last_id));
    int64_t total_ms = x == &c->greeting ? c->deadline_ms : !x && text.p ? MESSAGE_MS : -1;
    return open_flow(c, &h, url, text, total_ms, text.p ? "POST" : "GET", ret_flow);
}

tda_status http_delete(struct conn *c, tda_flow *ret_flow) {
    struct header_list h;
    h.n = h.n_owned = 0;
    h.status = TDA_OK;
    add_legacy(&h, c);
    return open_flow(c, &h, c->url, ABSENT, GOODBYE_MS, "DELETE", ret_flow);
}

tda_status http_post(struct conn *c, struct exchange *x, const char *url, tda_str text) {
    tda_flow flow;
    if (!x && c->http.notes >= NOTES_MAX) return TDA_E_LIMIT;
    tda_status status = http_open(c, x, url, text, NULL, &flow);
    if (status) return status;
    if (x) {
        stream_clear(&x->stream);
        x->stream.flow = flow;
    } else {
        c->http.notes++;
    }
    return TDA_OK;
}

/* ---- afterwards ---- */

/* An answer that is there is mostly the end of its stream. To abort it would end the connection under it as well. */
static void linger(struct conn *c, tda_flow flow) {
    tda_flow *place = &c->http.lingering[c->http.next_linger++ % LINGER_MAX];
    if (*place) mcp_host->flow_abort(c->handle, *place);
    *place = flow;
}

void http_release(struct conn *c, struct exchange *x, int is_answered) {
    struct stream *s = &x->stream;
    tda_flow flow = s->flow;
    s->flow = 0;
    if (s->slot) conn_timer(c, TOKEN_RESUME + s->slot, 0);
    s->slot = 0;
    if (flow && is_answered)
        linger(c, flow);
    else if (flow)
        mcp_host->flow_abort(c->handle, flow);
}

void http_other(struct conn *c, const struct tda_flow_event *event) {
    if (event->kind != TDA_FLOW_END && event->kind != TDA_FLOW_FAIL) return;
    for (size_t i = 0; i < LINGER_MAX; i++) {
        if (c->http.lingering[i] != event->flow) continue;
        c->http.lingering[i] = 0;
        return;
    }
    if (c->http.notes) c->http.notes--;
}

void http_abort(struct conn *c) {
    struct http *h = &c->http;
    for (struct exchange *x = c->exchanges; x; x = x->next) http_release(c, x, 0);
    if (h->standing.flow) mcp_host->flow_abort(c->handle, h->standing.flow);
    h->standing.flow = 0;
    for (size_t i = 0; i < LINGER_MAX; i++) {
        if (h->lingering[i]) mcp_host->flow_abort(c->handle, h->lingering[i]);
        h->lingering[i] = 0;
    }
}

void http_drop(struct conn *c) {
    stream_clear(&c->http.standing);
    free(c->http.session_id);
    free(c->http.endpoint);
    c->http.session_id = c->http.endpoint = NULL;
}
