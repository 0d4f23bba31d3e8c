/* application/vnd.amazon.eventstream, as AWS streams answers:
 *
 *     total u32 | headers u32 | CRC-32 of these 8 | headers... | payload... | CRC-32 of all before
 *     header: name u8+bytes | type u8 | value by type            numbers are big-endian, total counts everything
 *
 * A message is held until it is whole; nothing of it is handed on before its checksum fits. Headers and payload together may be
 * max_item bytes. The length is believed only when the prelude's checksum fits, so that a stream that is something else is told at
 * its twelfth byte. One owner, one thread. */
#include <stdio.h>

#include "base/buf.h"
#include "loop/flow_impl.h"

enum { PRELUDE = 12, AROUND = PRELUDE + 4, HEADERS_BYTES_MAX = 128 << 10, TYPE_STRING = 7 };

struct eventstream {
    struct buf held;
    size_t max_item;
    const char *why; /* it failed with E_PROTOCOL */
};

struct message {
    tda_str kind, name, error, data;
};

tda_status eventstream_new(size_t max_item, struct eventstream **ret) {
    struct eventstream *s = calloc(1, sizeof *s);
    if (!s) return TDA_E_NOMEM;
    buf_init(&s->held, max_item < SIZE_MAX - AROUND ? max_item + AROUND : max_item);
    s->max_item = max_item;
    *ret = s;
    return TDA_OK;
}

void eventstream_free(struct eventstream *s) {
    if (!s) return;
    buf_fini(&s->held);
    free(s);
}

const char *eventstream_why(const struct eventstream *s) {
    return s->why ? s->why : "";
}

static tda_status broken(struct eventstream *s, const char *why) {
    s->why = why;
    return TDA_E_PROTOCOL;
}

/* ---- numbers ---- */

/* The polynomial of zlib and Ethernet, four bits at a time. */
uint32_t eventstream_crc(tda_str bytes) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= (unsigned char)bytes.p[i];
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

static uint32_t u32(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* ---- headers ---- */

/* Cuts n bytes off the front; false when there are not that many. */
static bool cut(tda_str *from, size_t n, tda_str *ret) {
    if (n > from->n) return false;
    *ret = (tda_str){from->p, n};
    *from = (tda_str){from->p + n, from->n - n};
    return true;
}

static bool cut_value(tda_str *from, unsigned char type, tda_str *ret) {
    static const size_t sizes[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16}; /* true, false, byte, short, int, long, -, -, time, uuid */
    if (type >= ARRAY_LEN(sizes)) return false;
    if (type != TYPE_STRING && type != TYPE_STRING - 1) return cut(from, sizes[type], ret);
    tda_str n;
    return cut(from, 2, &n) && cut(from, (size_t)(unsigned char)n.p[0] << 8 | (unsigned char)n.p[1], ret);
}

static void take_header(struct message *m, tda_str name, tda_str value) {
    if (tda_str_eq(name, TDA_STR(":message-type")))
        m->kind = value;
    else if (tda_str_eq(name, TDA_STR(":event-type")) || tda_str_eq(name, TDA_STR(":exception-type")) ||
             tda_str_eq(name, TDA_STR(":error-code")))
        m->name = value;
    else if (tda_str_eq(name, TDA_STR(":error-message")))
        m->error = value;
}

static bool read_headers(tda_str headers, struct message *m) {
    while (headers.n) {
        tda_str n, name, type, value;
        if (!cut(&headers, 1, &n) || !cut(&headers, (unsigned char)n.p[0], &name) || !cut(&headers, 1, &type)) return false;
        if (!cut_value(&headers, (unsigned char)type.p[0], &value)) return false;
        if (type.p[0] == TYPE_STRING) take_header(m, name, value);
    }
    return true;
}

/* ---- messages ---- */

static tda_status check_prelude(struct eventstream *s) {
    const char *p = s->held.p;
    if (u32(p + 8) != eventstream_crc((tda_str){p, 8})) return broken(s, "the checksum of a frame's head is wrong");
    size_t total = u32(p), headers = u32(p + 4);
    if (total < AROUND || headers > total - AROUND || headers > HEADERS_BYTES_MAX)
        return broken(s, "a frame's lengths make no sense");
    return total - AROUND > s->max_item ? TDA_E_LIMIT : TDA_OK;
}

static tda_status hand_on(struct eventstream *s, framer_item_fn fn, void *arg) {
    const char *p = s->held.p;
    size_t total = s->held.n, headers = u32(p + 4);
    struct message m = {.kind = {0}};
    if (u32(p + total - 4) != eventstream_crc((tda_str){p, total - 4})) return broken(s, "the checksum of a frame is wrong");
    if (!read_headers((tda_str){p + PRELUDE, headers}, &m)) return broken(s, "the headers of a frame are malformed");
    m.data = (tda_str){p + PRELUDE + headers, total - AROUND - headers};
    if (!m.data.n && m.error.p) m.data = m.error;
    if (!fn(arg, m.name, m.kind, m.data)) return TDA_E_CANCELLED; /* the owner may be gone */
    buf_clear(&s->held);
    return TDA_OK;
}

tda_status eventstream_feed(struct eventstream *s, tda_str bytes, framer_item_fn fn, void *arg) {
    tda_status status = TDA_OK;
    while (bytes.n && !status) {
        size_t want = (s->held.n < PRELUDE ? PRELUDE : u32(s->held.p)) - s->held.n;
        tda_str piece;
        cut(&bytes, want < bytes.n ? want : bytes.n, &piece);
        status = buf_add_str(&s->held, piece);
        if (!status && s->held.n == PRELUDE) status = check_prelude(s);
        if (!status && s->held.n >= AROUND && s->held.n == u32(s->held.p)) status = hand_on(s, fn, arg);
    }
    return status;
}

tda_status eventstream_end(struct eventstream *s) {
    return s->held.n ? broken(s, "it ends within a frame") : TDA_OK;
}
