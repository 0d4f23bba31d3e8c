#include "server/sp.h"

uint64_t sp_length(const unsigned char p[SP_LENGTH_SIZE]) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v = v << 8 | p[i];
    return v;
}

void sp_handshake(unsigned char out[SP_HANDSHAKE_SIZE]) {
    static const unsigned char ours[SP_HANDSHAKE_SIZE] = {0, 'S', 'P', 0, 0, SP_REP, 0, 0};
    memcpy(out, ours, sizeof ours);
}

size_t sp_head(const struct sp *sp, uint64_t n, unsigned char out[SP_HEAD_MAX]) {
    size_t at = 0;
    if (sp->is_ipc) out[at++] = 1;
    for (int i = 0; i < 8; i++) out[at++] = (unsigned char)(n >> (56 - 8 * i));
    return at;
}

/* Judged byte by byte, so that garbage is seen at once and not after eight bytes. */
static struct sp_item read_greeting(struct sp *sp, tda_str bytes) {
    static const unsigned char theirs[SP_HANDSHAKE_SIZE] = {0, 'S', 'P', 0, 0, SP_REQ, 0, 0};
    size_t n = bytes.n < sizeof theirs ? bytes.n : sizeof theirs;
    if (n && memcmp(bytes.p, theirs, n) != 0) return (struct sp_item){.kind = SP_BAD};
    if (n < sizeof theirs) return (struct sp_item){.kind = SP_MORE};
    sp->greeted = true;
    return (struct sp_item){.kind = SP_GREETING, .used = sizeof theirs};
}

/* Size of the backtrace at the front of what has arrived; 0: it is not whole yet; SIZE_MAX: there is none within the hops allowed.
 */
static size_t backtrace_size(tda_str payload) {
    for (size_t at = 0; at + 4 <= payload.n; at += 4) {
        if (at / 4 > SP_HOPS_MAX) return SIZE_MAX;
        if ((unsigned char)payload.p[at] & 0x80) return at + 4;
    }
    return payload.n / 4 > SP_HOPS_MAX ? SIZE_MAX : 0;
}

struct sp_item sp_read(struct sp *sp, tda_str bytes) {
    struct sp_item item = {.kind = SP_MORE};
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t head = sp->is_ipc ? 9 : 8;
    if (!sp->greeted) return read_greeting(sp, bytes);
    if (sp->is_ipc && bytes.n && p[0] != 1) return (struct sp_item){.kind = SP_BAD};
    if (bytes.n < head) return item;
    item.claimed = sp_length(p + head - 8);
    tda_str here = {bytes.p + head, bytes.n - head};
    bool whole = here.n >= item.claimed;
    if (whole) here.n = (size_t)item.claimed;
    size_t trace = backtrace_size(here);
    if (trace == SIZE_MAX || (!trace && whole)) return (struct sp_item){.kind = SP_BAD};
    if (!trace || (!whole && item.claimed <= sp->max)) return item;
    item.backtrace = (tda_str){here.p, trace};
    if (item.claimed > sp->max) {
        item.kind = SP_OVERSIZE;
        item.used = bytes.n;
        return item;
    }
    item.kind = SP_MESSAGE;
    item.text = (tda_str){here.p + trace, here.n - trace};
    item.used = head + here.n;
    return item;
}
