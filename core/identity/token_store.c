#include "identity/token_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { APPLICATION_ID = 0x74646174 /* "tdat" */, SCHEMA = 1 };

enum statement { PUT, REMOVE, ALL, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [PUT] = ("INSERT INTO tokens(id, hash, service, operator, user, label, created_ms, expires_ms, used_ms)"
             " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT(id) DO UPDATE SET used_ms=excluded.used_ms"),
    [REMOVE] = "DELETE FROM tokens WHERE id=?1",
    [ALL] = "SELECT id, hash, service, operator, user, label, created_ms, expires_ms, used_ms FROM tokens ORDER BY created_ms, id",
};

/* The file is this process's from the first statement on: a second one would not see what is revoked here. */
static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; BEGIN EXCLUSIVE";
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS tokens(id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, service INTEGER NOT NULL,"
    " operator INTEGER NOT NULL, user TEXT NOT NULL, label TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID";

struct token_store {
    sqlite3 *db;
    sqlite3_stmt *prepared[STATEMENTS];
};

static tda_status failed(sqlite3 *db, const char *path, struct error *e) {
    int code = sqlite3_errcode(db);
    if (code == SQLITE_BUSY) {
        error_set(e, TDA_E_BUSY, "store_in_use", "the tokens in %s are another process's at the moment", path);
        error_hint(e, "while a daemon runs, ask it: tda token, without --store");
        return TDA_E_BUSY;
    }
    error_set(e, TDA_E_IO, "store_failed", "the tokens in %s cannot be used: %s", path, sqlite3_errmsg(db));
    error_hint(e, "the operator's setting is identity.tokens");
    return TDA_E_IO;
}

static tda_status again(struct token_store *s, struct error *e) {
    return failed(s->db, sqlite3_db_filename(s->db, NULL), e);
}

static int64_t number_of(sqlite3 *db, const char *what) {
    sqlite3_stmt *q = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db, what, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static tda_status bring_schema(sqlite3 *db, const char *path, struct error *e) {
    char mark[96];
    int64_t id = number_of(db, "PRAGMA application_id"), version = number_of(db, "PRAGMA user_version");
    bool is_new = !id && number_of(db, "SELECT count(*) FROM sqlite_schema") == 0;
    if (id < 0 || version < 0) return failed(db, path, e);
    if ((!is_new && id != APPLICATION_ID) || version > SCHEMA) {
        error_set(e, TDA_E_INVALID, "not_a_store", "%s holds no tokens, or a later version's", path);
        error_hint(e, "give identity.tokens another file");
        return TDA_E_INVALID;
    }
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT", SCHEMA, APPLICATION_ID);
    return sqlite3_exec(db, schema, NULL, NULL, NULL) || sqlite3_exec(db, mark, NULL, NULL, NULL) ? failed(db, path, e) : TDA_OK;
}

/* Made by root for a daemon that is not: it belongs to whom its folder belongs to. */
static void give_away(int fd, const char *path) {
    char folder[512];
    struct stat st;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 2, slash ? path : "./");
    if (geteuid() == 0 && stat(folder, &st) == 0 && fchown(fd, st.st_uid, st.st_gid))
        log_warn("the tokens stay root's", LOG_Z("file", path));
}

/* SQLite would make it with the umask's mode. */
static int open_file(const char *path, bool create) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 || errno != ENOENT || !create) return fd;
    int made = open(path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, 0600);
    if (made >= 0) give_away(made, path);
    return made;
}

static tda_status touch(const char *path, bool create, struct error *e) {
    int fd = open_file(path, create);
    if (fd >= 0) {
        close(fd);
        return TDA_OK;
    }
    if (errno == ENOENT && !create) return TDA_E_NOT_FOUND;
    error_set(e, TDA_E_IO, "store_not_opened", "the tokens in %s cannot be used: %s", path, strerror(errno));
    error_hint(e, "identity.tokens wants a file in a folder that the daemon may write, or none");
    return TDA_E_IO;
}

