/* On whose authority something is asked: the peer of an ipc connection, or a token. Made in identity_check and nowhere else,
 * carried by the request, and demanded by the accessors of contexts, sessions and tasks: a method cannot forget to ask, for without
 * a principal it gets nothing. All zero is nobody, who may nothing. A value, copied; [any]. */
#ifndef BASE_PRINCIPAL_H
#define BASE_PRINCIPAL_H

#include "base/base.h"

enum { USER_ID_SIZE = 129, TOKEN_ID_SIZE = 13, TOKEN_LABEL_SIZE = 101, PRINCIPAL_NAME_SIZE = USER_ID_SIZE + 8 };

enum principal_kind {
    PRINCIPAL_NOBODY,
    PRINCIPAL_HOST,    /* the daemon itself: its start, its jobs */
    PRINCIPAL_PEER,    /* a trusted front end on ipc: may name any user */
    PRINCIPAL_SERVICE, /* likewise, by a token */
    PRINCIPAL_USER     /* one user, by a token */
};

struct principal {
    enum principal_kind kind;
    bool is_operator; /* may call the operator's methods */
    uint32_t uid;     /* PEER */
    char token[TOKEN_ID_SIZE];
    char label[TOKEN_LABEL_SIZE]; /* of the token, for people */
    char user[USER_ID_SIZE];      /* USER: the one for whom it acts */
};

extern const struct principal principal_host;

/* May it act for this user ("" for nobody's own: the shared context, everybody's rows)? DENIED. */
tda_status principal_may(const struct principal *p, tda_str user, struct error *e);
/* May it do what concerns the whole host? DENIED. */
tda_status principal_operates(const struct principal *p, struct error *e);
/* Who it is, the same for all tokens of a user: "uid:1000", "token:0a1b2c3d4e5f", "user:alice". */
void principal_name(const struct principal *p, char out[PRINCIPAL_NAME_SIZE]);

#endif
