/* What the host calls. Everything is said and done within start. */
#include <stdio.h>

#include "offline.h"

TDA_PLUGIN_NOTE("id offline\n"
                "version 0.1.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n");

enum { DELTA_BYTES = 24 }; /* of a streamed answer: small, so that a front end shows it growing */

static const char *const models[] = {"offline-1", "offline-2"};

const struct tda_host *offline_host;
const struct tda_json_api *offline_json;

/* ---- text of bounded size ---- */

/* The longest start of s, at most `max` bytes, that does not cut a character in two. */
static size_t whole_characters(tda_str s, size_t max) {
    size_t n = max;
    if (s.n <= max) return s.n;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) n--;
    return n ? n : max; /* not UTF-8 anyway */
}

void out_str(struct out *o, tda_str s) {
    size_t n = whole_characters(s, sizeof o->p - o->n);
    if (n > sizeof o->p - o->n) n = 0;
    if (n < s.n) o->cut = true;
    if (n) memcpy(o->p + o->n, s.p, n);
    o->n += n;
}

void out_z(struct out *o, const char *s) {
    out_str(o, tda_str_of(s));
}

void out_quote(struct out *o, tda_str s, size_t max) {
    size_t n = whole_characters(s, max);
    out_str(o, (tda_str){s.p, n});
    if (n < s.n) out_z(o, " ... (cut)");
}

/* ---- ends ---- */

static void finish(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .text = text};
    offline_host->finish(call, &r);
}

/* `s`: how saying the answer went. */
static void finish_said(tda_call call, tda_status s) {
    if (s)
        finish(call, TDA_C_INTERNAL, TDA_STR("the host took no more of the answer"));
    else
        finish(call, TDA_C_OK, (tda_str){NULL, 0});
}

static bool known_model(tda_str model) {
    tda_str family = TDA_STR("offline");
    return model.n == 0 || (model.n >= family.n && memcmp(model.p, family.p, family.n) == 0);
}

static void finish_unknown_model(tda_call call, tda_str model) {
    char text[200];
    int n = (int)(model.n < 64 ? model.n : 64);
    snprintf(text, sizeof text, "the offline provider has no model \"%.*s\": it knows offline-1 and offline-2", n, model.p);
    finish(call, TDA_C_NOT_FOUND, tda_str_of(text));
}

/* ---- chat ---- */

static tda_status emit_start(const struct call *c) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_START};
    e.id = TDA_STR("offline");
    e.name = tda_str_of(c->model);
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_part_start(const struct call *c) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_START, .part_kind = TDA_PART_TEXT};
    if (c->tool[0]) {
        e.part_kind = TDA_PART_TOOL_USE;
        e.id = tda_str_of(c->tool_id);
        e.name = tda_str_of(c->tool);
    }
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_body(const struct call *c) {
    tda_status s = TDA_OK;
    for (size_t said = 0; said < c->out.n && !s;) {
        struct tda_event e = {.size = sizeof e, .kind = c->tool[0] ? TDA_EV_ARGS : TDA_EV_TEXT};
        tda_str rest = {c->out.p + said, c->out.n - said};
        e.text = (tda_str){rest.p, whole_characters(rest, c->stream ? DELTA_BYTES : OUT_MAX)};
        s = offline_host->emit(c->handle, &e);
        said += e.text.n;
    }
    return s;
}

/* No model, no tokens: unknown, which is not 0. */
static tda_status emit_usage(const struct call *c) {
    struct tda_usage u = {sizeof u, 0, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_USAGE, .usage = &u};
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_part_stop(const struct call *c) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PART_STOP};
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_stop(const struct call *c) {
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_STOP};
    e.stop = c->tool[0] ? TDA_STOP_TOOL_USE : TDA_STOP_END_TURN;
    e.raw = c->tool[0] ? TDA_STR("tool_use") : TDA_STR("end_turn");
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_answer(const struct call *c) {
    static tda_status (*const events[])(const struct call *) = {emit_start,     emit_part_start, emit_body,
                                                                emit_part_stop, emit_usage,      emit_stop};
    tda_status s = TDA_OK;
    for (size_t i = 0; i < sizeof events / sizeof events[0] && !s; i++) s = events[i](c);
    return s;
}

/* offline-2 shouts, so that the answers of two users with two models can be told apart. */
static void shout(struct out *o) {
    for (size_t i = 0; i < o->n; i++)
        if (o->p[i] >= 'a' && o->p[i] <= 'z') o->p[i] = (char)(o->p[i] - 'a' + 'A');
}

static void chat(tda_call call, const struct tda_request *r) {
    struct call *c = offline_host->state(call);
    tda_str model = r->model.n ? r->model : TDA_STR("offline-1");
    if (!known_model(model)) {
        finish_unknown_model(call, model);
        return;
    }
    c->handle = call;
    c->stream = r->stream;
    snprintf(c->model, sizeof c->model, "%.*s", (int)(model.n < NAME_MAX_BYTES ? model.n : NAME_MAX_BYTES), model.p);
    rules_apply(c, r);
    if (!c->tool[0] && tda_str_eq(model, TDA_STR("offline-2"))) shout(&c->out);
    finish_said(call, emit_answer(c));
}

/* ---- the other operations ---- */

static void list_models(tda_call call) {
    tda_status s = TDA_OK;
    for (size_t i = 0; i < sizeof models / sizeof models[0] && !s; i++) {
        tda_str id = tda_str_of(models[i]);
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_MODEL, .id = id, .name = id};
        s = offline_host->emit(call, &e);
    }
    finish_said(call, s);
}

static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    (void)self;
    if (!offline_host->state(call)) return TDA_E_STALE;
    switch (r->op) {
    case TDA_OP_CHAT: chat(call, r); break;
    case TDA_OP_MODELS: list_models(call); break;
    case TDA_OP_VALIDATE:
        if (known_model(r->model))
            finish(call, TDA_C_OK, (tda_str){NULL, 0});
        else
            finish_unknown_model(call, r->model);
        break;
    case TDA_OP_COUNT: finish(call, TDA_C_REQUEST, TDA_STR("the offline provider is no model and has no tokens to count")); break;
    default: finish(call, TDA_C_REQUEST, TDA_STR("the offline provider does not know this operation"));
    }
    return TDA_OK;
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event; /* it opens none */
}

static tda_status boot(void) {
    const struct tda_json_api *api = offline_host->extension(TDA_STR("tda.json/1"));
    if (!api || !TDA_HAS(api, struct tda_json_api, text)) return TDA_E_UNSUPPORTED;
    offline_json = api;
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
                                             .on_flow = on_flow};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "offline", "0.1.0", boot, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *host) {
    if (host->abi_major != TDA_ABI_MAJOR || !TDA_HAS(host, struct tda_host, finish)) return NULL;
    offline_host = host;
    return &plugin;
}
