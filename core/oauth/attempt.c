/* One authorisation and those who wait for it.
 *
 * It runs on the loop of the first who needed it; another who needs the same joins. What they hear is posted to the loop of each.
 * The list of those who wait, the phase and what the user brings back stand under the table's lock, because they come from any
 * loop; everything else is the attempt's own loop's. The end only marks it: its memory goes in a deferred task. */
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "oauth/oauth_impl.h"

enum { ASKING_MINUTES = 10 };

static void attempt_unref(struct attempt *a) {
    if (!ref_drop(&a->ref)) return;
    credential_unref(a->credential);
    free((char *)(uintptr_t)a->server.name);
    free((char *)(uintptr_t)a->server.url);
    wipe(a, sizeof *a);
    free(a);
}

static void wait_unref(struct oauth_wait *w) {
    if (ref_drop(&w->ref)) free(w);
}

/* ---- what those who wait hear ---- */

static void run_done(struct task *t) {
    struct oauth_wait *w = CONTAINER_OF(t, struct oauth_wait, done);
    bool gone = w->gone;
    w->gone = true;
    if (!gone) {
        w->r.done(w->r.arg, w->failed ? &w->why : NULL);
        ref_drop(&w->ref); /* the caller's; ours is there yet */
    }
    wait_unref(w);
}

/* Under the lock: it is off the attempt's list. */
static void tell_done(struct oauth_wait *w, const struct error *e) {
    if (w->attempt) {
        LIST_REMOVE(w, entry);
        w->attempt = NULL;
        ref_drop(&w->ref); /* the list's; the caller still has one */
    }
    w->failed = e != NULL;
    if (e) w->why = *e;
    ref_take(&w->ref);
    loop_post(w->r.loop, &w->done);
}

static void nobody_to_ask(const struct attempt *a, struct error *e) {
    *e = (struct error){.retry_ms = -1};
    error_set(e, TDA_E_DENIED, "authorization_required",
              "the server wants the user's authorisation%s%.100s, and nobody can be asked here", a->issuer[0] ? " by " : "",
              a->issuer);
}

static void run_asked(struct task *t) {
    struct oauth_wait *w = CONTAINER_OF(t, struct oauth_wait, asked);
    char url[sizeof w->attempt->url];
    pthread_mutex_lock(&w->oauth->lock);
    bool on = !w->gone && w->attempt && w->attempt->phase == PHASE_ASKING;
    if (on) memcpy(url, w->attempt->url, sizeof url);
    pthread_mutex_unlock(&w->oauth->lock);
    if (on && !w->r.ask(w->r.arg, url) && !w->gone) {
        struct error e;
        pthread_mutex_lock(&w->oauth->lock);
        struct attempt *a = w->attempt;
        if (a) nobody_to_ask(a, &e);
        if (a) tell_done(w, &e);
        if (a && LIST_EMPTY(&a->waiters)) attempt_stop(a, "cancelled", "nobody can be asked");
        pthread_mutex_unlock(&w->oauth->lock);
    }
    wait_unref(w);
}

static void tell_asked(struct oauth_wait *w) {
    ref_take(&w->ref);
    loop_post(w->r.loop, &w->asked);
}

/* ---- the end ---- */

static void run_end(struct task *t) {
    attempt_unref(CONTAINER_OF(t, struct attempt, end));
}

static void log_granted(const struct attempt *a) {
    log_info("authorised at an MCP server", LOG_Z("server", a->server.name), LOG_Z("issuer", a->issuer),
             LOG_Z("by", a->asking_for == TOKEN_BY_REFRESH  ? "refresh"
                         : a->asking_for == TOKEN_BY_CLIENT ? "client"
                                                            : "user"));
}

void attempt_done(struct attempt *a, const struct error *e) {
    struct oauth_wait *w;
    pthread_mutex_lock(&a->oauth->lock);
    bool over = a->phase == PHASE_OVER;
    a->phase = PHASE_OVER;
    if (!over && a->credential->attempt == a) a->credential->attempt = NULL;
    while (!over && (w = LIST_FIRST(&a->waiters))) tell_done(w, e);
    if (!over) a->oauth->running--;
    if (!over && e) a->oauth->failed++;
    pthread_mutex_unlock(&a->oauth->lock);
    if (over) return;
    if (!e) log_granted(a);
    timer_stop(a->loop, &a->deadline);
    fetch_stop(&a->fetch);
    loop_defer(a->loop, &a->end);
}

void attempt_fail(struct attempt *a, const char *host, const char *hint, const char *fmt, ...) {
    struct error e = {.retry_ms = -1};
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool named = host && host[0];
    error_set(&e, TDA_E_DENIED, "authorization_failed", "authorisation%s%.100s: %s%s%s", named ? " at " : "", named ? host : "",
              text, hint ? "; " : "", hint ? hint : "");
    attempt_done(a, &e);
}

void attempt_nobody(struct attempt *a) {
    struct error e;
    nobody_to_ask(a, &e);
    attempt_done(a, &e);
}

