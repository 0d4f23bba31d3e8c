/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_PROVIDER_H
#define TDA_PROVIDER_H

#include "tda/host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TDA_PROVIDER_ID "tda.provider/1"

enum tda_provider_flags {
    TDA_P_BLOCKING = 1 /* run is called on a worker instead of start on the loop: for libraries that block        */
};

/* A provider is a codec: chat request -> HTTP request -> events. One instance (self) per loop thread; all callbacks of an
 * instance come on that thread, so a plugin needs no lock. Users are pinned to loops.
 *
 * For each start that returned TDA_OK: any number of on_flow and on_wake, at most one cancel, then exactly one drop. A start
 * that returned an error gets no drop and is an INTERNAL failure of the call. A plugin whose last flow has ended, with no timer
 * or wake pending, and which has not finished, is finished by the host with PROTOCOL, and counted as a bug. */
struct tda_provider {
    uint32_t size;
    uint32_t flags;           /* enum tda_provider_flags */
    uint32_t call_state_size; /* bytes of host->state(call), at most 64 KiB                                       */
    uint32_t reserved;

    /* [loop] Once per loop, before anything else on it. ret_self may stay NULL. */
    tda_status (*open)(uint32_t loop_index, void **ret_self);
    /* [loop] Once per loop, when every call on it has been dropped. */
    void (*close)(void *self);

    /* [loop] Begin. finish may be called at once: drop comes later all the same. */
    tda_status (*start)(void *self, tda_call call, const struct tda_request *request);
    void (*on_flow)(void *self, tda_call call, const struct tda_flow_event *event); /* [loop] */
    void (*on_wake)(void *self, tda_call call, uint64_t token);                     /* [loop] wake and timer; may be NULL */
    void (*cancel)(void *self, tda_call call); /* [loop] Stop soon: finish is taken as CANCELLED; may be NULL     */
    void (*drop)(void *self, tda_call call);   /* [loop] The state goes after this returns; may be NULL           */

    /* [worker] Only TDA_P_BLOCKING, instead of start and on_flow, which may be NULL then: the whole call is done here, with a
     * request that stays until this returns. log, extension, state, emit, finish, wake, ctx_get, setting, secret_get and
     * "tda.json/1" work on this thread, on it alone; the rest (flows, timers, objects) is the loop's and says STALE.
     *
     * Many run at once, so what they share, self included, needs the plugin's own lock. A deadline or a cancel answers the caller
     * at once; `cancel` then comes on the loop while run works, so that it can stop early (an atomic flag in the state, a library's
     * interrupt). drop comes once run has returned and the call has ended; a call that ended before run began is never heard of.
     * Returning without finish is PROTOCOL and counted as a bug; returning an error is INTERNAL. Never call exit or longjmp out. */
    tda_status (*run)(void *self, tda_call call, const struct tda_request *request);
};

#ifdef __cplusplus
}
#endif
#endif
