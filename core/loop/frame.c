/* Cuts a byte stream into items: SSE events, NDJSON lines, plain lines, or bytes as they come; AWS's frames in frame_aws.c.
 *
 * However the stream is cut into feeds, the items are the same. A line that lies whole within one feed is handed on from where it
 * is; only what crosses a border is copied. No line and no SSE event (name, id and data together) may be longer than max_item;
 * bytes as they come are not held, so nothing caps them here. After a failure the framer can only be freed.
 *
 * SSE is the WHATWG's (HTML, 9.2.6 "Interpreting an event stream"): lines end with CR LF, LF or CR, one byte order mark at the
 * start is skipped. Bytes are handed on undecoded. BY_TYPE is SSE for those who resume: an event without data comes too when it has
 * an id or a retry, which the standard keeps to itself. One owner, one thread. */
#include "base/buf.h"
#include "loop/flow_impl.h"

enum { RETRY_MAX_MS = 3600 * 1000 };

struct framer {
    uint32_t framing;
    size_t max_item;
    struct buf line;     /* the beginning of a line whose end has not come */
    bool skip_lf;        /* SSE: the last line ended with CR, a LF now belongs to it */
    bool started;        /* SSE: the first line is behind us, and with it the byte order mark */
    bool has_data;       /* SSE: a data line came since the last event */
    struct buf data;     /* SSE: lines joined by LF */
    struct buf name, id; /* SSE: id stays from event to event */
    bool has_id;         /* SSE: an id line came since the last event */
    int64_t retry_ms;    /* SSE: of this event; -1: none */
    struct eventstream *aws;
};

tda_status framer_new(uint32_t framing, size_t max_item, struct framer **ret) {
    if (framing > TDA_FRAME_BY_TYPE) return TDA_E_INVALID;
    struct framer *f = calloc(1, sizeof *f);
    if (!f) return TDA_E_NOMEM;
    f->framing = framing;
    f->max_item = max_item;
    f->retry_ms = -1;
    /* The marks around a line's content (CR, byte order mark) are no part of the item. */
    buf_init(&f->line, max_item < SIZE_MAX - 8 ? max_item + 8 : max_item);
    buf_init(&f->data, max_item);
    buf_init(&f->name, max_item);
    buf_init(&f->id, max_item);
    tda_status s = framing == TDA_FRAME_AWS_EVENTSTREAM ? eventstream_new(max_item, &f->aws) : TDA_OK;
    if (s)
        framer_free(f);
    else
        *ret = f;
    return s;
}

static bool is_sse(const struct framer *f) {
    return f->framing == TDA_FRAME_SSE || f->framing == TDA_FRAME_BY_TYPE;
}

void framer_free(struct framer *f) {
    if (!f) return;
    buf_fini(&f->line);
    buf_fini(&f->data);
    buf_fini(&f->name);
    buf_fini(&f->id);
    eventstream_free(f->aws);
    free(f);
}

static tda_status hand_on(framer_item_fn fn, void *arg, tda_str name, tda_str id, tda_str data) {
    return fn(arg, name, id, data) ? TDA_OK : TDA_E_CANCELLED;
}

/* ---- lines of text ---- */

