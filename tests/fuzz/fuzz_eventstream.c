/* AWS's event stream: the input as a stream, and as the headers and payload of a frame whose checksums are right; the same items
 * whatever the cut, and none after a failure. */
#include "base/buf.h"
#include "loop/flow_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool collect(void *arg, tda_str name, tda_str id, tda_str data) {
    buf_addf(arg, "<%zu|", name.n);
    buf_add_str(arg, name);
    buf_addf(arg, "|%zu|", id.n);
    buf_add_str(arg, id);
    buf_addf(arg, "|%zu|", data.n);
    buf_add_str(arg, data);
    return true;
}

static tda_status frame(tda_str text, size_t cut, struct buf *out) {
    struct framer *f;
    if (framer_new(TDA_FRAME_AWS_EVENTSTREAM, 300, &f)) abort();
    tda_status s = TDA_OK;
    for (size_t at = 0; at < text.n && !s; at += cut)
        s = framer_feed(f, (tda_str){text.p + at, text.n - at < cut ? text.n - at : cut}, collect, out);
    if (!s) s = framer_end(f, collect, out);
    if ((s == TDA_E_PROTOCOL) != (framer_why(f)[0] != 0)) abort();
    framer_free(f);
    return s;
}

static void same_in_any_cut(tda_str text) {
    struct buf whole, pieces;
    buf_init(&whole, 64 << 20);
    buf_init(&pieces, 64 << 20);
    tda_status a = frame(text, text.n, &whole), b = frame(text, text.n % 9 + 1, &pieces);
    if (a != b || !tda_str_eq(buf_str(&whole), buf_str(&pieces))) abort();
    buf_fini(&whole);
    buf_fini(&pieces);
}

static void put_u32(struct buf *out, uint32_t v) {
    const unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
    buf_add(out, b, sizeof b);
}

/* Otherwise hardly an input would get past the checksums. */
static void with_right_checksums(tda_str inside, uint32_t headers) {
    struct buf out;
    buf_init(&out, 64 << 20);
    put_u32(&out, (uint32_t)inside.n + 16);
    put_u32(&out, headers);
    put_u32(&out, eventstream_crc(buf_str(&out)));
    buf_add_str(&out, inside);
    put_u32(&out, eventstream_crc(buf_str(&out)));
    same_in_any_cut(buf_str(&out));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tda_str text = {(const char *)data, size};
    if (!size) return 0;
    same_in_any_cut(text);
    with_right_checksums((tda_str){text.p + 1, size - 1}, data[0]);
    if (size > 12) with_right_checksums((tda_str){text.p + 12, size - 12}, (uint32_t)size - 12);
    return 0;
}
