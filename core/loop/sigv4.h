/* AWS Signature Version 4: headers that prove that the sender knows a secret key, without sending it. Pure, every thread.
 * docs.aws.amazon.com, IAM User Guide, "Create a signed AWS API request". */
#ifndef LOOP_SIGV4_H
#define LOOP_SIGV4_H

#include "base/buf.h"

struct sigv4_keys {
    tda_str key_id, secret;
    tda_str session; /* the token of a temporary credential; {NULL,0}: none */
    tda_str region, service;
};

struct sigv4_request {
    tda_str method;
    tda_str host;        /* as the Host header says it */
    tda_str path, query; /* as sent, encoded once; the query without "?", or absent */
    const tda_kv *headers;
    size_t n_headers; /* content-type and x-amz-* of these are signed */
    tda_str body;
    int64_t time_s;      /* since 1970 */
    bool content_sha256; /* x-amz-content-sha256 is sent too */
};

/* What is to be sent, besides keys.session as x-amz-security-token. */
struct sigv4_signature {
    char date[17];           /* x-amz-date */
    char content_sha256[65]; /* x-amz-content-sha256 */
    struct buf authorization;
};

/* E_INVALID: region or service is no word of [a-z0-9-], or a signed header is given twice; E_LIMIT, E_NOMEM. The caller frees
 * `authorization`, which holds no secret, unless this fails. */
tda_status sigv4_sign(const struct sigv4_keys *k, const struct sigv4_request *r, struct sigv4_signature *ret);

#endif
