/* One connection of an adapter. */
#include <stdio.h>

#include "kit.h"

enum { ASK_ID_MAX = 128 };

static const struct tda_adapter *adapter_of(const struct tda_test_conn *c) {
    return c->subject.test->module->adapter;
}

static bool is_over(const struct tda_test_conn *c) {
    return c->state == TDA_CONN_FAILED || c->state == TDA_CONN_CLOSED;
}

/* ---- its questions ---- */

static char **find_ask(struct tda_test_conn *c, tda_str id) {
    for (size_t i = 0; i < ASKS_OPEN_MAX; i++)
        if (c->asks[i] && tda_str_eq(tda_str_of(c->asks[i]), id)) return &c->asks[i];
    return NULL;
}

static tda_status take_ask(struct tda_test_conn *c, const struct tda_conn_event *e) {
    struct tda_test *t = c->subject.test;
    bool fits = TDA_HAS(e, struct tda_conn_event, id) && e->id.n && e->id.n <= ASK_ID_MAX;
    if (!fits || find_ask(c, e->id) || json_check(e->json, 0, NULL)) {
        kit_fault(t, "it asks without an id of its own, or without JSON (gets INVALID)");
        return TDA_E_INVALID;
    }
    for (size_t i = 0; i < ASKS_OPEN_MAX; i++)
        if (!c->asks[i]) return (c->asks[i] = str_dup(e->id)) ? TDA_OK : TDA_E_NOMEM;
    return TDA_E_LIMIT;
}

static tda_status take_ask_over(struct tda_test_conn *c, const struct tda_conn_event *e) {
    char **ask = TDA_HAS(e, struct tda_conn_event, id) ? find_ask(c, e->id) : NULL;
    if (!ask) return TDA_E_NOT_FOUND;
    free(*ask);
    *ask = NULL;
    return TDA_OK;
}

int32_t tda_test_conn_answer(struct tda_test_conn *c, const char *id, const char *json) {
    struct tda_test *t = c->subject.test;
    char **ask = is_over(c) ? NULL : find_ask(c, tda_str_of(id));
    if (!ask || !adapter_of(c)->answer) return 0;
    kit_here(t);
    char *taken = *ask;
    *ask = NULL;
    kit_enter(t, "answer");
    adapter_of(c)->answer(t->adapter_self, c->subject.owner.handle, tda_str_of(taken), tda_str_of(json));
    kit_leave(t);
    free(taken);
    kit_settle(t);
    return 1;
}

/* ---- what it says ---- */

tda_status conn_take(struct tda_test_conn *c, const struct tda_conn_event *e) {
    static const char *const names[] = {
        "",    "READY",   "FAILED", "CLOSED", "TOOLS_CHANGED", "LOG", "PROMPTS_CHANGED", "RESOURCES_CHANGED", "RESOURCE_UPDATED",
        "ASK", "ASK_OVER"};
    struct tda_test *t = c->subject.test;
    if (is_over(c)) {
        kit_fault(t, "it sends a connection's event after FAILED or CLOSED (gets STALE): note that the end was said");
        return TDA_E_STALE;
    }
    if (e->kind == 0 || e->kind >= ARRAY_LEN(names)) {
        kit_fault(t, "it sends a connection's event of kind %u, which no host knows", e->kind);
        return TDA_OK;
    }
    if (e->kind == TDA_CONN_READY && c->state == TDA_CONN_READY) {
        kit_fault(t, "it says READY twice on one connection");
        return TDA_E_INVALID;
    }
    tda_status status = e->kind == TDA_CONN_ASK ? take_ask(c, e) : e->kind == TDA_CONN_ASK_OVER ? take_ask_over(c, e) : TDA_OK;
    if (status) return status;
    if (e->kind <= TDA_CONN_CLOSED) c->state = e->kind;
    record_line(&c->subject, "conn %s", names[e->kind]);
    if (e->kind == TDA_CONN_ASK || e->kind == TDA_CONN_ASK_OVER) record_text(&c->subject, "id", e->id);
    if (e->cls) buf_addf(&c->subject.transcript, " %s", class_name(e->cls));
    record_text(&c->subject, "text", e->text);
    record_text(&c->subject, "json", e->json);
    return TDA_OK;
}

/* ---- into the plugin ---- */

void conn_deliver(struct tda_test_conn *c, const struct tda_flow_event *event) {
    struct tda_test *t = c->subject.test;
    if (is_over(c)) return;
    kit_enter(t, "conn_flow");
    adapter_of(c)->conn_flow(t->adapter_self, c->subject.owner.handle, event);
    kit_leave(t);
}

void conn_woken(struct tda_test_conn *c, uint64_t token) {
    struct tda_test *t = c->subject.test;
    if (is_over(c) || !adapter_of(c)->conn_wake) return;
    kit_enter(t, "conn_wake");
    adapter_of(c)->conn_wake(t->adapter_self, c->subject.owner.handle, token);
    kit_leave(t);
}

/* ---- the end: calls first, they use the connection's handle in their drop ---- */

