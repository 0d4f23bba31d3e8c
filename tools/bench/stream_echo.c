/* The floor with nng's streams: REP by hand for one connection after the other, sending back what came; no bounds, no checks.
 * usage: bench_stream_echo URL (ipc) */
#include <nng/nng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

struct connection {
    nng_stream *stream;
    nng_aio *recv_aio, *send_aio;
    int greeted, busy;
    size_t have, out_n, sending_n, sent;
    char in[BUFFER], out[BUFFER], sending[BUFFER];
};

static void receive(struct connection *c) {
    nng_iov iov = {c->in + c->have, sizeof c->in - c->have};
    nng_aio_set_iov(c->recv_aio, 1, &iov);
    nng_stream_recv(c->stream, c->recv_aio);
}

static void send_some(struct connection *c) {
    nng_iov iov = {c->sending + c->sent, c->sending_n - c->sent};
    nng_aio_set_iov(c->send_aio, 1, &iov);
    nng_stream_send(c->stream, c->send_aio);
}

/* What has been echoed goes out; the next part is read when it is gone. */
static void flush(struct connection *c) {
    memcpy(c->sending, c->out, c->out_n);
    c->sending_n = c->out_n;
    c->out_n = c->sent = 0;
    send_some(c);
}

static void sent(void *arg) {
    struct connection *c = arg;
    if (nng_aio_result(c->send_aio)) return;
    c->sent += nng_aio_count(c->send_aio);
    if (c->sent < c->sending_n)
        send_some(c);
    else
        receive(c);
}

static void received(void *arg) {
    struct connection *c = arg;
    size_t at = 0;
    if (nng_aio_result(c->recv_aio)) return;
    c->have += nng_aio_count(c->recv_aio);
    if (!c->greeted && c->have >= 8) {
        c->greeted = 1;
        at = 8;
    }
    while (c->greeted && c->have - at >= 9) {
        unsigned long long size = 0;
        for (int i = 1; i < 9; i++) size = size << 8 | (unsigned char)c->in[at + (size_t)i];
        if (c->have - at < 9 + size) break;
        memcpy(c->out + c->out_n, c->in + at, 9 + size);
        c->out_n += 9 + size;
        at += 9 + size;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    if (c->out_n)
        flush(c);
    else
        receive(c);
}

int main(int argc, char **argv) {
    nng_stream_listener *l;
    nng_aio *aio;
    if (argc != 2 || nng_stream_listener_alloc(&l, argv[1]) || nng_stream_listener_listen(l) || nng_aio_alloc(&aio, NULL, NULL))
        return 1;
    for (;;) {
        nng_stream_listener_accept(l, aio);
        nng_aio_wait(aio);
        if (nng_aio_result(aio)) continue;
        struct connection *c = calloc(1, sizeof *c);
        if (!c) return 1;
        c->stream = nng_aio_get_output(aio, 0);
        nng_aio_alloc(&c->recv_aio, received, c);
        nng_aio_alloc(&c->send_aio, sent, c);
        static const char greeting[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
        memcpy(c->out, greeting, sizeof greeting);
        c->out_n = 8;
        flush(c);
    }
}
