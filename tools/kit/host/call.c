/* One call: start, events, one finish, one drop. */
#include <stdio.h>

#include "kit.h"

static const struct tda_provider *provider_of(const struct tda_test_call *c) {
    return c->subject.test->module->provider;
}

static const struct tda_adapter *adapter_of(const struct tda_test_call *c) {
    return c->subject.test->module->adapter;
}

/* ---- what the plugin says ---- */

static bool refused_now(struct tda_test *t) {
    t->emits++;
    if (!t->refuse_at || t->emits != t->refuse_at) return false;
    t->refuse_at = 0;
    return true;
}

static void check_event(struct tda_test *t, const struct tda_event *e) {
    if (e->kind == 0 || e->kind > TDA_EV_PROGRESS) kit_fault(t, "it emits an event of kind %u, which no host knows", e->kind);
    if (e->kind == TDA_EV_STOP && e->stop == 0) kit_fault(t, "it emits STOP without a reason: set stop, TDA_STOP_OTHER if need be");
    if (is_lent_memory(e->text) || is_lent_memory(e->id) || is_lent_memory(e->name) || is_lent_memory(e->raw))
        kit_fault(t, "it emits memory that was lent to it for one callback only: copy what is needed later");
}

tda_status call_take_event(struct tda_test_call *c, const struct tda_event *event) {
    struct tda_test *t = c->subject.test;
    if (c->finished) {
        kit_fault(t, "it emits an event after finish (gets STALE): emit first, then finish");
        return TDA_E_STALE;
    }
    if (event->size < offsetof(struct tda_event, id)) {
        kit_fault(t, "it emits an event whose size is %u: fill size in with sizeof", event->size);
        return TDA_E_INVALID;
    }
    if (c->cancelled || c->timed_out) return TDA_OK;
    if (refused_now(t)) return t->refuse_status;
    struct kit_event *copy = arena_alloc(&c->subject.memory, sizeof *copy);
    if (!copy || record_copy(&c->subject.memory, event, &copy->event)) return TDA_E_NOMEM;
    check_event(t, &copy->event);
    record_event(&c->subject, &copy->event);
    if (copy->event.kind == TDA_EV_TEXT) buf_add_str(&c->text, copy->event.text);
    *c->events_end = copy;
    c->events_end = &copy->next;
    c->n_events++;
    return TDA_OK;
}

static void keep_result(struct tda_test_call *c, const struct tda_result *r) {
    c->finished = true;
    c->result = *r;
    tda_str *texts[] = {&c->result.code, &c->result.text, &c->result.request_id};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = arena_str(&c->subject.memory, *texts[i]);
    record_line(&c->subject, "finish %s", class_name(r->cls));
    if (r->http_status) buf_addf(&c->subject.transcript, " http=%d", (int)r->http_status);
    if (r->retry_ms >= 0) buf_addf(&c->subject.transcript, " retry_ms=%lld", (long long)r->retry_ms);
    if (r->is_error) buf_add_z(&c->subject.transcript, " is_error");
    record_text(&c->subject, "code", c->result.code);
    record_text(&c->subject, "text", c->result.text);
    record_text(&c->subject, "request_id", c->result.request_id);
}

void call_end(struct tda_test_call *c, uint32_t cls, const char *text) {
    if (c->finished) return;
    struct tda_result r = {.size = sizeof r, .cls = cls, .retry_ms = -1, .text = tda_str_of(text)};
    keep_result(c, &r);
}

tda_status call_take_finish(struct tda_test_call *c, const struct tda_result *result) {
    struct tda_test *t = c->subject.test;
    if (c->finished) {
        kit_fault(t, "it finishes a call twice (gets STALE): note that finish was said");
        return TDA_E_STALE;
    }
    if (!TDA_HAS(result, struct tda_result, request_id)) {
        kit_fault(t, "it finishes with a result whose size is %u: fill size in with sizeof", result->size);
        return TDA_E_INVALID;
    }
    if (result->cls > TDA_C_INTERNAL) kit_fault(t, "it finishes with class %u, which no host knows", result->cls);
    if (is_lent_memory(result->text) || is_lent_memory(result->code))
        kit_fault(t, "it finishes with memory that was lent to it for one callback only: copy what is needed later");
    if (c->timed_out)
        call_end(c, TDA_C_TIMEOUT, "no end before the deadline");
    else if (c->cancelled)
        call_end(c, TDA_C_CANCELLED, "cancelled");
    else if (c->missing_secret)
        call_end(c, TDA_C_AUTH, "there is no credential for this provider and address");
    else
        keep_result(c, result);
    return TDA_OK;
}

