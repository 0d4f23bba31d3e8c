/* Probes what the host promises to a blocking provider. The question says what run does; -D WANTS_SECRETS makes another note. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tda/plugin.h"

#if defined(WANTS_SECRETS)
#define NEEDS "needs secrets\n"
#else
#define NEEDS ""
#endif

TDA_PLUGIN_NOTE("id worker\n"
                "version 1.0.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n" NEEDS "config greeting text u hello what it begins with\n"
                "config api_key secret u - a key\n"
                "config base_url url u - where the key may go\n");

static const struct tda_host *host;
static const struct tda_json_api *json;
static atomic_uint runs, drops, cancels, refused_emits;

struct state {
    atomic_int cancelled;
    uint32_t magic;
};

static tda_status emit(tda_call call, uint32_t kind, tda_str text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.part_kind = TDA_PART_TEXT;
    event.text = text;
    return host->emit(call, &event);
}

static tda_status finish(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.cls = cls;
    result.retry_ms = -1;
    result.text = text;
    return host->finish(call, &result);
}

static void say(tda_call call, const char *text) {
    emit(call, TDA_EV_TEXT, tda_str_of(text));
}

/* Everything that must work on a worker, and everything that must not. */
static const char *probe(tda_call call, const struct tda_request *request) {
    struct state *state = (struct state *)host->state(call);
    struct tda_flow_request flow_request;
    tda_str value, text = TDA_STR("");
    tda_json root;
    tda_flow flow;
    void *object;
    if (!state || state->magic) return "state";
    state->magic = 1;
    if (host->ctx_get(call, TDA_CTX_MODEL, &value) || !tda_str_eq(value, request->model)) return "ctx_get";
    if (host->ctx_get(call, TDA_CTX_LLM_INSTANCE, &value) != TDA_E_DENIED) return "ctx_get of a live object";
    if (host->setting(call, TDA_STR("greeting"), &value) || !tda_str_eq(value, TDA_STR("hello"))) return "setting";
    if (host->setting(call, TDA_STR("api_key"), &value) != TDA_E_DENIED) return "setting of a secret";
    if (json->parse(call, TDA_STR("{\"a\": [1, \"x\"]}"), &root) || !tda_str_eq(json->str(json->get(root, "a.1")), TDA_STR("x")))
        return "json reading";
    tda_json_writer *w = json->writer(call);
    json->begin_object(w);
    json->put_key(w, TDA_STR("k"));
    json->put_i64(w, 1);
    json->end_object(w);
    if (json->text(w, &text) || !tda_str_eq(text, TDA_STR("{\"k\":1}"))) return "json writing";
    host->log(call, TDA_LOG_INFO, TDA_STR("said on a worker"));
    memset(&flow_request, 0, sizeof flow_request);
    flow_request.size = sizeof flow_request;
    flow_request.kind = TDA_FLOW_HTTP;
    flow_request.url = TDA_STR("http://127.0.0.1:1/");
    if (host->flow_open(call, &flow_request, &flow) != TDA_E_STALE) return "flow_open";
    if (host->timer(call, 1, 1) != TDA_E_STALE || host->object_get(call, &object) != TDA_E_STALE) return "timer or object_get";
    if (host->ctx_put(call, TDA_CTX_MODEL, TDA_STR("x")) != TDA_E_STALE) return "ctx_put";
    if (host->emit(call + 1, NULL) != TDA_E_STALE || host->state(call ^ ((uint64_t)1 << 40))) return "another's handle";
    return "all answers right";
}

static void tell_secret(tda_call call) {
    char text[64];
    tda_str value = TDA_STR("");
    tda_status s = host->secret_get(call, TDA_STR("api_key"), &value);
    snprintf(text, sizeof text, "secret_get: %d, %zu bytes, ends with %.*s", (int)s, value.n, value.n ? 2 : 0,
             value.n ? value.p + value.n - 2 : "");
    say(call, text);
}

/* More than any queue holds: emit must wait for the loop. */
static void flood(tda_call call) {
    static char block[4096];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 2000; i++)
        if (emit(call, TDA_EV_TEXT, (tda_str){block, sizeof block})) return;
}

static void sleep_until_cancelled(tda_call call) {
    struct state *state = (struct state *)host->state(call);
    while (!atomic_load(&state->cancelled)) usleep(1000);
    if (emit(call, TDA_EV_TEXT, TDA_STR("nobody reads this"))) atomic_fetch_add(&refused_emits, 1);
}

static void count(tda_call call) {
    char text[96];
    snprintf(text, sizeof text, "%u runs, %u drops, %u cancels, %u refused", atomic_load(&runs), atomic_load(&drops),
             atomic_load(&cancels), atomic_load(&refused_emits));
    say(call, text);
}

static tda_status run(void *self, tda_call call, const struct tda_request *request) {
    const struct tda_msg *last = request->n_msgs ? request->msgs[request->n_msgs - 1] : NULL;
    tda_str word = last && last->n_parts ? last->parts[0]->text : TDA_STR("");
    (void)self;
    atomic_fetch_add(&runs, 1);
    if (tda_str_eq(word, TDA_STR("fail"))) return TDA_E_IO;
    if (tda_str_eq(word, TDA_STR("forget"))) return TDA_OK;
    if (tda_str_eq(word, TDA_STR("never")))
        for (;;) pause();
    if (tda_str_eq(word, TDA_STR("nap"))) usleep(300000);
    if (tda_str_eq(word, TDA_STR("sleep"))) sleep_until_cancelled(call);
    if (tda_str_eq(word, TDA_STR("flood"))) flood(call);
    if (tda_str_eq(word, TDA_STR("probe"))) say(call, probe(call, request));
    if (tda_str_eq(word, TDA_STR("secret"))) tell_secret(call);
    if (tda_str_eq(word, TDA_STR("how many"))) count(call);
    if (finish(call, TDA_C_OK, TDA_STR("")) == TDA_OK && finish(call, TDA_C_OK, TDA_STR("")) != TDA_E_STALE) abort();
    return TDA_OK;
}

static void cancel(void *self, tda_call call) {
    (void)self;
    atomic_fetch_add(&cancels, 1);
    atomic_store(&((struct state *)host->state(call))->cancelled, 1);
}

static void drop(void *self, tda_call call) {
    (void)self, (void)call;
    atomic_fetch_add(&drops, 1);
}

static const struct tda_provider provider = {.size = sizeof provider,
                                             .flags = TDA_P_BLOCKING,
                                             .call_state_size = sizeof(struct state),
                                             .cancel = cancel,
                                             .drop = drop,
                                             .run = run};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "worker", "1.0.0", NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
    json = (const struct tda_json_api *)h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