static void run_stop(struct task *t) {
    struct attempt *a = CONTAINER_OF(t, struct attempt, stop);
    attempt_done(a, &a->why_stop);
    attempt_unref(a);
}

void attempt_stop(struct attempt *a, const char *kind, const char *text) {
    if (!a || a->stopping || a->phase == PHASE_OVER) return;
    a->stopping = true;
    a->why_stop = (struct error){.retry_ms = -1};
    error_set(&a->why_stop, strcmp(kind, "cancelled") == 0 ? TDA_E_CANCELLED : TDA_E_DENIED, kind, "authorisation: %s", text);
    ref_take(&a->ref);
    loop_post(a->loop, &a->stop);
}

/* ---- steps ---- */

tda_status attempt_fetch(struct attempt *a, const struct fetch_spec *spec) {
    struct error e = {.retry_ms = -1};
    fetch_stop(&a->fetch);
    tda_status s = fetch_start(&a->fetch, a->loop, &a->reach, spec, &e);
    if (s)
        attempt_fail(a, NULL, "mcp_servers.NAME.oauth.issuer allows the authorization server of a private network", "%s", e.text);
    return s;
}

bool attempt_can_ask(struct attempt *a) {
    bool can = false;
    struct oauth_wait *w;
    pthread_mutex_lock(&a->oauth->lock);
    LIST_FOREACH(w, &a->waiters, entry) can = can || w->r.may_ask;
    pthread_mutex_unlock(&a->oauth->lock);
    return can;
}

static void asked_too_long(struct timer *t) {
    struct attempt *a = CONTAINER_OF(t, struct attempt, deadline);
    struct error e = {.retry_ms = -1};
    error_set(&e, TDA_E_TIMEOUT, "timeout", "authorisation at %.100s: no answer of the user within %d minutes", a->issuer,
              ASKING_MINUTES);
    attempt_done(a, &e);
}

void attempt_ask(struct attempt *a) {
    struct oauth_wait *w, *next;
    struct error e;
    nobody_to_ask(a, &e);
    fetch_stop(&a->fetch);
    pthread_mutex_lock(&a->oauth->lock);
    a->phase = PHASE_ASKING;
    for (w = LIST_FIRST(&a->waiters); w; w = next) {
        next = LIST_NEXT(w, entry);
        if (w->r.may_ask)
            tell_asked(w);
        else
            tell_done(w, &e);
    }
    pthread_mutex_unlock(&a->oauth->lock);
    a->deadline.fire = asked_too_long;
    if (timer_set(a->loop, &a->deadline, clock_now_ns() + (int64_t)ASKING_MINUTES * 60 * NS_PER_S))
        attempt_fail(a, NULL, NULL, "out of memory");
}

/* ---- what the user brings back ---- */

static void run_answered(struct task *t) {
    struct attempt *a = CONTAINER_OF(t, struct attempt, answered);
    if (a->phase == PHASE_WORK) {
        timer_stop(a->loop, &a->deadline);
        token_redirected(a, tda_str_of(a->answer));
    }
    attempt_unref(a);
}

/* What stands behind the "?", as far as the "#". */
static tda_str query_of(tda_str redirect) {
    const char *mark = redirect.n ? memchr(redirect.p, '?', redirect.n) : NULL;
    if (!mark) return (tda_str){0};
    tda_str q = {mark + 1, redirect.n - (size_t)(mark + 1 - redirect.p)};
    const char *hash = q.n ? memchr(q.p, '#', q.n) : NULL;
    if (hash) q.n = (size_t)(hash - q.p);
    return q;
}

static tda_status take_answer(struct attempt *a, tda_str query, struct error *e) {
    char state[NONCE_SIZE];
    if (!a || a->phase != PHASE_ASKING || a->stopping)
        return error_set(e, TDA_E_STALE, "not_found", "this authorisation does not wait for an answer any more");
    if (!query.n || query.n >= sizeof a->answer || memchr(query.p, 0, query.n) || query_get(query, "state", state, sizeof state) ||
        strlen(state) != strlen(a->state) || !equal_constant_time(state, a->state, strlen(state))) {
        error_set(e, TDA_E_INVALID, "invalid_param",
                  "this is not the address that the browser was sent to at the end of this authorisation");
        error_hint(e, "visit the url of the event, then copy the whole address from the browser, with ?code= and &state= in it");
        return TDA_E_INVALID;
    }
    memcpy(a->answer, query.p, query.n);
    a->answer[query.n] = 0;
    a->phase = PHASE_WORK;
    wipe(a->state, sizeof a->state); /* it is good once */
    ref_take(&a->ref);
    loop_post(a->loop, &a->answered);
    return TDA_OK;
}

tda_status oauth_answer(struct oauth_wait *w, tda_str redirect, struct error *e) {
    pthread_mutex_lock(&w->oauth->lock);
    tda_status s = take_answer(w->attempt, query_of(redirect), e);
    pthread_mutex_unlock(&w->oauth->lock);
    return s;
}

