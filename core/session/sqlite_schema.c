/* The schema, as the list of steps that made it. user_version counts the steps that a file has seen; a step is never changed once
 * it was released, a new one is put at the end. */
#include <stdio.h>

#include "base/log.h"
#include "session/sqlite_impl.h"

enum { APPLICATION_ID = 0x74646173 /* "tdas", for file(1) and against taking another program's file */ };

static const char *const steps[] = {
    /* 1: sessions, their turns, and the keys under which turns were asked for */
    "CREATE TABLE sessions(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, title TEXT NOT NULL,"
    " context TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, turns INTEGER NOT NULL DEFAULT 0,"
    " calls INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0, input INTEGER NOT NULL DEFAULT 0,"
    " output INTEGER NOT NULL DEFAULT 0, cache_read INTEGER NOT NULL DEFAULT 0, cache_write INTEGER NOT NULL DEFAULT 0,"
    " reasoning INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX sessions_by_user ON sessions(user, updated_ms, n);"
    "CREATE INDEX sessions_by_use ON sessions(updated_ms, n);"
    "CREATE TABLE turns(n INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions(n) ON DELETE CASCADE,"
    " turn INTEGER NOT NULL, at_ms INTEGER NOT NULL, provider TEXT, model TEXT, mcp_server TEXT, profile TEXT, stop TEXT,"
    " calls INTEGER NOT NULL, unknown INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,"
    " cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, reasoning INTEGER NOT NULL,"
    " each_call TEXT NOT NULL, messages TEXT NOT NULL, UNIQUE(session, turn)) STRICT;"
    "CREATE TABLE keys(user TEXT NOT NULL, key TEXT NOT NULL, turn INTEGER NOT NULL REFERENCES turns(n) ON DELETE CASCADE,"
    " at_ms INTEGER NOT NULL, digest BLOB NOT NULL, reply TEXT NOT NULL, PRIMARY KEY(user, key)) STRICT;"
    "CREATE INDEX keys_by_turn ON keys(turn);"
    "CREATE INDEX keys_by_age ON keys(at_ms);",
    /* 2: tokens by user and day */
    "CREATE TABLE usage(user TEXT NOT NULL, day INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,"
    " turns INTEGER NOT NULL, calls INTEGER NOT NULL, unknown INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,"
    " cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, reasoning INTEGER NOT NULL,"
    " PRIMARY KEY(user, day, provider, model)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX usage_by_day ON usage(day);",
    /* 3: what users have approved of tools */
    ("CREATE TABLE pins(user TEXT NOT NULL, server TEXT NOT NULL, tool TEXT NOT NULL, digest BLOB NOT NULL, at_ms INTEGER NOT NULL,"
     " PRIMARY KEY(user, server, tool)) STRICT, WITHOUT ROWID;"),
};

static tda_status number_of(sqlite3 *db, const char *sql, int64_t *ret) {
    sqlite3_stmt *s = NULL;
    bool found = sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    if (found) *ret = sqlite3_column_int64(s, 0);
    return sqlite3_finalize(s) == SQLITE_OK && found ? TDA_OK : TDA_E_IO;
}

static tda_status step_up(sqlite3 *db, size_t step) {
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA user_version=%zu; PRAGMA application_id=%d; COMMIT", step + 1, APPLICATION_ID);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) || sqlite3_exec(db, steps[step], NULL, NULL, NULL) ||
        sqlite3_exec(db, mark, NULL, NULL, NULL))
        return TDA_E_IO;
    return TDA_OK;
}

tda_status schema_bring(sqlite3 *db, const char *path, struct error *e) {
    int64_t version = 0, id = 0, tables = 0;
    if (number_of(db, "PRAGMA user_version", &version) || number_of(db, "PRAGMA application_id", &id) ||
        number_of(db, "SELECT count(*) FROM sqlite_schema", &tables))
        return sqlite_failed(db, "the session store cannot be read", e);
    if (id != APPLICATION_ID && (id || version || tables)) {
        error_set(e, TDA_E_INVALID, "not_a_store", "%s is a database of another program", path);
        error_hint(e, "give sessions.path another file");
        return TDA_E_INVALID;
    }
    if (version > (int64_t)ARRAY_LEN(steps)) {
        error_set(e, TDA_E_INVALID, "store_too_new", "%s was written by a later version (schema %lld, this one knows %zu)", path,
                  (long long)version, ARRAY_LEN(steps));
        error_hint(e, "start that version, or give sessions.path another file");
        return TDA_E_INVALID;
    }
    if (version && version < (int64_t)ARRAY_LEN(steps))
        log_info("bringing the session store up to date", LOG_INT("from", version), LOG_INT("to", (int64_t)ARRAY_LEN(steps)));
    for (size_t i = (size_t)version; i < ARRAY_LEN(steps); i++) {
        if (!step_up(db, i)) continue;
        sqlite_failed(db, "the session store cannot be brought up to date", e);
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return e ? e->status : TDA_E_IO;
    }
    return TDA_OK;
}
