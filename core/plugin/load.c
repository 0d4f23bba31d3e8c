#include "plugin/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/elf_audit.h"
#include "plugin/plugin_impl.h"

enum { FILE_MAX = 256 << 20, STATE_MAX = 64 << 10, MODULES_MAX = 256 };

/* ---- the path ---- */

/* The folder of installed plugins, as seen from the program. */
static void default_dir(char *out, size_t size) {
    static const char *const places[] = {"../plugins", "../" TDA_LIBDIR "/tda/plugins"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) n = 0;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (snprintf(out, size, "%s/%s", self, places[i]) >= (int)size) continue;
        if (access(out, X_OK) == 0) return;
    }
}

static tda_status find_path(const struct config *c, const char *name, char *out, size_t size, struct error *e) {
    char dir[PATH_MAX] = "";
    if (name[0] == '/') {
        snprintf(out, size, "%s", name);
        return TDA_OK;
    }
    if (c->plugins_dir[0])
        snprintf(dir, sizeof dir, "%s", c->plugins_dir);
    else
        default_dir(dir, sizeof dir);
    if (dir[0] != '/') {
        error_set(e, TDA_E_INVALID, "bad_path", "plugins.dir is \"%.100s\", which is no absolute path", dir);
        return TDA_E_INVALID;
    }
    if (snprintf(out, size, "%s/%s.so", dir, name) < (int)size) return TDA_OK;
    return error_set(e, TDA_E_LIMIT, "bad_path", "its path is too long");
}

/* ---- the file ---- */

static tda_status check_owner(const struct stat *st, const char *path, struct error *e) {
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        error_set(e, TDA_E_DENIED, "unsafe_file", "%s belongs to uid %u", path, (unsigned)st->st_uid);
        error_hint(e, "it must belong to root or to the daemon's user: chown it, or set plugins.strict_modes: false");
        return TDA_E_DENIED;
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))) {
        error_set(e, TDA_E_DENIED, "unsafe_file", "%s can be written by others than its owner", path);
        error_hint(e, "chmod go-w %.100s, or set plugins.strict_modes: false", path);
        return TDA_E_DENIED;
    }
    return TDA_OK;
}

static tda_status check_modes(int fd, const char *path, struct error *e) {
    struct stat st;
    char up[PATH_MAX];
    if (fstat(fd, &st)) return error_set(e, TDA_E_IO, NULL, "%s", strerror(errno));
    tda_status s = check_owner(&st, path, e);
    snprintf(up, sizeof up, "%s", path);
    while (!s && strcmp(up, "/") != 0) {
        char *dir = dirname(up);
        memmove(up, dir, strlen(dir) + 1);
        if (stat(up, &st)) return error_set(e, TDA_E_IO, NULL, "%s: %s", up, strerror(errno));
        s = check_owner(&st, up, e);
    }
    return s;
}

static tda_status open_file(const struct config *c, const char *path, int *ret_fd, char *real, size_t *ret_size, struct error *e) {
    struct stat st;
    if (!realpath(path, real)) {
        error_set(e, TDA_E_NOT_FOUND, "unreadable", "%s: %s", path, strerror(errno));
        error_hint(e, "put the file there, or correct its name in plugins.load (or plugins.dir)");
        return TDA_E_NOT_FOUND;
    }
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set(e, TDA_E_NOT_FOUND, "unreadable", "%s: %s", real, strerror(errno));
    tda_status s = TDA_OK;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        s = error_set(e, TDA_E_INVALID, "unreadable", "%s is no regular file", real);
    else if (st.st_size <= 0 || st.st_size > FILE_MAX)
        s = error_set(e, TDA_E_INVALID, "bad_elf", "%s", st.st_size > 0 ? "it is larger than 256 MiB" : "it is empty");
    else if (c->plugins_strict)
        s = check_modes(fd, real, e);
    if (s) {
        close(fd);
        return s;
    }
    *ret_fd = fd;
    *ret_size = (size_t)st.st_size;
    return TDA_OK;
}

static char *read_file(int fd, size_t size) {
    char *p = malloc(size);
    for (size_t n = 0; p && n < size;) {
        ssize_t got = pread(fd, p + n, size - n, (off_t)n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            free(p);
            return NULL;
        }
        n += (size_t)got;
    }
    return p;
}

static tda_status check_pin(const struct config *c, const char *id, tda_str file, struct error *e) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[sizeof hash * 2 + 1];
    for (size_t i = 0; i < c->n_pins; i++) {
        if (strcmp(c->pins[i].key, id) != 0) continue;
        crypto_hash_sha256(hash, (const unsigned char *)file.p, file.n);
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        if (strcmp(hex, c->pins[i].val) == 0) return TDA_OK;
        error_set(e, TDA_E_DENIED, "wrong_sha256", "its sha256 is not the one in plugins.sha256.%s (%s)", id, c->pins[i].where);
        error_hint(e, "if this file is the right one, put %.64s there", hex);
        return TDA_E_DENIED;
    }
    return TDA_OK;
}

/* ---- the interface ---- */

