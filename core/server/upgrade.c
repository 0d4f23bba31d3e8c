/* Who connects to a websocket's port and never becomes one.
 *
 * Until the upgrade a connection is nng's (1.5.2): it gives it no time to end, does not count it, and has no way to ask for it.
 * So the descriptors of the process are looked through: one that is bound to a websocket's port and belongs to no connection of
 * ours has as long as a handshake may take, and counts with the others against limits.connections. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash_table.h"
#include "base/process.h"
#include "server/server_impl.h"

struct address {
    uint16_t port; /* as on the wire */
    unsigned char ip[16];
};

/* A socket on such a port, by its peer. */
struct early {
    struct address peer;
    int fd;
    int64_t since_ns;
    bool upgraded;
    UT_hash_handle hh;
};

/* ---- sockets ---- */

static bool address_of(const struct sockaddr_storage *from, struct address *ret) {
    *ret = (struct address){0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)from;
        ret->port = a->sin_port;
        memcpy(ret->ip, &a->sin_addr, sizeof a->sin_addr);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)from;
        ret->port = a->sin6_port;
        memcpy(ret->ip, &a->sin6_addr, sizeof a->sin6_addr);
    } else {
        return false;
    }
    return true;
}

static bool address_of_nng(const nng_sockaddr *from, struct address *ret) {
    *ret = (struct address){0};
    if (from->s_family == NNG_AF_INET) {
        ret->port = from->s_in.sa_port;
        memcpy(ret->ip, &from->s_in.sa_addr, sizeof from->s_in.sa_addr);
    } else if (from->s_family == NNG_AF_INET6) {
        ret->port = from->s_in6.sa_port;
        memcpy(ret->ip, from->s_in6.sa_addr, sizeof from->s_in6.sa_addr);
    } else {
        return false;
    }
    return true;
}

static bool any_ws(const struct server *s) {
    bool any = false;
    for (size_t i = 0; i < s->n_listeners; i++) any |= s->listeners[i].is_ws;
    return any;
}

static bool is_ws_port(const struct server *s, uint16_t port) {
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].is_ws && s->listeners[i].port == ntohs(port)) return true;
    return false;
}

/* A listening socket has no peer. */
static bool peer_on_ws_port(const struct server *s, int fd, struct address *ret) {
    struct sockaddr_storage ours = {0}, theirs = {0};
    struct address own;
    socklen_t n = sizeof ours, m = sizeof theirs;
    return getsockname(fd, (struct sockaddr *)&ours, &n) == 0 && address_of(&ours, &own) && is_ws_port(s, own.port) &&
           getpeername(fd, (struct sockaddr *)&theirs, &m) == 0 && address_of(&theirs, ret);
}

/* The number may be another socket's by now, so it is looked at once more, by a descriptor that nobody else closes. */
static void end(struct server *s, const struct early *e) {
    struct address peer;
    int fd = dup(e->fd);
    if (fd < 0) return;
    if (peer_on_ws_port(s, fd, &peer) && memcmp(&peer, &e->peer, sizeof peer) == 0 && shutdown(fd, SHUT_RDWR) == 0)
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    close(fd);
}

/* ---- the table: made anew by each check, from what is there ---- */

static struct early *find(struct early *table, const struct address *peer) {
    struct early *e;
    HASH_FIND(hh, table, peer, sizeof *peer, e);
    return e;
}

static void free_table(struct early *table) {
    struct early *first = table, *next;
    HASH_CLEAR(hh, table); /* they are on a list still */
    for (struct early *e = first; e; e = next) {
        next = e->hh.next;
        free(e);
    }
}

/* For want of memory one is looked at the next time. */
static void see(struct upgrades *u, struct early *former, int fd, const struct address *peer, int64_t now) {
    struct early *e = calloc(1, sizeof *e), *before = find(former, peer);
    if (!e) return;
    e->peer = *peer;
    e->fd = fd;
    e->since_ns = before ? before->since_ns : now;
    HASH_ADD(hh, u->table, peer, sizeof e->peer, e);
    if (!e->hh.tbl) free(e);
}

struct look {
    struct server *server;
    struct early *former;
    int64_t now_ns;
};

static void look_at(void *arg, int fd) {
    const struct look *l = arg;
    struct address peer;
    if (peer_on_ws_port(l->server, fd, &peer)) see(&l->server->upgrades, l->former, fd, &peer, l->now_ns);
}

static void see_all(struct server *s, int64_t now) {
    struct look look = {s, s->upgrades.table, now};
    s->upgrades.table = NULL;
    process_each_descriptor(look_at, &look);
    free_table(look.former);
}

/* After the descriptors, so that one which became a websocket meanwhile is known. */
static void know_upgraded(struct server *s) {
    nng_sockaddr from;
    struct address peer;
    pthread_mutex_lock(&s->lock);
    for (struct connection *c = LIST_FIRST(&s->connections); c; c = connection_next(c)) {
        if (!connection_ws_peer(c, &from) || !address_of_nng(&from, &peer)) continue;
        struct early *e = find(s->upgrades.table, &peer);
        if (e) e->upgraded = true;
    }
    pthread_mutex_unlock(&s->lock);
}

void upgrades_check(struct server *s) {
    const struct config *config = config_now(s->config);
    int64_t now = clock_now_ns(), room = config->limits_connections - (int64_t)atomic_load(&s->open);
    if (!any_ws(s)) return;
    see_all(s, now);
    know_upgraded(s);
    for (const struct early *e = s->upgrades.table; e; e = e->hh.next)
        if (!e->upgraded && (--room < 0 || now - e->since_ns > config->limits_conn_handshake)) end(s, e);
}

void upgrades_fini(struct upgrades *u) {
    free_table(u->table);
}
