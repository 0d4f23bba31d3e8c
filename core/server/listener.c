#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server_impl.h"

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

/* ---- tcp ---- */

static bool is_loopback(const char *url) {
    static const char *const hosts[] = {"tcp://127.0.0.1:", "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (strncmp(url, hosts[i], strlen(hosts[i])) == 0) return true;
    return false;
}

static tda_status refuse_open_tcp(struct error *e, const char *url) {
    cannot(e, TDA_E_DENIED, url, "tcp has no identity yet, so it is bound to loopback only");
    error_hint(e, "use tcp://127.0.0.1:PORT, or an ipc:// socket");
    return TDA_E_DENIED;
}

/* With port 0 the system chose one. */
static tda_status name_port(struct listener *l) {
    int port = 0;
    char url[160];
    const char *colon = strrchr(l->url, ':');
    if (strcmp(colon, ":0") != 0 || nng_stream_listener_get_int(l->nng, NNG_OPT_TCP_BOUND_PORT, &port)) return TDA_OK;
    snprintf(url, sizeof url, "%.*s:%d", (int)(colon - l->url), l->url, port);
    free(l->url);
    return (l->url = str_dup(tda_str_of(url))) ? TDA_OK : TDA_E_NOMEM;
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

static tda_status start(struct listener *l, const char *url, struct error *e) {
    int rc = nng_stream_listener_alloc(&l->nng, url);
    if (!rc && l->is_ipc) rc = nng_stream_listener_set_int(l->nng, NNG_OPT_IPC_PERMISSIONS, 0600);
    if (!rc && !l->is_ipc) rc = nng_stream_listener_set_bool(l->nng, NNG_OPT_TCP_NODELAY, true);
    if (!rc) rc = nng_stream_listener_listen(l->nng);
    if (!rc) rc = nng_aio_alloc(&l->aio, accept_done, l);
    return rc ? cannot(e, TDA_E_IO, url, nng_strerror(rc)) : TDA_OK;
}

tda_status listener_open(struct server *s, const char *url, struct error *e) {
    if (s->n_listeners == LISTENERS_MAX) return cannot(e, TDA_E_LIMIT, url, "too many listeners");
    struct listener *l = &s->listeners[s->n_listeners];
    *l = (struct listener){.server = s, .url = str_dup(tda_str_of(url)), .is_ipc = strncmp(url, "ipc://", 6) == 0};
    s->n_listeners++;
    if (!l->url) return cannot(e, TDA_E_NOMEM, url, "out of memory");
    if (!l->is_ipc && !is_loopback(url)) return refuse_open_tcp(e, url);
    tda_status status = l->is_ipc ? clear_path(url, url + 6, e) : TDA_OK;
    if (!status) status = start(l, url, e);
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
    if (l->nng) nng_stream_listener_close(l->nng);
    if (l->aio) nng_aio_stop(l->aio);
    if (l->path) unlink(l->path);
    free(l->path);
    l->path = NULL;
}
