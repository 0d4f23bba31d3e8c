/* One nng REQ socket on one connection. nng would connect again by itself, and repeat a request by its own clock or when a
 * connection ends: all of that is off here, because what is repeated is decided in client.c, where it is known what may be. */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "internal.h"

enum { DIAL_MS = 5000, SLICE_MS = 200, NEVER_MS = 1 << 30 };

static const char hello[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.info\"}";

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

/* Who answers: a restarted daemon has another boot. */
static enum tda_client_status greet(struct tda_client *c, struct tda_client_error *e) {
    nng_msg *reply = NULL;
    enum tda_client_status s = connection_exchange(c, hello, sizeof hello - 1, DIAL_MS, &reply, e);
    if (s) return s;
    struct span info = scan_member(scan_value(nng_msg_body(reply), nng_msg_len(reply)), "result"), boot = scan_member(info, "boot");
    bool is_tdad = scan_is(scan_member(info, "name"), "tdad");
    scan_string(boot.p ? boot : scan_member(info, "pid"), c->boot, sizeof c->boot);
    nng_msg_free(reply);
    return is_tdad ? TDA_CLIENT_OK : foreign(c, e);
}

/* On a thread of nng's. Its socket is of no use any more: what it leads to next is not known to be the same daemon. */
static void on_lost(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct tda_client *c = arg;
    (void)pipe, (void)event;
    atomic_store(&c->lost, true);
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
    rc = nng_dial(c->socket, c->url, NULL, 0);
    enum tda_client_status s = rc ? unreachable(c, rc, e) : greet(c, e);
    if (s) connection_close(c);
    return s;
}

void connection_close(struct tda_client *c) {
    if (c->connected) nng_close(c->socket);
    c->connected = false;
}
