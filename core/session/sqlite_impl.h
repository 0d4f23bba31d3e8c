/* Inside of the SQLite store. */
#ifndef SESSION_SQLITE_IMPL_H
#define SESSION_SQLITE_IMPL_H

#include <sqlite3.h>

#include "session/sqlite_store.h"

enum { BUSY_MS = 5000 };

/* Statements live as long as their connection. */
enum write_statement {
    W_BEGIN,
    W_COMMIT,
    W_ROLLBACK,
    W_SAVE,
    W_RELEASE,
    W_UNDO,
    W_COUNT_SESSIONS,
    W_CREATE,
    W_FIND,
    W_APPEND,
    W_TOUCH,
    W_KEY,
    W_USAGE,
    W_RENAME,
    W_REMOVE,
    W_ERASE_SESSIONS,
    W_ERASE_KEYS,
    W_ERASE_PINS,
    W_ERASE_USAGE,
    W_RETAIN_AGE,
    W_RETAIN_COUNT,
    W_RETAIN_KEYS,
    W_RETAIN_USAGE,
    W_PIN,
    W_PIN_FIRST,
    WRITE_STATEMENTS
};

enum read_statement { R_GET, R_TURNS, R_TURNS_BACK, R_KEYED, R_USAGE, R_DAY, R_PINS, READ_STATEMENTS };

struct sqlite_store {
    struct store base;
    struct sqlite_options o;
    int fd; /* holds the lock; closed after the last connection, for that would drop SQLite's own locks */
    sqlite3 *writer, *reader;
    sqlite3_stmt *write[WRITE_STATEMENTS], *read[READ_STATEMENTS];
    bool shrink;      /* something was erased: its pages are to leave the log, too */
    int64_t until_ns; /* the reader's */
    char path[512];
};

static inline struct sqlite_store *store_of(struct store *s) {
    return CONTAINER_OF(s, struct sqlite_store, base);
}

/* ---- sqlite_schema.c ---- */

tda_status schema_bring(sqlite3 *db, const char *path, struct error *e);

/* ---- sqlite_store.c ---- */

/* From SQLite's last error on that connection; what could not be done stands in `what`. */
tda_status sqlite_failed(sqlite3 *db, const char *what, struct error *e);
void bind_str(sqlite3_stmt *s, int at, tda_str v); /* absent: NULL; borrowed until the next reset */
void bind_u64(sqlite3_stmt *s, int at, uint64_t v);
void statement_end(sqlite3_stmt *s); /* reset, and forget what was bound */
tda_str column_str(sqlite3_stmt *s, int at);
uint64_t column_u64(sqlite3_stmt *s, int at);

/* ---- by file ---- */

extern const char *const write_sql[WRITE_STATEMENTS]; /* sqlite_write.c */
extern const char *const read_sql[READ_STATEMENTS];   /* sqlite_read.c */

tda_status sqlite_begin(struct store *s, struct error *e);
tda_status sqlite_commit(struct store *s, struct error *e);
void sqlite_rollback(struct store *s);
tda_status sqlite_create(struct store *s, const struct session_row *row, struct error *e);
tda_status sqlite_append(struct store *s, const struct turn_row *row, struct error *e);
tda_status sqlite_rename(struct store *s, tda_str user, tda_str id, tda_str title, struct error *e);
tda_status sqlite_remove(struct store *s, tda_str user, tda_str id, struct error *e);
tda_status sqlite_add_usage(struct store *s, const struct usage_row *row, struct error *e);
tda_status sqlite_pin(struct store *s, const struct pin_row *row, struct error *e);
tda_status sqlite_erase(struct store *s, tda_str user, struct removed *ret, struct error *e);
tda_status sqlite_retain(struct store *s, const struct retention *r, struct removed *ret, struct error *e);

tda_status search_prepare(struct sqlite_store *s, struct error *e); /* what a list needs */
tda_status sqlite_list(struct store *s, const struct session_query *q, session_visit visit, void *arg, struct error *e);
tda_status sqlite_get(struct store *s, tda_str user, tda_str id, session_visit visit, void *arg, struct error *e);
tda_status sqlite_turns(struct store *s, tda_str user, tda_str id, uint64_t after, bool newest_first, turn_visit visit, void *arg,
                        struct error *e);
tda_status sqlite_keyed(struct store *s, tda_str user, tda_str key, turn_visit visit, void *arg, struct error *e);
tda_status sqlite_usage(struct store *s, tda_str user, int64_t from_day, usage_visit visit, void *arg, struct error *e);
tda_status sqlite_pins(struct store *s, tda_str user, tda_str server, pin_visit visit, void *arg, struct error *e);
tda_status sqlite_day(struct store *s, int64_t day, usage_visit visit, void *arg, struct error *e);

tda_status sqlite_backup(struct store *s, const char *path, struct error *e); /* sqlite_backup.c */

#endif