static bool end_calls(struct tda_test_conn *c) {
    struct tda_test_call *call;
    bool any = false;
    for (call = LIST_FIRST(&c->subject.test->calls); call; call = LIST_NEXT(call, entry)) {
        if (call->conn != c || call->done) continue;
        call_end(call, TDA_C_NETWORK, "the connection to the server has ended");
        any = true;
    }
    return any;
}

static void drop_conn(struct tda_test_conn *c) {
    struct tda_test *t = c->subject.test;
    subject_quiet(&c->subject);
    kit_enter(t, "conn_drop");
    if (adapter_of(c)->conn_drop) adapter_of(c)->conn_drop(t->adapter_self, c->subject.owner.handle);
    kit_leave(t);
    if (c->object) {
        kit_enter(t, "the object's drop");
        c->object_drop(t->adapter_self, c->object);
        kit_leave(t);
        c->object = NULL;
    }
    t->drops++;
    subject_fini(&c->subject);
    c->done = true;
}

bool conns_settle(struct tda_test *t) {
    struct tda_test_conn *c;
    for (c = LIST_FIRST(&t->conns); c; c = LIST_NEXT(c, entry)) {
        if (c->done) continue;
        if (is_over(c)) {
            if (!end_calls(c)) drop_conn(c);
            return true;
        }
        if (c->closing && !subject_waits(&c->subject)) {
            kit_fault(t, "it does not say CLOSED after conn_close, although its flows have ended and no timer is pending");
            c->state = TDA_CONN_CLOSED;
            return true;
        }
    }
    return false;
}

/* Processes are told to go, and do. */
static void stop_processes(struct tda_test_conn *c) {
    struct tda_test_flow *f;
    for (f = c->subject.flows; f; f = f->next)
        if (f->open && f->request.kind == TDA_FLOW_SERVER) tda_test_exit(f, 0);
}

void tda_test_conn_close(struct tda_test_conn *c) {
    struct tda_test *t = c->subject.test;
    kit_here(t);
    if (c->done || c->closing) return;
    kit_enter(t, "conn_close");
    adapter_of(c)->conn_close(t->adapter_self, c->subject.owner.handle);
    kit_leave(t);
    c->closing = true;
    stop_processes(c);
    kit_settle(t);
}

/* A goodbye that nobody answers: the host's patience has an end. What a plugin opens after that it does not get answered either. */
void conn_force(struct tda_test_conn *c) {
    struct tda_test_flow *f, *last;
    tda_test_conn_close(c);
    for (last = c->subject.flows; last && last->next;) last = last->next;
    for (f = c->subject.flows; f && !c->done; f = f == last ? NULL : f->next)
        if (f->open) tda_test_fail(f, TDA_C_NETWORK, "the host is stopping");
}

/* ---- beginning ---- */

struct tda_test_conn *tda_test_connect(struct tda_test *t, const char *name, const char *url) {
    const struct tda_adapter *a = t->module->adapter;
    struct tda_test_conn *c = a ? calloc(1, sizeof *c) : NULL;
    if (!c) return NULL;
    kit_here(t);
    LIST_INSERT_HEAD(&t->conns, c, entry);
    c->url = url ? str_dup(tda_str_of(url)) : NULL;
    tda_status s = subject_init(&c->subject, HANDLE_CONN, t, a->conn_state_size);
    struct tda_server server = {.size = sizeof server,
                                .transport = url ? TDA_SERVER_URL : TDA_SERVER_PROCESS,
                                .name = tda_str_of(name),
                                .url = tda_str_of(url),
                                .deadline_ms = 10000,
                                .era = t->server_era,
                                .asks = t->server_asks};
    if (!s) {
        kit_enter(t, "connect");
        s = a->connect(t->adapter_self, c->subject.owner.handle, &server);
        kit_leave(t);
    }
    if (s) {
        subject_fini(&c->subject);
        conn_forget(c);
        return NULL;
    }
    t->starts++;
    kit_settle(t);
    return c;
}

void tda_test_server(struct tda_test *t, uint32_t era, uint32_t asks) {
    t->server_era = era;
    t->server_asks = asks;
}

uint32_t tda_test_conn_state(const struct tda_test_conn *c) {
    return c->state;
}

struct tda_test_call *tda_test_conn_start(struct tda_test_conn *c, uint32_t op, const char *name, const char *args) {
    struct tda_test *t = c->subject.test;
    struct tda_test_call *call = c->state == TDA_CONN_READY ? call_new(t, c, adapter_of(c)->call_state_size) : NULL;
    if (!call) return NULL;
    struct tda_adapter_request r = {
        .size = sizeof r, .op = op, .name = tda_str_of(name), .args = tda_str_of(args), .deadline_ms = 60000};
    call->op = op;
    kit_enter(t, "start");
    tda_status s = adapter_of(c)->start(t->adapter_self, c->subject.owner.handle, call->subject.owner.handle, &r);
    kit_leave(t);
    return call_begun(call, s) ? NULL : call;
}
