#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server_impl.h"
#include "server/tls.h"

enum { RETRY_MS = 100 };

static tda_status cannot(struct error *e, tda_status s, const char *url, const char *why) {
    error_set(e, s, "listen", "cannot listen on %s: %s", url, why);
    error_field(e, "listen");
    return s;
}

/* ---- ipc ---- */

/* Does somebody answer there? */
static bool is_alive(const struct sockaddr_un *sa) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0 || errno == EAGAIN);
    if (fd >= 0) close(fd);
    return alive;
}

/* The folder is ours alone, so that nobody else can put a socket in our place. One that is there stays as it is. */
static tda_status make_folder(const char *url, const char *path, struct error *e) {
    char dir[108];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 0, path);
    if (!dir[0] || mkdir(dir, 0700) == 0 || errno == EEXIST) return TDA_OK;
    return cannot(e, TDA_E_IO, url, strerror(errno));
}

/* A socket that nobody answers is what a killed daemon left. */
static tda_status clear_path(const char *url, const char *path, struct error *e) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof sa.sun_path)
        return cannot(e, TDA_E_INVALID, url, "the path is longer than a socket's may be (107 bytes)");
    memcpy(sa.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st)) return make_folder(url, path, e);
    if (!S_ISSOCK(st.st_mode)) return cannot(e, TDA_E_EXISTS, url, "there is a file of that name that is no socket");
    if (is_alive(&sa)) {
        cannot(e, TDA_E_EXISTS, url, "another process listens there");
        error_hint(e, "is another tdad running? stop it, or give this one another `listen`");
        return TDA_E_EXISTS;
    }
    if (unlink(path)) return cannot(e, TDA_E_IO, url, strerror(errno));
    return TDA_OK;
}

/* ---- tcp, tls+tcp, ws, wss ---- */

static bool begins(const char *url, const char *with) {
    return strncmp(url, with, strlen(with)) == 0;
}

static bool is_tls(const char *url) {
    return begins(url, "tls+tcp://") || begins(url, "wss://");
}

static bool is_ws(const char *url) {
    return begins(url, "ws://") || begins(url, "wss://");
}

static bool is_loopback(const char *url) {
    static const char *const hosts[] = {"127.0.0.1:", "localhost:", "[::1]:"};
    const char *host = strstr(url, "://") + 3;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (begins(host, hosts[i])) return true;
    return false;
}

static tda_status refuse_plain(struct error *e, const char *url) {
    cannot(e, TDA_E_DENIED, url, "tokens, questions and answers would cross the network readable");
    error_hint(e,
               "use tls+tcp or wss, or 127.0.0.1; identity.allow_plain allows it where something else keeps the network private");
    return TDA_E_DENIED;
}

tda_status server_check(const struct config *c, struct error *e) {
    for (char **url = c->listen; *url; url++) {
        nng_tls_config *tls = NULL;
        if (begins(*url, "ipc://")) continue;
        if (!is_tls(*url) && !is_loopback(*url) && !c->identity_plain) return refuse_plain(e, *url);
        tda_status s = is_tls(*url) ? tls_load(c, *url, &tls, e) : TDA_OK;
        if (tls) nng_tls_config_free(tls);
        if (s) return s;
    }
    return TDA_OK;
}

/* With port 0 the system chose one. */
static tda_status name_port(struct listener *l) {
    int port = 0;
    char url[300];
    char *host = strstr(l->url, "://") + 3, *path = l->is_ws ? host + strcspn(host, "/") : l->url + strlen(l->url);
    bool chosen = path - host > 2 && strncmp(path - 2, ":0", 2) == 0;
    if (nng_stream_listener_get_int(l->nng, NNG_OPT_TCP_BOUND_PORT, &port)) return TDA_OK;
    l->port = (uint16_t)port;
    if (!chosen) return TDA_OK;
    snprintf(url, sizeof url, "%.*s%d%s", (int)(path - 1 - l->url), l->url, port, path);
    free(l->url);
    return (l->url = str_dup(tda_str_of(url))) ? TDA_OK : TDA_E_NOMEM;
}

static int set_tcp(struct listener *l, const struct config *c) {
    int rc = nng_stream_listener_set_bool(l->nng, NNG_OPT_TCP_NODELAY, true);
    if (rc || !l->is_ws) return rc;
    /* "ws:msgmode" makes a message of a frame; nng has no public name for it. */
    rc = nng_stream_listener_set_bool(l->nng, "ws:msgmode", true);
    if (!rc) rc = nng_stream_listener_set_string(l->nng, NNG_OPT_WS_PROTOCOL, "rep.sp.nanomsg.org");
    if (!rc) rc = nng_stream_listener_set_size(l->nng, NNG_OPT_RECVMAXSZ, (size_t)c->limits_message);
    if (!rc) rc = nng_stream_listener_set_size(l->nng, NNG_OPT_WS_RECVMAXFRAME, (size_t)c->limits_message);
    return rc;
}

