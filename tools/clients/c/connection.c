/* One nng REQ socket on one connection. nng would connect again by itself, and repeat a request by its own clock or when a
 * connection ends: all of that is off here, because what is repeated is decided in client.c, where it is known what may be. */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <nng/supplemental/util/platform.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum { DIAL_MS = 5000, SLICE_MS = 200, NEVER_MS = 1 << 30 };

int64_t client_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum tda_client_status foreign(const struct tda_client *c, struct tda_client_error *e) {
    return client_fail(e, TDA_CLIENT_PROTOCOL, "protocol", "what answers on %s is no tdad", c->url);
}

static enum tda_client_status unreachable(const struct tda_client *c, int rc, struct tda_client_error *e) {
    if (rc == NNG_EPROTO) return foreign(c, e);
    client_fail(e, TDA_CLIENT_UNREACHABLE, "unreachable", "no daemon answers on %s: %s", c->url, nng_strerror(rc));
    if (rc == NNG_ECRYPTO || rc == NNG_EPEERAUTH)
        client_hint(
            e,
            "its certificate is not one that the authorities known here have signed for this name: name them with --ca or TDA_CA");
    else
        client_hint(e, "start one with: tdad --config FILE");
    return TDA_CLIENT_UNREACHABLE;
}

static enum tda_client_status interrupted(struct tda_client_error *e) {
    return client_fail(e, TDA_CLIENT_INTERRUPTED, "interrupted", "the wait was ended; what was asked for may go on in the daemon");
}

static int64_t slice_of(const struct tda_client *c, int64_t left) {
    return c->waiting && left > SLICE_MS ? SLICE_MS : left;
}

/* ---- waiting for the reply: a receive that is given up would end the request, so one lasts, and we look in between ---- */

static void on_reply(void *arg) {
    sem_post(arg);
}

/* True: it is there. */
static bool wait_slice(sem_t *done, int64_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return sem_clockwait(done, CLOCK_MONOTONIC, &until) == 0;
}

static bool wait_reply(struct tda_client *c, sem_t *done) {
    int64_t began = client_now_ms();
    while (!wait_slice(done, SLICE_MS))
        if (c->waiting && !c->waiting(c->arg, client_now_ms() - began)) return false;
    return true;
}

static enum tda_client_status receive(struct tda_client *c, int64_t timeout_ms, nng_msg **ret, struct tda_client_error *e) {
    sem_t done;
    nng_aio *aio;
    sem_init(&done, 0, 0);
    if (nng_aio_alloc(&aio, on_reply, &done)) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    nng_aio_set_timeout(aio, timeout_ms < INT32_MAX ? (nng_duration)timeout_ms : INT32_MAX);
    nng_recv_aio(c->socket, aio);
    bool go_on = wait_reply(c, &done);
    nng_aio_stop(aio);
    int rc = nng_aio_result(aio);
    if (!rc && go_on) *ret = nng_aio_get_msg(aio);
    if (!rc && !go_on) nng_msg_free(nng_aio_get_msg(aio));
    nng_aio_free(aio);
    sem_destroy(&done);
    if (!go_on) return interrupted(e);
    if (!rc) return TDA_CLIENT_OK;
    if (rc != NNG_ETIMEDOUT) return unreachable(c, rc, e);
    return client_fail(e, TDA_CLIENT_TIMEOUT, "timeout", "no reply within %lld ms", (long long)timeout_ms);
}

enum tda_client_status connection_exchange(struct tda_client *c, const char *request, size_t n, int64_t timeout_ms, nng_msg **ret,
                                           struct tda_client_error *e) {
    nng_msg *msg;
    if (nng_msg_alloc(&msg, n)) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    memcpy(nng_msg_body(msg), request, n);
    int rc = nng_sendmsg(c->socket, msg, 0);
    if (!rc) return receive(c, timeout_ms, ret, e);
    nng_msg_free(msg);
    return unreachable(c, rc, e);
}

