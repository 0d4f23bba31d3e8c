/* TDA_AUTH_SERVER: how the host shows itself to the server of a connection. Headers and a token of the operator's go along with
 * each request. Without them a token of the user's does, and when the server answers 401, or 403 for want of a scope, the request
 * is kept back, the user authorised (core/oauth), and the request sent again: the plugin sees only what came in the end.
 *
 * One authorisation at a time for a connection; all of its requests that need it wait for that one. The user's part of it is a
 * question of the host's (asks.c), and while it is open no deadline of who is asked runs. When he goes, another who waits is asked.
 * A token that his consent has just brought, and that the server refuses, is the end: he would be asked for ever. */
#include <stdio.h>

#include "base/arena.h"
#include "base/hash.h"
#include "plugin/plugin_impl.h"

enum { ROUNDS_MAX = 3, WRONG_ANSWERS_MAX = 5, QUESTION_MAX = 16 << 10 };

/* A request that may have to be sent again. */
struct flow_auth {
    LIST_ENTRY(flow_auth) entry; /* of the connection's list, while it is held */
    struct plugin_flow *flow;
    struct arena arena;
    struct http_spec spec; /* in the arena */
    uint64_t serial;       /* of the token that it carried; 0: none */
    unsigned rounds;
    bool held;
};

static struct conn *conn_of(struct plugin_flow *pf) {
    return owner_conn(pf->owner);
}

/* ---- whose server it is ---- */

static struct oauth_server server_of(const struct conn *c) {
    return (struct oauth_server){
        .name = conn_server_name(c), .url = c->url, .user_given = !c->server, .config = c->server ? &c->server->oauth : NULL};
}

static bool has_own_token(const struct conn *c) {
    const struct config_server *s = c->server;
    if (!s) return c->secrets != NULL;
    if (s->bearer || s->oauth.off) return true;
    for (size_t i = 0; i < s->n_headers; i++)
        if (str_equal_nocase(tda_str_of(s->headers[i].key), TDA_STR("authorization"))) return true;
    return false;
}

/* ---- what a request carries ---- */

struct carried {
    tda_kv headers[SERVER_HEADERS_MAX + 1];
    size_t n;
    struct buf token;
};

static void put_token(struct carried *k) {
    k->headers[k->n++] = (tda_kv){TDA_STR("authorization"), buf_str(&k->token)};
}

/* The bearer token that the operator gave for his server, or the user for his own and its origin. */
static tda_str own_bearer(const struct conn *c, const char *origin) {
    tda_str token = {0};
    if (c->server) return tda_str_of(c->server->bearer);
    bool bound = c->secrets && strcmp(secrets_origin(c->secrets), origin) == 0 &&
                 strcmp(secrets_provider(c->secrets), conn_server_name(c)) == 0;
    if (bound && secrets_reveal(c->secrets, "bearer", &token)) token = (tda_str){0};
    return token;
}

static void put_own(const struct conn *c, tda_str url, struct carried *k) {
    char origin[ORIGIN_SIZE];
    const struct config_server *s = c->server;
    for (size_t i = 0; s && i < s->n_headers; i++)
        k->headers[k->n++] = (tda_kv){tda_str_of(s->headers[i].key), tda_str_of(s->headers[i].val)};
    if (url_origin(url, origin, sizeof origin)) return;
    tda_str bearer = own_bearer(c, origin);
    if (!bearer.n) return;
    buf_reserve(&k->token, bearer.n + sizeof "Bearer "); /* growing would leave copies behind */
    buf_add_z(&k->token, "Bearer ");
    buf_add_str(&k->token, bearer);
    put_token(k);
}

