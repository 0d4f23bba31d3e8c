#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LINE_MAX_BYTES = 2048 };

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_fd = 2;
static atomic_bool as_json;

void log_setup(enum log_level level, bool json, int fd) {
    atomic_store(&current_level, (int)level);
    atomic_store(&as_json, json);
    atomic_store(&current_fd, fd);
}

void log_set_level(enum log_level level) {
    atomic_store(&current_level, (int)level);
}

bool log_enabled(enum log_level level) {
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_LEVEL_ERROR: return "error";
    case LOG_LEVEL_WARN: return "warn";
    case LOG_LEVEL_INFO: return "info";
    default: return "debug";
    }
}

/* Pieces are written whole or not at all; once one did not fit, only what closes the line is. */
struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
    bool full;
};

static bool put(struct line *l, const char *p, size_t n) {
    if (l->full || n > sizeof l->p - 8 - l->n) {
        l->full = true;
        return false;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
    return true;
}

static bool put_z(struct line *l, const char *s) {
    return put(l, s, strlen(s));
}

static void put_escaped(struct line *l, tda_str s) {
    if (!put_z(l, "\"")) return;
    for (size_t i = 0; i < s.n && !l->full; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[8];
        if (c == '"' || c == '\\') {
            snprintf(esc, sizeof esc, "\\%c", c);
            put_z(l, esc);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(esc, sizeof esc, "\\u%04x", c);
            put_z(l, esc);
        } else {
            put(l, s.p + i, 1);
        }
    }
    l->p[l->n++] = '"'; /* the room kept at the end is for this */
}

static bool plain(tda_str s) {
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
    }
    return true;
}

static void put_field(struct line *l, const struct log_field *f, bool json) {
    char key[64], digits[24];
    snprintf(key, sizeof key, json ? ",\"%s\":" : " %s=", f->key);
    snprintf(digits, sizeof digits, "%lld", (long long)f->number);
    if (strlen(key) + (f->is_number ? strlen(digits) : 2) > sizeof l->p - 16 - l->n)
        l->full = true; /* never a key without its value */
    if (!put_z(l, key)) return;
    if (f->is_number) {
        put_z(l, digits);
    } else if (!json && plain(f->text)) {
        put(l, f->text.p, f->text.n);
    } else {
        put_escaped(l, f->text);
    }
}

bool log_allows(struct log_bound *b, enum log_level level, const char *message) {
    int64_t now = clock_now_ns() / NS_PER_S, second = atomic_load_explicit(&b->second, memory_order_relaxed);
    if (second != now && atomic_compare_exchange_strong(&b->second, &second, now)) atomic_store(&b->lines, 0);
    if (atomic_fetch_add_explicit(&b->lines, 1, memory_order_relaxed) >= LOG_SOME_PER_S) {
        atomic_fetch_add_explicit(&b->left_out, 1, memory_order_relaxed);
        return false;
    }
    uint64_t left_out = atomic_exchange_explicit(&b->left_out, 0, memory_order_relaxed);
    if (left_out) LOG_AT(level, "lines were left out", LOG_Z("of", message), LOG_INT("count", (int64_t)left_out));
    return true;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields) {
    struct line l = {.n = 0};
    bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
    char when[32];
    clock_format_wall(clock_wall_ms(), when, sizeof when);
    put_z(&l, json ? "{\"time\":\"" : "");
    put_z(&l, when);
    put_z(&l, json ? "\",\"level\":\"" : " ");
    put_z(&l, level_name(level));
    put_z(&l, json ? "\",\"message\":" : " ");
    if (json)
        put_escaped(&l, tda_str_of(message));
    else
        put_z(&l, message);
    for (const struct log_field *f = fields; f->key; f++) put_field(&l, f, json);
    l.p[l.n++] = json ? '}' : '\n';
    if (json) l.p[l.n++] = '\n';
    ssize_t done;
    do done = write(atomic_load_explicit(&current_fd, memory_order_relaxed), l.p, l.n);
    while (done < 0 && errno == EINTR);
}
