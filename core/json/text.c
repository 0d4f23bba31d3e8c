#include "json/text.h"

#include "json/json.h"

static bool follows(unsigned char c) {
    return (c & 0xC0) == 0x80;
}

size_t utf8_sequence(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    if (n == 0) return 0;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2) return 0;
    if (p[0] < 0xE0) return n >= 2 && follows(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        if (n < 3 || !follows(p[1]) || !follows(p[2])) return 0;
        if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
        if (p[0] == 0xED && p[1] > 0x9F) return 0;
        return 3;
    }
    if (p[0] > 0xF4 || n < 4 || !follows(p[1]) || !follows(p[2]) || !follows(p[3])) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;
    if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
}

static bool kept(const char *p, size_t n) {
    unsigned char c = (unsigned char)p[0];
    if (c == 0x7F || (c < 0x20 && c != '\n' && c != '\t')) return false;
    if (n == 2 && c == 0xC2 && (unsigned char)p[1] < 0xA0) return false; /* C1 controls */
    return !(n == 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0);               /* BOM */
}

tda_status text_sanitise(tda_str s, struct buf *out) {
    size_t i = 0, run = 0;
    while (i < s.n) {
        if (s.p[i] >= 0x20 && s.p[i] < 0x7F) { /* by far the most */
            i++;
            continue;
        }
        size_t n = utf8_sequence(s.p + i, s.n - i);
        if (n && kept(s.p + i, n)) {
            i += n;
            continue;
        }
        buf_add(out, s.p + run, i - run);
        if (!n) buf_add_z(out, UTF8_REPLACEMENT);
        i += n ? n : 1;
        run = i;
    }
    return buf_add(out, s.p + run, i - run);
}