/* AGAIN: a token has to be renewed first. */
static tda_status fill(const struct conn *c, struct http_spec *spec, struct carried *k, uint64_t *ret_serial) {
    struct oauth_server server = server_of(c);
    buf_init(&k->token, OAUTH_TOKEN_MAX + sizeof "Bearer ");
    k->n = 0;
    *ret_serial = 0;
    put_own(c, spec->url, k);
    tda_status s = TDA_E_NOT_FOUND;
    if (!has_own_token(c)) s = oauth_token(c->owner.pl->plugins->oauth, c->owner.user, &server, spec->url, &k->token, ret_serial);
    if (!s) put_token(k);
    spec->secrets = k->headers;
    spec->n_secrets = k->n;
    return s == TDA_E_NOT_FOUND ? k->token.status : s;
}

static void carried_fini(struct carried *k) {
    if (k->token.p) wipe(k->token.p, k->token.cap);
    buf_fini(&k->token);
}

/* ---- telling how it ended ---- */

static void let_out(struct flow_auth *fa) {
    if (fa->held) LIST_REMOVE(fa, entry);
    fa->held = false;
}

static void fail(struct plugin_flow *pf, const char *text) {
    plugin_flow_event(pf, NULL,
                      &(struct tda_flow_event){.size = sizeof(struct tda_flow_event),
                                               .kind = TDA_FLOW_FAIL,
                                               .cls = TDA_C_AUTH,
                                               .text = tda_str_of(text),
                                               .retry_ms = -1});
}

static tda_status send_request(struct plugin_flow *pf, struct error *e);

/* Who hears that his request failed may open the next, which waits for another authorisation: the batch is taken off first. */
static void settle(struct conn *c, const struct error *e) {
    struct held_list batch;
    struct flow_auth *fa;
    LIST_INIT(&batch);
    while ((fa = LIST_FIRST(&c->auth.held))) {
        LIST_REMOVE(fa, entry);
        LIST_INSERT_HEAD(&batch, fa, entry);
    }
    c->auth.why = e ? *e : (struct error){.retry_ms = -1};
    conn_ref(c);
    while ((fa = LIST_FIRST(&batch))) {
        let_out(fa);
        if (e)
            fail(fa->flow, c->auth.why.text);
        else if (send_request(fa->flow, NULL))
            fail(fa->flow, "the request could not be sent again");
    }
    conn_unref(c);
}

void server_auth_explain(const struct conn *c, struct tda_result *r) {
    const struct error *why = &c->auth.why;
    if (r->cls != TDA_C_AUTH || !why->kind[0]) return;
    r->code = tda_str_of(why->kind);
    r->text = tda_str_of(why->text);
}

/* ---- the user ---- */

static void forget_question(struct conn *c) {
    if (c->auth.asking) conn_ask_cancel(c, c->auth.question);
    c->auth.asking = false;
    free(c->auth.url);
    c->auth.url = NULL;
}

static void give_up(struct conn *c, const char *kind, const char *text) {
    struct error e = {.retry_ms = -1};
    oauth_wait_cancel(c->auth.wait);
    c->auth.wait = NULL;
    forget_question(c);
    error_set(&e, TDA_E_DENIED, kind, "authorisation: %s", text);
    settle(c, &e);
}

static const char first_words[] =
    "it wants your authorisation: visit the address, and come back with the one that the browser is sent to in the end";

static void answered(void *arg, tda_str json);

static bool put_question(struct conn *c, const char *message) {
    struct buf text;
    struct jw w;
    buf_init(&text, QUESTION_MAX);
    jw_init(&w, &text);
    jw_begin_object(&w);
    jw_put_z(&w, "message", message);
    jw_put_z(&w, "url", c->auth.url);
    jw_end_object(&w);
    tda_status s = text.status ? text.status : conn_ask(c, NULL, buf_str(&text), answered, c, &c->auth.question);
    buf_fini(&text);
    c->auth.asking = !s;
    return !s;
}

/* Others may wait for the same authorisation: one of them is asked. */
static void ask_another(struct conn *c) {
    if (c->state < CONN_CLOSING && put_question(c, first_words)) return;
    give_up(c, "authorization_required", "the one who was asked is gone, and nobody else can be asked here");
}

