#include "plugin/conn_log.h"

#include <string.h>

#include "base/clock.h"

enum {
    LINE_MAX = 4096,
    SESSION_MAX = 256,
    SPARE = CONN_LOG_MAX / 8 /* dropped at once, so that a full log is not moved for each line */
};

struct head {
    int64_t at_ms;
    uint32_t from, n_session, n; /* the session stands before the text */
};

void conn_log_init(struct conn_log *log) {
    *log = (struct conn_log){0};
    buf_init(&log->lines, CONN_LOG_MAX);
}

void conn_log_fini(struct conn_log *log) {
    buf_fini(&log->lines);
}

/* The line at `at`; false: there is none. */
static bool line_at(const struct conn_log *log, size_t at, struct head *ret_head, tda_str *ret_text) {
    if (at + sizeof *ret_head > log->lines.n) return false;
    memcpy(ret_head, log->lines.p + at, sizeof *ret_head);
    *ret_text = (tda_str){log->lines.p + at + sizeof *ret_head + ret_head->n_session, ret_head->n};
    return true;
}

static size_t step(const struct head *h) {
    return sizeof *h + h->n_session + h->n;
}

void conn_log_shrink(struct conn_log *log, size_t max) {
    struct head h;
    tda_str text;
    size_t at = 0;
    while (log->lines.n - at > max && line_at(log, at, &h, &text)) at += step(&h);
    if (at) buf_drop_front(&log->lines, at);
}

void conn_log_add(struct conn_log *log, enum conn_log_from from, tda_str session, tda_str text) {
    struct head h = {clock_wall_ms(), from, (uint32_t)(session.n < SESSION_MAX ? session.n : SESSION_MAX),
                     (uint32_t)(text.n < LINE_MAX ? text.n : LINE_MAX)};
    if (log->lines.n + step(&h) > CONN_LOG_MAX) conn_log_shrink(log, CONN_LOG_MAX - SPARE - step(&h));
    if (buf_reserve(&log->lines, step(&h))) {
        log->lines.status = TDA_OK; /* the next may find some */
        return;
    }
    buf_add(&log->lines, &h, sizeof h);
    if (h.n_session) buf_add(&log->lines, session.p, h.n_session);
    buf_add(&log->lines, text.p, h.n);
    log->n++;
}

tda_str conn_log_last(const struct conn_log *log, enum conn_log_from from) {
    struct head h;
    tda_str text, found = {0};
    for (size_t at = 0; line_at(log, at, &h, &text); at += step(&h))
        if (h.from == from) found = text;
    return found;
}

static size_t count(const struct conn_log *log) {
    struct head h;
    tda_str text;
    size_t n = 0;
    for (size_t at = 0; line_at(log, at, &h, &text); at += step(&h)) n++;
    return n;
}

static void write_line(const struct head *h, uint64_t number, tda_str text, const struct secrets *hidden, struct jw *w) {
    static const char *const names[] = {"host", "stderr", "server"};
    char at[25];
    struct buf shown;
    clock_format_wall(h->at_ms, at, sizeof at);
    buf_init(&shown, (size_t)LINE_MAX * 2);
    buf_add_str(&shown, text);
    secrets_redact(hidden, &shown);
    jw_begin_object(w);
    jw_put_u64(w, "n", number);
    jw_put_z(w, "at", at);
    jw_put_z(w, "from", names[h->from]);
    if (h->n_session) jw_put_str(w, "session", (tda_str){text.p - h->n_session, h->n_session});
    jw_put_str(w, "text", shown.n ? buf_str(&shown) : TDA_STR(""));
    jw_end_object(w);
    buf_fini(&shown);
}

void conn_log_write(const struct conn_log *log, uint64_t after, size_t max, const struct secrets *hidden, struct jw *w) {
    struct head h;
    tda_str text;
    uint64_t number = log->n - count(log), first = log->n > max ? log->n - max : 0;
    if (after > first) first = after;
    jw_open_array(w, "lines");
    for (size_t at = 0; line_at(log, at, &h, &text); at += step(&h))
        if (++number > first) write_line(&h, number, text, hidden, w);
    jw_end_array(w);
    jw_put_u64(w, "next", log->n);
}
