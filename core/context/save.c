/* The shared context across restarts: a small file, replaced as a whole, without secrets. One thread at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "context/context_impl.h"

enum { FILE_MAX = 8 << 20, VERSION = 1 };

static void write_snapshot(const struct snapshot *s, struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_put_i64(&w, "version", VERSION);
    save_values(s, &w);
    save_profiles(s, &w);
    jw_end_object(&w);
    buf_add_char(out, '\n');
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return fsync(fd) == 0;
}

static void sync_folder(const char *path) {
    char dir[512];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* The old file or the new one, never a torn one. */
static int replace(const char *path, tda_str text) {
    char temporary[512];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) return ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    int error = write_all(fd, text.p, text.n) ? 0 : errno;
    if (close(fd) && !error) error = errno;
    if (!error && rename(temporary, path)) error = errno;
    if (error)
        unlink(temporary);
    else
        sync_folder(path);
    return error;
}

tda_status contexts_save(struct contexts *cs, const char *path, uint64_t *saved_epoch, struct error *e) {
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    struct buf text;
    tda_status found = contexts_peek(cs, &principal_host, (tda_str){"", 0}, &s, NULL);
    uint64_t epoch = found ? 0 : snapshot_epoch(s);
    if (epoch == *saved_epoch) return TDA_OK;
    int error = 0;
    if (found) {
        error = unlink(path) && errno != ENOENT ? errno : 0;
    } else {
        buf_init(&text, FILE_MAX);
        write_snapshot(s, &text);
        error = text.status ? ENOMEM : replace(path, buf_str(&text));
        buf_fini(&text);
    }
    if (error) return error_set(e, TDA_E_IO, "not_saved", "the shared context cannot be kept in %s: %s", path, strerror(error));
    *saved_epoch = epoch;
    return TDA_OK;
}

/* ---- reading ---- */

static tda_status apply(struct draft *d, void *arg, struct error *e) {
    const struct json *root = arg;
    tda_status s = restore_values(d, *root, e);
    return s ? s : restore_profiles(d, *root, e);
}

static ssize_t read_file(const char *path, struct buf *text) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 || buf_reserve(text, FILE_MAX) ? -1 : read(fd, text->p, FILE_MAX);
    if (n > 0) text->n = (size_t)n;
    if (fd >= 0) close(fd);
    return n;
}

/* `e` has why already, or nothing. */
static tda_status damaged(struct error *e) {
    char why[sizeof e->text];
    snprintf(why, sizeof why, "%s", e->status ? e->text : "it is no saved context");
    return error_set(e, TDA_E_SYNTAX, "damaged", "%s", why);
}

static tda_status later_version(struct error *e, int64_t version) {
    return error_set(e, TDA_E_INVALID, "later_version", "it was written by a later version (%lld, this one knows %d)",
                     (long long)version, VERSION);
}

tda_status contexts_keep_aside(const char *path, char *kept_as, size_t size) {
    char when[32];
    clock_format_wall(clock_wall_ms(), when, sizeof when);
    if (snprintf(kept_as, size, "%s.damaged-%s", path, when) >= (int)size || link(path, kept_as) || unlink(path)) {
        kept_as[0] = 0;
        return TDA_E_IO;
    }
    sync_folder(path);
    return TDA_OK;
}

tda_status contexts_load(struct contexts *cs, const char *path, uint64_t *saved_epoch, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf text;
    int64_t version = 0;
    buf_init(&text, FILE_MAX);
    errno = 0;
    ssize_t n = read_file(path, &text);
    if (n < 0 && errno == ENOENT) {
        buf_fini(&text);
        return TDA_OK;
    }
    int error = errno;
    tda_status s = n < 0 ? TDA_E_IO : json_parse(buf_str(&text), 0, &doc, e);
    buf_fini(&text);
    if (n < 0) return error_set(e, s, "not_read", "%s", strerror(error));
    if (s) return damaged(e);
    struct json root = json_root(doc);
    if (!json_i64(json_get(root, "version"), &version) || version < 1 || json_type(json_get(root, "fields")) != TDA_JSON_OBJECT)
        return version > VERSION ? later_version(e, version) : damaged(e);
    if (version > VERSION) return later_version(e, version);
    return contexts_update(cs, &principal_host, (tda_str){"", 0}, apply, &root, saved_epoch, e) ? damaged(e) : TDA_OK;
}
