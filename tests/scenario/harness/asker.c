/* asker: an adapter that does what its tools' arguments say: `ask` asks the user, `get` opens an HTTP flow, `work` reports
 * progress. What comes of it is the tool's text. One call at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id asker\n"
                "version 1.0.0\n"
                "provides tda.adapter/1\n"
                "needs tda.json/1\n");

static const struct tda_host *host;
static const struct tda_json_api *json;

struct conn_state {
    tda_call call;
    tda_flow flow;
    int64_t left, flows; /* that are open */
    char text[4096];
    size_t n;
};

static struct conn_state *state_of(tda_conn conn) {
    return host->state(conn);
}

static void add(struct conn_state *s, const char *word, tda_str value) {
    int n = snprintf(s->text + s->n, sizeof s->text - s->n, "%s%.*s;", word, (int)value.n, value.p ? value.p : "");
    if (n > 0 && (size_t)n < sizeof s->text - s->n) s->n += (size_t)n;
}

static void finish(struct conn_state *s, uint32_t cls) {
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = {s->text, s->n}};
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_CONTENT, .part = &part};
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1};
    host->emit(s->call, &e);
    host->finish(s->call, &r);
    s->call = 0;
    s->n = 0;
}

static void tell(tda_conn conn, uint32_t kind, tda_call call, tda_str id, tda_str text) {
    struct tda_conn_event e = {.size = sizeof e, .kind = kind, .json = text, .call = call, .id = id};
    tda_status s = host->conn_event(conn, &e);
    if (s) add(state_of(conn), "refused ", tda_str_of(s == TDA_E_LIMIT ? "LIMIT" : s == TDA_E_INVALID ? "INVALID" : "other"));
}

static void get(tda_conn conn, tda_handle owner, tda_json args) {
    struct conn_state *s = state_of(conn);
    int64_t total = 0, times = 1;
    json->i64(json->get(args, "times"), &times);
    json->i64(json->get(args, "total_ms"), &total);
    struct tda_auth auth = {.size = sizeof auth, .kind = TDA_AUTH_SERVER};
    struct tda_flow_request r = {.size = sizeof r, .kind = TDA_FLOW_HTTP, .framing = TDA_FRAME_BY_TYPE, .auth = &auth};
    r.url = json->str(json->get(args, "url"));
    r.body = json->str(json->get(args, "body"));
    r.total_ms = r.idle_ms = total;
    for (s->flows = 0; s->flows < times; s->flows++) {
        if (host->flow_open(owner, &r, &s->flow) == TDA_OK) continue;
        add(s, "denied", (tda_str){0});
        finish(s, TDA_C_OK);
        return;
    }
}

/* What the connection knows of a context. */
static void fields(struct conn_state *s, tda_conn conn) {
    tda_str v;
    for (uint32_t key = TDA_CTX_PROVIDER; key <= TDA_CTX_SERVER_CONFIGS; key++)
        if (host->ctx_get(conn, key, &v) == TDA_OK) add(s, "", v);
    finish(s, TDA_C_OK);
}

static tda_status start(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *r) {
    static const char *const tools[] = {"ask", "ask_anyone", "get", "get_on_call", "work", "fields"};
    struct conn_state *s = state_of(conn);
    tda_json args;
    (void)self;
    if (r->op == TDA_AOP_LIST_TOOLS) {
        struct tda_result done = {.size = sizeof done, .retry_ms = -1};
        for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
            struct tda_event e = {.size = sizeof e, .kind = TDA_EV_ITEM, .name = tda_str_of(tools[i])};
            host->emit(call, &e);
        }
        host->finish(call, &done);
        return TDA_OK;
    }
    s->call = call;
    if (json->parse(call, r->args, &args)) return TDA_E_INVALID;
    if (tda_str_eq(r->name, TDA_STR("ask")))
        tell(conn, TDA_CONN_ASK, call, TDA_STR("q"), json->raw(json->get(args, "question")));
    else if (tda_str_eq(r->name, TDA_STR("ask_anyone")))
        tell(conn, TDA_CONN_ASK, 0, TDA_STR("q"), json->raw(json->get(args, "question")));
    else if (tda_str_eq(r->name, TDA_STR("get")))
        get(conn, conn, args);
    else if (tda_str_eq(r->name, TDA_STR("get_on_call")))
        get(conn, call, args);
    else if (tda_str_eq(r->name, TDA_STR("fields")))
        fields(s, conn);
    else if (json->i64(json->get(args, "steps"), &s->left))
        host->timer(conn, 1, 200);
    if (s->n && s->call) finish(s, TDA_C_OK); /* it was refused */
    return TDA_OK;
}