static void answered(void *arg, tda_str json) {
    struct conn *c = arg;
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct error e = {.retry_ms = -1};
    c->auth.asking = false;
    if (!c->auth.wait) return;
    if (!json.p) {
        ask_another(c);
        return;
    }
    json_parse(json, 0, &doc, NULL);
    if (!tda_str_eq(json_str(json_key(json_root(doc), TDA_STR("action"))), TDA_STR("accept"))) {
        give_up(c, "authorization_declined", "it was declined");
        return;
    }
    tda_status s = oauth_answer(c->auth.wait, json_str(json_get(json_root(doc), "content.redirect")), &e);
    if (!s || s == TDA_E_STALE) return; /* what becomes of it is told by authorised() */
    char again[sizeof e.text + sizeof e.hint + 4];
    snprintf(again, sizeof again, "%s: %s", e.text, e.hint);
    if (++c->auth.wrong >= WRONG_ANSWERS_MAX || !put_question(c, again))
        give_up(c, "authorization_declined", "no usable answer came back");
}

static bool ask(void *arg, const char *url) {
    struct conn *c = arg;
    free(c->auth.url);
    c->auth.url = str_dup(tda_str_of(url));
    c->auth.wrong = 0;
    return c->auth.url && put_question(c, first_words);
}

/* ---- an authorisation ---- */

static void authorised(void *arg, const struct error *e) {
    struct conn *c = arg;
    c->auth.wait = NULL;
    forget_question(c);
    settle(c, e);
}

static bool may_ask(struct conn *c) {
    return !conn_is_shared(c) && conn_can_ask(c); /* a shared one is nobody's */
}

static tda_status begin(struct conn *c, const struct oauth_challenge *challenge, uint64_t refused, bool step_up, struct error *e) {
    struct oauth_request r = {.loop = c->owner.pl->loop,
                              .user = c->owner.user,
                              .server = server_of(c),
                              .challenge = challenge,
                              .refused = refused,
                              .step_up = step_up,
                              .done = authorised,
                              .ask = ask,
                              .may_ask = may_ask(c),
                              .arg = c};
    return oauth_authorize(c->owner.pl->plugins->oauth, &r, &c->auth.wait, e);
}

static tda_status hold(struct flow_auth *fa, const struct oauth_challenge *challenge, bool step_up, struct error *e) {
    struct conn *c = conn_of(fa->flow);
    tda_status s = c->auth.wait ? TDA_OK : begin(c, challenge, fa->serial, step_up, e);
    if (s) return s;
    if (may_ask(c)) oauth_may_ask(c->auth.wait); /* who began it could not be asked, perhaps */
    LIST_INSERT_HEAD(&c->auth.held, fa, entry);
    fa->held = true;
    return TDA_OK;
}

/* ---- requests ---- */

static tda_status send_request(struct plugin_flow *pf, struct error *e) {
    struct flow_auth *fa = pf->auth;
    struct http_spec spec = fa->spec;
    struct carried k;
    tda_status s = fill(conn_of(pf), &spec, &k, &fa->serial);
    if (s == TDA_E_AGAIN && fa->rounds < ROUNDS_MAX) {
        fa->rounds++;
        s = hold(fa, NULL, false, e);
    } else if (!s) {
        s = flow_open_http(pf->owner->pl->loop, &spec, plugin_flow_event, pf, &pf->flow, e);
    }
    carried_fini(&k);
    return s;
}

