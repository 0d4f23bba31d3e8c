/* Events on their way to the host. When the host says AGAIN the event is copied and kept, and so is everything after it, the end
 * included: order stays. What is kept is bounded; a consumer that falls further behind loses the answer, and is told so. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec.h"

struct held {
    struct held *next;
    size_t size;
    struct tda_event event;
    struct tda_usage usage;
    char bytes[];
};

/* ---- the end ---- */

static void say_finish(struct codec *c) {
    if (c->finished) return;
    c->finished = true;
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
    if (!c->held) say_finish(c);
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

static tda_str keep(char **at, tda_str s) {
    tda_str copy = {*at, s.n};
    if (!s.p) return s;
    if (s.n) memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static void drop_held(struct codec *c) {
    while (c->held) {
        struct held *h = c->held;
        c->held = h->next;
        free(h);
    }
    c->held_end = &c->held;
    c->held_bytes = 0;
}

static void hold(struct codec *c, const struct tda_event *e) {
    size_t n = e->id.n + e->name.n + e->text.n + e->raw.n;
    struct held *h = n <= HELD_MAX - c->held_bytes ? malloc(sizeof *h + n) : NULL;
    if (!h) {
        bool full = n > HELD_MAX - c->held_bytes;
        drop_held(c);
        if (full)
            call_fail(c, TDA_C_TOO_LARGE, "more than %d MiB of the answer wait to be read: read faster", HELD_MAX >> 20);
        else
            call_fail_memory(c);
        return;
    }
    char *at = h->bytes;
    h->next = NULL;
    h->size = n;
    h->event = *e;
    h->event.id = keep(&at, e->id);
    h->event.name = keep(&at, e->name);
    h->event.text = keep(&at, e->text);
    h->event.raw = keep(&at, e->raw);
    if (e->usage) {
        h->usage = *e->usage;
        h->event.usage = &h->usage;
    }
    if (!c->held) c->held_end = &c->held;
    *c->held_end = h;
    c->held_end = &h->next;
    c->held_bytes += n;
}

static void refused(struct codec *c, tda_status s) {
    drop_held(c);
    c->over = c->finished; /* an end that waited behind them is not true any more */
    call_fail(c, TDA_C_INTERNAL, "the host took no more events of the answer (status %d)", (int)s);
}

void out_event(struct codec *c, const struct tda_event *e) {
    if (c->over) return;
    if (c->held) {
        hold(c, e);
        return;
    }
    tda_status s = codec_host->emit(c->handle, e);
    if (s == TDA_E_AGAIN)
        hold(c, e);
    else if (s)
        refused(c, s);
}

void out_flush(struct codec *c) {
    while (c->held) {
        struct held *h = c->held;
        tda_status s = codec_host->emit(c->handle, &h->event);
        if (s == TDA_E_AGAIN) return;
        c->held = h->next;
        c->held_bytes -= h->size;
        free(h);
        if (s) refused(c, s);
    }
    c->held_end = &c->held;
    if (c->over) say_finish(c);
}

void out_fini(struct codec *c) {
    drop_held(c);
}
