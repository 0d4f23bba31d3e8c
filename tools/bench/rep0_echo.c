/* The floor with nng's own protocol: rep0 with 64 contexts that send back what came. usage: bench_rep0_echo URL */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONTEXTS = 64 };

struct work {
    nng_ctx ctx;
    nng_aio *aio;
    int sending;
};

static void step(void *arg) {
    struct work *w = arg;
    if (nng_aio_result(w->aio)) return;
    if (!w->sending) {
        w->sending = 1; /* the message is the aio's still: it goes back */
        nng_ctx_send(w->ctx, w->aio);
    } else {
        w->sending = 0;
        nng_ctx_recv(w->ctx, w->aio);
    }
}

int main(int argc, char **argv) {
    static struct work work[CONTEXTS];
    nng_socket s;
    if (argc != 2 || nng_rep0_open(&s)) return 2;
    for (int i = 0; i < CONTEXTS; i++)
        if (nng_ctx_open(&work[i].ctx, s) || nng_aio_alloc(&work[i].aio, step, &work[i])) return 1;
    if (nng_listen(s, argv[1], NULL, 0)) return 1;
    for (int i = 0; i < CONTEXTS; i++) nng_ctx_recv(work[i].ctx, work[i].aio);
    pause();
    return 0;
}
