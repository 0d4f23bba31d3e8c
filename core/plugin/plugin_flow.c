/* Flows that plugins ask for. Here a request gets what the plugin must not decide: what the operator's limits are, where it may go
 * (address.c), and whose secret it carries (auth.c, server_auth.c). */
#include <stdio.h>

#include "base/clock.h"
#include "plugin/plugin_impl.h"

/* ---- events ---- */

static void flow_gone(struct plugin_flow *pf) {
    struct owner *o = pf->owner;
    LIST_REMOVE(pf, entry);
    server_auth_close(pf);
    handle_end(o->pl, pf->handle);
    owner_flow_closed(o);
    free(pf);
}

void plugin_flow_event(void *arg, struct flow *f UNUSED, const struct tda_flow_event *event) {
    struct plugin_flow *pf = arg;
    struct owner *o = pf->owner;
    struct tda_flow_event copy = *event;
    if (server_auth_takes(pf, event)) return;
    copy.flow = pf->handle;
    if (event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL) flow_gone(pf);
    if (o->kind == HANDLE_CALL)
        call_flow_event(o, &copy);
    else
        conn_flow_event(o, &copy);
}

/* ---- opening ---- */

/* A connection's requests go to the place that its server's url names, and a user's url is judged as such. */
static tda_status check_server_target(const struct conn *c, const struct tda_flow_request *r, const char *origin,
                                      struct http_spec *spec) {
    char own[ORIGIN_SIZE];
    if (!c->url || url_origin(tda_str_of(c->url), own, sizeof own) || strcmp(own, origin) != 0) return TDA_E_DENIED;
    if (r->auth && r->auth->kind != TDA_AUTH_NONE && r->auth->kind != TDA_AUTH_SERVER) return TDA_E_UNSUPPORTED;
    spec->user_given = !c->server;
    spec->endless = r->total_ms < 0;
    return TDA_OK;
}

static tda_status check_provider_target(struct owner *o, const struct tda_flow_request *r, const char *origin,
                                        struct http_spec *spec, struct auth *auth) {
    if (r->idle_ms < 0 || r->total_ms < 0) return TDA_E_INVALID;
    tda_status s = plugins_check_target(o->pl->plugins, o->entry, o->snapshot, origin, &spec->user_given);
    return s ? s : auth_fill(o, r->auth, origin, spec, auth);
}

static int64_t span_ns(int64_t ms) {
    return ms < 0 ? -1 : ms < INT64_MAX / NS_PER_MS ? ms * NS_PER_MS : INT64_MAX;
}

static tda_status open_http(struct owner *o, const struct tda_flow_request *r, struct plugin_flow *pf) {
    char origin[ORIGIN_SIZE];
    const struct conn *c = owner_conn(o);
    struct auth auth = {0};
    struct http_spec spec = {.lane = o->lane,
                             .method = r->method,
                             .url = r->url,
                             .headers = r->headers,
                             .n_headers = r->n_headers,
                             .body = r->body,
                             .framing = r->framing,
                             .idle_ns = span_ns(r->idle_ms),
                             .total_ns = span_ns(r->total_ms),
                             .max_bytes = r->max_bytes};
    if (url_origin(r->url, origin, sizeof origin)) return TDA_E_INVALID;
    tda_status s = c ? check_server_target(c, r, origin, &spec) : check_provider_target(o, r, origin, &spec, &auth);
    if (!s && c && r->auth && r->auth->kind == TDA_AUTH_SERVER)
        s = server_auth_open(pf, &spec);
    else if (!s)
        s = flow_open_http(o->pl->loop, &spec, plugin_flow_event, pf, &pf->flow, NULL);
    auth_fini(&auth);
    return s;
}

static tda_status open_server(struct owner *o, struct plugin_flow *pf) {
    struct error e = {.retry_ms = -1};
    if (o->kind != HANDLE_CONN) return TDA_E_DENIED;
    tda_status s = server_flow_open(o, plugin_flow_event, pf, &pf->flow, &e);
    if (s)
        conn_take_event((struct conn *)o, &(struct tda_conn_event){.size = sizeof(struct tda_conn_event),
                                                                   .kind = TDA_CONN_FAILED,
                                                                   .cls = s == TDA_E_LIMIT ? TDA_C_OVERLOADED : TDA_C_NETWORK,
                                                                   .text = tda_str_of(e.text)});
    return s;
}

tda_status plugin_flow_open(struct owner *o, const struct tda_flow_request *r, tda_flow *ret) {
    struct plugin_flow *pf;
    if (o->kind == HANDLE_CALL && ((struct call *)o)->finished) return TDA_E_STALE;
    if (loop_stopping(o->pl->loop)) return TDA_E_CANCELLED;
    if (!(pf = calloc(1, sizeof *pf))) return TDA_E_NOMEM;
    pf->owner = o;
    pf->kind = r->kind;
    tda_status s = handle_new(o->pl, HANDLE_FLOW, pf, &pf->handle);
    if (s) {
        free(pf);
        return s;
    }
    s = r->kind == TDA_FLOW_HTTP ? open_http(o, r, pf) : r->kind == TDA_FLOW_SERVER ? open_server(o, pf) : TDA_E_INVALID;
    if (s) {
        handle_end(o->pl, pf->handle);
        free(pf);
        return s;
    }
    LIST_INSERT_HEAD(&o->flows, pf, entry);
    owner_flow_opened(o);
    *ret = pf->handle;
    return TDA_OK;
}

/* ---- afterwards ---- */

static struct plugin_flow *find(struct owner *o, tda_flow f) {
    struct plugin_flow *pf = handle_get(f, HANDLE_FLOW);
    return pf && pf->owner == o ? pf : NULL;
}

tda_status plugin_flow_send(struct owner *o, tda_flow f, tda_str bytes) {
    struct plugin_flow *pf = find(o, f);
    return pf && pf->flow ? flow_send(pf->flow, bytes) : TDA_E_STALE;
}

tda_status plugin_flow_close_send(struct owner *o, tda_flow f) {
    struct plugin_flow *pf = find(o, f);
    return pf && pf->flow ? flow_close_send(pf->flow) : TDA_E_STALE;
}

static void abort_one(struct plugin_flow *pf) {
    if (pf->flow) flow_abort(pf->flow);
    flow_gone(pf);
}

tda_status plugin_flow_abort(struct owner *o, tda_flow f) {
    struct plugin_flow *pf = find(o, f);
    if (!pf) return TDA_E_STALE;
    abort_one(pf);
    return TDA_OK;
}

void plugin_flows_abort(struct owner *o) {
    for (struct plugin_flow *pf = LIST_FIRST(&o->flows), *next; pf; pf = next) {
        next = LIST_NEXT(pf, entry);
        abort_one(pf);
    }
}

void plugin_flows_stop(struct owner *o) {
    struct plugin_flow *pf;
    for (pf = LIST_FIRST(&o->flows); pf; pf = LIST_NEXT(pf, entry)) {
        if (pf->kind == TDA_FLOW_SERVER) flow_stop(pf->flow);
    }
}
