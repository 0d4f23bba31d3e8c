/* What the plugin may ask of the host. The answers are the host's; besides, what a correct plugin does not do is written down. */
#include <stdio.h>

#include "context/context.h"
#include "kit.h"

static void blame(tda_handle h, const char *function) {
    struct tda_test *t = kit_current();
    if (!t) {
        kit_fault_elsewhere("it calls the host from a thread of its own: only host->wake and host->log may be called there");
    } else if (plugin_loop_at(handle_loop(h)) && plugin_loop_at(handle_loop(h)) != plugin_loop_here()) {
        kit_fault(t, "it uses a handle of another loop's thread in host->%s (gets STALE): keep nothing in statics", function);
    } else {
        kit_fault(t,
                  "it uses a handle after its drop, or one that never was, in host->%s%s%s (gets STALE): forget a handle in drop",
                  function, t->callback ? " during " : "", t->callback ? t->callback : "");
    }
}

/* The live owner of a handle; NULL after a fault was written down. */
static struct subject *find(tda_handle h, const char *function) {
    struct owner *o = owner_get(h);
    if (!o) blame(h, function);
    return (struct subject *)o;
}

/* For functions that are the loop's alone. */
static struct subject *find_on_loop(tda_handle h, const char *function) {
    struct subject *s = find(h, function);
    if (!s || !s->test->on_worker) return s;
    kit_fault(s->test, "it calls host->%s from run (gets STALE): flows, timers and objects are the loop's, not a worker's",
              function);
    return NULL;
}

static struct tda_test_call *find_call(tda_call h, const char *function) {
    struct subject *s = find(h, function);
    if (s && s->owner.kind == HANDLE_CALL) return (struct tda_test_call *)s;
    if (s) kit_fault(s->test, "it passes a connection's handle to host->%s, which takes a call's", function);
    return NULL;
}

static void host_log(tda_handle h, uint32_t level, tda_str text) {
    struct tda_test *t = kit_current();
    if (t && h && !owner_get(h)) find(h, "log");
    if (t && (level < TDA_LOG_ERROR || level > TDA_LOG_DEBUG)) kit_fault(t, "it logs at level %u, which is none", level);
    if (getenv("TDA_TEST_LOG")) fprintf(stderr, "plugin: %.*s\n", STR_FMT(text));
}

static const void *host_extension(tda_str id) {
    return tda_str_eq(id, TDA_STR("tda.json/1")) ? &json_table : NULL;
}

static void *host_state(tda_handle h) {
    struct subject *s = find(h, "state");
    return s ? s->owner.state : NULL;
}

static tda_status host_emit(tda_call h, const struct tda_event *event) {
    struct tda_test_call *c = find_call(h, "emit");
    return c ? call_take_event(c, event) : TDA_E_STALE;
}

static tda_status host_finish(tda_call h, const struct tda_result *result) {
    struct tda_test_call *c = find_call(h, "finish");
    return c ? call_take_finish(c, result) : TDA_E_STALE;
}

static tda_status host_wake(tda_handle h, uint64_t token) {
    if (token >> 63) return TDA_E_INVALID;
    return subject_wake(h, token); /* stale is no fault here: a wake from elsewhere may come late */
}

static tda_status host_timer(tda_handle h, uint64_t token, uint32_t ms) {
    struct subject *s = find_on_loop(h, "timer");
    if (!s) return TDA_E_STALE;
    if (!(token >> 63)) return subject_timer(s, token, ms);
    kit_fault(s->test, "it sets a timer whose token has the top bit set: those are the host's");
    return TDA_E_INVALID;
}

static tda_status host_ctx_get(tda_handle h, uint32_t key, tda_str *ret_value) {
    struct subject *s = find(h, "ctx_get");
    if (!s) return TDA_E_STALE;
    if (key == TDA_CTX_LLM_INSTANCE || key == TDA_CTX_MCP_CLIENT) return TDA_E_DENIED;
    const struct tda_test_call *c = s->owner.kind == HANDLE_CALL ? (const struct tda_test_call *)s : NULL;
    const char *v = c && key < CONTEXT_KEYS && c->put[key] ? c->put[key] : kit_value(s->test, "", key);
    if (!v) return TDA_E_NOT_FOUND;
    tda_str copy = scratch_copy(tda_str_of(v));
    if (!copy.p) return TDA_E_NOMEM;
    *ret_value = copy;
    return TDA_OK;
}

static tda_status host_ctx_put(tda_call h, uint32_t key, tda_str value) {
    struct tda_test_call *c = find_call(h, "ctx_put");
    if (!c || c->finished || c->subject.test->on_worker) return TDA_E_STALE;
    const struct ctx_field *f = ctx_field_by_key(key);
    if (c->op != TDA_OP_VALIDATE || c->conn || !f || key == TDA_CTX_PROVIDER || ctx_field_is_address(f)) return TDA_E_DENIED;
    record_line(&c->subject, "ctx_put %u", key);
    record_text(&c->subject, "value", value);
    free(c->put[key]);
    c->put[key] = str_dup(value);
    return TDA_OK;
}

