/* Opening and closing the file; what its statements share. */
#include "session/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "session/sqlite_impl.h"

enum { LOG_KEPT = 16 << 20 };

/* ---- statements ---- */

tda_status sqlite_failed(sqlite3 *db, const char *what, struct error *e) {
    int code = sqlite3_extended_errcode(db);
    const char *why = sqlite3_errmsg(db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        error_set(e, TDA_E_IO, "store_full", "%s: the disk is full", what);
        error_hint(e, "nothing of it was stored; make room where sessions.path lies, then try again");
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        error_set(e, TDA_E_IO, "store_damaged", "%s: the database is damaged: %s", what, why);
        error_hint(e, "stop the daemon, move the file away, and put a backup (tda backup) in its place");
        break;
    case SQLITE_INTERRUPT:
        error_set(e, TDA_E_TIMEOUT, "store_timeout", "%s: it takes too long", what);
        error_hint(e, "ask for less: a user, a shorter search, a smaller limit");
        break;
    case SQLITE_TOOBIG: error_set(e, TDA_E_LIMIT, "too_large", "%s: it is too large", what); break;
    case SQLITE_NOMEM: error_set(e, TDA_E_NOMEM, "out_of_memory", "%s: out of memory", what); break;
    default: error_set(e, TDA_E_IO, "store_failed", "%s: %s (%d)", what, why, code);
    }
    return e ? e->status : TDA_E_IO;
}

void bind_str(sqlite3_stmt *s, int at, tda_str v) {
    if (v.p)
        sqlite3_bind_text64(s, at, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(s, at);
}

/* SQLite's integers are signed: what no count of tokens reaches is cut. */
void bind_u64(sqlite3_stmt *s, int at, uint64_t v) {
    sqlite3_bind_int64(s, at, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void statement_end(sqlite3_stmt *s) {
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

tda_str column_str(sqlite3_stmt *s, int at) {
    const unsigned char *p = sqlite3_column_text(s, at);
    return p ? (tda_str){(const char *)p, (size_t)sqlite3_column_bytes(s, at)} : (tda_str){0};
}

uint64_t column_u64(sqlite3_stmt *s, int at) {
    int64_t v = sqlite3_column_int64(s, at);
    return v < 0 ? 0 : (uint64_t)v;
}

/* ---- opening ---- */

static tda_status path_error(struct error *e, const char *path, int number) {
    error_set(e, TDA_E_IO, "store_not_opened", "the session store %s cannot be opened: %s", path, strerror(number));
    error_hint(e, "give sessions.path a file in a folder that the daemon may write, or none");
    return TDA_E_IO;
}

/* flock and SQLite's own locks do not see each other. */
static tda_status take_file(struct sqlite_store *s, struct error *e) {
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0) return path_error(e, s->path, errno);
    if (flock(s->fd, LOCK_EX | LOCK_NB) == 0) return TDA_OK;
    if (errno != EWOULDBLOCK) return path_error(e, s->path, errno);
    error_set(e, TDA_E_BUSY, "store_in_use", "another tdad keeps its sessions in %s", s->path);
    error_hint(e, "give this one a sessions.path of its own, or none");
    return TDA_E_BUSY;
}

static tda_status connect_to(struct sqlite_store *s, sqlite3 **db, int flags, const char *settings, struct error *e) {
    if (sqlite3_open_v2(s->path, db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL))
        return *db ? sqlite_failed(*db, "the session store cannot be opened", e) : path_error(e, s->path, ENOMEM);
    sqlite3_busy_timeout(*db, BUSY_MS);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(*db, SQLITE_LIMIT_ATTACHED, 0);
    return sqlite3_exec(*db, settings, NULL, NULL, NULL) ? sqlite_failed(*db, "the session store cannot be opened", e) : TDA_OK;
}

static tda_status check(struct sqlite_store *s, struct error *e) {
    sqlite3_stmt *q = NULL;
    char found[160] = "";
    if (sqlite3_prepare_v2(s->writer, "PRAGMA quick_check(1)", -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        snprintf(found, sizeof found, "%s", (const char *)sqlite3_column_text(q, 0));
    else
        snprintf(found, sizeof found, "%s", sqlite3_errmsg(s->writer));
    sqlite3_finalize(q);
    if (strcmp(found, "ok") == 0) return TDA_OK;
    error_set(e, TDA_E_IO, "store_damaged", "the session store %s is damaged: %s", s->path, found);
    error_hint(e, "move the file away and put a backup (tda backup) in its place, or begin with none");
    return TDA_E_IO;
}

static tda_status prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **ret, size_t n, struct error *e) {
    for (size_t i = 0; i < n; i++)
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ret[i], NULL))
            return sqlite_failed(db, "a statement of the session store is wrong", e);
    return TDA_OK;
}

static tda_status open_all(struct sqlite_store *s, struct error *e) {
    char settings[256];
    snprintf(settings, sizeof settings,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
             "PRAGMA journal_size_limit=%d; PRAGMA cell_size_check=ON",
             s->o.full ? "FULL" : "NORMAL", LOG_KEPT);
    tda_status status = take_file(s, e);
    if (!status) status = connect_to(s, &s->writer, SQLITE_OPEN_READWRITE, settings, e);
    if (!status) status = schema_bring(s->writer, s->path, e);
    if (!status) status = check(s, e);
    if (!status) status = connect_to(s, &s->reader, SQLITE_OPEN_READONLY, "PRAGMA query_only=ON", e);
    if (!status) status = search_prepare(s, e);
    if (!status) status = prepare(s->writer, write_sql, s->write, WRITE_STATEMENTS, e);
    if (!status) status = prepare(s->reader, read_sql, s->read, READ_STATEMENTS, e);
    return status;
}

static void sqlite_close(struct store *base) {
    struct sqlite_store *s = store_of(base);
    for (size_t i = 0; i < WRITE_STATEMENTS; i++) sqlite3_finalize(s->write[i]);
    for (size_t i = 0; i < READ_STATEMENTS; i++) sqlite3_finalize(s->read[i]);
    sqlite3_close(s->reader);
    sqlite3_close(s->writer);
    if (s->fd >= 0) close(s->fd);
    free(s);
}

static const struct store_ops ops = {.close = sqlite_close,
                                     .begin = sqlite_begin,
                                     .commit = sqlite_commit,
                                     .rollback = sqlite_rollback,
                                     .create = sqlite_create,
                                     .append = sqlite_append,
                                     .rename = sqlite_rename,
                                     .remove = sqlite_remove,
                                     .add_usage = sqlite_add_usage,
                                     .pin = sqlite_pin,
                                     .erase = sqlite_erase,
                                     .retain = sqlite_retain,
                                     .list = sqlite_list,
                                     .get = sqlite_get,
                                     .turns = sqlite_turns,
                                     .keyed = sqlite_keyed,
                                     .usage = sqlite_usage,
                                     .pins = sqlite_pins,
                                     .day = sqlite_day,
                                     .backup = sqlite_backup};

tda_status sqlite_store_open(const struct sqlite_options *o, struct store **ret, struct error *e) {
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    s->base.ops = &ops;
    s->fd = -1;
    s->o = *o;
    s->o.path = s->path;
    if (snprintf(s->path, sizeof s->path, "%s", o->path) >= (int)sizeof s->path) {
        free(s);
        return path_error(e, o->path, ENAMETOOLONG);
    }
    tda_status status = open_all(s, e);
    if (status)
        sqlite_close(&s->base);
    else
        *ret = &s->base;
    return status;
}
