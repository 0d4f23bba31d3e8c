/* Inside of core/oauth. */
#ifndef OAUTH_IMPL_H
#define OAUTH_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/hash_table.h"
#include "base/ref.h"
#include "loop/flow.h"
#include "oauth/oauth.h"
#include "json/json.h"

enum {
    ISSUER_MAX = 512,
    CLIENT_ID_MAX = 1024,
    CLIENT_SECRET_MAX = 1024,
    NONCE_SIZE = 44, /* 32 random bytes in base64url, with their NUL */
    USER_SERVERS_MAX = 32,
    SERVERS_MAX = 100000
};

/* ---- urls.c: pure ---- */

struct url_parts {
    tda_str base; /* "https://host:port", as written */
    tda_str path; /* may be empty; without query */
    tda_str query;
};
/* E_INVALID: no http(s) URL, one with a user name, with a fragment, or with bytes that none has. */
tda_status url_split(tda_str url, struct url_parts *ret);
/* Is `url` within the resource: the same origin, and its path or a part of it? */
bool resource_covers(tda_str resource, tda_str url);
/* Where metadata may stand, candidate 0, 1, ...; NOT_FOUND: no more. RFC 9728 and RFC 8414 with OpenID's two forms. */
tda_status prm_url(tda_str server_url, unsigned candidate, char *out, size_t size);
tda_status as_metadata_url(tda_str issuer, unsigned candidate, char *out, size_t size);
void form_encode(struct buf *out, tda_str value);
void form_add(struct buf *out, const char *key, tda_str value); /* "key=value", with a "&" before unless it is the first */
/* Member of a query, decoded. NOT_FOUND; INVALID: twice, too long, not decodable. */
tda_status query_get(tda_str query, const char *key, char *out, size_t size);
bool scope_valid(tda_str scope);
bool scope_has(tda_str scope, tda_str word);
/* All words of a, and those of b that are not in it. E_LIMIT. */
tda_status scope_union(tda_str a, tda_str b, char out[OAUTH_SCOPE_MAX]);
void base64url(tda_str bytes, struct buf *out);

/* ---- store.c ---- */

enum client_auth { CLIENT_NONE, CLIENT_BASIC, CLIENT_POST };

struct client {
    char id[CLIENT_ID_MAX];
    char secret[CLIENT_SECRET_MAX]; /* "" none */
    enum client_auth auth;
};

enum token_source { TOKEN_NONE, TOKEN_BY_USER, TOKEN_BY_REFRESH, TOKEN_BY_CLIENT };

/* Everything of one user at one server that is secret, in secret memory: it fits into the largest piece. */
struct vault {
    char issuer[ISSUER_MAX];
    struct client client; /* of this issuer */
    bool has_client;
    enum token_source source;
    uint64_t serial;
    bool let_in;                  /* it was good once */
    uint64_t in_vain;             /* serial of the last one that was refused at once though the user had consented; 0: none */
    int64_t renew_ns, expires_ns; /* monotonic; 0: not said */
    size_t access_n, refresh_n;
};

struct user_entry;

/* A user's credentials at one server. Under the table's lock but for what says otherwise. */
struct credential {
    struct ref ref;
    struct oauth *oauth;
    struct user_entry *owner; /* NULL: forgotten; whoever still works with it works for nothing */
    TAILQ_ENTRY(credential) entry;
    char *key; /* whose server, name and url */
    struct vault *vault;
    char *access, *refresh; /* secret_alloc, or NULL */
    char resource[OAUTH_URL_MAX];
    char prm[OAUTH_URL_MAX]; /* where the server said its metadata is; "" it did not */
    char requested[OAUTH_SCOPE_MAX];
    int64_t asked_ns;        /* when scopes were asked for */
    struct attempt *attempt; /* under way, or NULL */
};

struct user_entry {
    UT_hash_handle hh;
    TAILQ_HEAD(credential_list, credential) list; /* the last used first */
    size_t n;
    char user[];
};

struct oauth {
    pthread_mutex_t lock; /* a leaf: nothing is called with it held */
    struct user_entry *users;
    struct pin *pins; /* operator's servers with a client of their own */
    uint64_t n_servers, serial, running, granted, failed;
};

/* With a reference. E_LIMIT, E_NOMEM. */
tda_status credential_get(struct oauth *oa, const char *user, const struct oauth_server *server, bool make,
                          struct credential **ret);
void credential_unref(struct credential *c); /* NULL is fine */
/* A registration or a token that the issuer gave. Those of another issuer go. */
void credential_keep_client(struct credential *c, const char *issuer, const struct client *client);
struct grant {
    tda_str access, refresh; /* refresh may be absent: a renewal keeps the old one */
    int64_t expires_in_s;    /* 0: not said */
    enum token_source source;
    const char *issuer, *resource, *requested;
};
tda_status credential_keep_token(struct credential *c, const struct grant *g);
/* Nothing of another issuer is kept. */
void credential_bind(struct credential *c, const char *issuer);
bool credential_client(struct credential *c, const char *issuer, struct client *ret);
void credential_drop_client(struct credential *c);
tda_status credential_refresh_token(struct credential *c, struct buf *out);
void credential_drop_refresh(struct credential *c);
/* The scopes that were asked for at this issuer, and when: 0 never. */
int64_t credential_requested(struct credential *c, char out[OAUTH_SCOPE_MAX]);
/* A client that the operator registered is shown to one issuer only: to the first that its server names. False: it is another. */
bool oauth_pin(struct oauth *oa, const char *server, const char *issuer);