/* ---- into the plugin ---- */

/* A provider whose last flow has ended, which waits for nothing and has not finished, never will. */
static void check_alive(struct tda_test_call *c) {
    struct tda_test *t = c->subject.test;
    if (c->conn || c->finished || subject_waits(&c->subject) || t->module->note.threads) return;
    kit_fault(t, "it never finishes: the last flow has ended, no timer or wake is pending, and finish was not called");
    call_end(c, TDA_C_PROTOCOL, "the provider's plugin ended without a result");
}

void call_deliver(struct tda_test_call *c, const struct tda_flow_event *event) {
    struct tda_test *t = c->subject.test;
    if (c->finished) return;
    if (c->conn) {
        conn_deliver(c->conn, event);
        return;
    }
    kit_enter(t, "on_flow");
    provider_of(c)->on_flow(t->provider_self, c->subject.owner.handle, event);
    kit_leave(t);
    check_alive(c);
}

void call_woken(struct tda_test_call *c, uint64_t token) {
    struct tda_test *t = c->subject.test;
    if (c->finished || c->conn || !provider_of(c)->on_wake) return;
    kit_enter(t, "on_wake");
    provider_of(c)->on_wake(t->provider_self, c->subject.owner.handle, token);
    kit_leave(t);
    check_alive(c);
}

static void tell_cancel(struct tda_test_call *c) {
    struct tda_test *t = c->subject.test;
    kit_enter(t, "cancel");
    if (c->conn && adapter_of(c)->cancel)
        adapter_of(c)->cancel(t->adapter_self, c->conn->subject.owner.handle, c->subject.owner.handle);
    else if (!c->conn && provider_of(c)->cancel)
        provider_of(c)->cancel(t->provider_self, c->subject.owner.handle);
    kit_leave(t);
    if (!c->finished)
        call_end(c, c->timed_out ? TDA_C_TIMEOUT : TDA_C_CANCELLED, c->timed_out ? "no end before the deadline" : "cancelled");
}

void tda_test_cancel(struct tda_test_call *c) {
    kit_here(c->subject.test);
    if (c->finished) return;
    c->cancelled = true;
    tell_cancel(c);
    kit_settle(c->subject.test);
}

void tda_test_time_out(struct tda_test_call *c) {
    kit_here(c->subject.test);
    if (c->finished) return;
    c->timed_out = true;
    tell_cancel(c);
    kit_settle(c->subject.test);
}

static void complete(struct tda_test_call *c) {
    struct tda_test *t = c->subject.test;
    subject_quiet(&c->subject);
    kit_enter(t, "drop");
    if (c->conn && adapter_of(c)->drop)
        adapter_of(c)->drop(t->adapter_self, c->conn->subject.owner.handle, c->subject.owner.handle);
    else if (!c->conn && provider_of(c)->drop)
        provider_of(c)->drop(t->provider_self, c->subject.owner.handle);
    kit_leave(t);
    t->drops++;
    subject_fini(&c->subject);
    c->done = true;
}

bool calls_settle(struct tda_test *t) {
    struct tda_test_call *c;
    for (c = LIST_FIRST(&t->calls); c; c = LIST_NEXT(c, entry)) {
        if (!c->started || c->done || !c->finished) continue;
        complete(c);
        return true;
    }
    return false;
}

/* ---- beginning ---- */

struct tda_test_call *call_new(struct tda_test *t, struct tda_test_conn *conn, size_t state_size) {
    struct tda_test_call *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    kit_here(t);
    c->conn = conn;
    c->events_end = &c->events;
    buf_init(&c->text, TRANSCRIPT_MAX);
    LIST_INSERT_HEAD(&t->calls, c, entry);
    if (!subject_init(&c->subject, HANDLE_CALL, t, state_size)) return c;
    c->done = true;
    tda_test_forget(c);
    return NULL;
}

/* What start returned. */
tda_status call_begun(struct tda_test_call *c, tda_status s) {
    struct tda_test *t = c->subject.test;
    if (s) {
        if (c->finished) kit_fault(t, "its start says finish and then returns an error: one or the other");
        subject_fini(&c->subject);
        c->done = true;
        tda_test_forget(c);
        return s;
    }
    c->started = true;
    t->starts++;
    check_alive(c);
    kit_settle(t);
    return TDA_OK;
}

