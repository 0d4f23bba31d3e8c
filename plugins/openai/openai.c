/* What the host calls. */
#include <stdio.h>

#include "openai.h"

TDA_PLUGIN_NOTE("id openai\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "host https://api.openai.com\n"
                "config base_url url u https://api.openai.com/v1 address of the service, up to and with /v1\n"
                "config api_key secret ur - the key; a server of your own may want none\n"
                "config organization text u - sent as OpenAI-Organization\n"
                "config project text u - sent as OpenAI-Project\n"
                "env api_key OPENAI_API_KEY\n"
                "env base_url OPENAI_BASE_URL\n"
                "env organization OPENAI_ORG_ID\n"
                "env project OPENAI_PROJECT_ID\n");

const struct tda_host *openai_host;
const struct tda_json_api *openai_json;

/* ---- begin ---- */

static void start_chat(struct call *c, const struct tda_request *r) {
    tda_str body;
    c->streaming = r->stream != 0;
    switch (request_body(c, r, &body)) {
    case TDA_OK: http_open(c, "chat/completions", (tda_str){NULL, 0}, body); break;
    case TDA_E_INVALID: call_end(c); break;
    case TDA_E_LIMIT: call_fail(c, TDA_C_TOO_LARGE, "the request is larger than can be sent: shorten the conversation"); break;
    default: call_fail_memory(c);
    }
}

static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    struct call *c = openai_host->state(call);
    (void)self;
    if (!c) return TDA_E_STALE;
    c->handle = call;
    c->reply.retry_ms = -1;
    c->held_end = &c->held;
    if (r->op == TDA_OP_COUNT) {
        call_fail(c, TDA_C_REQUEST, "Chat Completions cannot count tokens beforehand: send the request and look at its usage");
        return TDA_OK;
    }
    text_add(&c->model, r->model, URL_PART_MAX);
    if (c->model.status == TDA_E_LIMIT)
        call_fail(c, TDA_C_REQUEST, "the model's name is longer than %d bytes", URL_PART_MAX);
    else if (c->model.status)
        call_fail_memory(c);
    if (c->over || !http_prepare(c)) return TDA_OK;
    c->stage = r->op == TDA_OP_VALIDATE ? STAGE_VALIDATE_MODEL : r->op == TDA_OP_MODELS ? STAGE_MODELS : STAGE_CHAT;
    if (r->op == TDA_OP_CHAT)
        start_chat(c, r);
    else if (r->op == TDA_OP_VALIDATE || r->op == TDA_OP_MODELS)
        models_start(c);
    else
        call_fail(c, TDA_C_REQUEST, "the openai plugin does not know operation %u", (unsigned)r->op);
    return TDA_OK;
}

/* ---- flow ---- */

static bool is_success(const struct call *c) {
    return c->reply.status >= 200 && c->reply.status < 300;
}

static void collect(struct call *c, tda_str data) {
    if (!is_success(c)) {
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

static void on_item(struct call *c, const struct tda_flow_event *e) {
    if (c->streaming && is_success(c))
        stream_item(c, e->name, e->data);
    else
        collect(c, e->data);
}

static void on_end(struct call *c) {
    c->flow = 0;
    if (c->stage != STAGE_CHAT)
        models_answered(c);
    else if (!is_success(c))
        errors_from_reply(c);
    else if (c->streaming)
        stream_end(c);
    else
        stream_whole(c);
}

static void on_fail(struct call *c, const struct tda_flow_event *e) {
    char text[400];
    c->flow = 0;
    line_copy(text, sizeof text, e->text);
    if (c->done)
        call_succeed(c); /* the answer was whole before */
    else if (c->reply.status >= 300)
        errors_from_reply(c); /* the status says more than the broken rest of its body */
    else
        call_fail(c, e->cls ? e->cls : (uint32_t)TDA_C_NETWORK, "%s", text);
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *e) {
    struct call *c = openai_host->state(call);
    (void)self;
    if (!c || c->over || e->flow != c->flow) return;
    switch (e->kind) {
    case TDA_FLOW_STATUS: http_read_headers(c, e); break;
    case TDA_FLOW_ITEM: on_item(c, e); break;
    case TDA_FLOW_END: on_end(c); break;
    case TDA_FLOW_FAIL: on_fail(c, e); break;
    default: break;
    }
}

/* ---- wake, cancel, drop ---- */

static void on_wake(void *self, tda_call call, uint64_t token) {
    struct call *c = openai_host->state(call);
    (void)self;
    if (!c) return;
    if (token == TDA_TOKEN_DRAINED)
        out_flush(c);
    else if (c->done)
        call_succeed(c); /* the connection's end did not come; the answer did */
}

static void cancel(void *self, tda_call call) {
    struct call *c = openai_host->state(call);
    (void)self;
    if (!c) return;
    out_fini(c); /* nobody waits for them */
    call_fail(c, TDA_C_CANCELLED, "cancelled");
    out_flush(c);
}

static void drop(void *self, tda_call call) {
    struct call *c = openai_host->state(call);
    (void)self;
    if (!c) return;
    out_fini(c);
    answer_fini(&c->answer);
    text_fini(&c->base_url);
    text_fini(&c->model);
    text_fini(&c->body);
}

/* ---- the plugin ---- */

static tda_status boot(void) {
    const struct tda_json_api *api = openai_host->extension(TDA_STR("tda.json/1"));
    if (!api || !TDA_HAS(api, struct tda_json_api, text)) return TDA_E_UNSUPPORTED;
    openai_json = api;
    return TDA_OK;
}

static tda_status open_instance(uint32_t loop_index, void **ret_self) {
    (void)loop_index, (void)ret_self; /* nothing is kept between calls */
    return TDA_OK;
}

static void close_instance(void *self) {
    (void)self;
}

static const struct tda_provider provider = {.size = sizeof provider,
                                             .call_state_size = sizeof(struct call),
                                             .open = open_instance,
                                             .close = close_instance,
                                             .start = start,
                                             .on_flow = on_flow,
                                             .on_wake = on_wake,
                                             .cancel = cancel,
                                             .drop = drop};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "openai", "0.1.0", boot, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *host) {
    if (host->abi_major != TDA_ABI_MAJOR || !TDA_HAS(host, struct tda_host, flow_abort)) return NULL;
    openai_host = host;
    return &plugin;
}
