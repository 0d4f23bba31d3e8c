/* The way of a request: parse, identity, method, parameters, idempotency, limits, context, then its handler or its loop; and back.
 */
#include <stdio.h>
#include <unistd.h>

#include "agent/answer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "route/router_impl.h"

#define OUT_OF_MEMORY "\"error\":{\"code\":-32603,\"message\":\"out of memory\",\"data\":{\"kind\":\"out_of_memory\"}}"

enum { ARENA_EXTRA = 64 << 20, REPLY_EXTRA = 1 << 20 };

tda_status router_new(const struct router_options *o, struct router **ret) {
    struct router *r = calloc(1, sizeof *r);
    pthread_condattr_t attr;
    if (!r) return TDA_E_NOMEM;
    r->o = *o;
    atomic_init(&r->agent, o->agent);
    r->started_ns = clock_now_ns();
    r->meters = calloc(methods_count(), sizeof *r->meters);
    if (!r->meters || idempotency_new(o->config, &r->idempotency) || tasks_new(o->config, &r->tasks)) {
        idempotency_free(r->idempotency);
        free(r->meters);
        free(r);
        return TDA_E_NOMEM;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->idle, &attr);
    pthread_condattr_destroy(&attr);
    *ret = r;
    return TDA_OK;
}

void router_free(struct router *r) {
    if (!r) return;
    idempotency_free(r->idempotency);
    tasks_free(r->tasks);
    free(r->meters);
    pthread_cond_destroy(&r->idle);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const struct router_options *router_options(const struct router *r) {
    return &r->o;
}

const struct config *router_config(const struct router *r) {
    return config_now(r->o.config);
}

struct agent *router_agent(struct router *r) {
    return atomic_load_explicit(&r->agent, memory_order_acquire);
}

void router_set_agent(struct router *r, struct agent *agent) {
    atomic_store_explicit(&r->agent, agent, memory_order_release);
}

const struct meter *router_meter(const struct router *r, const struct method *m) {
    return &r->meters[method_index(m)];
}

struct idempotency *router_idempotency(struct router *r) {
    return r->idempotency;
}

struct tasks *router_tasks(struct router *r) {
    return r->tasks;
}

int64_t router_started_ns(const struct router *r) {
    return r->started_ns;
}

void router_stats(struct router *r, struct route_stats *ret) {
    pthread_mutex_lock(&r->lock);
    *ret = (struct route_stats){.requests = atomic_load(&r->requests),
                                .errors = atomic_load(&r->errors),
                                .refused = atomic_load(&r->refused),
                                .cancelled = atomic_load(&r->cancelled),
                                .in_flight = r->in_flight,
                                .users_in_flight = HASH_COUNT(r->users)};
    pthread_mutex_unlock(&r->lock);
}

tda_status router_clean(void *router, char *note, size_t note_size) {
    struct router *r = router;
    uint64_t n = idempotency_clean(r->idempotency);
    if (r->o.agent && r->o.agent->limits) limits_clean(r->o.agent->limits);
    snprintf(note, note_size, "%llu stored replies dropped", (unsigned long long)n);
    return TDA_OK;
}

tda_status router_clean_tasks(void *router, char *note, size_t note_size) {
    struct router *r = router;
    uint64_t n = tasks_clean(r->tasks);
    snprintf(note, note_size, "%llu ended tasks dropped", (unsigned long long)n);
    return TDA_OK;
}

void router_forget(struct router *r, tda_str user, bool running) {
    idempotency_forget(r->idempotency, user);
    tasks_forget(r->tasks, user, running);
    plugins_forget(r->o.plugins, user);
}

void router_swept(struct router *r, tda_str user) {
    tasks_forget(r->tasks, user, false);
    plugins_forget(r->o.plugins, user);
}

/* ---- the reply ---- */

void request_unref(struct request *q) {
    if (!ref_drop(&q->ref)) return;
    buf_fini(&q->result);
    snapshot_unref(q->snapshot);
    override_fini(&q->override);
    task_unref(q->task);
    task_unref(q->about);
    json_free(q->env.doc);
    arena_fini(&q->arena);
    free(q);
}

static void send_reply(struct router *r, void *token, tda_str id, tda_str body) {
    struct buf out;
    buf_init(&out, body.n + id.n + 64);
    envelope_write(&out, id, body);
    if (out.status)
        r->o.reply(token, TDA_STR("{\"jsonrpc\":\"2.0\",\"id\":null," OUT_OF_MEMORY "}"));
    else
        r->o.reply(token, buf_str(&out));
    buf_fini(&out);
}

static void answer_waiters(struct router *r, struct idem_waiter *w, tda_str body) {
    while (w) {
        struct idem_waiter *next = w->next;
        send_reply(r, w->token, w->id, body);
        free(w);
        w = next;
    }
}

static void write_meta(struct request *q) {
    const struct work *w = &q->work;
    const struct snapshot *s = w->snapshot;
    int64_t overhead = clock_now_ns() - q->began_ns - w->meta.upstream_ns;
    jw_open_object(&q->out, "meta");
    if (s) {
        jw_put_str(&q->out, "provider", snapshot_get(s, TDA_CTX_PROVIDER));
        jw_put_str(&q->out, "model", snapshot_get(s, TDA_CTX_MODEL));
        jw_put_str(&q->out, "mcp_server", snapshot_get(s, TDA_CTX_MCP_SERVER_NAME));
        if (snapshot_profile(s)[0]) jw_put_z(&q->out, "profile", snapshot_profile(s));
        jw_put_u64(&q->out, "epoch", snapshot_epoch(s));
    }
    if (w->meta.attempts) jw_put_u64(&q->out, "attempts", w->meta.attempts);
    if (w->meta.has_cost && w->meta.cost_unknown) {
        jw_key(&q->out, TDA_STR("cost"));
        jw_null(&q->out);
    } else if (w->meta.has_cost) {
        jw_key(&q->out, TDA_STR("cost"));
        jw_f64(&q->out, w->meta.cost);
    }
    if (w->meta.has_usage) {
        jw_key(&q->out, TDA_STR("usage"));
        usage_write(&w->meta.usage, &q->out);
    }
    jw_put_i64(&q->out, "upstream_us", w->meta.upstream_ns / 1000);
    jw_put_i64(&q->out, "overhead_us", overhead > 0 ? overhead / 1000 : 0);
    jw_end_object(&q->out);
}

/* Not stored: what may go better next time, and what was never carried out. */
static bool worth_keeping(const struct error *e) {
    return !e ||
           (e->retry_ms < 0 && strcmp(e->kind, "not_configured") != 0 && e->status != TDA_E_BUSY && e->status != TDA_E_CANCELLED &&
            e->status != TDA_E_CLOSED && e->status != TDA_E_TIMEOUT && e->status != TDA_E_NOMEM);
}

static const char *profile_of(const struct request *q) {
    return q->snapshot ? snapshot_profile(q->snapshot) : "";
}

static void log_end(const struct request *q, const struct error *e) {
    char user[9];
    hash_log_user(q->user, user);
    if (e)
        LOG_SOME(LOG_LEVEL_INFO, "request failed", LOG_Z("request", q->label), LOG_Z("method", q->method ? q->method->name : "?"),
                 LOG_Z("user", user), LOG_Z("profile", profile_of(q)), LOG_Z("kind", e->kind), LOG_Z("error", e->text),
                 LOG_INT("us", (clock_now_ns() - q->began_ns) / 1000));
    else
        log_debug("request", LOG_Z("request", q->label), LOG_Z("method", q->method->name), LOG_Z("user", user),
                  LOG_Z("profile", profile_of(q)), LOG_INT("us", (clock_now_ns() - q->began_ns) / 1000));
}

static void audit_end(const struct request *q, const struct error *e) {
    char outcome[sizeof e->kind] = "ok";
    if (e) kind_of(e, outcome, sizeof outcome);
    audit_request(q->router->o.audit, q, outcome);
}

/* An answer from which something may be missing is none. */
static void reply_fault(const struct request *q, struct error *e) {
    if (q->arena.refused || q->result.status == TDA_E_NOMEM)
        error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    else
        error_set(e, TDA_E_LIMIT, "reply_too_large", "the reply is too large: %s", status_text(q->result.status));
}

/* A body that could not be written whole is replaced by one that needs no memory. */
static tda_str body_of(const struct buf *b) {
    return b->status ? TDA_STR(OUT_OF_MEMORY) : buf_str(b);
}

void request_reply(struct request *q, const struct error *e) {
    struct router *r = q->router;
    struct error copy, labelled;
    request_alone_no_more(q);
    if (!e && q->task && !q->work.meta.written) write_meta(q);
    if (!e) jw_end_object(&q->out);
    if (!e && (q->result.status || q->arena.refused)) {
        reply_fault(q, &copy);
        e = &copy;
    }
    if (e) {
        labelled = *e;
        error_in_profile(&labelled, q->snapshot);
        e = &labelled;
        atomic_fetch_add(&r->errors, 1);
        buf_clear(&q->result);
        envelope_error(&q->result, 0, e);
    }
    audit_end(q, e);
    tda_str body = body_of(&q->result);
    if (q->method) meter_record(&r->meters[method_index(q->method)], clock_now_ns() - q->began_ns, e != NULL);
    if (log_enabled(LOG_LEVEL_DEBUG) || e) log_end(q, e);
    if (q->task) task_end(q->task, e, body);
    struct idem_waiter *joined =
        q->idem ? idempotency_finish(r->idempotency, q->idem, !q->result.status && worth_keeping(e), body) : NULL;
    request_answering(q);
    if (q->token) send_reply(r, q->token, q->env.id, body);
    answer_waiters(r, joined, body);
    request_leave(q);
    request_unref(q);
}

void request_drop(struct request *q, tda_str body) {
    audit_request(q->router->o.audit, q, "repeated");
    if (body.p) send_reply(q->router, q->token, q->env.id, body);
    request_unref(q);
}

/* ---- on the loop ---- */

struct request *request_of(struct work *w) {
    return CONTAINER_OF(w, struct request, work);
}

static void on_work_done(struct work *w, const struct error *e) {
    struct request *q = request_of(w);
    q->ended = true;
    request_reply(q, e);
}

static void on_begin(struct task *t) {
    struct request *q = CONTAINER_OF(t, struct request, begin);
    if (atomic_load(&q->cancelled)) {
        struct error e;
        error_set(&e, TDA_E_CANCELLED, "cancelled", "cancelled before it began");
        on_work_done(&q->work, &e);
        return;
    }
    q->begun = true;
    if (q->task) atomic_store(&q->task->state, TASK_RUNNING);
    q->method->start(&q->work);
}

static void on_event(struct work *w, tda_str json) {
    task_event(request_of(w)->task, json);
}

/* ---- the way in ---- */

static struct request *request_new(struct router *r, void *token, const struct caller *caller, size_t size) {
    struct request *q = calloc(1, sizeof *q);
    if (!q) return NULL;
    ref_init(&q->ref);
    q->router = r;
    q->token = token;
    q->caller = *caller;
    q->began_ns = clock_now_ns();
    q->user = TDA_STR("");
    q->env.id = TDA_STR("null");
    snprintf(q->label, sizeof q->label, "r%llu", (unsigned long long)atomic_fetch_add(&r->serial, 1) + 1);
    arena_init(&q->arena, size * 4 + ARENA_EXTRA);
    buf_init(&q->result, (size_t)(config_now(r->o.config)->calls_max_answer * 4 + config_now(r->o.config)->tasks_event_bytes * 2) +
                             REPLY_EXTRA);
    atomic_fetch_add(&r->requests, 1);
    return q;
}

/* A fault of the envelope: it has no method yet, and its code is JSON-RPC's own. */
static void refuse_code(struct request *q, int code, const struct error *e) {
    struct buf body;
    buf_init(&body, 8192);
    atomic_fetch_add(&q->router->errors, 1);
    envelope_error(&body, code, e);
    log_end(q, e);
    audit_end(q, e);
    send_reply(q->router, q->token, q->env.id, body_of(&body));
    buf_fini(&body);
    request_unref(q);
}

/* Everything that may go wrong before its loop has it. */
static tda_status prepare(struct request *q, struct error *e) {
    const struct router_options *o = &q->router->o;
    if (q->method->flags & METHOD_OF_TASK)
        return tasks_find(q->router->tasks, &q->principal, q->user, json_str(request_param(q, "task")), &q->about, e);
    tda_status s = request_take_snapshot(q, e);
    if (s) return s;
    struct loop *l = o->loops[contexts_loop(o->contexts, q->user)];
    s = tasks_add(q->router->tasks, q->user, q->method->name, l, q, !q->token, &q->task);
    return s ? error_set(e, s, "out_of_memory", "out of memory") : TDA_OK;
}

void request_post(struct request *q) {
    struct loop *l = q->about ? q->about->loop : q->task->loop;
    q->work.agent = router_agent(q->router);
    q->work.snapshot = q->snapshot;
    q->work.principal = &q->principal;
    q->work.user = q->user;
    q->work.request_id = q->label;
    q->work.given = q->env.params;
    q->work.params = q->override.doc ? q->override.params : q->env.params;
    q->work.arena = &q->arena;
    q->work.out = &q->out;
    q->work.done = on_work_done;
    if (!q->token) q->work.event = on_event;
    q->begin = (struct task){.run = on_begin, .line.lane = loop_lane(q->user)};
    q->work.loop = l;
    /* cancel_locked reads q->loop under the lock. */
    pthread_mutex_lock(&q->router->lock);
    q->loop = l;
    pthread_mutex_unlock(&q->router->lock);
    loop_post(l, &q->begin);
}

static void hand_to_loop(struct request *q) {
    struct error e = {.retry_ms = -1};
    if (prepare(q, &e))
        request_reply(q, &e);
    else
        request_post(q);
}

static void begin_result(struct request *q) {
    buf_add_z(&q->result, "\"result\":");
    jw_init(&q->out, &q->result);
    jw_begin_object(&q->out);
}

/* The turn is stored with the key that its task was submitted under. */
static tda_status keep_key(struct request *q, tda_str key, struct error *e) {
    q->work.idempotency_key = arena_str(&q->arena, key);
    return key.p && !q->work.idempotency_key.p ? error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory") : TDA_OK;
}

static tda_status count_task(struct request *q, struct error *e) {
    struct limits *l = q->router->o.agent->limits;
    tda_status s = l ? limits_task_begin(l, q->user, e) : TDA_OK;
    q->counted_task = l && !s;
    return s;
}

tda_status request_submit(struct request *outer, const struct method *m, tda_str params, struct request **ret, struct error *e) {
    struct caller caller = outer->caller;
    caller.connection = UINT64_MAX; /* it goes on when that one ends */
    struct request *q = request_new(outer->router, NULL, &caller, params.n);
    char *user = q ? arena_dup(&q->arena, outer->user) : NULL;
    tda_status s = user ? json_parse(params, 0, &q->env.doc, e) : error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    if (!s) {
        q->method = m;
        q->principal = outer->principal;
        q->user = tda_str_of(user);
        q->env.params = json_root(q->env.doc);
        s = params_check(m, q->env.params, e);
    }
    if (!s) s = request_set_deadline(q, e);
    if (!s && outer->work.deadline_ns < q->work.deadline_ns) q->work.deadline_ns = outer->work.deadline_ns;
    if (!s) s = keep_key(q, json_str(request_param(outer, "idempotency_key")), e);
    if (!s) s = request_enter(q, e);
    if (!s) s = count_task(q, e);
    if (!s) s = prepare(q, e);
    if (s) {
        if (q) request_leave(q);
        if (q) request_unref(q);
        return s;
    }
    begin_result(q);
    *ret = q;
    return TDA_OK;
}

static void dispatch(struct request *q) {
    struct error e = {.retry_ms = -1};
    tda_str key = json_str(request_param(q, "idempotency_key"));
    tda_status s = request_authorise(q, &e);
    if (!s) s = params_check(q->method, q->env.params, &e);
    if (!s) s = request_set_deadline(q, &e);
    if (!s && key.p && (key.n == 0 || key.n > 200)) {
        s = error_set(&e, TDA_E_INVALID, "invalid_param", "idempotency_key must have 1 to 200 bytes");
        error_field(&e, "idempotency_key");
    }
    if (s) {
        request_reply(q, &e);
        return;
    }
    if (key.p && !request_claim(q, key)) return;
    if (request_enter(q, &e)) {
        request_reply(q, &e);
        return;
    }
    begin_result(q);
    if (q->method->handle)
        q->method->handle(q);
    else
        hand_to_loop(q);
}

static void out_of_memory(struct router *r, void *token) {
    r->o.reply(token, TDA_STR("{\"jsonrpc\":\"2.0\",\"id\":null," OUT_OF_MEMORY "}"));
}

void route_request(struct router *r, void *token, const struct caller *caller, tda_str text) {
    struct error e = {.retry_ms = -1};
    int code = 0;
    struct request *q = request_new(r, token, caller, text.n);
    if (!q) {
        out_of_memory(r, token);
        return;
    }
    if (envelope_parse(text, &q->env, &code, &e)) {
        refuse_code(q, code, &e);
        return;
    }
    q->method = method_find(q->env.method);
    if (request_identify(q, &e)) {
        refuse_code(q, 0, &e);
        return;
    }
    if (r->o.identified) r->o.identified(token);
    if (!q->method) {
        unknown_method(q->env.method, &e);
        refuse_code(q, RPC_NO_METHOD, &e);
    } else {
        dispatch(q);
    }
}

void route_oversize(struct router *r, void *token, const struct caller *caller, uint64_t claimed) {
    struct error e;
    struct request *q = request_new(r, token, caller, 0);
    if (!q) {
        out_of_memory(r, token);
        return;
    }
    error_set(&e, TDA_E_LIMIT, "message_too_large", "the message has %llu bytes; at most %lld are taken",
              (unsigned long long)claimed, (long long)config_now(r->o.config)->limits_message);
    error_hint(&e, "send less; the operator's limit is limits.message_bytes");
    refuse_code(q, RPC_INVALID_REQUEST, &e);
}

struct json request_param(const struct request *q, const char *name) {
    return json_key(q->env.params, tda_str_of(name));
}