static tda_str strip_cr(tda_str line) {
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

static bool blank(tda_str line) {
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r') return false;
    return true;
}

static tda_status text_line(struct framer *f, tda_str line, framer_item_fn fn, void *arg) {
    line = strip_cr(line);
    if (line.n > f->max_item) return TDA_E_LIMIT;
    if (f->framing == TDA_FRAME_NDJSON && blank(line)) return TDA_OK;
    return hand_on(fn, arg, (tda_str){0}, (tda_str){0}, line);
}

/* ---- server-sent events ---- */

static tda_str absent_if_empty(const struct buf *b) {
    return b->n ? buf_str(b) : (tda_str){0};
}

static tda_status sse_dispatch(struct framer *f, framer_item_fn fn, void *arg) {
    tda_status s = TDA_OK;
    bool resumes = f->framing == TDA_FRAME_BY_TYPE && (f->has_id || f->retry_ms >= 0);
    if (f->has_data || resumes)
        s = hand_on(fn, arg, absent_if_empty(&f->name), absent_if_empty(&f->id), f->has_data ? buf_str(&f->data) : (tda_str){0});
    if (s) return s; /* the owner may be gone */
    f->has_data = f->has_id = false;
    f->retry_ms = -1;
    buf_clear(&f->data);
    buf_clear(&f->name);
    return TDA_OK;
}

static tda_status sse_data(struct framer *f, tda_str value) {
    if (f->has_data) buf_add_char(&f->data, '\n');
    f->has_data = true;
    return buf_add_str(&f->data, value);
}

static tda_status sse_replace(struct buf *b, tda_str value) {
    buf_clear(b);
    return buf_add_str(b, value);
}

/* Digits only, or it is ignored. */
static void sse_retry(struct framer *f, tda_str value) {
    int64_t ms = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') return;
        ms = ms < RETRY_MAX_MS ? ms * 10 + (value.p[i] - '0') : RETRY_MAX_MS;
    }
    if (value.n) f->retry_ms = ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static tda_status sse_id(struct framer *f, tda_str value) {
    f->has_id = true;
    return sse_replace(&f->id, value);
}

static tda_status sse_field(struct framer *f, tda_str field, tda_str value) {
    tda_status s = TDA_OK;
    if (tda_str_eq(field, TDA_STR("data")))
        s = sse_data(f, value);
    else if (tda_str_eq(field, TDA_STR("event")))
        s = sse_replace(&f->name, value);
    else if (tda_str_eq(field, TDA_STR("id")) && (!value.n || !memchr(value.p, 0, value.n)))
        s = sse_id(f, value);
    else if (tda_str_eq(field, TDA_STR("retry")))
        sse_retry(f, value);
    if (!s && f->data.n + f->name.n + f->id.n > f->max_item) s = TDA_E_LIMIT;
    return s;
}

static tda_status sse_line(struct framer *f, tda_str line, framer_item_fn fn, void *arg) {
    if (!f->started && line.n >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0) line = (tda_str){line.p + 3, line.n - 3};
    f->started = true;
    if (line.n > f->max_item) return TDA_E_LIMIT;
    if (line.n == 0) return sse_dispatch(f, fn, arg);
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == line.p) return TDA_OK; /* a comment */
    if (!colon) return sse_field(f, line, (tda_str){"", 0});
    size_t n = (size_t)(colon - line.p);
    tda_str value = {colon + 1, line.n - n - 1};
    if (value.n && value.p[0] == ' ') value = (tda_str){value.p + 1, value.n - 1};
    return sse_field(f, (tda_str){line.p, n}, value);
}

/* ---- finding lines ---- */

static const char *line_end(const struct framer *f, tda_str bytes) {
    const char *lf = memchr(bytes.p, '\n', bytes.n);
    if (!is_sse(f)) return lf;
    const char *cr = memchr(bytes.p, '\r', lf ? (size_t)(lf - bytes.p) : bytes.n);
    return cr ? cr : lf;
}

static tda_status one_line(struct framer *f, tda_str line, framer_item_fn fn, void *arg) {
    return is_sse(f) ? sse_line(f, line, fn, arg) : text_line(f, line, fn, arg);
}

/* `rest` ends the line that was begun in an earlier feed. */
static tda_status joined_line(struct framer *f, tda_str rest, framer_item_fn fn, void *arg) {
    tda_status s = buf_add_str(&f->line, rest);
    if (!s) s = one_line(f, buf_str(&f->line), fn, arg);
    if (!s) buf_clear(&f->line);
    return s;
}

static tda_status feed_lines(struct framer *f, tda_str bytes, framer_item_fn fn, void *arg) {
    while (bytes.n) {
        if (f->skip_lf && bytes.p[0] == '\n') bytes = (tda_str){bytes.p + 1, bytes.n - 1};
        f->skip_lf = false;
        const char *end = bytes.n ? line_end(f, bytes) : NULL;
        if (!end) return buf_add_str(&f->line, bytes);
        tda_str line = {bytes.p, (size_t)(end - bytes.p)};
        f->skip_lf = *end == '\r';
        tda_status s = f->line.n ? joined_line(f, line, fn, arg) : one_line(f, line, fn, arg);
        if (s) return s;
        bytes = (tda_str){end + 1, bytes.n - line.n - 1};
    }
    return TDA_OK;
}

tda_status framer_feed(struct framer *f, tda_str bytes, framer_item_fn fn, void *arg) {
    if (bytes.n == 0) return TDA_OK;
    if (f->aws) return eventstream_feed(f->aws, bytes, fn, arg);
    if (f->framing != TDA_FRAME_NONE) return feed_lines(f, bytes, fn, arg);
    return hand_on(fn, arg, (tda_str){0}, (tda_str){0}, bytes);
}

tda_status framer_end(struct framer *f, framer_item_fn fn, void *arg) {
    if (f->aws) return eventstream_end(f->aws);
    if (f->framing == TDA_FRAME_NONE || is_sse(f) || !f->line.n) return TDA_OK;
    return joined_line(f, (tda_str){"", 0}, fn, arg);
}

int64_t framer_retry_ms(const struct framer *f) {
    return f->retry_ms;
}

const char *framer_why(const struct framer *f) {
    return f->aws ? eventstream_why(f->aws) : "";
}
