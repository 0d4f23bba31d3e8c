/* A plugin that breaks the contract in the way that a -D says; the id stays "broken". */
#include "tda/plugin.h"

#if defined(OTHER_MINOR)
#undef TDA_ABI_MINOR
#define TDA_ABI_MINOR 99u
#elif defined(OTHER_MAJOR)
#undef TDA_ABI_MAJOR
#define TDA_ABI_MAJOR 7u
#endif

#if defined(BAD_NOTE)
TDA_PLUGIN_NOTE("id broken\nversion 1\n");
#elif defined(UNKNOWN_NEED)
TDA_PLUGIN_NOTE("id broken\nversion 1\nprovides tda.provider/1\nneeds tda.telepathy/1\n");
#elif defined(UNKNOWN_INTERFACE)
TDA_PLUGIN_NOTE("id broken\nversion 1\nprovides tda.oracle/1\n");
#elif defined(ADAPTER)
TDA_PLUGIN_NOTE("id broken\nversion 1\nprovides tda.adapter/1\n");
#elif !defined(NO_NOTE)
TDA_PLUGIN_NOTE("id broken\nversion 1\nprovides tda.provider/1\n");
#endif

static const struct tda_host *host;

static tda_status finish(tda_call call) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.retry_ms = -1;
    return host->finish(call, &result);
}

static tda_status say(tda_call call, const char *text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_TEXT;
    event.text = tda_str_of(text);
    return host->emit(call, &event);
}

#if defined(ADAPTER)
/* Ready at once, one tool, whose calls cannot be started. */
static tda_status connect_server(void *self, tda_conn conn, const struct tda_server *server) {
    struct tda_conn_event event;
    (void)self, (void)server;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_CONN_READY;
    return host->conn_event(conn, &event);
}

static void conn_flow(void *self, tda_conn conn, const struct tda_flow_event *event) {
    (void)self, (void)conn, (void)event;
}

static void conn_close(void *self, tda_conn conn) {
    (void)self, (void)conn;
}

static tda_status start_tool(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *request) {
    struct tda_event event;
    (void)self, (void)conn;
    if (request->op == TDA_AOP_CALL_TOOL) return TDA_E_NOMEM;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = TDA_EV_ITEM;
    event.name = TDA_STR("tool");
    host->emit(call, &event);
    finish(call);
    return TDA_OK;
}

static const struct tda_adapter adapter = {sizeof adapter, 0,    0,          0,    NULL, NULL, connect_server, conn_flow, NULL,
                                           conn_close,     NULL, start_tool, NULL, NULL, NULL};
#endif

static tda_call old_call;

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    (void)self;
    if (request->op == TDA_OP_VALIDATE) {
        finish(call);
        return TDA_OK;
    }
#if defined(FORGETS_FINISH)
    return TDA_OK;
#elif defined(START_FAILS)
    return TDA_E_NOMEM;
#elif defined(START_FAILS_AFTER_FINISH)
    finish(call);
    return TDA_E_NOMEM;
#else
    {
        /* stale handles, wrong kinds, a second finish, an event after the end: each must be an answer */
        void *object;
        tda_str value;
        int ok = 1;
        if (old_call) ok = ok && say(old_call, "x") == TDA_E_STALE && finish(old_call) == TDA_E_STALE && !host->state(old_call);
        ok = ok && host->state(call + 1) == NULL && host->object_get(call ^ ((uint64_t)1 << 40), &object) == TDA_E_STALE;
        ok = ok && host->flow_abort(call, call) == TDA_E_STALE && host->flow_send(call, 0, TDA_STR("x")) == TDA_E_STALE;
        ok = ok && host->ctx_put(call, TDA_CTX_MODEL, TDA_STR("other")) == TDA_E_DENIED;
        ok = ok && host->ctx_get(call, TDA_CTX_LLM_INSTANCE, &value) == TDA_E_DENIED &&
             host->ctx_get(call, 999, &value) == TDA_E_NOT_FOUND;
        ok = ok && host->secret_get(call, TDA_STR("x"), &value) == TDA_E_UNSUPPORTED;
        say(call, ok ? "all answers right" : "a wrong answer");
        finish(call);
        if (finish(call) != TDA_E_STALE || say(call, "late") != TDA_E_STALE) return TDA_E_INTERNAL;
        old_call = call;
        return TDA_OK;
    }
#endif
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event;
}

static const struct tda_provider provider = {
#if defined(SMALL_TABLE)
    8,
#else
    sizeof provider,
#endif
#if defined(BLOCKING)
    TDA_P_BLOCKING,
#else
    0,
#endif
    0,
    0,
    NULL,
    NULL,
    start,
    on_flow,
    NULL,
    NULL,
    NULL,
    NULL};

static const void *find_interface(tda_str id) {
#if defined(NO_TABLE)
    (void)id;
    return NULL;
#elif defined(ADAPTER)
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
#else
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
#endif
}

static tda_status boot(void) {
#if defined(BOOT_FAILS)
    return TDA_E_IO;
#else
    return TDA_OK;
#endif
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR,
#if defined(OTHER_ID)
                                         "somebody",
#else
                                         "broken",
#endif
                                         "1",           boot,          find_interface};

#if defined(NO_ENTRY)
const struct tda_plugin *keep(const struct tda_host *h);
const struct tda_plugin *keep(const struct tda_host *h) {
    host = h;
    return &plugin;
}
#else
TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
#if defined(ENTRY_REFUSES)
    return NULL;
#else
    return &plugin;
#endif
}
#endif
