/* A provider that the daemon loads and that breaks its promises in the way that a -D says. `tda plugin check` has a sentence for
 * each. Without one it is a correct plugin, which passes. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tda/plugin.h"

#if defined(ASKS_UNDECLARED)
#define MORE ""
#else
#define MORE "config base_url url u https://api.example.com address of the service\n"
#endif
TDA_PLUGIN_NOTE("id misbehaves\n"
                "version 1\n"
                "provides tda.provider/1\n"
                "host https://api.example.com\n" MORE "config api_key secret u - the key\n");

static const struct tda_host *host;

struct state {
    tda_call call;
    tda_flow flow;
    tda_str kept;
    int over;
    size_t n;
    char text[4096];
};

static void finish(tda_call call, uint32_t cls) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.cls = cls;
    result.retry_ms = -1;
    host->finish(call, &result);
}

static tda_status say(tda_call call, tda_str text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_TEXT;
    event.text = text;
    return host->emit(call, &event);
}

#if defined(USES_AFTER_DROP)
static tda_call old_call;
#endif
#if defined(SHARES_STATICS)
static tda_call shared_call;
#endif

static void *idle(void *arg) {
    sleep(1);
    return arg;
}

static void misbehave(tda_call call) {
    (void)call;
#if defined(LEAKS)
    volatile char *lost = (char *)malloc(100);
    lost[0] = 1;
#elif defined(LEAKS_FD)
    (void)dup(0);
#elif defined(BLOCKS)
    usleep(60000);
#elif defined(BLOCKS_FOR_EVER)
    for (;;) pause();
#elif defined(STARTS_THREAD)
    pthread_t thread;
    if (!pthread_create(&thread, NULL, idle, NULL)) pthread_detach(thread);
#elif defined(CALLS_EXIT)
    exit(3);
#elif defined(SEGFAULTS)
    *(volatile int *)16 = 1;
#elif defined(CHANGES_ENV)
    setenv("MISBEHAVES", "yes", 1);
#elif defined(CHANGES_SIGNAL)
    signal(SIGPIPE, SIG_IGN);
#elif defined(CHANGES_CWD)
    if (chdir("/tmp")) return;
#elif defined(USES_AFTER_DROP)
    if (old_call) host->state(old_call);
    old_call = call;
#elif defined(ASKS_UNDECLARED)
    tda_str value;
    host->setting(call, TDA_STR("base_url"), &value);
#elif defined(ASKS_SECRET)
    tda_str value;
    host->setting(call, TDA_STR("api_key"), &value);
#endif
    (void)idle;
}

static void open_flow(struct state *s) {
    struct tda_auth auth;
    struct tda_flow_request request;
    memset(&auth, 0, sizeof auth);
    auth.size = sizeof auth;
    auth.kind = TDA_AUTH_HEADER;
    auth.header = TDA_STR("x-key");
    auth.secret = TDA_STR("api_key");
    memset(&request, 0, sizeof request);
    request.size = sizeof request;
    request.kind = TDA_FLOW_HTTP;
    request.framing = TDA_FRAME_NONE;
#if defined(FOREIGN_HOST)
    request.url = TDA_STR("https://elsewhere.example.org/x");
#else
    request.url = TDA_STR("https://api.example.com/x");
#endif
    request.auth = &auth;
    if (host->flow_open(s->call, &request, &s->flow)) {
        s->over = 1;
        finish(s->call, TDA_C_AUTH);
    }
}

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    struct state *s = (struct state *)host->state(call);
    (void)self, (void)request;
    s->call = call;
#if defined(SHARES_STATICS)
    shared_call = call;
#endif
    misbehave(call);
    open_flow(s);
    return TDA_OK;
}

static void take(struct state *s, tda_str data) {
    size_t n = data.n < sizeof s->text - s->n ? data.n : sizeof s->text - s->n;
#if defined(KEEPS_POINTER)
    if (s->kept.n) say(s->call, s->kept);
    s->kept = data;
#elif defined(DEPENDS_ON_CUTS)
    say(s->call, TDA_STR("["));
#endif
    if (n) memcpy(s->text + s->n, data.p, n);
    s->n += n;
}

static void end(struct state *s) {
    tda_str text;
    text.p = s->text;
    text.n = s->n;
    tda_status status = say(s->call, text);
    s->over = 1;
#if defined(NEVER_FINISHES)
    return;
#elif defined(EMITS_AFTER_FINISH)
    finish(s->call, TDA_C_OK);
    say(s->call, TDA_STR("late"));
#elif defined(FINISHES_TWICE)
    finish(s->call, TDA_C_OK);
    finish(s->call, TDA_C_OK);
#else
    finish(s->call, status ? TDA_C_INTERNAL : TDA_C_OK);
#endif
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    struct state *s = (struct state *)host->state(call);
    (void)self;
    if (!s || s->over) return;
#if defined(SHARES_STATICS)
    host->state(shared_call);
#endif
    if (event->kind == TDA_FLOW_ITEM) take(s, event->data);
    if (event->kind == TDA_FLOW_END || event->kind == TDA_FLOW_FAIL) end(s);
}

static const struct tda_provider provider = {
    sizeof provider, 0, sizeof(struct state), 0, NULL, NULL, start, on_flow, NULL, NULL, NULL, NULL};

static const void *find_interface(tda_str id) {
#if defined(CLAIMS_EVERYTHING)
    (void)id;
    return &provider;
#else
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
#endif
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "misbehaves", "1", NULL, find_interface};

#if defined(EXTRA_EXPORT)
__attribute__((visibility("default"))) int helper(void);
__attribute__((visibility("default"))) int helper(void) {
    return 1;
}
#endif

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
#if !defined(IGNORES_SIZE)
    if (!TDA_HAS(h, struct tda_host, flow_open) || h->abi_major != TDA_ABI_MAJOR) return NULL;
#else
    if (h->abi_major != TDA_ABI_MAJOR || !h->flow_open) return NULL;
#endif
    host = h;
#if defined(STARTS_THREAD_AT_BOOT)
    pthread_t thread;
    if (!pthread_create(&thread, NULL, idle, NULL)) pthread_detach(thread);
#endif
    return &plugin;
}
