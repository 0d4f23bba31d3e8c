#include "identity/open.h"

/* The first listener whose clients need a token; NULL: none. */
static const char *open_listener(const struct config *c) {
    for (char **url = c->listen; *url; url++)
        if (strncmp(*url, "ipc://", 6) != 0) return *url;
    return NULL;
}

static tda_status no_tokens(const char *url, const char *path, struct error *e) {
    error_set(e, TDA_E_DENIED, "no_tokens", "cannot listen on %s: clients there are known by a token, and there is no token%s%s",
              url, path[0] ? " in " : "", path);
    if (path[0])
        error_hint(e, "make one first: tda token create --service --store %s", path);
    else
        error_hint(e, "give identity.tokens a file, and make one: tda token create --service --store FILE");
    return TDA_E_DENIED;
}

tda_status identity_open(const struct config *c, struct identity **ret, struct error *e) {
    char path[512];
    const char *url = open_listener(c);
    state_path(c->identity_tokens, "tokens.db", path, sizeof path);
    struct identity_options o = {.path = path,
                                 .max_tokens = (uint64_t)c->limits_tokens,
                                 .operators = c->operators.list,
                                 .n_operators = c->operators.n,
                                 .front_ends = c->front_ends.list,
                                 .n_front_ends = c->front_ends.n};
    tda_status s = identity_new(&o, ret, e);
    if (s || !url || identity_count(*ret)) return s;
    identity_free(*ret);
    *ret = NULL;
    return no_tokens(url, path, e);
}
