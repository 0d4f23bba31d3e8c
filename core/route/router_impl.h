/* Inside of the router: what router.c and in_flight.c share. */
#ifndef ROUTE_ROUTER_IMPL_H
#define ROUTE_ROUTER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash_table.h"
#include "route/request.h"

enum { CONNECTION_BUCKETS = 1024 };

struct user_load {
    UT_hash_handle hh;
    uint64_t n;
    _Atomic uint64_t answered; /* of these: so far that their replies are on their way, so a client may ask anew */
    struct request *alone;     /* waits for n to be 1: the user is being erased */
    size_t key_n;
    char key[];
};

struct router {
    struct router_options o;
    _Atomic(struct agent *) agent; /* o.agent, or that of the last reload */
    struct idempotency *idempotency;
    struct tasks *tasks;
    int64_t started_ns;
    struct meter *meters; /* by method */
    _Atomic uint64_t serial, requests, errors, refused, cancelled;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    uint64_t in_flight;
    _Atomic uint64_t answered; /* of in_flight */
    struct user_load *users;
    struct request *by_connection[CONNECTION_BUCKETS];
    bool draining;
};

void request_unref(struct request *q);

/* ---- in_flight.c ---- */

/* Counts the request in, or says why not. On the lists from here to its reply. */
tda_status request_enter(struct request *q, struct error *e);
void request_answering(struct request *q); /* before its reply: from now it counts against no limit */
void request_leave(struct request *q);     /* harmless when it was not counted */
/* Before the reply, so that who has read it is not refused any more. */
void request_alone_no_more(struct request *q);

#endif
