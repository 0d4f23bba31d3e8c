/* models.list: what the provider offers, asked through the caller's snapshot; another provider than his own is asked through a
 * snapshot that nobody else sees, without his credentials. */
#include <stdio.h>

#include "agent/agent.h"
#include "base/clock.h"

enum { MODELS_MAX = 2000, NAME_MAX_BYTES = 256 };

struct listing {
    struct work *work;
    struct snapshot *snapshot; /* a reference */
    struct call *call;
    uint32_t n;
    bool more;
};

static void finish(struct listing *l, const struct error *e) {
    struct work *w = l->work;
    struct snapshot *served = l->snapshot;
    w->cancel = NULL;
    w->snapshot = served; /* for the reply's labels */
    w->done(w, e);
    snapshot_unref(served);
}

static void put_clean(struct jw *out, const char *key, tda_str text) {
    struct buf clean;
    buf_init(&clean, 4 * NAME_MAX_BYTES);
    text_sanitise((tda_str){text.p, text.n < NAME_MAX_BYTES ? text.n : NAME_MAX_BYTES}, &clean);
    buf_inherit(out->out, &clean);
    jw_put_str(out, key, buf_str(&clean));
    buf_fini(&clean);
}

static void on_event(void *arg, const struct tda_event *event) {
    struct listing *l = arg;
    struct jw *out = l->work->out;
    if (event->kind != TDA_EV_MODEL || !event->id.n) return;
    if (l->n == MODELS_MAX) {
        l->more = true;
        return;
    }
    l->n++;
    jw_begin_object(out);
    put_clean(out, "id", event->id);
    put_clean(out, "name", event->name.n ? event->name : event->id);
    jw_end_object(out);
}

static void on_done(void *arg, const struct tda_result *r) {
    struct listing *l = arg;
    struct work *w = l->work;
    w->meta.upstream_ns += call_upstream_ns(l->call);
    jw_end_array(w->out);
    if (r->cls == TDA_C_OK) {
        jw_put_str(w->out, "provider", snapshot_get(l->snapshot, TDA_CTX_PROVIDER));
        if (l->more) jw_put_bool(w->out, "more", true);
        finish(l, NULL);
        return;
    }
    struct error e;
    char who[96];
    snprintf(who, sizeof who, "provider %.*s", STR_FMT(snapshot_get(l->snapshot, TDA_CTX_PROVIDER)));
    error_from_result(&e, r, who);
    finish(l, &e);
}

static void models_cancel(struct work *w) {
    struct listing *l = w->operation;
    call_cancel(l->call);
}

static void ask(struct listing *l) {
    struct error e = {.retry_ms = -1};
    struct work *w = l->work;
    struct call_spec spec = work_call_spec(w, w->agent->config->calls_attempt_timeout, "calls.attempt_timeout");
    struct tda_request request = {
        .size = sizeof request, .op = TDA_OP_MODELS, .deadline_ms = (spec.deadline_ns - clock_now_ns()) / NS_PER_MS};
    spec.snapshot = l->snapshot;
    spec.on_event = on_event;
    spec.on_done = on_done;
    spec.arg = l;
    w->meta.attempts = 1;
    w->cancel = models_cancel;
    jw_open_array(w->out, "models");
    if (provider_call(&spec, &request, &l->call, &e)) finish(l, &e);
}

/* The caller's own, or one of another provider: changing it drops what belonged to his. */
static tda_status find_snapshot(struct work *w, struct snapshot **ret, struct error *e) {
    tda_str asked = json_str(json_key(w->params, TDA_STR("provider")));
    tda_str own = w->snapshot ? snapshot_get(w->snapshot, TDA_CTX_PROVIDER) : (tda_str){0};
    if (!asked.n && !own.n) {
        error_set(e, TDA_E_NOT_FOUND, "not_configured", "this context has no provider");
        error_hint(e, "call configure, or say which provider");
        return TDA_E_NOT_FOUND;
    }
    if (own.n && (!asked.n || str_equal_nocase(asked, own))) {
        snapshot_ref(w->snapshot);
        *ret = w->snapshot;
        return TDA_OK;
    }
    const struct provider_entry *p;
    struct draft *d = NULL;
    tda_status s = plugins_provider(w->agent->plugins, asked, &p, e);
    if (s) return s;
    s = draft_new(w->agent->contexts, w->user, w->snapshot, &d);
    if (!s) s = draft_set(d, TDA_CTX_PROVIDER, tda_str_of(p->name), e);
    if (!s) s = draft_preview(d, ret);
    draft_free(d);
    return s ? error_set(e, s, NULL, "%s", status_text(s)) : TDA_OK;
}

void agent_models(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct listing *l = arena_alloc(w->arena, sizeof *l);
    if (!l) error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    if (!l || find_snapshot(w, &l->snapshot, &e)) {
        w->done(w, &e);
        return;
    }
    l->work = w;
    w->operation = l;
    ask(l);
}
