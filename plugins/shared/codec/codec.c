/* What the host calls, for every provider alike: a flow's events are sorted into head, items and the end. */
#include "codec.h"

enum { LINGER_MS = 500, LINGER_TOKEN = 1 };

const struct tda_host *codec_host;
const struct tda_json_api *codec_json;

tda_status codec_boot(void) {
    const struct tda_json_api *api = codec_host->extension(TDA_STR("tda.json/1"));
    if (!api || !TDA_HAS(api, struct tda_json_api, text)) return TDA_E_UNSUPPORTED;
    codec_json = api;
    return TDA_OK;
}

/* ---- begin ---- */

static void take_model(struct codec *c, tda_str model) {
    text_add(&c->model, model, URL_PART_MAX);
    if (c->model.status == TDA_E_LIMIT)
        call_fail(c, TDA_C_REQUEST, "the model's name is longer than %d bytes", URL_PART_MAX);
    else if (c->model.status)
        call_fail_memory(c);
}

tda_status codec_start(void *self, tda_call call, const struct tda_request *r) {
    struct codec *c = codec_host->state(call);
    (void)self;
    if (!c) return TDA_E_STALE;
    c->ops = &codec_service;
    c->handle = call;
    c->op = r->op;
    c->reply.retry_ms = -1;
    take_model(c, r->model);
    if (!c->over) c->ops->start(c, r);
    return TDA_OK;
}

/* ---- flow ---- */

bool codec_is_success(const struct codec *c) {
    return c->reply.status >= 200 && c->reply.status < 300;
}

static void collect(struct codec *c, tda_str data) {
    if (!codec_is_success(c)) {
        size_t room = ERROR_BODY_MAX - c->body.n;
        text_add(&c->body, (tda_str){data.p, data.n < room ? data.n : room}, ERROR_BODY_MAX);
    } else {
        text_add(&c->body, data, BODY_MAX);
    }
    if (c->body.status == TDA_E_LIMIT)
        call_fail(c, TDA_C_TOO_LARGE, "the answer is larger than %d MiB", BODY_MAX >> 20);
    else if (c->body.status)
        call_fail_memory(c);
}

static void on_item(struct codec *c, const struct tda_flow_event *e) {
    if (!c->streaming || !codec_is_success(c))
        collect(c, e->data);
    else if (!c->whole)
        c->ops->item(c, e->name, e->id, e->data);
}

static void on_end(struct codec *c) {
    c->flow = 0;
    if (c->whole)
        call_succeed(c);
    else
        c->ops->answered(c);
}

static void on_fail(struct codec *c, const struct tda_flow_event *e) {
    char text[400];
    c->flow = 0;
    line_copy(text, sizeof text, e->text);
    if (c->whole)
        call_succeed(c); /* the answer was whole before */
    else if (c->reply.status >= 300)
        errors_from_reply(c); /* the status says more than the broken rest of its body */
    else
        call_fail(c, e->cls ? e->cls : (uint32_t)TDA_C_NETWORK, "%s", text);
}

void codec_on_flow(void *self, tda_call call, const struct tda_flow_event *e) {
    struct codec *c = codec_host->state(call);
    (void)self;
    if (!c || c->over || e->flow != c->flow) return;
    switch (e->kind) {
    case TDA_FLOW_STATUS: codec_read_head(c, e); break;
    case TDA_FLOW_ITEM: on_item(c, e); break;
    case TDA_FLOW_END: on_end(c); break;
    case TDA_FLOW_FAIL: on_fail(c, e); break;
    default: break;
    }
}

bool codec_parse_body(struct codec *c, tda_json *ret_root) {
    tda_status s = json()->parse(c->handle, text_str(&c->body), ret_root);
    if (s == TDA_E_NOMEM) call_fail_memory(c); /* else it would look like an answer that is no JSON */
    return s == TDA_OK;
}

void codec_whole(struct codec *c, uint32_t stop, tda_str raw) {
    answer_close(c, stop, raw);
    if (c->over) return;
    c->whole = true;
    if (!c->flow || codec_host->timer(c->handle, LINGER_TOKEN, LINGER_MS)) call_succeed(c);
}

/* ---- wake, cancel, drop ---- */

void codec_on_wake(void *self, tda_call call, uint64_t token) {
    struct codec *c = codec_host->state(call);
    (void)self;
    if (c && token == LINGER_TOKEN && c->whole) call_succeed(c); /* the connection's end did not come; the answer did */
}

void codec_cancel(void *self, tda_call call) {
    struct codec *c = codec_host->state(call);
    (void)self;
    if (c) call_fail(c, TDA_C_CANCELLED, "cancelled");
}

void codec_drop(void *self, tda_call call) {
    struct codec *c = codec_host->state(call);
    (void)self;
    if (!c || !c->ops) return;
    if (c->ops->fini) c->ops->fini(c);
    parts_fini(&c->parts);
    text_fini(&c->model);
    text_fini(&c->body);
}