void oauth_decline(struct oauth_wait *w) {
    pthread_mutex_lock(&w->oauth->lock);
    attempt_stop(w->attempt, "authorization_declined", "the user declined");
    pthread_mutex_unlock(&w->oauth->lock);
}

/* ---- beginning and joining ---- */

static struct attempt *attempt_new(struct oauth *oa, const struct oauth_request *r, struct credential *c) {
    struct attempt *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    ref_init(&a->ref); /* until run_end */
    a->oauth = oa;
    a->loop = r->loop;
    a->server = r->server;
    a->server.name = str_dup(tda_str_of(r->server.name));
    a->server.url = str_dup(tda_str_of(r->server.url));
    a->credential = c;
    ref_take(&c->ref);
    if (r->challenge) a->challenge = *r->challenge;
    a->prm_remembered = !a->challenge.resource_metadata[0] && c->prm[0];
    if (a->prm_remembered) memcpy(a->challenge.resource_metadata, c->prm, sizeof c->prm);
    memcpy(c->prm, a->challenge.resource_metadata, sizeof c->prm);
    a->step_up = r->step_up;
    const struct vault *v = c->vault;
    a->no_refresh = r->refused && r->refused == v->serial && v->source == TOKEN_BY_REFRESH && !v->let_in; /* renewed for nothing */
    a->asking_for = r->server.config && r->server.config->grant == OAUTH_CLIENT_CREDENTIALS ? TOKEN_BY_CLIENT : TOKEN_BY_USER;
    reach_of(&a->reach, &r->server);
    LIST_INIT(&a->waiters);
    a->answered.run = run_answered;
    a->stop.run = run_stop;
    a->end.run = run_end;
    if (a->server.name && a->server.url) return a;
    attempt_unref(a);
    return NULL;
}

static void join(struct attempt *a, struct oauth_wait *w) {
    struct error e;
    ref_take(&w->ref);
    w->attempt = a;
    LIST_INSERT_HEAD(&a->waiters, w, entry);
    if (a->phase != PHASE_ASKING) return;
    nobody_to_ask(a, &e);
    if (w->r.may_ask)
        tell_asked(w);
    else
        tell_done(w, &e);
}

/* Under the lock. `ret_new`: it is to be started. */
static tda_status enter(struct oauth *oa, struct credential *c, struct oauth_wait *w, struct attempt **ret_new) {
    struct attempt *a = c->attempt;
    if (!c->owner) return TDA_E_CANCELLED;
    if (!a && c->access && w->r.refused && w->r.refused != c->vault->serial) { /* renewed meanwhile */
        tell_done(w, NULL);
        return TDA_OK;
    }
    if (!a || a->stopping) {
        a = attempt_new(oa, &w->r, c);
        if (!a) return TDA_E_NOMEM;
        c->attempt = a;
        oa->running++;
        ref_take(&a->ref);
        *ret_new = a;
    }
    join(a, w);
    return TDA_OK;
}

tda_status oauth_authorize(struct oauth *oa, const struct oauth_request *r, struct oauth_wait **ret, struct error *e) {
    struct oauth_wait *w = calloc(1, sizeof *w);
    struct credential *c = NULL;
    struct attempt *fresh = NULL;
    tda_status s = w ? credential_get(oa, r->user, &r->server, true, &c) : TDA_E_NOMEM;
    if (!s) {
        ref_init(&w->ref);
        w->oauth = oa;
        w->r = *r;
        w->asked.run = run_asked;
        w->done.run = run_done;
        pthread_mutex_lock(&oa->lock);
        s = enter(oa, c, w, &fresh);
        pthread_mutex_unlock(&oa->lock);
        w->r.challenge = NULL; /* borrowed, and used */
    }
    credential_unref(c);
    if (s) {
        free(w);
        return error_set(e, s, NULL, "authorisation: %s",
                         s == TDA_E_LIMIT ? "too many servers are being authorised" : status_text(s));
    }
    *ret = w;
    if (fresh) discovery_start(fresh);
    if (fresh) attempt_unref(fresh);
    return TDA_OK;
}

void oauth_may_ask(struct oauth_wait *w) {
    pthread_mutex_lock(&w->oauth->lock);
    w->r.may_ask = true;
    pthread_mutex_unlock(&w->oauth->lock);
}

void oauth_wait_cancel(struct oauth_wait *w) {
    if (!w) return;
    pthread_mutex_lock(&w->oauth->lock);
    struct attempt *a = w->attempt;
    if (a) {
        LIST_REMOVE(w, entry);
        w->attempt = NULL;
        ref_drop(&w->ref);
        if (LIST_EMPTY(&a->waiters)) attempt_stop(a, "cancelled", "nobody waits for it any more");
    }
    pthread_mutex_unlock(&w->oauth->lock);
    w->gone = true;
    wait_unref(w);
}
