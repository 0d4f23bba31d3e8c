/* A whole copy while the daemon works, with SQLite's online backup. It gets its name when it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session/sqlite_impl.h"

static tda_status not_written(struct error *e, const char *path, const char *why) {
    error_set(e, TDA_E_IO, "backup_failed", "the backup %s cannot be written: %s", path, why);
    error_hint(e, "give it a new file in a folder that the daemon may write");
    return TDA_E_IO;
}

/* All pages in one step, from one state of the database: writers go on meanwhile. */
static tda_status copy(const struct sqlite_store *s, const char *to, struct error *e) {
    sqlite3 *from = NULL, *db = NULL;
    char why[160] = "";
    int code = sqlite3_open_v2(s->path, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (!code) code = sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    sqlite3_backup *b = code ? NULL : sqlite3_backup_init(db, "main", from, "main");
    if (b) code = sqlite3_backup_step(b, -1);
    if (b) sqlite3_backup_finish(b);
    if (code != SQLITE_DONE) snprintf(why, sizeof why, "%s", db && !b ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    /* One file, to be moved about. */
    if (code == SQLITE_DONE && sqlite3_exec(db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL))
        snprintf(why, sizeof why, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    sqlite3_close(from);
    return why[0] ? not_written(e, to, why) : TDA_OK;
}

/* The name appears with the whole file behind it, and never in place of another. */
static tda_status publish(const char *made, const char *path, struct error *e) {
    char dir[512];
    const char *slash = strrchr(path, '/');
    if (link(made, path)) return not_written(e, path, strerror(errno));
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return TDA_OK;
}

tda_status sqlite_backup(struct store *base, const char *path, struct error *e) {
    char made[512], journal[528];
    struct stat there;
    if (lstat(path, &there) == 0) {
        error_set(e, TDA_E_EXISTS, "backup_exists", "%s is there already; a backup replaces nothing", path);
        error_hint(e, "give it a new name");
        return TDA_E_EXISTS;
    }
    if (path[0] != '/' || snprintf(made, sizeof made, "%s.part", path) >= (int)sizeof made)
        return not_written(e, path, "an absolute path of at most 500 bytes is wanted");
    int fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return not_written(e, made, strerror(errno));
    tda_status s = copy(store_of(base), made, e);
    if (!s && fsync(fd)) s = not_written(e, path, strerror(errno));
    close(fd);
    if (!s) s = publish(made, path, e);
    unlink(made);
    snprintf(journal, sizeof journal, "%s-journal", made); /* when it failed in the middle */
    unlink(journal);
    return s;
}
