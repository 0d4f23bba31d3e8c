/* Framing: the same items whatever the cut. The first byte chooses the framing, the second the cut. */
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

static tda_status frame(uint32_t framing, tda_str text, size_t cut, struct buf *out) {
    struct framer *f;
    if (framer_new(framing, 200, &f)) abort();
    tda_status s = TDA_OK;
    for (size_t at = 0; at < text.n && !s; at += cut)
        s = framer_feed(f, (tda_str){text.p + at, text.n - at < cut ? text.n - at : cut}, collect, out);
    if (!s) s = framer_end(f, collect, out);
    framer_free(f);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole, pieces;
    if (size < 3) return 0;
    uint32_t framing = data[0] % 3 + 1;
    tda_str text = {(const char *)data + 2, size - 2};
    buf_init(&whole, 64 << 20);
    buf_init(&pieces, 64 << 20);
    tda_status a = frame(framing, text, text.n, &whole), b = frame(framing, text, (size_t)data[1] % 9 + 1, &pieces);
    if (a != b || !tda_str_eq(buf_str(&whole), buf_str(&pieces))) abort();
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
