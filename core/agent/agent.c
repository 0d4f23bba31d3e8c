/* Shared parts of the operations: errors from results, cancel, the call's frame. */
#include "agent/questions.h"

#include <stdio.h>

#include "agent/pins.h"
#include "base/clock.h"

enum { METERS_MAX = 128 };

tda_status agent_init(struct agent *a, const struct config *c, struct plugins *ps, struct contexts *cs) {
    struct configuring_users *users = calloc(1, sizeof *users);
    struct kept_pins *pins = pins_new();
    if (!users || !pins) {
        free(users);
        pins_free(pins);
        return TDA_E_NOMEM;
    }
    pthread_mutex_init(&users->lock, NULL);
    *a = (struct agent){.config = c, .plugins = ps, .contexts = cs, .configuring = users, .pins = pins};
    tda_status s = meters_new(METERS_MAX, &a->providers);
    if (!s) s = meters_new(METERS_MAX, &a->servers);
    if (s) agent_fini(a);
    return s;
}

void agent_init_next(struct agent *a, const struct agent *before, const struct config *c) {
    *a = *before;
    a->config = c;
}

void agent_fini(struct agent *a) {
    if (!a->configuring) return;
    pthread_mutex_destroy(&a->configuring->lock);
    free(a->configuring);
    meters_free(a->providers);
    meters_free(a->servers);
    pins_free(a->pins);
    *a = (struct agent){0};
}

void agent_cancel(struct work *w) {
    if (w->cancel) w->cancel(w);
}

struct call_spec work_call_spec(struct work *w, int64_t span_ns, const char *setting) {
    int64_t at_ns = setting ? clock_now_ns() + span_ns : INT64_MAX;
    bool sooner = at_ns < w->deadline_ns;
    struct call_spec spec = {
        .plugins = w->agent->plugins,
        .loop = w->loop,
        .snapshot = w->snapshot,
        .request_id = w->request_id,
        .deadline_ns = sooner ? at_ns : w->deadline_ns,
        .deadline_from = sooner ? setting : NULL,
        .latest_ns = w->deadline_ns,
    };
    questions_hear(w, &spec);
    return spec;
}

/* Class -> the words of the wire. The hint is for the one who called. */
static const struct {
    uint32_t cls;
    tda_status status;
    const char *kind;
    bool retryable;
    const char *hint;
} classes[] = {
    {TDA_C_AUTH, TDA_E_DENIED, "credentials_refused", false, "check the credential, then call configure with it"},
    {TDA_C_PERMISSION, TDA_E_DENIED, "permission", false, "these credentials or these settings do not allow it"},
    {TDA_C_NOT_FOUND, TDA_E_NOT_FOUND, "model_not_found", false, "check the model's name and base_url"},
    {TDA_C_REQUEST, TDA_E_INVALID, "upstream_refused", false, "change the request: the same one will be refused again"},
    {TDA_C_TOO_LARGE, TDA_E_LIMIT, "too_large", false, "send less, or ask for less"},
    {TDA_C_RATE, TDA_E_BUSY, "rate_limited", true, "try again later"},
    {TDA_C_QUOTA, TDA_E_LIMIT, "quota", false, "the account behind the credential needs credit"},
    {TDA_C_OVERLOADED, TDA_E_BUSY, "overloaded", true, "try again later"},
    {TDA_C_UPSTREAM, TDA_E_IO, "upstream_failed", true, "try again later"},
    {TDA_C_TIMEOUT, TDA_E_TIMEOUT, "timeout", true, "try again, or give it more time with deadline_ms"},
    {TDA_C_NETWORK, TDA_E_IO, "unreachable", true, "check that the service runs and that its address is right"},
    {TDA_C_PROTOCOL, TDA_E_PROTOCOL, "protocol", false, "the other side speaks another protocol than expected: check its address"},
    {TDA_C_CANCELLED, TDA_E_CANCELLED, "cancelled", false, ""},
    {TDA_C_CONTEXT_FULL, TDA_E_LIMIT, "context_full", false, "shorten the conversation"},
    {TDA_C_FILTER, TDA_E_DENIED, "filtered", false, "change the request"},
    {TDA_C_INTERNAL, TDA_E_INTERNAL, "internal", false, "see the daemon's log"},
};

const char *class_kind(uint32_t cls) {
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (classes[i].cls == cls) return classes[i].kind;
    return "internal";
}

bool class_is_retryable(uint32_t cls) {
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (classes[i].cls == cls) return classes[i].retryable;
    return false;
}

static const char *class_text(uint32_t cls) {
    static const struct {
        uint32_t cls;
        const char *text;
    } texts[] = {
#define ROW(name, number, words) {number, words},
        TDA_CLASS_MAP(ROW)
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].cls == cls) return texts[i].text;
    return "failed";
}

/* What the host says of an authorisation: what is to be done stands in it. */
static bool is_authorization(const struct tda_result *r) {
    static const char prefix[] = "authorization_";
    return r->cls == TDA_C_AUTH && !r->http_status && r->code.n >= sizeof prefix &&
           memcmp(r->code.p, prefix, sizeof prefix - 1) == 0;
}

static tda_status authorization_error(struct error *e, const struct tda_result *r, const char *who) {
    char kind[sizeof e->kind];
    snprintf(kind, sizeof kind, "%.*s", STR_FMT(r->code));
    error_set(e, TDA_E_DENIED, kind, "%s: %.*s", who, STR_FMT(r->text));
    if (strcmp(kind, "authorization_required") == 0)
        error_hint(e, "run it as a task, which can ask: task.submit, then task.respond to its event ask; tda mcp probe does that");
    e->retry_ms = -1;
    return e->status;
}

tda_status error_from_result(struct error *e, const struct tda_result *r, const char *who) {
    if (is_authorization(r)) return authorization_error(e, r, who);
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(classes) && classes[i].cls != r->cls) i++;
    bool from_service = r->http_status || r->code.n; /* else the text is the host's or the plugin's own, and says it all */
    if (r->text.n && from_service)
        error_set(e, classes[i].status, classes[i].kind, "%s: %s: %.*s", who, class_text(r->cls), STR_FMT(r->text));
    else if (r->text.n)
        error_set(e, classes[i].status, classes[i].kind, "%s: %.*s", who, STR_FMT(r->text));
    else
        error_set(e, classes[i].status, classes[i].kind, "%s: %s", who, class_text(r->cls));
    bool about_keys = r->cls == TDA_C_PERMISSION || r->cls == TDA_C_REQUEST;
    if (from_service || !about_keys) error_hint(e, "%s", classes[i].hint);
    e->http_status = r->http_status;
    e->retry_ms = classes[i].retryable ? (r->retry_ms >= 0 ? r->retry_ms : 0) : -1;
    snprintf(e->upstream_code, sizeof e->upstream_code, "%.*s", STR_FMT(r->code));
    snprintf(e->upstream_request_id, sizeof e->upstream_request_id, "%.*s", STR_FMT(r->request_id));
    return e->status;
}

void error_in_profile(struct error *e, const struct snapshot *s) {
    char cause[sizeof e->text];
    if (!s || !snapshot_profile(s)[0]) return;
    snprintf(cause, sizeof cause, "%s", e->text[0] ? e->text : status_text(e->status));
    snprintf(e->profile, sizeof e->profile, "%s", snapshot_profile(s));
    snprintf(e->text, sizeof e->text, "profile %s: %.270s", e->profile, cause);
}
