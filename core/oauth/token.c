/* From a client to a token: a refresh token, the client's own right, or the user's consent with PKCE (OAuth 2.1), and the answer of
 * the token endpoint. */
#include "oauth/oauth_impl.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"

enum { FORM_MAX = 64 << 10, AGAIN_AFTER_S = 600, EXPIRES_MAX_S = 10 * 365 * 86400 };

/* ---- scopes ---- */

static bool all_in(tda_str words, tda_str scope) {
    char both[OAUTH_SCOPE_MAX];
    return scope_union(scope, words, both) == TDA_OK && strlen(both) == scope.n;
}

/* What the challenge asks for, else what the resource lists, else nothing; with what was asked for before, and what the operator
 * says. False: it has ended. */
static bool choose_scope(struct attempt *a) {
    const struct config_oauth *config = a->server.config;
    char before[OAUTH_SCOPE_MAX], with[OAUTH_SCOPE_MAX];
    int64_t asked_ns = credential_requested(a->credential, before);
    tda_str challenged = tda_str_of(a->challenge.scope);
    if (a->step_up && asked_ns && clock_now_ns() - asked_ns < (int64_t)AGAIN_AFTER_S * NS_PER_S &&
        all_in(challenged, tda_str_of(before))) {
        attempt_fail(a, NULL, "whoever may grant it has to; then try again in some minutes",
                     "the server wants the scope \"%.100s\", which was asked for and was not granted", a->challenge.scope);
        return false;
    }
    tda_str fresh = challenged.n ? challenged : tda_str_of(a->scopes_supported);
    tda_status s = scope_union(tda_str_of(before), fresh, with);
    if (!s) s = scope_union(tda_str_of(with), tda_str_of(config ? config->scopes : NULL), a->scope);
    if (!s && a->asking_for != TOKEN_BY_CLIENT && scope_has(tda_str_of(a->as.scopes), TDA_STR("offline_access"))) {
        memcpy(with, a->scope, sizeof with);
        s = scope_union(tda_str_of(with), TDA_STR("offline_access"), a->scope);
    }
    if (s) attempt_fail(a, NULL, NULL, "the list of scopes is too long");
    return !s;
}

/* ---- the token endpoint ---- */

static void put_client(const struct attempt *a, struct buf *form, struct buf *header) {
    const struct client *c = &a->client;
    struct buf pair;
    if (c->auth != CLIENT_BASIC) form_add(form, "client_id", tda_str_of(c->id));
    if (c->auth == CLIENT_POST) form_add(form, "client_secret", tda_str_of(c->secret));
    if (c->auth != CLIENT_BASIC) return;
    buf_init(&pair, FORM_MAX);
    buf_reserve(&pair, 3 * (sizeof c->id + sizeof c->secret)); /* growing would leave copies behind */
    form_encode(&pair, tda_str_of(c->id));                     /* RFC 6749, 2.3.1: both, like a form's */
    buf_add_char(&pair, ':');
    form_encode(&pair, tda_str_of(c->secret));
    buf_add_z(header, "Basic ");
    if (!pair.status && !buf_reserve(header, pair.n * 2 + 8))
        header->n += (size_t)EVP_EncodeBlock((unsigned char *)header->p + header->n, (unsigned char *)pair.p, (int)pair.n);
    buf_add(header, "", 1);
    if (pair.p) wipe(pair.p, pair.cap);
    buf_fini(&pair);
}

static bool take_expiry(struct json doc, int64_t *ret) {
    struct json v = json_key(doc, TDA_STR("expires_in"));
    double seconds = 0;
    *ret = 0;
    if (!json_f64(v, &seconds) || seconds < 0) return false;
    *ret = seconds < 1 ? 1 : seconds > EXPIRES_MAX_S ? EXPIRES_MAX_S : (int64_t)seconds;
    return true;
}

static bool is_token(tda_str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f) return false;
    return s.n > 0 && s.n <= OAUTH_TOKEN_MAX;
}

static void keep(struct attempt *a, struct json doc) {
    tda_str type = json_str(json_key(doc, TDA_STR("token_type")));
    struct grant g = {.access = json_str(json_key(doc, TDA_STR("access_token"))),
                      .refresh = json_str(json_key(doc, TDA_STR("refresh_token"))),
                      .source = a->asking_for,
                      .issuer = a->issuer,
                      .resource = a->resource,
                      .requested = a->scope};
    take_expiry(doc, &g.expires_in_s);
    if (g.refresh.n && !is_token(g.refresh)) g.refresh = (tda_str){0};
    if (!is_token(g.access)) {
        attempt_fail(a, a->fetch.host, NULL, "the token endpoint answered without a usable access_token");
    } else if (type.n && !str_equal_nocase(type, TDA_STR("Bearer"))) {
        attempt_fail(a, a->fetch.host, NULL, "the token endpoint gave a token of a type that is not Bearer");
    } else {
        tda_status s = credential_keep_token(a->credential, &g);
        if (s)
            attempt_fail(a, NULL, NULL, "the token cannot be kept: %s", status_text(s));
        else
            attempt_done(a, NULL);
    }
}