/* ---- fetch.c ---- */

/* Which addresses of a peer's naming may be reached. */
struct reach {
    bool http, private_net; /* the server itself stands at such an address, and the operator says so */
    bool user_given;
    char server[300], issuer[300]; /* origins that the operator named; "" none */
};
void reach_of(struct reach *r, const struct oauth_server *server);
tda_status reach_check(const struct reach *r, tda_str url, bool *ret_user_given, struct error *e);

struct fetch {
    struct flow *flow; /* NULL: none is under way */
    struct buf body;
    int32_t status;
    char host[300];
    void (*done)(struct fetch *f, const struct error *e); /* e: no answer at all */
};
struct fetch_spec {
    tda_str url;
    tda_str body;              /* absent: GET */
    const char *content_type;  /* of the body */
    const char *authorization; /* or NULL */
    void (*done)(struct fetch *f, const struct error *e);
};
/* One at a time. */
tda_status fetch_start(struct fetch *f, struct loop *l, const struct reach *r, const struct fetch_spec *spec, struct error *e);
void fetch_stop(struct fetch *f); /* wipes what came */

/* ---- one authorisation (attempt.c, discovery.c, client.c, token.c) ---- */

struct as_metadata {
    char authorize[OAUTH_URL_MAX], token[OAUTH_URL_MAX], registration[OAUTH_URL_MAX];
    char scopes[OAUTH_SCOPE_MAX];
    bool defaults; /* there was no document: 2025-03-26's usual places */
    bool cimd, iss, says_auth, auth_none, auth_basic, auth_post;
};

enum phase { PHASE_WORK, PHASE_ASKING, PHASE_OVER };

struct oauth_wait {
    struct ref ref; /* the caller's, the attempt's, each posted task's */
    struct oauth *oauth;
    struct oauth_request r;  /* what of it is needed until the end */
    struct attempt *attempt; /* under the lock; NULL: it is over */
    LIST_ENTRY(oauth_wait) entry;
    struct task asked, done;
    struct error why; /* of `done`, when `failed` */
    bool failed;
    bool gone; /* its loop's: done came, or it was cancelled */
};

/* Its loop's, but for what the lock is named at. */
struct attempt {
    struct ref ref; /* the credential's place while it runs, each waiter, each task */
    struct oauth *oauth;
    struct loop *loop;
    struct credential *credential;
    struct oauth_server server; /* name and url are its own */
    struct oauth_challenge challenge;
    bool step_up, no_refresh, registered_again;
    bool prm_remembered; /* the place of the metadata is from an earlier challenge */
    struct reach reach;

    struct fetch fetch;
    unsigned candidate;
    bool legacy; /* no metadata of the resource: 2025-03-26 */
    char resource[OAUTH_URL_MAX], issuer[ISSUER_MAX];
    char scopes_supported[OAUTH_SCOPE_MAX];
    struct as_metadata as;
    struct client client;
    char scope[OAUTH_SCOPE_MAX];
    char verifier[NONCE_SIZE];
    enum token_source asking_for;
    struct timer deadline;

    /* under the lock */
    LIST_HEAD(wait_list, oauth_wait) waiters;
    enum phase phase;
    char state[NONCE_SIZE];
    char url[2 * OAUTH_URL_MAX + OAUTH_SCOPE_MAX];
    char answer[4096]; /* the query that came back */
    struct task answered, stop, end;
    bool stopping;
    struct error why_stop;
};

/* [any] Under the lock: it ends soon, with this. NULL is fine. */
void attempt_stop(struct attempt *a, const char *kind, const char *text);
/* The end. e NULL: the credential has a token. */
void attempt_done(struct attempt *a, const struct error *e);
/* "authorisation at HOST: ...": ends it with kind authorization_failed. `hint` may be NULL. */
void attempt_fail(struct attempt *a, const char *host, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
tda_status attempt_fetch(struct attempt *a, const struct fetch_spec *spec); /* ends the attempt on failure */
bool attempt_can_ask(struct attempt *a);
void attempt_nobody(struct attempt *a); /* ends it: there is nobody to ask */
void attempt_ask(struct attempt *a);    /* a->url is to be visited; the answer goes to token_redirected */

void discovery_start(struct attempt *a); /* then client_choose */
void client_choose(struct attempt *a);   /* then token_begin */
const char *client_redirect_uri(const struct attempt *a);
void token_begin(struct attempt *a);                     /* refresh, client_credentials, or the user */
void token_redirected(struct attempt *a, tda_str query); /* what the user brought back */

static inline struct attempt *attempt_of(struct fetch *f) {
    return CONTAINER_OF(f, struct attempt, fetch);
}

#endif