static tda_status check_abi(const struct elf_facts *f, struct error *e) {
    if (f->abi_major == TDA_ABI_MAJOR && f->abi_minor == TDA_ABI_MINOR) return TDA_OK;
    error_set(e, TDA_E_ABI, "wrong_abi", "it is built for interface %u.%u, and this host has %u.%u", f->abi_major, f->abi_minor,
              TDA_ABI_MAJOR, TDA_ABI_MINOR);
    error_hint(e, "build it with the headers of this version; during 0.x both numbers must be equal");
    return TDA_E_ABI;
}

bool plugin_may_read_secrets(const struct config *c, const struct note *n) {
    char *const *id = c->secret_readers;
    while (id && *id && strcmp(*id, n->id) != 0) id++;
    return note_needs(n, "secrets") && id && *id;
}

static tda_status check_needs(const struct config *c, const struct note *n, struct error *e) {
    for (size_t i = 0; i < n->n_needs; i++) {
        if (strcmp(n->needs[i], "tda.json/1") == 0) continue;
        if (strcmp(n->needs[i], "secrets") == 0) {
            if (plugin_may_read_secrets(c, n)) continue;
            error_set(e, TDA_E_DENIED, "secrets_not_allowed", "it wants to read users' credentials in clear");
            error_hint(e, "if it is trusted with them, put %s into plugins.allow_secrets", n->id);
            return TDA_E_DENIED;
        }
        return error_set(e, TDA_E_UNSUPPORTED, "unknown_need", "it needs \"%.60s\", which this host does not have", n->needs[i]);
    }
    return TDA_OK;
}

static tda_status enter(struct loaded *l, void *module, const struct tda_host *host, struct error *e) {
    tda_plugin_entry entry;
    void *symbol = dlsym(module, TDA_PLUGIN_ENTRY_SYMBOL);
    memcpy(&entry, &symbol, sizeof entry);
    if (!entry) return error_set(e, TDA_E_INVALID, "bad_elf", "it does not export %s", TDA_PLUGIN_ENTRY_SYMBOL);
    const struct tda_plugin *p = entry(host);
    if (!p) return error_set(e, TDA_E_INTERNAL, "refused", "its entry refused to start");
    if (!TDA_HAS(p, struct tda_plugin, interface) || p->abi_minor != TDA_ABI_MINOR)
        return error_set(e, TDA_E_ABI, "wrong_abi", "its struct tda_plugin is of another version (interface minor %u)",
                         p->abi_minor);
    if (!p->id || strcmp(p->id, l->note.id) != 0 || !p->version || strcmp(p->version, l->note.version) != 0)
        return error_set(e, TDA_E_INVALID, "note_differs", "its code calls itself \"%.40s\" %.20s, its note \"%s\" %.20s",
                         p->id ? p->id : "", p->version ? p->version : "", l->note.id, l->note.version);
    tda_status s = p->boot ? p->boot() : TDA_OK;
    if (s) return error_set(e, TDA_E_INTERNAL, "boot_failed", "its boot failed: %s", status_text(s));
    l->plugin = p;
    return TDA_OK;
}

static tda_status check_provider(const struct tda_provider *p, struct error *e) {
    if (!TDA_HAS(p, struct tda_provider, drop))
        return error_set(e, TDA_E_ABI, "bad_table", "its table of " TDA_PROVIDER_ID " is too small");
    if (p->flags & TDA_P_BLOCKING ? !TDA_HAS(p, struct tda_provider, run) || !p->run : !p->start || !p->on_flow)
        return error_set(e, TDA_E_ABI, "bad_table", "its table of " TDA_PROVIDER_ID " lacks %s",
                         p->flags & TDA_P_BLOCKING ? "run, which a blocking provider (TDA_P_BLOCKING) has" : "start or on_flow");
    if (p->call_state_size > STATE_MAX) return error_set(e, TDA_E_LIMIT, "bad_table", "its call_state_size is above 64 KiB");
    return TDA_OK;
}

static tda_status check_adapter(const struct tda_adapter *a, struct error *e) {
    if (!TDA_HAS(a, struct tda_adapter, drop) || !a->connect || !a->conn_flow || !a->conn_close || !a->start)
        return error_set(e, TDA_E_ABI, "bad_table",
                         "its table of " TDA_ADAPTER_ID " is too small, or lacks connect, conn_flow, conn_close or start");
    if (a->call_state_size > STATE_MAX || a->conn_state_size > STATE_MAX)
        return error_set(e, TDA_E_LIMIT, "bad_table", "its call_state_size or conn_state_size is above 64 KiB");
    return TDA_OK;
}