/* The word of an OAuth error, which is for programs; its description may repeat what was sent. */
static void error_word(struct json doc, char out[64]) {
    tda_str word = json_str(json_key(doc, TDA_STR("error")));
    bool ok = word.n > 0 && word.n < 64;
    for (size_t i = 0; ok && i < word.n; i++) ok = (word.p[i] >= 'a' && word.p[i] <= 'z') || word.p[i] == '_';
    snprintf(out, 64, "%.*s", ok ? (int)word.n : 0, word.p ? word.p : "");
}

static void refused(struct attempt *a, const char *word) {
    bool by_config = a->server.config && (a->server.config->client_id || a->server.config->client_metadata_url);
    if (strcmp(word, "invalid_client") == 0 && !by_config && !a->registered_again) {
        a->registered_again = true; /* the registration has been dropped there */
        credential_drop_client(a->credential);
        client_choose(a);
    } else if (a->asking_for == TOKEN_BY_REFRESH) {
        credential_drop_refresh(a->credential);
        a->no_refresh = true;
        token_begin(a);
    } else {
        attempt_fail(a, a->fetch.host, NULL, "the token endpoint refused: HTTP %d%s%s", a->fetch.status, word[0] ? ", " : "", word);
    }
}

static void on_token(struct fetch *f, const struct error *e) {
    struct attempt *a = attempt_of(f);
    struct json_doc *doc GUARD(json_free_p) = NULL;
    char word[64];
    if (e) {
        attempt_fail(a, f->host, NULL, "the token endpoint: %.160s", e->text);
        return;
    }
    json_parse(buf_str(&f->body), 0, &doc, NULL);
    if (f->status == 200 && doc) {
        keep(a, json_root(doc));
        return;
    }
    error_word(json_root(doc), word);
    if (f->status >= 500 || f->status == 429 || f->status == 200)
        attempt_fail(a, f->host, "try again later", "the token endpoint: HTTP %d%s", f->status, doc ? "" : ", and no JSON");
    else
        refused(a, word);
}

/* `form` has what is particular to the grant. Wiped here. */
static void request_token(struct attempt *a, struct buf *form) {
    struct buf header;
    buf_init(&header, FORM_MAX);
    form_add(form, "resource", tda_str_of(a->resource));
    put_client(a, form, &header);
    if (form->status || header.status)
        attempt_fail(a, NULL, NULL, "out of memory");
    else
        attempt_fetch(a, &(struct fetch_spec){.url = tda_str_of(a->as.token),
                                              .body = buf_str(form),
                                              .content_type = "application/x-www-form-urlencoded",
                                              .authorization = header.n ? header.p : NULL,
                                              .done = on_token});
    if (form->p) wipe(form->p, form->cap);
    if (header.p) wipe(header.p, header.cap);
    buf_fini(form);
    buf_fini(&header);
}

static void form_init(struct buf *form, const char *grant_type) {
    buf_init(form, FORM_MAX);
    buf_reserve(form, FORM_MAX); /* growing would leave copies behind */
    form_add(form, "grant_type", tda_str_of(grant_type));
}

/* ---- grants ---- */

static void ask_user(struct attempt *a);

static bool by_refresh(struct attempt *a) {
    struct buf token, form;
    bool there = false;
    buf_init(&token, OAUTH_TOKEN_MAX + 1);
    if (!a->step_up && !a->no_refresh) there = credential_refresh_token(a->credential, &token) == TDA_OK;
    if (there) {
        a->asking_for = TOKEN_BY_REFRESH;
        form_init(&form, "refresh_token");
        form_add(&form, "refresh_token", buf_str(&token));
    }
    if (token.p) wipe(token.p, token.cap);
    buf_fini(&token);
    if (there) request_token(a, &form);
    return there;
}

static void by_client(struct attempt *a) {
    struct buf form;
    if (!choose_scope(a)) return;
    form_init(&form, "client_credentials");
    if (a->scope[0]) form_add(&form, "scope", tda_str_of(a->scope));
    request_token(a, &form);
}

