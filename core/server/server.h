/* The front door: nng REP, spoken by us over nng's stream API (core/adr/0001), on ipc, tcp, tls+tcp, ws and wss. The only folder
 * that includes nng.
 *
 * nng's threads run everything here: they decode frames and hand whole messages up; they never wait. A reply may come on any
 * thread, in any order, while the connection lives or after it. Bounds: connections, requests and bytes per connection, message
 * size (judged before the body is read; a claimed length reserves nothing), handshake and message time. Above a bound of requests
 * or bytes a connection is not read from until it has room. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "config/config.h"
#include "json/json.h"

struct server;
struct server_request; /* one message that waits for its reply; ends with exactly one server_reply */

/* Who is at the other end of a connection. */
struct peer {
    uint64_t connection; /* unique in the process */
    bool is_ipc;
    uint32_t uid;         /* ipc only */
    const char *listener; /* its url */
};

struct server_ops {
    /* [nng] One request. `text` is valid until this returns. `r` is answered with server_reply, from any thread, also at once. */
    void (*request)(void *arg, struct server_request *r, const struct peer *peer, tda_str text);
    /* [nng] A message over the size limit: answered like a request, its body was not read and the connection closes after the
     * reply. */
    void (*oversize)(void *arg, struct server_request *r, const struct peer *peer, uint64_t claimed);
    /* [nng] The connection is gone; replies to its requests go nowhere (server_reply is still due for each). */
    void (*gone)(void *arg, uint64_t connection);
};

/* Can what config->listen says be opened? Binds nothing. tcp and ws leave loopback only where identity.allow_plain says so
 * (E_DENIED); tls+tcp and wss need tls.cert and tls.key. Errors name the listener or the setting, and the reason. [main, job
 * thread] */
tda_status server_check(const struct config *c, struct error *e);
/* Opens every url, after server_check. An ipc socket gets mode 0600, or where identity.front_ends or operators name others, 0666:
 * each peer is judged by its uid; a stale one is removed, a live one refused ("another tdad ..."). [main] */
tda_status server_start(const struct config *c, const struct server_ops *ops, void *arg, struct server **ret, struct error *e);
/* The certificate that `c` names, read again, for connections from now on; each listener's next one may still meet the former. One
 * that cannot be used is logged, and the former stays. At most as often as there are reloads. [job thread] */
void server_renew_certificates(struct server *s, const struct config *c);
void server_reply(struct server_request *r, tda_str text); /* [any] copies */
/* [any] Who asks this is known, so his connection stays. One of which that was never said makes room for a new one where there are
 * limits.connections. */
void server_identified(struct server_request *r);
void server_stop_listening(struct server *s); /* [main] no new connections, no new requests read */
/* Hands nothing up any more, and closes the connections once their replies are written, at the latest after grace_ns; where there
 * is TLS 200 ms later, see adr/0031. Frees. Waits for each request that was handed up to be answered. [main] */
void server_stop(struct server *s, int64_t grace_ns);

struct server_stats {
    uint64_t connections, connections_total, refused, requests_total, replies_total, malformed, oversized;
};
void server_stats(const struct server *s, struct server_stats *ret); /* [any] */
void front_door_write(const struct server *s, struct jw *w);         /* [any] them, as the member front_door */
/* The urls in use: tcp with port 0 shows the port it got. NULL-terminated, lives as long as s. */
const char *const *server_urls(const struct server *s);

#endif