static tda_status get_tables(struct loaded *l, struct error *e) {
    tda_status s = TDA_OK;
    if (!l->plugin->interface) return error_set(e, TDA_E_INVALID, "bad_table", "it offers no interface function");
    if (note_provides(&l->note, TDA_PROVIDER_ID)) {
        l->provider = l->plugin->interface(TDA_STR(TDA_PROVIDER_ID));
        s = l->provider ? check_provider(l->provider, e)
                        : error_set(e, TDA_E_INVALID, "note_differs", "its note promises " TDA_PROVIDER_ID ", its code has none");
    }
    if (!s && note_provides(&l->note, TDA_ADAPTER_ID)) {
        l->adapter = l->plugin->interface(TDA_STR(TDA_ADAPTER_ID));
        s = l->adapter ? check_adapter(l->adapter, e)
                       : error_set(e, TDA_E_INVALID, "note_differs", "its note promises " TDA_ADAPTER_ID ", its code has none");
    }
    if (!s && !l->provider && !l->adapter)
        s = error_set(e, TDA_E_UNSUPPORTED, "unknown_interface", "it provides \"%.60s\", which this host does not know",
                      l->note.provides[0]);
    return s;
}

/* ---- all of it ---- */

static tda_status judge_bytes(const struct config *c, int fd, size_t size, struct loaded *l, struct error *e) {
    struct elf_facts facts;
    char *bytes GUARD(free_p) = read_file(fd, size);
    if (!bytes) return error_set(e, TDA_E_IO, "unreadable", "it cannot be read");
    tda_str file = {bytes, size};
    tda_status s = elf_audit(file, TDA_PLUGIN_ENTRY_SYMBOL, &facts, e);
    if (!s) s = check_abi(&facts, e);
    if (!s) s = note_parse(facts.note, &l->note, e);
    if (!s) s = check_needs(c, &l->note, e);
    if (!s) s = check_pin(c, l->note.id, file, e);
    return s;
}

/* glibc knows modules by inode too: the same file again would be the same module, with its state, booted a second time. And what is
 * never unloaded has a bound. */
static struct {
    dev_t dev;
    ino_t ino;
} modules[MODULES_MAX];
static size_t n_modules;

static tda_status check_module(const struct stat *st, struct error *e) {
    for (size_t i = 0; i < n_modules; i++) {
        if (modules[i].dev != st->st_dev || modules[i].ino != st->st_ino) continue;
        error_set(e, TDA_E_EXISTS, "same_file", "this very file is loaded already");
        error_hint(e, "put a new version in its place by renaming (mv, install), never by writing into the file");
        return TDA_E_EXISTS;
    }
    if (n_modules == MODULES_MAX) {
        error_set(e, TDA_E_LIMIT, "too_many_modules", "%d files were loaded since the start; none is ever unloaded", MODULES_MAX);
        error_hint(e, "restart the daemon");
        return TDA_E_LIMIT;
    }
    return TDA_OK;
}

/* The very file that was judged, whatever stands at its path now. glibc knows modules by the name they were opened with, and a
 * descriptor's number comes again: each gets a number that no other module had. */
static tda_status open_module(int fd, void **ret, struct error *e) {
    static int next_fd = 100;
    char by_fd[64];
    struct stat st;
    if (fstat(fd, &st)) return error_set(e, TDA_E_IO, NULL, "%s", strerror(errno));
    tda_status s = check_module(&st, e);
    if (s) return s;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, next_fd);
    if (own < 0) {
        error_set(e, TDA_E_IO, "dlopen", "there is no descriptor from %d on: %s", next_fd, strerror(errno));
        error_hint(e, "let the daemon have more open files (ulimit -n, LimitNOFILE)");
        return TDA_E_IO;
    }
    next_fd = own + 1;
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", own);
    *ret = dlopen(by_fd, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (*ret) {
        modules[n_modules].dev = st.st_dev;
        modules[n_modules++].ino = st.st_ino;
    } else {
        s = error_set(e, TDA_E_INVALID, "dlopen", "it cannot be loaded: %.200s", dlerror());
    }
    close(own);
    return s;
}

/* The descriptor is that of the file that was judged. */
static tda_status find_and_judge(const struct config *c, const char *name, struct loaded *l, int *ret_fd, struct error *e) {
    char path[PATH_MAX], real[PATH_MAX];
    int fd = -1;
    size_t size = 0;
    tda_status s = find_path(c, name, path, sizeof path, e);
    if (s) return s;
    l->file = str_dup(tda_str_of(path));
    s = open_file(c, path, &fd, real, &size, e);
    if (s) return s;
    free(l->file);
    l->file = str_dup(tda_str_of(real));
    s = judge_bytes(c, fd, size, l, e);
    if (s)
        close(fd);
    else
        *ret_fd = fd;
    return s;
}

tda_status plugin_load(const struct config *c, const char *name, const struct tda_host *host, struct loaded *l, struct error *e) {
    int fd = -1;
    void *module = NULL;
    tda_status s = find_and_judge(c, name, l, &fd, e);
    if (s) return s;
    s = open_module(fd, &module, e);
    close(fd);
    if (!s) s = enter(l, module, host, e);
    return s ? s : get_tables(l, e);
}

tda_status plugin_judge(const struct config *c, const char *name, struct error *e) {
    struct loaded l = {0};
    int fd = -1;
    tda_status s = find_and_judge(c, name, &l, &fd, e);
    if (!s) close(fd);
    loaded_fini(&l);
    return s;
}

void loaded_fini(struct loaded *l) {
    free(l->file);
    note_fini(&l->note);
}