static tda_status open_all(struct token_store *s, const char *path, struct error *e) {
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL))
        return s->db ? failed(s->db, path, e) : error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_exec(s->db, settings, NULL, NULL, NULL)) return failed(s->db, path, e);
    tda_status status = bring_schema(s->db, path, e);
    for (size_t i = 0; i < STATEMENTS && !status; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->prepared[i], NULL))
            status = failed(s->db, path, e);
    return status;
}

tda_status token_store_open(const char *path, bool create, struct token_store **ret, struct error *e) {
    tda_status status = touch(path, create, e);
    if (status) return status;
    struct token_store *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    status = open_all(s, path, e);
    if (status)
        token_store_close(s);
    else
        *ret = s;
    return status;
}

void token_store_close(struct token_store *s) {
    if (!s) return;
    for (size_t i = 0; i < STATEMENTS; i++) sqlite3_finalize(s->prepared[i]);
    sqlite3_close(s->db);
    free(s);
}

static void copy_text(sqlite3_stmt *q, int at, char *out, size_t size) {
    const unsigned char *text = sqlite3_column_text(q, at);
    snprintf(out, size, "%s", text ? (const char *)text : "");
}

/* False: the row is not one of ours. */
static bool take(sqlite3_stmt *q, struct token *t) {
    *t = (struct token){.is_service = sqlite3_column_int(q, 2),
                        .is_operator = sqlite3_column_int(q, 3),
                        .created_ms = sqlite3_column_int64(q, 6),
                        .expires_ms = sqlite3_column_int64(q, 7),
                        .used_ms = sqlite3_column_int64(q, 8)};
    if (sqlite3_column_bytes(q, 1) != TOKEN_HASH_SIZE) return false;
    memcpy(t->hash, sqlite3_column_blob(q, 1), TOKEN_HASH_SIZE);
    copy_text(q, 0, t->id, sizeof t->id);
    copy_text(q, 4, t->user, sizeof t->user);
    copy_text(q, 5, t->label, sizeof t->label);
    return t->id[0] && token_check(t, NULL) == TDA_OK;
}

tda_status token_store_each(struct token_store *s, void (*visit)(void *arg, const struct token *t), void *arg, struct error *e) {
    sqlite3_stmt *q = s->prepared[ALL];
    struct token t;
    int code;
    bool sound = true;
    while (sound && (code = sqlite3_step(q)) == SQLITE_ROW) {
        sound = take(q, &t);
        if (sound) visit(arg, &t);
    }
    sqlite3_reset(q);
    if (!sound)
        return error_set(e, TDA_E_IO, "store_damaged", "the file of tokens %s is damaged", sqlite3_db_filename(s->db, NULL));
    return code == SQLITE_DONE ? TDA_OK : again(s, e);
}

static tda_status run(struct token_store *s, enum statement n, struct error *e) {
    sqlite3_stmt *q = s->prepared[n];
    bool done = sqlite3_step(q) == SQLITE_DONE;
    tda_status status = done ? TDA_OK : again(s, e);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return status;
}

tda_status token_store_begin(struct token_store *s, struct error *e) {
    return sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL) ? again(s, e) : TDA_OK;
}

tda_status token_store_put(struct token_store *s, const struct token *t, struct error *e) {
    sqlite3_stmt *q = s->prepared[PUT];
    sqlite3_bind_text(q, 1, t->id, -1, SQLITE_STATIC);
    sqlite3_bind_blob(q, 2, t->hash, TOKEN_HASH_SIZE, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, t->is_service);
    sqlite3_bind_int(q, 4, t->is_operator);
    sqlite3_bind_text(q, 5, t->user, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 6, t->label, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 7, t->created_ms);
    sqlite3_bind_int64(q, 8, t->expires_ms);
    sqlite3_bind_int64(q, 9, t->used_ms);
    return run(s, PUT, e);
}

tda_status token_store_remove(struct token_store *s, const char *id, struct error *e) {
    sqlite3_bind_text(s->prepared[REMOVE], 1, id, -1, SQLITE_STATIC);
    return run(s, REMOVE, e);
}

tda_status token_store_commit(struct token_store *s, struct error *e) {
    return sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) ? again(s, e) : TDA_OK;
}

void token_store_rollback(struct token_store *s) {
    if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}
