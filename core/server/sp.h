/* The wire of nng's REQ/REP over byte streams (SP, nanomsg's RFC 1 and 3): decoding whatever a client sends, in any cut. Pure.
 *
 *   handshake   00 'S' 'P' 00, protocol (2 bytes), 00 00; each side sends one
 *   frame       on ipc one byte 01 in front; length (8 bytes, big endian); payload
 *   payload     words of 4 bytes up to the first with its top bit set (the request id, after the ids of devices passed), then text
 *
 * A websocket's messages are payloads without handshake and length; connection.c puts the length in front.
 */
#ifndef SERVER_SP_H
#define SERVER_SP_H

#include "base/base.h"

enum { SP_HANDSHAKE_SIZE = 8, SP_LENGTH_SIZE = 8, SP_HEAD_MAX = 9, SP_HOPS_MAX = 15, SP_REQ = 0x30, SP_REP = 0x31 };

struct sp {
    bool is_ipc;
    bool greeted;
    uint64_t max; /* of a payload */
};

enum sp_kind {
    SP_MORE,     /* nothing whole yet */
    SP_GREETING, /* the other side's handshake, and it is a REQ */
    SP_MESSAGE,
    SP_OVERSIZE, /* a payload above max is announced; its backtrace is here, its text is not read */
    SP_BAD       /* no such protocol: close */
};

struct sp_item {
    enum sp_kind kind;
    size_t used;       /* bytes to drop from the front */
    tda_str backtrace; /* words up to and with the request id */
    tda_str text;
    uint64_t claimed; /* length of the payload */
};

/* Looks at what has arrived so far; the views point into `bytes`. */
struct sp_item sp_read(struct sp *sp, tda_str bytes);
void sp_handshake(unsigned char out[SP_HANDSHAKE_SIZE]); /* ours: REP */
/* The frame's head for a payload of n bytes; its size. */
size_t sp_head(const struct sp *sp, uint64_t n, unsigned char out[SP_HEAD_MAX]);
uint64_t sp_length(const unsigned char p[SP_LENGTH_SIZE]); /* what stands there */

#endif
