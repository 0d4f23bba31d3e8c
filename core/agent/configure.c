/* configure: check input -> validate the model side -> connect the MCP server and list its tools -> publish.
 *
 * The candidate is a draft that nobody else sees; one swap publishes it, and any failure before leaves everything as it was. What
 * validation makes (an llm_instance, an MCP connection) hangs in the draft's boxes and goes with it. One configure at a time per
 * user; nothing is locked while it waits. */
#include <stdio.h>

#include "agent/candidate.h"
#include "agent/toolbox.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

struct configuring {
    struct configuring *next;
    const char *user;
};

struct configure {
    struct work *work;
    struct work inner; /* the same, on the candidate's snapshot */
    struct configuring entry;
    bool entered, calling;
    const struct provider_entry *provider;
    struct draft *draft;
    struct snapshot *preview;
    struct call *call;
    struct toolbox box;
    bool box_open, cancelled;
    unsigned char digest[DIGEST_SIZE];
    uint64_t expect_epoch;
};

/* ---- one at a time ---- */

static bool enter(struct configure *c, const char *user) {
    struct configuring_users *users = c->work->agent->configuring;
    bool taken = false;
    pthread_mutex_lock(&users->lock);
    for (struct configuring *i = users->first; i; i = i->next) taken = taken || strcmp(i->user, user) == 0;
    if (!taken) {
        c->entry = (struct configuring){.next = users->first, .user = user};
        users->first = &c->entry;
    }
    pthread_mutex_unlock(&users->lock);
    return c->entered = !taken;
}

static void leave(struct configure *c) {
    struct configuring_users *users = c->work->agent->configuring;
    if (!c->entered) return;
    pthread_mutex_lock(&users->lock);
    for (struct configuring **i = &users->first; *i; i = &(*i)->next)
        if (*i == &c->entry) {
            *i = c->entry.next;
            break;
        }
    pthread_mutex_unlock(&users->lock);
}

static void finish(struct configure *c, const struct error *e) {
    struct work *w = c->work;
    w->cancel = NULL;
    if (c->box_open) toolbox_fini(&c->box);
    w->meta = c->inner.meta;
    leave(c);
    draft_free(c->draft);
    snapshot_unref(c->preview);
    w->done(w, e);
}

/* ---- input ---- */

static tda_status check_required(struct configure *c, struct error *e) {
    const struct setting_rule *rules;
    size_t n = plugins_rules(c->provider, &rules);
    for (size_t i = 0; i < n; i++) {
        tda_str value;
        const struct secrets *s = snapshot_secrets(c->preview);
        if (!rules[i].secret || !rules[i].required || !plugins_at_home(c->work->agent->plugins, c->provider, c->preview)) continue;
        if (s && secrets_reveal(s, rules[i].name, &value) == TDA_OK) continue;
        if (plugins_host_secret(c->work->agent->plugins, c->provider, c->preview, rules[i].name)) continue;
        error_set(e, TDA_E_INVALID, "missing_credential", "provider %s needs the credential %s", c->provider->name, rules[i].name);
        error_field(e, "credentials.%s", rules[i].name);
        error_hint(e, "%s", rules[i].help);
        return TDA_E_INVALID;
    }
    return TDA_OK;
}

/* What was asked for, secrets included, so that "the same again" is known without keeping any of it. */
static void digest_request(struct configure *c) {
    struct buf all;
    const struct setting_rule *rules;
    size_t n = plugins_rules(c->provider, &rules);
    buf_init(&all, 1 << 20);
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        if (ctx_fields[i].kind == CTX_LIVE) continue;
        tda_str v = draft_get(c->draft, ctx_fields[i].key);
        buf_addf(&all, "%zu:%zu:", i, v.n);
        buf_add_str(&all, v);
    }
    tda_str base_url = snapshot_setting(c->preview, "base_url");
    buf_addf(&all, "u%zu:", base_url.n);
    buf_add_str(&all, base_url);
    for (size_t i = 0; i < n; i++) {
        tda_str v = {0};
        const struct secrets *s = snapshot_secrets(c->preview);
        if (rules[i].secret && s && secrets_reveal(s, rules[i].name, &v)) v = (tda_str){0};
        buf_addf(&all, "s%zu:%zu:", i, v.n);
        buf_add_str(&all, v);
    }
    tda_str bearer = {0};
    const struct secrets *servers = snapshot_server_secrets(c->preview);
    if (servers && secrets_reveal(servers, "bearer", &bearer)) bearer = (tda_str){0};
    buf_addf(&all, "b%zu:", bearer.n);
    buf_add_str(&all, bearer);
    hash_digest(buf_str(&all), c->digest);
    if (all.p) wipe(all.p, all.cap);
    buf_fini(&all);
}

