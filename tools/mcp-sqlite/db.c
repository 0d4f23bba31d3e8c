#include "db.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"

enum { STEPS_PER_CHECK = 2000, SQL_MAX = 100000, NAMES_MAX = 400 };

struct db {
    sqlite3 *handle;
    struct db_limits limits;
    int64_t stop_ns;
    bool timed_out;
    bool own; /* a constant statement of ours runs, which looks at the schema by a pragma */
};

/* ---- what a statement may do ---- */

/* Reading, and nothing else: no attach, no pragma, no function that loads or writes. */
static int authorize(void *arg, int action, const char *a UNUSED, const char *b, const char *database UNUSED,
                     const char *trigger UNUSED) {
    static const char *const refused[] = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"};
    const struct db *db = arg;
    if (db->own) return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION:
        for (size_t i = 0; i < ARRAY_LEN(refused); i++)
            if (b && strcmp(b, refused[i]) == 0) return SQLITE_DENY;
        return SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

static int check_time(void *arg) {
    struct db *db = arg;
    db->timed_out = clock_now_ns() > db->stop_ns;
    return db->timed_out;
}

bool db_open(const char *path, const struct db_limits *limits, struct db **ret, char *why, size_t why_size) {
    struct db *db = calloc(1, sizeof *db);
    if (!db) return false;
    db->limits = *limits;
    int rc = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc) {
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
        sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX);
        sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, (int)limits->bytes);
        sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
        sqlite3_limit(db->handle, SQLITE_LIMIT_WORKER_THREADS, 0);
        sqlite3_busy_timeout(db->handle, 1000);
        rc = sqlite3_exec(db->handle, "PRAGMA query_only = 1; PRAGMA cell_size_check = 1; SELECT 1 FROM sqlite_schema LIMIT 1",
                          NULL, NULL, NULL);
    }
    if (rc) {
        snprintf(why, why_size, "%s", db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
        db_close(db);
        return false;
    }
    sqlite3_set_authorizer(db->handle, authorize, db);
    sqlite3_progress_handler(db->handle, STEPS_PER_CHECK, check_time, db);
    *ret = db;
    return true;
}

void db_close(struct db *db) {
    if (!db) return;
    sqlite3_close_v2(db->handle);
    free(db);
}

/* ---- running a statement ---- */

static void known_tables(struct db *db, char *out, size_t size) {
    sqlite3_stmt *st;
    size_t n = 0;
    out[0] = 0;
    if (sqlite3_prepare_v2(db->handle,
                           "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE "
                           "'\\' ORDER BY name",
                           -1, &st, NULL))
        return;
    while (sqlite3_step(st) == SQLITE_ROW && n + 1 < size)
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
}

static void say_why(struct db *db, int rc, char *why, size_t size) {
    char names[NAMES_MAX];
    const char *text = sqlite3_errmsg(db->handle);
    if (db->timed_out)
        snprintf(why, size, "the query ran longer than %lld ms and was stopped; narrow it, or add a LIMIT",
                 (long long)db->limits.timeout_ms);
    else if (rc == SQLITE_AUTH || rc == SQLITE_READONLY)
        snprintf(why, size, "only SELECT is allowed here: this database can be read, not changed (%s)", text);
    else if (strstr(text, "no such table")) {
        known_tables(db, names, sizeof names);
        snprintf(why, size, "%s; there are: %s", text, names);
    } else
        snprintf(why, size, "%s", text);
}

static tda_str shortened(const struct db *db, const void *p, int n) {
    size_t size = (size_t)n;
    return (tda_str){p, size < db->limits.cell ? size : db->limits.cell};
}

static void write_cell(const struct db *db, sqlite3_stmt *st, int i, struct jw *w) {
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER: jw_i64(w, sqlite3_column_int64(st, i)); break;
    case SQLITE_FLOAT: jw_f64(w, sqlite3_column_double(st, i)); break;
    case SQLITE_TEXT: jw_str(w, shortened(db, sqlite3_column_text(st, i), sqlite3_column_bytes(st, i))); break;
    case SQLITE_BLOB: {
        char text[48];
        snprintf(text, sizeof text, "(%d bytes)", sqlite3_column_bytes(st, i));
        jw_str(w, tda_str_of(text));
        break;
    }
    default: jw_null(w);
    }
}

static int write_rows(struct db *db, sqlite3_stmt *st, struct jw *w, bool *truncated) {
    int rc, columns = sqlite3_column_count(st);
    int64_t rows = 0;
    jw_open_array(w, "columns");
    for (int i = 0; i < columns; i++) jw_str(w, tda_str_of(sqlite3_column_name(st, i)));
    jw_end_array(w);
    jw_open_array(w, "rows");
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        *truncated = rows++ == db->limits.rows || w->out->n > db->limits.bytes;
        if (*truncated) break;
        jw_begin_array(w);
        for (int i = 0; i < columns; i++) write_cell(db, st, i, w);
        jw_end_array(w);
    }
    jw_end_array(w);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool run(struct db *db, const char *sql, const char *parameter, struct jw *w, char *why, size_t why_size) {
    sqlite3_stmt *st = NULL;
    const char *rest = "";
    bool truncated = false;
    db->stop_ns = clock_now_ns() + db->limits.timeout_ms * NS_PER_MS;
    db->timed_out = false;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, &rest);
    while (!rc && *rest && strchr(" \t\r\n;", *rest)) rest++;
    if (!rc && (!st || *rest)) {
        snprintf(why, why_size,
                 st ? "one statement at a time; leave out what stands behind the first \";\"" : "the query is empty");
        sqlite3_finalize(st);
        return false;
    }
    if (!rc && parameter) rc = sqlite3_bind_text(st, 1, parameter, -1, SQLITE_STATIC);
    if (!rc) {
        jw_begin_object(w);
        rc = write_rows(db, st, w, &truncated);
        jw_put_bool(w, "truncated", truncated);
        jw_end_object(w);
    }
    if (rc) say_why(db, rc, why, why_size);
    sqlite3_finalize(st);
    return !rc;
}

bool db_query(struct db *db, const char *sql, struct jw *w, char *why, size_t why_size) {
    return run(db, sql, NULL, w, why, why_size);
}

bool db_tables(struct db *db, struct jw *w, char *why, size_t why_size) {
    return run(db,
               "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
               "ORDER BY name",
               NULL, w, why, why_size);
}

static bool table_exists(struct db *db, const char *table) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db->handle, "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?", -1, &st, NULL))
        return false;
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    bool found = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return found;
}

bool db_describe(struct db *db, const char *table, struct jw *w, char *why, size_t why_size) {
    char names[NAMES_MAX];
    db->stop_ns = clock_now_ns() + db->limits.timeout_ms * NS_PER_MS;
    if (!table_exists(db, table)) {
        known_tables(db, names, sizeof names);
        snprintf(why, why_size, "there is no table \"%.80s\"; there are: %s", table, names);
        return false;
    }
    db->own = true;
    bool ok = run(db, "SELECT name AS column, type, \"notnull\" AS required, pk AS primary_key FROM pragma_table_xinfo(?)", table,
                  w, why, why_size);
    db->own = false;
    return ok;
}
