/* A plugin loaded while the host serves, on a worker:
 *
 *   file judged, dlopen, boot -> entries for it -> open on every loop -> the registry is swapped: from here on new calls go there
 *
 * Whatever fails leaves the registry as it was. What was replaced is not closed: its calls, connections and users' objects go on.
 */
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "plugin/plugin_impl.h"

enum { BUSY_RETRY_MS = 500 };

struct load {
    struct worker_job job;
    struct plugins *plugins;
    char *name; /* as in plugins.load */
    plugins_loaded_fn done;
    void *arg;
};

/* ---- what may be loaded ---- */

static bool is_id(tda_str s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(letters, s.p[i])) return false;
    return s.n > 0 && s.n <= 32 && s.p[0] >= 'a' && s.p[0] <= 'z';
}

/* NAME.so in plugins.dir, said as a path. */
static bool is_in_dir(const struct config *c, tda_str file) {
    size_t n = strlen(c->plugins_dir);
    while (n > 1 && c->plugins_dir[n - 1] == '/') n--;
    if (!n || file.n < n + 5 || memcmp(file.p, c->plugins_dir, n) != 0 || file.p[n] != '/') return false;
    tda_str base = {file.p + n + 1, file.n - n - 1};
    return memcmp(base.p + base.n - 3, ".so", 3) == 0 && is_id((tda_str){base.p, base.n - 3});
}

/* The name under which the loader finds it: the operator's own, when he gave a path for this id; NULL: not allowed. */
static const char *allowed_name(const struct plugins *ps, tda_str what, char *room, size_t size) {
    const struct config *c = config_now(ps->config);
    for (char **listed = c->plugins; *listed; listed++)
        if (tda_str_eq(what, tda_str_of(*listed))) return *listed;
    const struct registry *r = registry_now(ps);
    for (size_t i = r->n; i-- > 0;)
        if (!r->list[i]->reason[0] && tda_str_eq(what, tda_str_of(r->list[i]->loaded.note.id))) return r->list[i]->name;
    if (what.n >= size || !(is_id(what) || is_in_dir(c, what))) return NULL;
    snprintf(room, size, "%.*s", STR_FMT(what));
    return room;
}

static tda_status not_allowed(tda_str what, struct error *e) {
    char shown[64];
    struct buf clean;
    buf_init(&clean, 4 * sizeof shown);
    text_sanitise((tda_str){what.p, what.n < sizeof shown ? what.n : sizeof shown}, &clean);
    error_set(e, TDA_E_DENIED, "path_not_allowed", "\"%.*s\" may not be loaded", STR_FMT(buf_str(&clean)));
    error_hint(e, "a plugin's id (NAME.so in plugins.dir), or a file that plugins.load lists");
    buf_fini(&clean);
    return TDA_E_DENIED;
}

/* ---- on the worker ---- */

struct step {
    struct plugin *plugin;
    unsigned index;
    tda_status status;
};

static void open_here(void *arg) {
    struct step *s = arg;
    s->status = plugin_open_on(s->plugin, s->index);
}

static void close_here(void *arg) {
    struct step *s = arg;
    plugin_close_on(s->plugin, s->index);
}

static tda_status open_everywhere(struct plugins *ps, struct plugin *p, struct error *e) {
    struct step step = {.plugin = p};
    for (unsigned i = 0; i < LOOPS_MAX && !step.status; i++) {
        step.index = i;
        if (ps->loops[i]) loop_call(ps->loops[i]->loop, open_here, &step);
    }
    if (!step.status) return TDA_OK;
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        step.index = i;
        if (ps->loops[i]) loop_call(ps->loops[i]->loop, close_here, &step);
    }
    return error_set(e, TDA_E_INTERNAL, "open_failed", "it cannot open an instance: %s", status_text(step.status));
}