static tda_status answer(void *self, tda_conn conn, tda_str id, tda_str text) {
    (void)self;
    add(state_of(conn), "", id);
    add(state_of(conn), "", text);
    if (state_of(conn)->call) finish(state_of(conn), TDA_C_OK);
    return TDA_OK;
}

static void conn_wake(void *self, tda_conn conn, uint64_t token) {
    struct conn_state *s = state_of(conn);
    struct tda_event e = {.size = sizeof e, .kind = TDA_EV_PROGRESS, .text = TDA_STR("on it")};
    (void)self;
    if (!s->call) return;
    host->emit(s->call, &e);
    if (--s->left > 0)
        host->timer(conn, token, 200);
    else
        finish(s, TDA_C_OK);
}

static void conn_flow(void *self, tda_conn conn, const struct tda_flow_event *e) {
    struct conn_state *s = state_of(conn);
    char number[32];
    (void)self;
    if (e->kind == TDA_FLOW_STATUS) {
        snprintf(number, sizeof number, "%d", e->status);
        add(s, "status ", tda_str_of(number));
    } else if (e->kind == TDA_FLOW_ITEM) {
        snprintf(number, sizeof number, "%lld", (long long)e->retry_ms);
        add(s, "id ", e->id);
        add(s, "retry ", tda_str_of(number));
        add(s, e->data.p ? "data " : "no data", e->data);
    } else if (e->kind == TDA_FLOW_END || e->kind == TDA_FLOW_FAIL) {
        if (s->n > sizeof s->text - 512) s->n = 0; /* the end is what counts */
        add(s, e->kind == TDA_FLOW_END ? "end" : "fail ", e->text);
        if (s->call && --s->flows <= 0) finish(s, e->cls == TDA_C_AUTH ? TDA_C_AUTH : TDA_C_OK);
    }
}

static void cancel(void *self, tda_conn conn, tda_call call) {
    struct tda_result r = {.size = sizeof r, .cls = TDA_C_CANCELLED, .retry_ms = -1};
    (void)self;
    state_of(conn)->call = 0;
    host->finish(call, &r);
}

static tda_status on_connect(void *self, tda_conn conn, const struct tda_server *server) {
    struct tda_conn_event e = {.size = sizeof e, .kind = TDA_CONN_READY};
    (void)self, (void)server;
    host->conn_event(conn, &e);
    return TDA_OK;
}

static void conn_close(void *self, tda_conn conn) {
    struct tda_conn_event e = {.size = sizeof e, .kind = TDA_CONN_CLOSED, .cls = TDA_C_CANCELLED};
    (void)self;
    host->conn_event(conn, &e);
}

static const struct tda_adapter adapter = {.size = sizeof adapter,
                                           .conn_state_size = sizeof(struct conn_state),
                                           .connect = on_connect,
                                           .conn_flow = conn_flow,
                                           .conn_wake = conn_wake,
                                           .conn_close = conn_close,
                                           .start = start,
                                           .answer = answer,
                                           .cancel = cancel};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_ADAPTER_ID)) ? &adapter : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "asker", "1.0.0", NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
    json = h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
