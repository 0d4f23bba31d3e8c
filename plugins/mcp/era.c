/* Finding out in which era a server lives (2026-07-28: basic/transports/stdio and streamable-http, "Backward Compatibility").
 *
 *   a process   server/discover. A DiscoverResult, or an error that only modern servers have: modern. Any other error, silence,
 *               or a process that ends: legacy. A process that ended is started again, for initialize.
 *   at a url    server/discover. 4xx without a modern error, or an answer that is none: legacy, initialize. That refused with
 *               400, 404 or 405: a GET that begins with `event: endpoint` is HTTP+SSE. 401, 403, 5xx, no connection and silence
 *               say nothing about the era.
 *
 * Each way is tried once. A verdict of an earlier connection comes first, and all of it is done anew when it was wrong. */
#include <stdio.h>

#include "conn.h"

enum { PROBE_MS = 5000 };

static void note_verdict(struct conn *c, enum verdict verdict) {
    verdict_put(tda_str_of(c->name), tda_str_of(c->url), verdict, now_ms());
}

void era_known(struct conn *c) {
    if (c->probe.is_sure) return;
    note_verdict(c, c->era->is_modern ? VERDICT_MODERN : c->transport == &transport_sse ? VERDICT_SSE : VERDICT_LEGACY);
}

void era_begin(struct conn *c) {
    enum verdict v = VERDICT_NONE;
    if (!c->probe.is_sure) v = verdict_get(tda_str_of(c->name), tda_str_of(c->url), now_ms());
    c->probe.is_cached = v != VERDICT_NONE;
    if (v == VERDICT_LEGACY)
        era_try(c, &era_legacy, c->transport);
    else if (v == VERDICT_SSE)
        era_try(c, &era_legacy, &transport_sse);
    else
        era_try(c, c->era, c->transport);
}

void era_try(struct conn *c, const struct era *era, const struct transport *transport) {
    struct probe *p = &c->probe;
    p->did_modern |= era->is_modern;
    p->did_legacy |= !era->is_modern && transport != &transport_sse;
    p->did_sse |= transport == &transport_sse;
    c->era = era;
    c->version = NULL;
    c->transport = transport;
    exchange_forget(&c->greeting);
    if (transport->open(c)) conn_fail(c, TDA_C_NETWORK, "the server cannot be reached over %s", transport->name);
}

/* A process that says nothing has not understood. The time is a part of what there is for becoming ready. */
void era_opened(struct conn *c) {
    struct probe *p = &c->probe;
    p->is_waiting = c->era->is_modern && !p->is_sure && c->transport == &transport_stdio;
    conn_timer(c, TOKEN_PROBE, p->is_waiting ? (c->deadline_ms / 3 < PROBE_MS ? c->deadline_ms / 3 + 1 : PROBE_MS) : 0);
    if (c->era->greet(c)) conn_fail(c, TDA_C_NETWORK, "the server does not take what is written to it");
}

/* A verdict of an earlier connection did not hold. */
static int begin_anew(struct conn *c) {
    if (!c->probe.is_cached) return 0;
    c->probe = (struct probe){0};
    note_verdict(c, VERDICT_NONE);
    return 1;
}

static int says_nothing(const struct conn *c, const struct outcome *o) {
    int32_t s = o->http_status;
    if (!c->url) return 0;
    return s == 0 || s == 401 || s == 403 || s == 407 || s == 408 || s == 429 || s >= 500;
}

static void fail(struct conn *c, const struct outcome *o, const char *what) {
    tda_str text = o->text.n ? o->text : mcp_json->str(mcp_json->get(o->error, "message"));
    conn_fail(c, o->cls ? o->cls : TDA_C_PROTOCOL, "%s: %.*s", what, CUT(text, 500));
}

void era_not_modern(struct conn *c, const struct outcome *o) {
    c->probe.is_waiting = 0;
    conn_timer(c, TOKEN_PROBE, 0);
    if (says_nothing(c, o)) {
        fail(c, o, "server/discover failed");
    } else if (c->probe.is_sure) {
        fail(c, o, "the server is configured as modern (" MODERN_VERSION "), but refused server/discover");
    } else if (begin_anew(c) || !c->probe.did_legacy) {
        era_try(c, &era_legacy, c->transport);
    } else {
        fail(c, o, "the server refused both initialize and server/discover");
    }
}

void era_silence(struct conn *c) {
    if (!c->probe.is_waiting) return;
    c->probe.is_waiting = 0;
    era_try(c, &era_legacy, c->transport);
}

static int may_be_sse(const struct conn *c, int32_t status) {
    return c->url && !c->probe.did_sse && (status == 400 || status == 404 || status == 405);
}

void era_not_legacy(struct conn *c, const struct outcome *o) {
    if (c->state == CONN_READY) {
        fail(c, o, "the server forgot its session and refused a new one");
    } else if (says_nothing(c, o)) {
        fail(c, o, "initialize failed");
    } else if (!c->probe.is_sure && (begin_anew(c) || (is_modern_error(o->error) && !c->probe.did_modern))) {
        era_try(c, &era_modern, c->url ? &transport_http : &transport_stdio);
    } else if (may_be_sse(c, o->http_status)) {
        c->probe.legacy_status = o->http_status;
        era_try(c, &era_legacy, &transport_sse);
    } else {
        fail(c, o, "the server refused initialize");
    }
}

void era_no_sse(struct conn *c, uint32_t cls, int32_t http_status, const char *text) {
    if (c->state == CONN_OPENING && http_status && http_status < 500 && begin_anew(c))
        era_try(c, &era_modern, &transport_http);
    else if (c->probe.legacy_status)
        conn_fail(c, cls, "no MCP server answers at its url: initialize got HTTP %d, and a GET for an event stream: %s",
                  (int)c->probe.legacy_status, text);
    else
        conn_fail(c, cls, "%s", text);
}

/* Servers made with rmcp before 3.0 end at any request before initialize. */
int era_process_ended(struct conn *c) {
    if (c->state != CONN_OPENING || c->is_closing) return 0;
    begin_anew(c);
    if (!c->era->is_modern || c->probe.is_sure || c->probe.did_legacy) return 0;
    c->probe.is_waiting = 0;
    era_try(c, &era_legacy, c->transport);
    return 1;
}
