/* From a file to an instance on this thread. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"
#include "plugin/elf_audit.h"

enum { MODULES_MAX = 16, FILE_MAX = 256 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both lists below */
static struct loaded modules[MODULES_MAX];
static size_t n_modules;
static bool index_taken[LOOPS_MAX];

/* Whose credentials it may read is the operator's to say; in a test there is none, and it may. */
static char *id_in_note(const char *path) {
    struct stat st;
    struct elf_facts facts;
    struct note note;
    char *id = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= FILE_MAX;
    char *bytes GUARD(free_p) = ok ? malloc((size_t)st.st_size) : NULL;
    ok = bytes && read(fd, bytes, (size_t)st.st_size) == st.st_size;
    close(fd);
    if (!ok || elf_audit((tda_str){bytes, (size_t)st.st_size}, TDA_PLUGIN_ENTRY_SYMBOL, &facts, NULL)) return NULL;
    if (note_parse(facts.note, &note, NULL)) return NULL;
    id = str_dup(tda_str_of(note.id));
    note_fini(&note);
    return id;
}

tda_status kit_load(const char *file, const struct tda_host *host, struct loaded *ret, struct error *e) {
    char path[PATH_MAX];
    if (!realpath(file, path)) return error_set(e, TDA_E_NOT_FOUND, "unreadable", "%s: there is no such file", file);
    char *id GUARD(free_p) = id_in_note(path);
    char *readers[] = {id, NULL};
    const struct config anybody = {.plugins_strict = false, .secret_readers = readers};
    return plugin_load(&anybody, path, host, ret, e);
}

static const struct loaded *find_module(const char *path) {
    for (size_t i = 0; i < n_modules; i++)
        if (strcmp(modules[i].file, path) == 0) return &modules[i];
    return NULL;
}

tda_status kit_module(const char *file, const struct loaded **ret, struct error *e) {
    char path[PATH_MAX];
    tda_status s = TDA_OK;
    if (!realpath(file, path)) return error_set(e, TDA_E_NOT_FOUND, "unreadable", "%s: there is no such file", file);
    pthread_mutex_lock(&lock);
    const struct loaded *m = find_module(path);
    if (!m && n_modules == MODULES_MAX) s = error_set(e, TDA_E_LIMIT, NULL, "too many plugins in one test");
    if (!m && !s) {
        struct loaded *l = &modules[n_modules];
        *l = (struct loaded){0};
        s = kit_load(path, &kit_host_table, l, e);
        if (s)
            loaded_fini(l);
        else
            m = &modules[n_modules++];
    }
    pthread_mutex_unlock(&lock);
    if (!s) *ret = m;
    return s;
}

/* ---- instances ---- */

static int take_index(void) {
    int index = -1;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < LOOPS_MAX && index < 0; i++)
        if (!index_taken[i]) index = i;
    if (index >= 0) index_taken[index] = true;
    pthread_mutex_unlock(&lock);
    return index;
}

static void give_index(unsigned index) {
    pthread_mutex_lock(&lock);
    index_taken[index] = false;
    pthread_mutex_unlock(&lock);
}

static void free_instance(struct tda_test *t) {
    kit_here(t);
    plugin_loop_unbind(&t->pl);
    kit_here(NULL);
    give_index(t->pl.index);
    for (size_t i = 0; i < t->n_values; i++) {
        free(t->values[i].name);
        free(t->values[i].value);
    }
    for (size_t i = 0; i < t->n_faults; i++) free(t->faults[i].text);
    free(t->address);
    free(t->pl.slots);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static tda_status open_interfaces(struct tda_test *t) {
    const struct loaded *m = t->module;
    tda_status s = TDA_OK;
    kit_enter(t, "open");
    if (m->provider && m->provider->open) s = m->provider->open(t->pl.index, &t->provider_self);
    if (!s && m->adapter && m->adapter->open) s = m->adapter->open(t->pl.index, &t->adapter_self);
    kit_leave(t);
    return s;
}

tda_status kit_open(const struct loaded *m, struct tda_test **ret, struct error *e) {
    struct tda_test *t = calloc(1, sizeof *t);
    int index = take_index();
    if (!t || index < 0) {
        free(t);
        if (index >= 0) give_index((unsigned)index);
        return error_set(e, TDA_E_NOMEM, NULL, "no memory, or too many instances");
    }
    t->module = m;
    t->pl.index = (unsigned)index;
    t->pl.plugins = &t->plugins;
    t->wakes_end = &t->wakes;
    pthread_mutex_init(&t->lock, NULL);
    tda_status s = open_interfaces(t);
    if (s) {
        free_instance(t);
        return error_set(e, s, NULL, "its open failed: %s", status_text(s));
    }
    *ret = t;
    return TDA_OK;
}

struct tda_test *tda_test_open(const char *file) {
    struct error e = {.retry_ms = -1};
    const struct loaded *m;
    struct tda_test *t;
    if (!kit_module(file, &m, &e) && !kit_open(m, &t, &e)) return t;
    fprintf(stderr, "tda-test: %s: %s%s%s\n", file, e.text, e.hint[0] ? "; " : "", e.hint);
    return NULL;
}

/* ---- the end ---- */

static void end_everything(struct tda_test *t) {
    struct tda_test_call *c;
    struct tda_test_conn *k;
    for (k = LIST_FIRST(&t->conns); k; k = LIST_NEXT(k, entry)) conn_force(k);
    for (c = LIST_FIRST(&t->calls); c; c = LIST_NEXT(c, entry)) tda_test_cancel(c);
    while ((c = LIST_FIRST(&t->calls))) {
        c->done = true;
        tda_test_forget(c);
    }
    while ((k = LIST_FIRST(&t->conns))) conn_forget(k);
}

static void close_interfaces(struct tda_test *t) {
    const struct loaded *m = t->module;
    kit_enter(t, "close");
    if (t->object) t->object_drop(t->provider_self, t->object);
    if (m->provider && m->provider->close) m->provider->close(t->provider_self);
    if (m->adapter && m->adapter->close) m->adapter->close(t->adapter_self);
    kit_leave(t);
}

int tda_test_close(struct tda_test *t) {
    if (!t) return 0;
    kit_here(t);
    kit_settle(t);
    end_everything(t);
    close_interfaces(t);
    int n = (int)t->n_faults;
    for (size_t i = 0; i < t->n_faults; i++)
        fprintf(stderr, "tda-test: %s: %s (%u times)\n", t->module->note.id, t->faults[i].text, t->faults[i].times);
    free_instance(t);
    return n;
}