static tda_status copy_spec(struct flow_auth *fa, const struct http_spec *from) {
    tda_kv *headers = from->n_headers ? arena_alloc(&fa->arena, from->n_headers * sizeof *headers) : NULL;
    if (from->n_headers && !headers) return TDA_E_NOMEM;
    fa->spec = *from;
    fa->spec.method = arena_str(&fa->arena, from->method);
    fa->spec.url = arena_str(&fa->arena, from->url);
    fa->spec.body = arena_str(&fa->arena, from->body);
    fa->spec.headers = headers;
    for (size_t i = 0; i < from->n_headers; i++) {
        headers[i] = (tda_kv){arena_str(&fa->arena, from->headers[i].key), arena_str(&fa->arena, from->headers[i].val)};
        if (!headers[i].key.p || (from->headers[i].val.p && !headers[i].val.p)) return TDA_E_NOMEM;
    }
    bool whole = fa->spec.url.p && (fa->spec.method.p || !from->method.p) && (fa->spec.body.p || !from->body.p);
    return whole ? TDA_OK : TDA_E_NOMEM;
}

tda_status server_auth_open(struct plugin_flow *pf, const struct http_spec *spec) {
    struct flow_auth *fa = calloc(1, sizeof *fa);
    if (!fa) return TDA_E_NOMEM;
    arena_init(&fa->arena, SIZE_MAX);
    fa->flow = pf;
    pf->auth = fa;
    tda_status s = copy_spec(fa, spec);
    if (!s) s = send_request(pf, NULL);
    if (s) server_auth_close(pf);
    return s;
}

void server_auth_close(struct plugin_flow *pf) {
    struct flow_auth *fa = pf->auth;
    if (!fa) return;
    struct conn *c = conn_of(pf);
    pf->auth = NULL;
    let_out(fa);
    arena_fini(&fa->arena);
    free(fa);
    if (!c->auth.wait || !LIST_EMPTY(&c->auth.held)) return;
    oauth_wait_cancel(c->auth.wait); /* nobody needs it any more */
    c->auth.wait = NULL;
    forget_question(c);
}

/* Is this an answer that an authorisation may change? */
static bool wants_token(const struct plugin_flow *pf, const struct tda_flow_event *event, struct oauth_challenge *challenge) {
    const struct conn *c = owner_conn(pf->owner);
    if (event->kind != TDA_FLOW_STATUS || (event->status != 401 && event->status != 403)) return false;
    if (c->state >= CONN_CLOSING || pf->auth->rounds >= ROUNDS_MAX || has_own_token(c)) return false;
    for (uint32_t i = 0; i < event->n_headers; i++)
        if (tda_str_eq(event->headers[i].key, TDA_STR("www-authenticate"))) challenge_parse(event->headers[i].val, challenge);
    return event->status == 401 || (pf->auth->serial && strcmp(challenge->error, "insufficient_scope") == 0);
}

static void note_let_in(const struct plugin_flow *pf, const struct tda_flow_event *event) {
    const struct conn *c = owner_conn(pf->owner);
    struct oauth_server server = server_of(c);
    if (event->kind == TDA_FLOW_STATUS && event->status != 401 && pf->auth->serial)
        oauth_let_in(c->owner.pl->plugins->oauth, c->owner.user, &server, pf->auth->serial);
}

/* The user has just consented, and to no avail. */
static bool is_in_vain(const struct plugin_flow *pf, const struct tda_flow_event *event, struct error *why) {
    const struct conn *c = owner_conn(pf->owner);
    struct oauth_server server = server_of(c);
    return event->status == 401 && oauth_refused(c->owner.pl->plugins->oauth, c->owner.user, &server, pf->auth->serial, why);
}

bool server_auth_takes(struct plugin_flow *pf, const struct tda_flow_event *event) {
    struct oauth_challenge challenge = {0};
    struct error e = {.retry_ms = -1};
    if (!pf->auth) return false;
    note_let_in(pf, event);
    if (!wants_token(pf, event, &challenge)) return false;
    flow_abort(pf->flow);
    pf->flow = NULL;
    pf->auth->rounds++;
    if (is_in_vain(pf, event, &e)) {
        conn_of(pf)->auth.why = e;
        fail(pf, e.text);
    } else if (hold(pf->auth, &challenge, event->status == 403, &e)) {
        fail(pf, e.text);
    }
    return true;
}