/* The whole of it, on this thread, which is the worker as well: flows, timers and objects say STALE meanwhile. */
static struct tda_test_call *run_blocking(struct tda_test_call *c, const struct tda_request *request) {
    struct tda_test *t = c->subject.test;
    struct kit_spent longest = t->longest;
    t->on_worker = true;
    kit_enter(t, "run");
    tda_status s = provider_of(c)->run(t->provider_self, c->subject.owner.handle, request);
    kit_leave(t);
    t->on_worker = false;
    t->longest = longest; /* it may take its time */
    if (s) call_end(c, TDA_C_INTERNAL, "run returned an error");
    return call_begun(c, TDA_OK) ? NULL : c;
}

struct tda_test_call *tda_test_start(struct tda_test *t, const struct tda_request *request) {
    const struct tda_provider *p = t->module->provider;
    struct tda_test_call *c = p ? call_new(t, NULL, p->call_state_size) : NULL;
    if (!c) return NULL;
    c->op = request->op;
    if (p->flags & TDA_P_BLOCKING) return run_blocking(c, request);
    kit_enter(t, "start");
    tda_status s = p->start(t->provider_self, c->subject.owner.handle, request);
    kit_leave(t);
    return call_begun(c, s) ? NULL : c;
}

struct tda_test_call *tda_test_chat(struct tda_test *t, const char *model, const char *text, uint32_t stream) {
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = tda_str_of(text)};
    const struct tda_part *parts[] = {&part};
    struct tda_msg msg = {.size = sizeof msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = parts};
    const struct tda_msg *msgs[] = {&msg};
    struct tda_request r = {.size = sizeof r,
                            .op = TDA_OP_CHAT,
                            .model = tda_str_of(model),
                            .msgs = msgs,
                            .n_msgs = 1,
                            .stream = stream,
                            .deadline_ms = 60000};
    return tda_test_start(t, &r);
}

/* ---- looking ---- */

int32_t tda_test_done(const struct tda_test_call *c) {
    return c->done;
}

const struct tda_result *tda_test_result(const struct tda_test_call *c) {
    return c->finished ? &c->result : NULL;
}

size_t tda_test_events(const struct tda_test_call *c) {
    return c->n_events;
}

const struct tda_event *tda_test_event(const struct tda_test_call *c, size_t i) {
    const struct kit_event *e = c->events;
    while (e && i--) e = e->next;
    return e ? &e->event : NULL;
}

static const char *as_text(struct buf *b) {
    if (buf_reserve(b, 1)) return "";
    b->p[b->n] = 0;
    return b->p;
}

const char *tda_test_text(const struct tda_test_call *c) {
    return as_text((struct buf *)(uintptr_t)&c->text); /* the zero behind the text is no change of it */
}

const char *tda_test_transcript(const struct tda_test_call *c) {
    return as_text((struct buf *)(uintptr_t)&c->subject.transcript);
}

const char *tda_test_conn_transcript(const struct tda_test_conn *c) {
    return as_text((struct buf *)(uintptr_t)&c->subject.transcript);
}

static struct tda_test_flow *nth_flow(const struct subject *s, size_t n) {
    struct tda_test_flow *f = s->flows;
    while (f && n--) f = f->next;
    return f;
}

struct tda_test_flow *tda_test_flow_of(const struct tda_test_call *c, size_t n) {
    return nth_flow(&c->subject, n);
}

struct tda_test_flow *tda_test_conn_flow_of(const struct tda_test_conn *c, size_t n) {
    return nth_flow(&c->subject, n);
}

static void subject_free(struct subject *s) {
    while (s->flows) {
        struct tda_test_flow *f = s->flows;
        s->flows = f->next;
        flow_free(f);
    }
    arena_fini(&s->memory);
    buf_fini(&s->transcript);
}

void tda_test_forget(struct tda_test_call *c) {
    if (!c || !c->done) return;
    LIST_REMOVE(c, entry);
    subject_free(&c->subject);
    for (size_t i = 0; i < CONTEXT_KEYS; i++) free(c->put[i]);
    buf_fini(&c->text);
    free(c);
}

void conn_forget(struct tda_test_conn *c) {
    LIST_REMOVE(c, entry);
    subject_free(&c->subject);
    free(c->url);
    for (size_t i = 0; i < ASKS_OPEN_MAX; i++) free(c->asks[i]);
    free(c);
}