enum tda_client_status connection_pause(struct tda_client *c, int64_t ms, struct tda_client_error *e) {
    int64_t end = client_now_ms() + ms;
    for (int64_t left = ms; left > 0; left = end - client_now_ms()) {
        nng_msleep((nng_duration)slice_of(c, left));
        if (c->waiting && !c->waiting(c->arg, ms - left)) return interrupted(e);
    }
    return TDA_CLIENT_OK;
}

/* It holds a token. */
static void wipe_free(char *text, size_t n) {
    explicit_bzero(text, n);
    free(text);
}

/* Who answers: a restarted daemon has another boot. */
static enum tda_client_status greet(struct tda_client *c, struct tda_client_error *e) {
    nng_msg *reply = NULL;
    size_t n;
    char *hello = client_request(c, "host.info", scan_text(NULL), NULL, &n);
    if (!hello) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    enum tda_client_status s = connection_exchange(c, hello, n, DIAL_MS, &reply, e);
    wipe_free(hello, n);
    if (s) return s;
    struct span whole = scan_value(nng_msg_body(reply), nng_msg_len(reply)), info = scan_member(whole, "result"),
                boot = scan_member(info, "boot"), error = scan_member(whole, "error");
    bool is_tdad = scan_is(scan_member(info, "name"), "tdad");
    scan_string(boot.p ? boot : scan_member(info, "pid"), c->boot, sizeof c->boot);
    s = is_tdad ? TDA_CLIENT_OK : scan_member(error, "data").p ? client_refused(c, error, e) : foreign(c, e);
    nng_msg_free(reply);
    return s;
}

/* On a thread of nng's. Its socket is of no use any more: what it leads to next is not known to be the same daemon. */
static void on_lost(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct tda_client *c = arg;
    (void)pipe, (void)event;
    atomic_store(&c->lost, true);
}

/* Debian's, and where others have theirs. NULL: nowhere. */
static const char *system_authorities(void) {
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) == 0) return files[i];
    return NULL;
}

static int set_tls(const struct tda_client *c, nng_dialer dialer) {
    nng_tls_config *tls;
    const char *authorities = c->ca_file && c->ca_file[0] ? c->ca_file : system_authorities();
    int rc = nng_tls_config_alloc(&tls, NNG_TLS_MODE_CLIENT);
    if (rc) return rc;
    rc = nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED);
    if (!rc && authorities) rc = nng_tls_config_ca_file(tls, authorities);
    if (!rc) rc = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls);
    nng_tls_config_free(tls);
    return rc;
}

static int dial(const struct tda_client *c) {
    nng_dialer dialer;
    bool is_tls = strncmp(c->url, "tls+tcp://", 10) == 0 || strncmp(c->url, "wss://", 6) == 0;
    int rc = nng_dialer_create(&dialer, c->socket, c->url);
    if (!rc && is_tls) rc = set_tls(c, dialer);
    return rc ? rc : nng_dialer_start(dialer, 0);
}

enum tda_client_status connection_open(struct tda_client *c, struct tda_client_error *e) {
    connection_close(c);
    int rc = nng_req0_open(&c->socket);
    if (rc) return unreachable(c, rc, e);
    c->connected = true;
    atomic_store(&c->lost, false);
    nng_pipe_notify(c->socket, NNG_PIPE_EV_REM_POST, on_lost, c);
    nng_socket_set_ms(c->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    nng_socket_set_ms(c->socket, NNG_OPT_RECONNMINT, NEVER_MS);
    nng_socket_set_ms(c->socket, NNG_OPT_RECONNMAXT, NEVER_MS);
    nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, 0);
    nng_socket_set_ms(c->socket, NNG_OPT_SENDTIMEO, DIAL_MS);
    nng_socket_set_bool(c->socket, NNG_OPT_TCP_KEEPALIVE, true);
    rc = dial(c);
    enum tda_client_status s = rc ? unreachable(c, rc, e) : greet(c, e);
    if (s) connection_close(c);
    return s;
}

void connection_close(struct tda_client *c) {
    if (c->connected) nng_close(c->socket);
    c->connected = false;
}