/* The first line of what does not fit. */
static tda_status make_registry(struct plugins *ps, struct plugin *p, struct registry **ret, struct error *e) {
    struct buf report;
    struct registry *r;
    tda_status s = registry_new(registry_now(ps), p, &r);
    if (s) {
        error_set(e, s, NULL, "out of memory");
        return s;
    }
    buf_init(&report, 1 << 20);
    s = registry_make_entries(r, config_now(ps->config), &report);
    if (s) {
        error_set(e, s, NULL, "out of memory");
    } else if (report.n) {
        s = TDA_E_INVALID;
        error_set(e, s, "config_does_not_fit", "%.*s", (int)strcspn(report.p, "\n"), report.p);
    }
    buf_fini(&report);
    if (s)
        registry_free(r);
    else
        *ret = r;
    return s;
}

void registry_publish(struct plugins *ps, struct registry *r) {
    r->before = atomic_load_explicit(&ps->now, memory_order_relaxed); /* one load at a time: nobody else swaps */
    atomic_store_explicit(&ps->now, r, memory_order_release);
}

static tda_status load(struct plugins *ps, const char *name, struct plugin **ret, struct error *e) {
    struct plugin *p = NULL;
    struct registry *r = NULL;
    tda_status s = plugin_new(ps, name, &p, e);
    const struct plugin *before = s ? NULL : registry_find(registry_now(ps), p->loaded.note.id);
    if (before) p->generation = before->generation + 1;
    if (!s) s = make_registry(ps, p, &r, e);
    if (!s) s = open_everywhere(ps, p, e);
    if (s) {
        registry_free(r);
        plugin_free(p);
        return s;
    }
    registry_publish(ps, r);
    *ret = p;
    return TDA_OK;
}

static void run(struct worker_job *j) {
    struct load *l = CONTAINER_OF(j, struct load, job);
    struct plugins *ps = l->plugins;
    struct error e = {.retry_ms = -1};
    struct plugin *p;
    tda_status s = load(ps, l->name, &p, &e);
    atomic_store(&ps->loading, false);
    if (s) {
        log_error("plugin not loaded", LOG_Z("plugin", l->name), LOG_Z("reason", e.text), LOG_Z("hint", e.hint));
        l->done(l->arg, NULL, &e);
    } else {
        struct loaded_plugin loaded = {p->loaded.note.id, p->loaded.note.version, p->loaded.file, p->generation};
        log_info("plugin loaded", LOG_Z("plugin", loaded.id), LOG_Z("version", loaded.version), LOG_Z("file", loaded.file),
                 LOG_INT("generation", loaded.generation));
        l->done(l->arg, &loaded, NULL);
    }
    free(l->name);
    free(l);
}

/* ---- the way in ---- */

static tda_status busy(int64_t retry_ms, struct error *e) {
    error_set(e, TDA_E_BUSY, "busy", "another plugin is being loaded, or all workers are taken");
    error_hint(e, "try again later");
    if (e) e->retry_ms = retry_ms;
    return TDA_E_BUSY;
}

tda_status plugins_load(struct plugins *ps, tda_str what, plugins_loaded_fn done, void *arg, struct error *e) {
    char room[PATH_MAX];
    int64_t retry_ms = BUSY_RETRY_MS;
    const char *name = allowed_name(ps, what, room, sizeof room);
    if (!name) return not_allowed(what, e);
    struct load *l = calloc(1, sizeof *l);
    if (l) *l = (struct load){{.label = "plugin.load", .run = run}, ps, str_dup(tda_str_of(name)), done, arg};
    if (!l || !l->name) {
        free(l);
        return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    }
    tda_status s = atomic_exchange(&ps->loading, true) ? busy(retry_ms, e) : TDA_OK;
    if (!s && workers_add(ps->workers, &l->job, &retry_ms)) {
        atomic_store(&ps->loading, false);
        s = busy(retry_ms, e);
    }
    if (!s) return TDA_OK;
    free(l->name);
    free(l);
    return s;
}
