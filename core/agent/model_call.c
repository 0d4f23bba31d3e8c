#include "agent/model_call.h"

#include <stdio.h>

#include "agent/events.h"
#include "agent/turn_limits.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

static void attempt(struct model_call *m);

enum { RETRY_MS_MAX = 86400000 }; /* a day: a plugin may pass on any number */

int64_t retry_wait_ns(const struct config *c, uint32_t attempt_number, uint32_t cls, int64_t retry_ms, double random) {
    if (attempt_number >= (uint64_t)c->calls_attempts || !class_is_retryable(cls)) return -1;
    if (retry_ms >= 0) return (retry_ms < RETRY_MS_MAX ? retry_ms : RETRY_MS_MAX) * NS_PER_MS;
    unsigned doublings = attempt_number - 1 < 20 ? attempt_number - 1 : 20;
    int64_t base = c->calls_retry_base;
    return (base << doublings) + (int64_t)((double)base / 2 * random);
}

static double random_unit(void) {
    uint32_t r;
    random_bytes(&r, sizeof r);
    return r / 4294967296.0;
}

static void finish(struct model_call *m, const struct error *e) {
    m->call = NULL;
    timer_stop(m->work->loop, &m->wait);
    m->done(m, e);
}

static void fail(struct model_call *m, const struct tda_result *r) {
    struct error e;
    char who[96];
    snprintf(who, sizeof who, "provider %.*s", STR_FMT(snapshot_get(m->work->snapshot, TDA_CTX_PROVIDER)));
    error_from_result(&e, r, who);
    finish(m, &e);
}

static void on_due(struct timer *t) {
    attempt(CONTAINER_OF(t, struct model_call, wait));
}

/* A retry that could not end before the deadline is none: the caller gets the failure while it is news. */
static bool retry_later(struct model_call *m, const struct tda_result *r) {
    int64_t wait =
        m->cancelled || m->heard ? -1 : retry_wait_ns(m->work->agent->config, m->attempt, r->cls, r->retry_ms, random_unit());
    int64_t at = clock_now_ns() + wait;
    if (wait < 0 || at >= m->work->deadline_ns) return false;
    LOG_SOME(LOG_LEVEL_INFO, "model call failed, trying again", LOG_Z("request", m->work->request_id),
             LOG_INT("attempt", m->attempt), LOG_INT("class", r->cls), LOG_INT("wait_ms", wait / NS_PER_MS));
    event_retry(m->work, m->attempt, wait / NS_PER_MS, r->cls);
    m->wait.fire = on_due;
    return timer_set(m->work->loop, &m->wait, at) == TDA_OK;
}

static void on_event(void *arg, const struct tda_event *event) {
    struct model_call *m = arg;
    answer_event(&m->answer, event);
    if (event->kind == TDA_EV_TEXT || event->kind == TDA_EV_THINK)
        m->heard = event_text(m->work, &m->rest, event->kind == TDA_EV_THINK, event->text) || m->heard;
    if (m->answer.too_large) call_cancel(m->call);
}

static void note_call(struct work *w, const struct tda_usage *given) {
    static const struct tda_usage none = {sizeof none, 0, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN};
    struct call_usage *c = arena_alloc(w->arena, sizeof *c);
    if (!c) return;
    c->usage = given ? *given : none;
    if (w->meta.last_call)
        w->meta.last_call->next = c;
    else
        w->meta.calls = c;
    w->meta.last_call = c;
}

static void on_done(void *arg, const struct tda_result *r) {
    struct model_call *m = arg;
    struct tda_result result = *r;
    int64_t took_ns = call_upstream_ns(m->call);
    m->work->meta.upstream_ns += took_ns;
    meter_record(meters_get(m->work->agent->providers, snapshot_get(m->work->snapshot, TDA_CTX_PROVIDER)), took_ns,
                 r->cls != TDA_C_OK);
    if (m->answer.too_large && !m->cancelled) {
        result.cls = TDA_C_TOO_LARGE;
        result.text = TDA_STR("the answer is larger than calls.max_answer allows");
    }
    m->cls = result.cls;
    if (result.cls == TDA_C_OK) {
        work_add_usage(m->work, m->answer.has_usage ? &m->answer.usage : NULL);
        note_call(m->work, m->answer.has_usage ? &m->answer.usage : NULL);
        finish(m, NULL);
    } else if (retry_later(m, &result)) {
        m->call = NULL;
    } else {
        fail(m, &result);
    }
}

/* Runs from a timer only, so that done never comes from inside model_call_start. */
static void attempt(struct model_call *m) {
    struct error e = {.retry_ms = -1};
    m->attempt++;
    m->work->meta.attempts++;
    m->heard = false;
    m->rest = (struct text_rest){0};
    answer_reset(&m->answer);
    struct call_spec spec = work_call_spec(m->work, m->work->agent->config->calls_attempt_timeout, "calls.attempt_timeout");
    spec.on_event = on_event;
    spec.on_done = on_done;
    spec.arg = m;
    m->request.deadline_ms = (spec.deadline_ns - clock_now_ns()) / NS_PER_MS;
    if (provider_call(&spec, &m->request, &m->call, &e)) finish(m, &e);
}

static void on_cancelled(struct timer *t) {
    struct error e;
    error_set(&e, TDA_E_CANCELLED, "cancelled", "cancelled");
    finish(CONTAINER_OF(t, struct model_call, wait), &e);
}

void model_call_start(struct model_call *m) {
    answer_init(&m->answer, m->work->arena, (size_t)m->work->agent->config->calls_max_answer);
    m->wait.fire = on_due;
    if (timer_set(m->work->loop, &m->wait, 0)) {
        struct error e;
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        m->done(m, &e);
    }
}

void model_call_cancel(struct model_call *m) {
    if (m->cancelled) return;
    m->cancelled = true;
    if (m->call) {
        call_cancel(m->call);
        return;
    }
    m->wait.fire = on_cancelled;
    timer_set(m->work->loop, &m->wait, 0);
}

void model_call_fini(struct model_call *m) {
    answer_fini(&m->answer);
}
