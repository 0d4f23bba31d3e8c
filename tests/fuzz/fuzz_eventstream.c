/* AWS's event stream: the input as a stream, and as the headers and payload of a frame whose checksums are right; the same items
 * whatever the cut, and none after a failure. */
#include "framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(tda_str text) {
    same_in_any_cut(TDA_FRAME_AWS_EVENTSTREAM, 300, text, text.n % 9 + 1);
}

static void put_u32(struct buf *out, uint32_t v) {
    const unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
    buf_add(out, b, sizeof b);
}

/* Otherwise hardly an input would get past the checksums. */
static void with_right_checksums(tda_str inside, uint32_t headers) {
    static struct buf out = {.max = 64 << 20};
    buf_clear(&out);
    put_u32(&out, (uint32_t)inside.n + 16);
    put_u32(&out, headers);
    put_u32(&out, eventstream_crc(buf_str(&out)));
    buf_add_str(&out, inside);
    put_u32(&out, eventstream_crc(buf_str(&out)));
    check(buf_str(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tda_str text = {(const char *)data, size};
    if (!size) return 0;
    check(text);
    with_right_checksums((tda_str){text.p + 1, size - 1}, data[0]);
    if (size > 12) with_right_checksums((tda_str){text.p + 12, size - 12}, (uint32_t)size - 12);
    return 0;
}
