#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>

#include "conn.h"

struct exchange *exchange_find(struct conn *c, int64_t id) {
    struct exchange *x = c->exchanges;
    while (x && (x->id != id || x->is_notification)) x = x->next;
    return x;
}

static void list(struct exchange *x) {
    struct conn *c = x->conn;
    if (x->is_listed) return;
    x->is_listed = 1;
    x->next = c->exchanges;
    c->exchanges = x;
    c->n_exchanges++;
}

static void take_off(struct exchange *x, int is_answered) {
    struct conn *c = x->conn;
    if (!x->is_listed) return;
    struct exchange **link = &c->exchanges;
    while (*link != x) link = &(*link)->next;
    *link = x->next;
    c->n_exchanges--;
    x->is_listed = 0;
    x->is_parked = 0;
    x->id = 0;
    c->transport->release(c, x, is_answered);
}

void exchange_forget(struct exchange *x) {
    take_off(x, 0);
}

/* ---- writing ---- */

static void put_meta(struct exchange *x, tda_json_writer *w) {
    const struct era *era = x->conn->era;
    if (!x->has_progress && !era->put_meta) return;
    if (x->is_notification) return;
    mcp_json->put_key(w, TDA_STR("_meta"));
    mcp_json->begin_object(w);
    if (x->has_progress) {
        mcp_json->put_key(w, TDA_STR("progressToken"));
        mcp_json->put_i64(w, x->id);
    }
    if (era->put_meta) era->put_meta(x, w);
    mcp_json->end_object(w);
}

static tda_status write_text(struct exchange *x, tda_str *ret_text) {
    tda_json_writer *w = mcp_json->writer(x->conn->handle);
    if (!w) return TDA_E_NOMEM;
    mcp_json->begin_object(w);
    put_text(w, "jsonrpc", TDA_STR("2.0"));
    if (!x->is_notification) {
        mcp_json->put_key(w, TDA_STR("id"));
        mcp_json->put_i64(w, x->id);
    }
    put_text(w, "method", tda_str_of(x->method));
    mcp_json->put_key(w, TDA_STR("params"));
    mcp_json->begin_object(w);
    tda_status status = x->put_params ? x->put_params(x, w) : TDA_OK;
    if (status) return status;
    put_meta(x, w);
    mcp_json->end_object(w);
    mcp_json->end_object(w);
    return mcp_json->text(w, ret_text);
}

tda_status exchange_send(struct exchange *x) {
    struct conn *c = x->conn;
    tda_str text = ABSENT;
    if (!conn_is_live(c)) return TDA_E_CLOSED;
    if (!x->is_listed && c->n_exchanges >= EXCHANGES_MAX) return TDA_E_LIMIT;
    x->id = ++c->last_id;
    list(x);
    if (c->http.is_reopening && x != &c->greeting) {
        x->is_parked = 1;
        return TDA_OK;
    }
    tda_status status = write_text(x, &text);
    if (!status) status = c->transport->send(c, x, text);
    if (status) exchange_forget(x);
    return status;
}

void exchanges_unpark(struct conn *c) {
    struct exchange *x = c->exchanges;
    while (x) {
        struct exchange *next = x->next; /* sending may end x, and no other */
        if (x->is_parked) {
            x->is_parked = 0;
            if (exchange_send(x)) exchange_fail(x, TDA_C_NETWORK, 0, "the request could not be sent in the new session");
        }
        x = next;
    }
}

/* ---- the end ---- */

void exchange_done(struct exchange *x, const struct outcome *o) {
    take_off(x, o->cls == TDA_C_OK);
    x->done(x, o);
}

void exchange_fail(struct exchange *x, uint32_t cls, int32_t http_status, const char *format, ...) {
    char text[600];
    struct outcome o;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memset(&o, 0, sizeof o);
    o.cls = cls;
    o.http_status = http_status;
    o.retry_ms = -1;
    o.text = tda_str_of(text);
    exchange_done(x, &o);
}

void exchange_cancel(struct exchange *x) {
    struct conn *c = x->conn;
    int64_t id = x->is_listed && !x->is_parked && !x->is_notification ? x->id : 0;
    exchange_forget(x);
    if (id && !(c->era->is_modern && c->transport->has_streams)) say_cancelled(c, id);
}
