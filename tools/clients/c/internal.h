/* Inside of libtda-client. client.c: calls, and what is repeated; connection.c: one nng REQ socket; stream.c: tasks. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <nng/nng.h>
#include <stdatomic.h>

#include "scan.h"
#include "tda/client.h"

enum { BOOT_SIZE = 64 };

struct tda_client {
    char *url, *user, *auth, *ca_file;
    int64_t timeout_ms, reconnect_ms;
    bool (*waiting)(void *arg, int64_t waited_ms);
    void *arg;

    nng_socket socket;
    bool connected;       /* the socket is open */
    atomic_bool lost;     /* and its connection has ended */
    char boot[BOOT_SIZE]; /* which run of the daemon the connection leads to */
    char *refusal;        /* the last error object */
};

#define PRINTF_AT(fmt, args) __attribute__((format(printf, fmt, args)))
enum tda_client_status client_fail(struct tda_client_error *e, enum tda_client_status status, const char *kind, const char *fmt,
                                   ...) PRINTF_AT(4, 5);
void client_hint(struct tda_client_error *e, const char *fmt, ...) PRINTF_AT(2, 3);
int64_t client_now_ms(void);

/* connection.c. open: in place of the former one; dials once and learns c->boot. */
enum tda_client_status connection_open(struct tda_client *c, struct tda_client_error *e);
void connection_close(struct tda_client *c);
/* Sends and waits. UNREACHABLE: the connection is gone, and whether the request arrived is unknown. The caller frees *ret. */
enum tda_client_status connection_exchange(struct tda_client *c, const char *request, size_t n, int64_t timeout_ms, nng_msg **ret,
                                           struct tda_client_error *e);
/* Waits without a request; INTERRUPTED when `waiting` says so. */
enum tda_client_status connection_pause(struct tda_client *c, int64_t ms, struct tda_client_error *e);

/* client.c: a call with a wait of its own. *ret: the result's text. */
enum tda_client_status client_call(struct tda_client *c, const char *method, const char *params, int64_t timeout_ms, char **ret,
                                   struct tda_client_error *e);
/* The request whole, with the client's own members before the program's. The caller frees it; NULL: out of memory. */
char *client_request(const struct tda_client *c, const char *method, struct span params, const char *key, size_t *ret_n);
/* From an error object. */
enum tda_client_status client_refused(struct tda_client *c, struct span error, struct tda_client_error *e);

#endif
