/* OAuth 2.1 for HTTP MCP servers, as MCP's authorization specification has it (2025-03-26 to 2026-07-28): from a 401 or 403 to a
 * token, and the tokens that there are.
 *
 * One table per process: user and server -> issuer, resource, registration, tokens. A token is a user's own, goes to the resource
 * that it was issued for and nowhere else, stands in memory that is locked and wiped, and is gone with his context or the process.
 *
 * An authorisation runs on the loop of the first who needs it; whoever needs the same one waits for the same one. All URLs but the
 * server's own come from its answers: https only, no redirects, small answers, and no private address unless the operator's own
 * server stands at one, or the operator names the issuer. */
#ifndef OAUTH_OAUTH_H
#define OAUTH_OAUTH_H

#include "base/buf.h"
#include "config/config.h"
#include "loop/loop.h"

struct oauth;

enum { OAUTH_URL_MAX = 2048, OAUTH_SCOPE_MAX = 2048, OAUTH_TOKEN_MAX = 8192 };

tda_status oauth_new(struct oauth **ret);
void oauth_free(struct oauth *oa); /* after the loops; NULL is fine */
/* [any] All of this user's tokens, registrations and authorisations are gone; who waits for one hears "cancelled". */
void oauth_forget(struct oauth *oa, tda_str user);

struct oauth_stats {
    uint64_t users, servers, running, granted, failed;
};
void oauth_stats(struct oauth *oa, struct oauth_stats *ret); /* [any] */

/* Whose server it is. Borrowed for the length of the call; `config` lives as long as the configuration. */
struct oauth_server {
    const char *name;
    const char *url;
    bool user_given;                   /* a user's own address: nothing of the operator's goes there */
    const struct config_oauth *config; /* NULL: the operator says nothing */
};

/* What a 401 or 403 said: `WWW-Authenticate: Bearer ...`. Zeroed, then challenge_parse for each such header. */
struct oauth_challenge {
    bool bearer;
    char resource_metadata[OAUTH_URL_MAX];
    char scope[OAUTH_SCOPE_MAX];
    char error[64];
};
/* [any] The first Bearer challenge counts; members that are too long, or of characters that they cannot have, are left out. */
void challenge_parse(tda_str header, struct oauth_challenge *c);

/* [loop] "Bearer ..." for a request to `url`, into `out`, which the caller wipes. NOT_FOUND: there is no token for that address;
 * AGAIN: it is to be renewed first, with oauth_authorize. `ret_serial` tells tokens apart. */
tda_status oauth_token(struct oauth *oa, const char *user, const struct oauth_server *server, tda_str url, struct buf *out,
                       uint64_t *ret_serial);

/* [loop] The server let a request with that token in: when it refuses it later, the token is too old, and renewing it helps. */
void oauth_let_in(struct oauth *oa, const char *user, const struct oauth_server *server, uint64_t serial);

/* [loop] The server answers 401 to that token. True: it is one that the user's consent has just brought and that was good for
 * nothing yet, so another would not be better. It is dropped, and `e` (authorization_failed) is for all who carried it. */
bool oauth_refused(struct oauth *oa, const char *user, const struct oauth_server *server, uint64_t serial, struct error *e);

struct oauth_wait;
struct oauth_request {
    struct loop *loop; /* the caller's: all callbacks come on it, later */
    const char *user;
    struct oauth_server server;
    const struct oauth_challenge *challenge; /* NULL: a token is to be renewed */
    uint64_t refused;                        /* serial of the token that was refused; 0: none was sent */
    bool step_up;                            /* 403: it was good, and not for this */
    /* Once, unless cancelled before. e NULL: oauth_token has one now. Kinds: authorization_required (nobody could be asked),
     * authorization_declined, authorization_failed, cancelled, timeout. */
    void (*done)(void *arg, const struct error *e);
    /* The user is to visit `url` and bring back the address that he was sent to: oauth_answer. False: nobody can be asked. */
    bool (*ask)(void *arg, const char *url);
    bool may_ask; /* as it looks now: else nothing is made that would need him */
    void *arg;
};
/* [loop] E_NOMEM, E_LIMIT. */
tda_status oauth_authorize(struct oauth *oa, const struct oauth_request *r, struct oauth_wait **ret, struct error *e);
void oauth_may_ask(struct oauth_wait *w);     /* [its loop] meanwhile there is somebody who can be asked */
void oauth_wait_cancel(struct oauth_wait *w); /* [its loop] no callback comes; before `done` only */
/* [its loop] After `ask`: where the browser was sent, as far as the user has it. E_INVALID: that is no such address, he may try
 * again. What is wrong with its content ends the authorisation, by `done`. */
tda_status oauth_answer(struct oauth_wait *w, tda_str redirect, struct error *e);
void oauth_decline(struct oauth_wait *w); /* [its loop] he does not want to */

#endif
