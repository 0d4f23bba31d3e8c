/* Inside of core/server: listeners make connections, connections make requests. */
#ifndef SERVER_IMPL_H
#define SERVER_IMPL_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "server/server.h"

struct connection;

struct listener {
    struct server *server;
    nng_stream_listener *nng;
    nng_aio *aio;
    char *url;
    char *path; /* of an ipc socket, removed at the end */
    bool is_ipc, is_ws, is_tls;
    uint16_t port; /* but ipc */
    atomic_bool closing;
};

enum { LISTENERS_MAX = 16 };

/* A certificate in use, or that was: nng (1.5.2) reads a listener's without its lock, so none is freed before the end. */
struct certificate {
    struct certificate *before;
    nng_tls_config *tls;
};

/* Of the thread that checks. */
struct upgrades {
    struct early *table;
};

struct server {
    const struct config *config;
    struct server_ops ops;
    void *arg;
    struct listener listeners[LISTENERS_MAX];
    size_t n_listeners;
    struct certificate *certificates;
    const char *urls[LISTENERS_MAX + 1];
    atomic_bool stopping;
    nng_aio *check; /* looks after connections, where there is TLS or a websocket; NULL: nowhere */
    struct upgrades upgrades;

    pthread_mutex_t lock; /* of the list and the number of connections that are not freed yet */
    pthread_cond_t changed;
    LIST_HEAD(connection_list, connection) connections;
    size_t alive;

    _Atomic uint64_t last_id;
    _Atomic uint64_t open, total, refused, requests, replies, malformed, oversized;
};

/* listener.c */
tda_status listener_open(struct server *s, const char *url, struct error *e);
void listener_begin(struct listener *l); /* to accept: until then who connects waits */
void listener_close(struct listener *l); /* no callback of it runs afterwards */
void certificates_free(struct server *s);

/* connection.c */
void connection_accept(struct server *s, struct listener *l, nng_stream *stream); /* owns the stream */
void connection_stop(struct connection *c, bool at_once);                         /* closes when its replies are written */
void connection_hush(struct connection *c);                                       /* hands nothing up any more */
void connection_check(struct connection *c);                                      /* ends it if its peer is gone */
struct connection *connection_next(struct connection *c);
bool connection_ws_peer(const struct connection *c, nng_sockaddr *ret); /* false: no websocket, or none any more */

/* upgrade.c */
void upgrades_check(struct server *s); /* ends what came to a websocket's port and has not become one in time */
void upgrades_fini(struct upgrades *u);

#endif
