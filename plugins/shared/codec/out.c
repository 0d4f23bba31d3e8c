/* Events on their way to the host, and the end behind them. */
#include <stdarg.h>
#include <stdio.h>

#include "codec.h"

/* ---- the end ---- */

static void say_finish(struct codec *c) {
    struct tda_result r = {.size = sizeof r, .cls = c->fault.cls, .retry_ms = c->fault.retry_ms};
    r.http_status = c->fault.http_status;
    if (c->fault.code[0]) r.code = tda_str_of(c->fault.code);
    if (c->fault.text[0]) r.text = tda_str_of(c->fault.text);
    if (c->request_id[0]) r.request_id = tda_str_of(c->request_id);
    codec_host->finish(c->handle, &r);
}

void call_end(struct codec *c) {
    if (c->over) return;
    c->over = true;
    if (c->flow) codec_host->flow_abort(c->handle, c->flow);
    c->flow = 0;
    say_finish(c);
}

void call_fail(struct codec *c, uint32_t cls, const char *fmt, ...) {
    if (c->over) return;
    va_list args;
    c->fault = (struct fault){.cls = cls, .retry_ms = -1, .http_status = c->reply.status};
    va_start(args, fmt);
    vsnprintf(c->fault.text, sizeof c->fault.text, fmt, args);
    va_end(args);
    call_end(c);
}

void call_fail_memory(struct codec *c) {
    call_fail(c, TDA_C_INTERNAL, "out of memory in the %s plugin", c->ops->name);
}

void call_succeed(struct codec *c) {
    if (c->over) return;
    c->fault = (struct fault){.cls = TDA_C_OK, .retry_ms = -1, .http_status = c->reply.status};
    call_end(c);
}

/* ---- events ---- */

void out_event(struct codec *c, const struct tda_event *e) {
    if (c->over) return;
    tda_status s = codec_host->emit(c->handle, e);
    if (s) call_fail(c, TDA_C_INTERNAL, "the host took no more events of the answer (status %d)", (int)s);
}

void out_model(struct codec *c, tda_str id, tda_str name) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_MODEL, .id = id, .name = name.n ? name : id};
    if (id.n) out_event(c, &e);
}