static tda_status host_setting(tda_handle h, tda_str name, tda_str *ret_value) {
    struct subject *s = find(h, "setting");
    if (!s) return TDA_E_STALE;
    const struct setting_rule *r = kit_rule(s->test, name);
    if (!r) {
        kit_fault(s->test, "it asks for the setting \"%.*s\", which its note does not declare: add a config line",
                  (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "");
        return TDA_E_NOT_FOUND;
    }
    if (r->secret) {
        kit_fault(s->test, "it asks for the secret \"%s\" with host->setting (gets DENIED): name it in struct tda_auth instead",
                  r->name);
        return TDA_E_DENIED;
    }
    const char *v = kit_setting(s->test, r);
    if (!v) return TDA_E_NOT_FOUND;
    tda_str copy = scratch_copy(tda_str_of(v));
    if (!copy.p) return TDA_E_NOMEM;
    *ret_value = copy;
    return TDA_OK;
}

/* A provider has one object for the user's configuration, an adapter one for each connection. */
static void **object_of(struct subject *s, void (***ret_drop)(void *, void *)) {
    struct tda_test_conn *k = s->owner.kind == HANDLE_CONN ? (struct tda_test_conn *)s : ((struct tda_test_call *)s)->conn;
    *ret_drop = k ? &k->object_drop : &s->test->object_drop;
    return k ? &k->object : &s->test->object;
}

static tda_status host_object_put(tda_handle h, void *object, void (*drop)(void *self, void *object)) {
    struct subject *s = find_on_loop(h, "object_put");
    void (**place_drop)(void *, void *);
    if (!s) return TDA_E_STALE;
    if (!object || !drop) return TDA_E_INVALID;
    void **place = object_of(s, &place_drop);
    if (*place) return TDA_E_EXISTS;
    *place = object;
    *place_drop = drop;
    return TDA_OK;
}

static tda_status host_object_get(tda_handle h, void **ret_object) {
    struct subject *s = find_on_loop(h, "object_get");
    void (**drop)(void *, void *);
    if (!s) return TDA_E_STALE;
    void *object = *object_of(s, &drop);
    if (!object) return TDA_E_NOT_FOUND;
    *ret_object = object;
    return TDA_OK;
}

static tda_status host_conn_event(tda_conn h, const struct tda_conn_event *event) {
    struct subject *s = find_on_loop(h, "conn_event");
    if (!s) return TDA_E_STALE;
    if (s->owner.kind != HANDLE_CONN) {
        kit_fault(s->test, "it passes a call's handle to host->conn_event, which takes a connection's");
        return TDA_E_STALE;
    }
    if (!TDA_HAS(event, struct tda_conn_event, json)) {
        kit_fault(s->test, "it sends a connection's event whose size is %u: fill size in with sizeof", event->size);
        return TDA_E_INVALID;
    }
    return conn_take((struct tda_test_conn *)s, event);
}

static tda_status host_flow_open(tda_handle h, const struct tda_flow_request *request, tda_flow *ret_flow) {
    struct subject *s = find_on_loop(h, "flow_open");
    if (!s) return TDA_E_STALE;
    if (s->owner.kind == HANDLE_CALL && ((struct tda_test_call *)s)->finished) return TDA_E_STALE;
    if (TDA_HAS(request, struct tda_flow_request, max_bytes)) return flow_begin(s, request, ret_flow);
    kit_fault(s->test, "it opens a flow with a request whose size is %u: fill size in with sizeof", request->size);
    return TDA_E_INVALID;
}

static struct tda_test_flow *find_flow(tda_handle h, tda_flow flow, const char *function) {
    struct subject *s = find_on_loop(h, function);
    struct tda_test_flow *f = s ? flow_find(s, flow) : NULL;
    if (s && !f) kit_fault(s->test, "it uses a flow after its end in host->%s (gets STALE): forget it at END and FAIL", function);
    return f;
}

static tda_status host_flow_send(tda_handle h, tda_flow flow, tda_str bytes) {
    struct tda_test_flow *f = find_flow(h, flow, "flow_send");
    if (!f) return TDA_E_STALE;
    if (f->request.kind != TDA_FLOW_SERVER || f->stdin_closed) return TDA_E_UNSUPPORTED;
    if (f->subject->test->send_again) {
        f->subject->test->send_again = false;
        f->owes_writable = true;
        return TDA_E_AGAIN;
    }
    return buf_add_str(&f->sent, bytes);
}

static tda_status host_flow_close_send(tda_handle h, tda_flow flow) {
    struct tda_test_flow *f = find_flow(h, flow, "flow_close_send");
    if (!f) return TDA_E_STALE;
    f->stdin_closed = true;
    return TDA_OK;
}

static tda_status host_flow_abort(tda_handle h, tda_flow flow) {
    struct tda_test_flow *f = find_flow(h, flow, "flow_abort");
    if (!f) return TDA_E_STALE;
    flow_abort_one(f);
    return TDA_OK;
}

static tda_status host_secret_get(tda_call call, tda_str name, tda_str *ret_value) {
    struct tda_test_call *c = find_call(call, "secret_get");
    if (!c) return TDA_E_STALE;
    const struct setting_rule *r = kit_rule(c->subject.test, name);
    if (!c->subject.test->on_worker) return TDA_E_UNSUPPORTED;
    if (!note_needs(&c->subject.test->module->note, "secrets")) return TDA_E_DENIED;
    if (!r || !r->secret || strcmp(kit_value(c->subject.test, r->name, KIT_SECRET), "yes") != 0) return TDA_E_NOT_FOUND;
    *ret_value = TDA_STR("a-secret-of-the-test-host");
    return TDA_OK;
}

const struct tda_host kit_host_table = {
    .size = sizeof kit_host_table,
    .abi_major = TDA_ABI_MAJOR,
    .abi_minor = TDA_ABI_MINOR,
    .log = host_log,
    .extension = host_extension,
    .state = host_state,
    .emit = host_emit,
    .finish = host_finish,
    .wake = host_wake,
    .timer = host_timer,
    .ctx_get = host_ctx_get,
    .ctx_put = host_ctx_put,
    .setting = host_setting,
    .object_put = host_object_put,
    .object_get = host_object_get,
    .conn_event = host_conn_event,
    .flow_open = host_flow_open,
    .flow_send = host_flow_send,
    .flow_close_send = host_flow_close_send,
    .flow_abort = host_flow_abort,
    .secret_get = host_secret_get,
};