static tda_status build(struct configure *c, struct error *e) {
    struct json p = c->work->params;
    tda_str provider = json_str(json_key(p, TDA_STR("provider")));
    if (!provider.n) return missing(e, "missing_provider", "provider", "the provider is missing");
    if (!json_str(json_key(p, TDA_STR("model"))).n) return missing(e, "missing_model", "model", "the model is missing");
    tda_status s = plugins_provider(c->work->agent->plugins, provider, &c->provider, e);
    if (s) return s;
    c->expect_epoch = c->work->snapshot ? snapshot_epoch(c->work->snapshot) : 0;
    s = draft_new(c->work->agent->contexts, c->work->user, c->work->snapshot, &c->draft);
    if (s) return error_set(e, s, NULL, "%s", status_text(s));
    struct candidate given = {c->work->agent, c->work->arena, p, c->draft, c->provider};
    s = candidate_set_model(&given, e);
    if (!s) s = candidate_set_server(&given, e);
    if (s) return s;
    s = draft_preview(c->draft, &c->preview);
    if (s) return error_set(e, s, NULL, "%s", status_text(s));
    s = check_required(c, e);
    if (!s) digest_request(c);
    return s;
}

/* ---- steps ---- */

static void reply(struct configure *c, const char *status, const struct snapshot *s, uint64_t epoch) {
    struct jw *out = c->work->out;
    jw_put_z(out, "status", status);
    jw_put_str(out, "provider", snapshot_get(s, TDA_CTX_PROVIDER));
    jw_put_str(out, "model", snapshot_get(s, TDA_CTX_MODEL));
    jw_put_str(out, "mcp_server", snapshot_get(s, TDA_CTX_MCP_SERVER_NAME));
    if (c->box.catalogue) jw_put_u64(out, "tools", c->box.catalogue->n);
    jw_put_u64(out, "epoch", epoch);
}

static void publish(struct configure *c) {
    struct error e = {.retry_ms = -1};
    uint64_t epoch = 0;
    draft_set_configured_as(c->draft, c->digest);
    tda_status s = contexts_publish(c->work->agent->contexts, c->work->principal, c->draft, c->expect_epoch, &epoch, &e);
    if (s == TDA_E_CONFLICT) {
        error_set(&e, s, "changed_meanwhile", "the context was changed while configure ran; nothing was published");
        error_hint(&e, "read it, then call configure again");
    }
    if (!s) reply(c, "configured", c->preview, epoch);
    finish(c, s ? &e : NULL);
}

static void on_tools(struct toolbox *box, const struct error *e) {
    struct configure *c = box->work->operation;
    struct error copy;
    if (!e) {
        publish(c);
        return;
    }
    copy = *e;
    finish(c, &copy);
}

static void connect_server(struct configure *c) {
    if (!toolbox_wanted(&c->inner)) {
        publish(c);
        return;
    }
    c->box = (struct toolbox){.work = &c->inner, .done = on_tools};
    c->box_open = true;
    toolbox_open(&c->box);
}

static void on_validated(void *arg, const struct tda_result *r) {
    struct configure *c = arg;
    c->inner.meta.upstream_ns += call_upstream_ns(c->call);
    c->calling = false;
    if (r->cls == TDA_C_OK && !c->cancelled) {
        connect_server(c);
        return;
    }
    struct error e;
    char who[96];
    snprintf(who, sizeof who, "provider %s", c->provider->name);
    struct tda_result cancelled = {.size = sizeof cancelled, .cls = TDA_C_CANCELLED, .retry_ms = -1};
    error_from_result(&e, c->cancelled ? &cancelled : r, who);
    finish(c, &e);
}

static void validate(struct configure *c) {
    struct error e = {.retry_ms = -1};
    struct call_spec spec = work_call_spec(&c->inner, c->work->agent->config->calls_attempt_timeout, "calls.attempt_timeout");
    struct tda_request request = {.size = sizeof request, .op = TDA_OP_VALIDATE, .model = snapshot_get(c->preview, TDA_CTX_MODEL)};
    request.deadline_ms = (spec.deadline_ns - clock_now_ns()) / NS_PER_MS;
    spec.draft = c->draft;
    spec.on_done = on_validated;
    spec.arg = c;
    c->inner.meta.attempts = 1;
    c->calling = true;
    if (provider_call(&spec, &request, &c->call, &e)) finish(c, &e);
}

static void configure_cancel(struct work *w) {
    struct configure *c = w->operation;
    c->cancelled = true;
    if (c->calling)
        call_cancel(c->call);
    else if (c->box_open)
        toolbox_cancel(&c->box);
}

static bool already(const struct configure *c) {
    const struct snapshot *s = c->work->snapshot;
    return s && memcmp(snapshot_configured_as(s), c->digest, DIGEST_SIZE) == 0;
}

void agent_configure(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct configure *c = arena_alloc(w->arena, sizeof *c);
    char *user = contexts_is_shared(w->agent->contexts) ? "" : arena_dup(w->arena, w->user);
    if (!c || !user) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        w->done(w, &e);
        return;
    }
    c->work = w;
    w->operation = c;
    w->cancel = configure_cancel;
    tda_status s = w->agent->limits ? limits_begin(w->agent->limits, w->user, &e) : TDA_OK;
    if (!s && !enter(c, user)) {
        s = error_set(&e, TDA_E_BUSY, "configure_running", "another configure of this user is running");
        error_hint(&e, "wait for its reply, then look at status");
        e.retry_ms = 1000;
    }
    if (!s) s = build(c, &e);
    if (s) {
        finish(c, &e);
        return;
    }
    c->inner = *w;
    c->inner.outer = w;
    c->inner.snapshot = c->preview;
    if (already(c)) {
        reply(c, "already_configured", w->snapshot, snapshot_epoch(w->snapshot));
        finish(c, NULL);
        return;
    }
    validate(c);
}
