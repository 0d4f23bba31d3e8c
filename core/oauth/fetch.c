/* One small request of an authorisation: where it may go, its bounds, its answer as a whole. */
#include "oauth/oauth_impl.h"

#include <stdio.h>

#include "base/clock.h"
#include "loop/egress.h"
#include "loop/url.h"

enum { ANSWER_MAX = 256 << 10, CONNECT_S = 10, TOTAL_S = 20 };

/* ---- where to ---- */

/* "localhost", or an address that is not public. What names resolve to is judged at the socket. */
static bool is_local(const char *origin) {
    char host[300];
    const char *from = strstr(origin, "://") + 3, *to = strrchr(origin, ':');
    if (*from == '[') from++;
    snprintf(host, sizeof host, "%.*s", (int)(to - from), from);
    size_t n = strcspn(host, "]");
    host[n] = 0;
    size_t suffix = sizeof ".localhost" - 1;
    if (strcmp(host, "localhost") == 0 || (n > suffix && strcmp(host + n - suffix, ".localhost") == 0)) return true;
    bool literal = strspn(host, "0123456789.") == n || strchr(host, ':');
    return literal && egress_judge_text(host, NULL) != EGRESS_PUBLIC;
}

void reach_of(struct reach *r, const struct oauth_server *server) {
    *r = (struct reach){.user_given = server->user_given};
    if (url_origin(tda_str_of(server->url), r->server, sizeof r->server)) return;
    r->http = strncmp(server->url, "http:", 5) == 0 || is_local(r->server);
    r->private_net = !server->user_given && is_local(r->server);
    if (server->config && server->config->issuer) url_origin(tda_str_of(server->config->issuer), r->issuer, sizeof r->issuer);
}

tda_status reach_check(const struct reach *r, tda_str url, bool *ret_user_given, struct error *e) {
    char origin[300];
    struct url_parts parts;
    if (url_split(url, &parts) || url_origin(url, origin, sizeof origin))
        return error_set(e, TDA_E_INVALID, NULL, "the server named an address that is no http(s) URL");
    bool named = strcmp(origin, r->server) == 0 || strcmp(origin, r->issuer) == 0;
    if (strncmp(origin, "https:", 6) != 0 && !named && !r->http)
        return error_set(e, TDA_E_DENIED, NULL, "%s is not https, which the address of an authorisation must be", origin);
    *ret_user_given = r->user_given || !(named || r->private_net);
    return TDA_OK;
}

/* ---- the exchange ---- */

void fetch_stop(struct fetch *f) {
    if (f->flow) flow_abort(f->flow);
    f->flow = NULL;
    if (f->body.p) wipe(f->body.p, f->body.cap);
    buf_fini(&f->body);
}

static void on_event(void *arg, struct flow *flow UNUSED, const struct tda_flow_event *event) {
    struct fetch *f = arg;
    struct error e;
    switch (event->kind) {
    case TDA_FLOW_STATUS: f->status = event->status; break;
    case TDA_FLOW_ITEM: buf_add_str(&f->body, event->data); break;
    case TDA_FLOW_END:
        f->flow = NULL;
        f->done(f, NULL);
        break;
    case TDA_FLOW_FAIL:
        f->flow = NULL;
        error_set(&e, event->cls == TDA_C_TIMEOUT ? TDA_E_TIMEOUT : TDA_E_IO, NULL, "%.*s", STR_FMT(event->text));
        f->done(f, &e);
        break;
    default: break;
    }
}

tda_status fetch_start(struct fetch *f, struct loop *l, const struct reach *r, const struct fetch_spec *spec, struct error *e) {
    tda_kv headers[2] = {{TDA_STR("accept"), TDA_STR("application/json")}};
    tda_kv secret = {TDA_STR("authorization"), tda_str_of(spec->authorization)};
    struct http_spec http = {.url = spec->url, .body = spec->body, .headers = headers, .n_headers = 1, .max_bytes = ANSWER_MAX};
    tda_status s = reach_check(r, spec->url, &http.user_given, e);
    if (s) return s;
    url_origin(spec->url, f->host, sizeof f->host);
    if (spec->content_type) headers[http.n_headers++] = (tda_kv){TDA_STR("content-type"), tda_str_of(spec->content_type)};
    if (spec->authorization) {
        http.secrets = &secret;
        http.n_secrets = 1;
    }
    http.connect_ns = (int64_t)CONNECT_S * NS_PER_S;
    http.total_ns = (int64_t)TOTAL_S * NS_PER_S;
    buf_init(&f->body, ANSWER_MAX);
    buf_reserve(&f->body, 4096);
    f->status = 0;
    f->done = spec->done;
    return flow_open_http(l, &http, on_event, f, &f->flow, e);
}