void token_begin(struct attempt *a) {
    const struct config_oauth *config = a->server.config;
    if (by_refresh(a)) return;
    a->asking_for = config && config->grant == OAUTH_CLIENT_CREDENTIALS ? TOKEN_BY_CLIENT : TOKEN_BY_USER;
    if (a->asking_for == TOKEN_BY_CLIENT)
        by_client(a);
    else
        ask_user(a);
}

/* ---- the user ---- */

static void nonce(char out[NONCE_SIZE]) {
    char bytes[32];
    struct buf text;
    random_bytes(bytes, sizeof bytes);
    buf_init(&text, NONCE_SIZE);
    base64url((tda_str){bytes, sizeof bytes}, &text);
    snprintf(out, NONCE_SIZE, "%.*s", STR_FMT(buf_str(&text)));
    buf_fini(&text);
}

static bool put_challenge(const char *verifier, struct buf *url) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf text;
    if (EVP_Digest(verifier, strlen(verifier), digest, &n, EVP_sha256(), NULL) != 1) return false;
    buf_init(&text, NONCE_SIZE);
    base64url((tda_str){(const char *)digest, n}, &text);
    form_add(url, "code_challenge", buf_str(&text));
    form_add(url, "code_challenge_method", TDA_STR("S256"));
    buf_fini(&text);
    return true;
}

static void ask_user(struct attempt *a) {
    struct buf url;
    struct error e = {.retry_ms = -1};
    bool user_given;
    if (!attempt_can_ask(a)) {
        attempt_nobody(a);
        return;
    }
    if (!choose_scope(a)) return;
    if (reach_check(&a->reach, tda_str_of(a->as.authorize), &user_given, &e)) { /* a person is about to open it */
        attempt_fail(a, a->issuer, NULL, "authorization_endpoint: %.160s", e.text);
        return;
    }
    nonce(a->verifier);
    nonce(a->state);
    buf_init(&url, sizeof a->url - 1);
    buf_add_z(&url, a->as.authorize);
    if (!strchr(a->as.authorize, '?')) buf_add_char(&url, '?');
    form_add(&url, "response_type", TDA_STR("code"));
    form_add(&url, "client_id", tda_str_of(a->client.id));
    form_add(&url, "redirect_uri", tda_str_of(client_redirect_uri(a)));
    form_add(&url, "state", tda_str_of(a->state));
    form_add(&url, "resource", tda_str_of(a->resource));
    if (a->scope[0]) form_add(&url, "scope", tda_str_of(a->scope));
    bool ok = put_challenge(a->verifier, &url) && !url.status;
    if (ok) snprintf(a->url, sizeof a->url, "%.*s", STR_FMT(buf_str(&url)));
    buf_fini(&url);
    if (ok)
        attempt_ask(a);
    else
        attempt_fail(a, a->issuer, NULL, "the address for the user to visit would be too long");
}

/* RFC 9207: the answer must come from the issuer that was asked, compared byte by byte. */
static bool is_from_issuer(struct attempt *a, tda_str query) {
    char iss[ISSUER_MAX] = "";
    tda_status s = query_get(query, "iss", iss, sizeof iss);
    if (s == TDA_E_NOT_FOUND && !a->as.iss) return true;
    if (s == TDA_OK && strcmp(iss, a->issuer) == 0) return true;
    attempt_fail(a, a->issuer, "do not use that answer: it may be another's. Begin anew",
                 s == TDA_E_NOT_FOUND ? "the answer does not say which authorization server it is from (iss), and it should"
                                      : "the answer is from another authorization server (iss) than the one that was asked");
    return false;
}

void token_redirected(struct attempt *a, tda_str query) {
    char code[2048], word[64] = "";
    struct buf form;
    if (!is_from_issuer(a, query)) return;
    if (query_get(query, "error", word, sizeof word) == TDA_OK) {
        for (const char *p = word; *p; p++)
            if (!((*p >= 'a' && *p <= 'z') || *p == '_')) word[0] = 0;
        attempt_fail(a, a->issuer, NULL, "it was not granted%s%s", word[0] ? ": " : "", word);
        return;
    }
    if (query_get(query, "code", code, sizeof code)) {
        attempt_fail(a, a->issuer, NULL, "the answer has no code");
        return;
    }
    form_init(&form, "authorization_code");
    form_add(&form, "code", tda_str_of(code));
    form_add(&form, "redirect_uri", tda_str_of(client_redirect_uri(a)));
    form_add(&form, "code_verifier", tda_str_of(a->verifier));
    wipe(code, sizeof code);
    request_token(a, &form);
}
