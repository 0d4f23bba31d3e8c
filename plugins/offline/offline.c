/* What the host calls. An answer is a row of steps, one event each; when the host says AGAIN the row stops where it is and goes on
 * when the consumer has caught up. */
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

/* ---- chat: the row of steps ---- */

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

static tda_status emit_body(struct call *c) {
    while (c->said < c->out.n) {
        struct tda_event e = {.size = sizeof e, .kind = c->tool[0] ? TDA_EV_ARGS : TDA_EV_TEXT};
        tda_str rest = {c->out.p + c->said, c->out.n - c->said};
        e.text = (tda_str){rest.p, whole_characters(rest, c->stream ? DELTA_BYTES : OUT_MAX)};
        tda_status s = offline_host->emit(c->handle, &e);
        if (s) return s;
        c->said += e.text.n;
    }
    return TDA_OK;
}

/* No model, no tokens: unknown, which is not 0. */
static tda_status emit_usage(const struct call *c) {
    struct tda_usage u = {sizeof u, 0, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_USAGE, .usage = &u};
    return offline_host->emit(c->handle, &e);
}

static tda_status emit_simple(const struct call *c, uint32_t kind) {
    struct tda_event e = {.size = sizeof e, .kind = kind};
    if (kind == TDA_EV_STOP) {
        e.stop = c->tool[0] ? TDA_STOP_TOOL_USE : TDA_STOP_END_TURN;
        e.raw = c->tool[0] ? TDA_STR("tool_use") : TDA_STR("end_turn");
    }
    return offline_host->emit(c->handle, &e);
}

static tda_status take_step(struct call *c) {
    switch (c->step) {
    case STEP_START: return emit_start(c);
    case STEP_PART: return emit_part_start(c);
    case STEP_BODY: return emit_body(c);
    case STEP_PART_STOP: return emit_simple(c, TDA_EV_PART_STOP);
    case STEP_USAGE: return emit_usage(c);
    case STEP_STOP: return emit_simple(c, TDA_EV_STOP);
    default: finish(c->handle, TDA_C_OK, (tda_str){NULL, 0}); return TDA_OK;
    }
}

static void go_on(struct call *c) {
    while (c->step < STEP_DONE) {
        tda_status s = take_step(c);
        if (s == TDA_E_AGAIN) return;
        if (s) {
            c->step = STEP_DONE;
            finish(c->handle, TDA_C_INTERNAL, TDA_STR("the host took no more of the answer"));
            return;
        }
        c->step++;
    }
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
    go_on(c);
}

/* ---- the other operations ---- */

static void list_models(struct call *c) {
    for (; c->models_said < sizeof models / sizeof models[0]; c->models_said++) {
        tda_str id = tda_str_of(models[c->models_said]);
        struct tda_event e = {.size = sizeof e, .kind = TDA_EV_MODEL, .id = id, .name = id};
        tda_status s = offline_host->emit(c->handle, &e);
        if (s == TDA_E_AGAIN) return;
        if (s) {
            finish(c->handle, TDA_C_INTERNAL, TDA_STR("the host took no list of models"));
            return;
        }
    }
    finish(c->handle, TDA_C_OK, (tda_str){NULL, 0});
}

static void start_list(tda_call call) {
    struct call *c = offline_host->state(call);
    c->handle = call;
    c->listing = true;
    list_models(c);
}

static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    (void)self;
    if (!offline_host->state(call)) return TDA_E_STALE;
    switch (r->op) {
    case TDA_OP_CHAT: chat(call, r); break;
    case TDA_OP_MODELS: start_list(call); break;
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

static void on_wake(void *self, tda_call call, uint64_t token) {
    (void)self;
    struct call *c = offline_host->state(call);
    if (!c || !c->handle || token != TDA_TOKEN_DRAINED) return;
    if (c->listing)
        list_models(c);
    else
        go_on(c);
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event; /* it opens none */
}

static void cancel(void *self, tda_call call) {
    (void)self;
    struct call *c = offline_host->state(call);
    if (c) c->step = STEP_DONE;
    finish(call, TDA_C_CANCELLED, TDA_STR("cancelled"));
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
                                             .on_flow = on_flow,
                                             .on_wake = on_wake,
                                             .cancel = cancel};

static const void *interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "offline", "0.1.0", boot, interface};

TDA_PLUGIN_ENTRY(const struct tda_host *host) {
    if (host->abi_major != TDA_ABI_MAJOR || !TDA_HAS(host, struct tda_host, finish)) return NULL;
    offline_host = host;
    return &plugin;
}
