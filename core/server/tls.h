/* The certificate of tls+tcp and wss, from the files that the configuration names. Read and judged here, with libcrypto, because
 * nng's own errors say no more than that something is wrong. [main, job thread] */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "config/config.h"

/* Errors name the setting, the file and what is wrong with it. One that has run out is warned of. The caller frees. */
tda_status tls_load(const struct config *c, const char *url, nng_tls_config **ret, struct error *e);

#endif
