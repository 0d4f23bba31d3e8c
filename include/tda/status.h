/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_STATUS_H
#define TDA_STATUS_H

#include <stdint.h>

/* What a call into the host, or into a plugin, came to. 0 is success, negative numbers are failures. Numbers are written
 * out and never reused; a number that you do not know is a failure like TDA_E_INTERNAL.
 *
 *   X(name, number, text for people) */
#define TDA_STATUS_MAP(X)                                                                                                          \
    X(OK, 0, "success")                                                                                                            \
    X(E_INVALID, -1, "an argument or a value is not acceptable")                                                                   \
    X(E_NOMEM, -2, "out of memory")                                                                                                \
    X(E_STALE, -3, "the handle has ended, or belongs to another thread")                                                           \
    X(E_NOT_FOUND, -4, "not found")                                                                                                \
    X(E_EXISTS, -5, "exists already")                                                                                              \
    X(E_LIMIT, -6, "a limit was reached")                                                                                          \
    X(E_AGAIN, -7, "not now: wait for the event that says when")                                                                   \
    X(E_TIMEOUT, -8, "the deadline has passed")                                                                                    \
    X(E_CANCELLED, -9, "cancelled")                                                                                                \
    X(E_CLOSED, -10, "closed by the other side")                                                                                   \
    X(E_IO, -11, "input or output failed")                                                                                         \
    X(E_PROTOCOL, -12, "the other side broke its protocol")                                                                        \
    X(E_DENIED, -13, "not allowed")                                                                                                \
    X(E_UNSUPPORTED, -14, "not supported")                                                                                         \
    X(E_ABI, -15, "made for another version of the interface")                                                                     \
    X(E_CONFLICT, -16, "in conflict with what is there")                                                                           \
    X(E_BUSY, -17, "busy: come back later")                                                                                        \
    X(E_SYNTAX, -18, "not well-formed")                                                                                            \
    X(E_INTERNAL, -19, "a fault inside the host or the plugin")

typedef int32_t tda_status;

enum tda_status_number {
#define TDA_STATUS_ENUM(name, number, text) TDA_##name = (number),
    TDA_STATUS_MAP(TDA_STATUS_ENUM)
#undef TDA_STATUS_ENUM
};

#endif
