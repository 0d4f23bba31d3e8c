/* The log: one line per fact on stderr, key=value or JSON. Every thread; a line is written with one write(2).
 *
 *     log_info("listener up", LOG_STR("url", url), LOG_INT("connections_max", n));
 *
 * Never log keys or prompts. Users appear hashed (hash_log_user). Values are escaped; a line is cut at 2 KB. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_LEVEL_ERROR = 1, LOG_LEVEL_WARN = 2, LOG_LEVEL_INFO = 3, LOG_LEVEL_DEBUG = 4 };

struct log_field {
    const char *key; /* NULL ends the list */
    tda_str text;
    int64_t number;
    bool is_number;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .text = (v)})
#define LOG_Z(k, v) ((struct log_field){.key = (k), .text = tda_str_of(v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .number = (v), .is_number = true})

void log_set_level(enum log_level level);                /* [any] */
void log_setup(enum log_level level, bool json, int fd); /* before any thread, or on reload */
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/* The message stands among the arguments, so that fields may be none. */
#define LOG_AT(level, ...) LOG_AT_(level, __VA_ARGS__, LOG_END)
#define LOG_AT_(level, message, ...)                                                                                               \
    (log_enabled(level) ? log_write(level, message, (const struct log_field[]){__VA_ARGS__}) : (void)0)
#define LOG_END ((struct log_field){.key = NULL})
/* For what somebody outside can cause as often as he likes: LOG_SOME_PER_S lines a second, and then one that says how many were
 * left out. */
#define LOG_SOME(level, message, ...)                                                                                              \
    do {                                                                                                                           \
        static struct log_bound bound;                                                                                             \
        if (log_enabled(level) && log_allows(&bound, level, message))                                                              \
            log_write(level, message, (const struct log_field[]){__VA_ARGS__, LOG_END});                                           \
    } while (0)
enum { LOG_SOME_PER_S = 50 };
struct log_bound {
    _Atomic int64_t second;
    _Atomic uint32_t lines;
    _Atomic uint64_t left_out;
};
bool log_allows(struct log_bound *b, enum log_level level, const char *message);

#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