static tda_status set_tls(struct listener *l, const struct config *c, struct error *e) {
    struct certificate *kept = calloc(1, sizeof *kept);
    tda_status s = kept ? tls_load(c, l->url, &kept->tls, e) : TDA_E_NOMEM;
    if (s) {
        free(kept);
        return s;
    }
    kept->before = l->server->certificates;
    l->server->certificates = kept;
    int rc = nng_stream_listener_set_ptr(l->nng, NNG_OPT_TLS_CONFIG, kept->tls);
    return rc ? cannot(e, TDA_E_IO, l->url, nng_strerror(rc)) : TDA_OK;
}

void server_renew_certificates(struct server *s, const struct config *c) {
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct listener *l = &s->listeners[i];
        struct error e = {.retry_ms = -1};
        if (!l->is_tls || !c->tls_cert[0]) continue; /* none named: the listener is to go with the next start */
        if (set_tls(l, c, &e)) log_error("the certificate stays the former one", LOG_Z("url", l->url), LOG_Z("reason", e.text));
    }
}

void certificates_free(struct server *s) {
    while (s->certificates) {
        struct certificate *c = s->certificates;
        s->certificates = c->before;
        nng_tls_config_free(c->tls);
        free(c);
    }
}

/* ---- both ---- */

static void accept_done(void *arg) {
    struct listener *l = arg;
    int rc = nng_aio_result(l->aio);
    if (rc == 0 && nng_aio_get_output(l->aio, 0)) connection_accept(l->server, l, nng_aio_get_output(l->aio, 0));
    if (atomic_load(&l->closing) || rc == NNG_ECLOSED || rc == NNG_ECANCELED) return;
    if (rc == NNG_ENOFILES || rc == NNG_ENOMEM) {
        nng_aio_set_output(l->aio, 0, NULL);
        nng_sleep_aio(RETRY_MS, l->aio); /* and then again */
        return;
    }
    nng_aio_set_output(l->aio, 0, NULL);
    nng_stream_listener_accept(l->nng, l->aio);
}

/* Where others than the daemon's own user are let in, each peer is judged by his uid; else the system keeps them out. */
static int ipc_mode(const struct config *c) {
    return c->front_ends.n || c->operators.n ? 0666 : 0600;
}

static tda_status start(struct listener *l, const struct config *c, struct error *e) {
    int rc = nng_stream_listener_alloc(&l->nng, l->url);
    if (!rc) rc = l->is_ipc ? nng_stream_listener_set_int(l->nng, NNG_OPT_IPC_PERMISSIONS, ipc_mode(c)) : set_tcp(l, c);
    tda_status s = !rc && l->is_tls ? set_tls(l, c, e) : TDA_OK;
    if (s) return s;
    if (!rc) rc = nng_stream_listener_listen(l->nng);
    if (!rc) rc = nng_aio_alloc(&l->aio, accept_done, l);
    return rc ? cannot(e, TDA_E_IO, l->url, nng_strerror(rc)) : TDA_OK;
}

tda_status listener_open(struct server *s, const char *url, struct error *e) {
    if (s->n_listeners == LISTENERS_MAX) return cannot(e, TDA_E_LIMIT, url, "too many listeners");
    struct listener *l = &s->listeners[s->n_listeners];
    *l = (struct listener){
        .server = s, .url = str_dup(tda_str_of(url)), .is_ipc = begins(url, "ipc://"), .is_ws = is_ws(url), .is_tls = is_tls(url)};
    s->n_listeners++;
    if (!l->url) return cannot(e, TDA_E_NOMEM, url, "out of memory");
    tda_status status = l->is_ipc ? clear_path(url, url + 6, e) : TDA_OK;
    if (!status) status = start(l, s->config, e);
    if (status) return status;
    if (l->is_ipc)
        l->path = str_dup(tda_str_of(url + 6));
    else
        status = name_port(l);
    if (status || (l->is_ipc && !l->path)) return cannot(e, TDA_E_NOMEM, url, "out of memory");
    return TDA_OK;
}

void listener_begin(struct listener *l) {
    nng_stream_listener_accept(l->nng, l->aio);
}

void listener_close(struct listener *l) {
    atomic_store(&l->closing, true);
    /* nng (1.5.2) waits for itself for ever when a websocket's listener closes amid a handshake: it stays, unheard, until the
     * process ends. */
    if (l->nng && !l->is_ws) nng_stream_listener_close(l->nng);
    if (l->aio) nng_aio_stop(l->aio);
    if (l->path) unlink(l->path);
    free(l->path);
    l->path = NULL;
}
