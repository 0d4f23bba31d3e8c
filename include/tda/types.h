/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_TYPES_H
#define TDA_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tda/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Words used by every header here.
 *
 * Threads. Each function names where it may be called:
 *   [boot]    once, while the plugin is loaded, on the thread that loads it
 *   [loop]    on the loop thread that owns the handle; callbacks come there, one at a time
 *   [worker]  on a worker thread, only for plugins that declare themselves blocking
 *   [any]     on every thread
 * Ownership. Pointers are borrowed: what is passed in either direction lives until that call returns, unless said otherwise.
 * Growth. A struct that starts with `size` is filled in by its writer with sizeof; a reader looks at no field beyond `size`
 * (TDA_HAS). New fields come at the end. Numbers of enumerations are never reused; ignore those you do not know. */

/* A handle is {slot, generation}: used late, after its end, or from another thread, it answers TDA_E_STALE. 0 is no handle. */
typedef uint64_t tda_call;   /* one request: ends with finish, then drop                                        */
typedef uint64_t tda_conn;   /* one connection of an adapter: outlives calls, ends with closed, then drop       */
typedef uint64_t tda_flow;   /* one exchange that the host runs: an HTTP request or a child process             */
typedef uint64_t tda_handle; /* a call or a connection, where both fit                                          */

/* Borrowed UTF-8 text or bytes, not NUL-terminated. {NULL, 0} is "absent"; {p, 0} is "empty". */
typedef struct tda_str {
    const char *p;
    size_t n;
} tda_str;

typedef struct tda_kv {
    tda_str key;
    tda_str val;
} tda_kv;

/* Does a struct that was written with `size` bytes hold `field`? */
#define TDA_HAS(ptr, type, field) ((ptr)->size >= offsetof(type, field) + sizeof((ptr)->field))

/* A tda_str from a string literal. */
#ifdef __cplusplus
#define TDA_STR(literal) (tda_str{"" literal, sizeof(literal) - 1})
#else
#define TDA_STR(literal) ((tda_str){"" literal, sizeof(literal) - 1})
#endif

static inline tda_str tda_str_of(const char *s) {
    tda_str r;
    r.p = s;
    r.n = s ? strlen(s) : 0;
    return r;
}

static inline int32_t tda_str_eq(tda_str a, tda_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#ifdef __cplusplus
}
#endif
#endif
