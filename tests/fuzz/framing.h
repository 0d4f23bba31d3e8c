/* What the targets of framing share: all items of a text that is fed in pieces, as bytes that can be compared. */
#ifndef FUZZ_FRAMING_H
#define FUZZ_FRAMING_H

#include "base/buf.h"
#include "loop/flow_impl.h"

/* Lengths as they lie in memory: printed they took a third of the time. */
static void put_counted(struct buf *out, tda_str s) {
    buf_add(out, &s.n, sizeof s.n);
    buf_add_str(out, s);
}

static bool collect(void *arg, tda_str name, tda_str id, tda_str data) {
    put_counted(arg, name);
    put_counted(arg, id);
    put_counted(arg, data);
    return true;
}

/* A failure has a reason where the framing gives reasons, and only then. */
static tda_status frame(uint32_t framing, size_t max_item, tda_str text, size_t cut, struct buf *out) {
    struct framer *f;
    if (framer_new(framing, max_item, &f)) abort();
    buf_clear(out);
    tda_status s = TDA_OK;
    for (size_t at = 0; at < text.n && !s; at += cut)
        s = framer_feed(f, (tda_str){text.p + at, text.n - at < cut ? text.n - at : cut}, collect, out);
    if (!s) s = framer_end(f, collect, out);
    if (framing == TDA_FRAME_AWS_EVENTSTREAM && (s == TDA_E_PROTOCOL) != (framer_why(f)[0] != 0)) abort();
    framer_free(f);
    return s;
}

/* Both keep their memory from input to input. */
static void same_in_any_cut(uint32_t framing, size_t max_item, tda_str text, size_t cut) {
    static struct buf whole = {.max = 64 << 20}, pieces = {.max = 64 << 20};
    tda_status a = frame(framing, max_item, text, text.n, &whole), b = frame(framing, max_item, text, cut, &pieces);
    if (a != b || !tda_str_eq(buf_str(&whole), buf_str(&pieces))) abort();
}

#endif
