/* Reading the configuration again, while everything runs: checked whole, then swapped whole, or nothing changes.
 *
 * What a request began with it ends with: its agent points to the configuration of that time. So nothing of a former configuration
 * is freed while the daemon runs, and the number of reloads has a bound. */
#include <stdio.h>

#include "agent/profile.h"
#include "base/log.h"
#include "host.h"
#include "plugin/plugins.h"

enum { RELOADS_MAX = 1000, REPORT_MAX = 1 << 20, PATHS_MAX = 64 << 10, LINE_MAX_SHOWN = 400 };

/* One that was taken. */
struct reload {
    struct reload *before;
    struct config *config;
    struct agent agent;
    struct buf changed, restart; /* paths, a line each */
    struct buf warnings;         /* what was taken and will not work, a line each */
};

static const struct config *config_of(const struct host *h) {
    return config_now(h->config);
}

static void add_path(void *arg, const char *path, bool fixed) {
    struct reload *r = arg;
    buf_addf(fixed ? &r->restart : &r->changed, "%s\n", path);
}

/* ---- checking ---- */

static tda_status read_again(struct host *h, struct reload *r, struct buf *report) {
    struct buf notes;
    buf_init(&notes, REPORT_MAX);
    tda_status s = config_load(&h->source, &r->config, report, &notes);
    buf_fini(&notes);
    return s;
}

tda_status host_check_profiles(const struct config *c, struct plugins *plugins, struct buf *report) {
    struct contexts_options o = {.persistence = c->contexts_persistence, .max_users = 1, .n_loops = 1};
    struct contexts *cs;
    struct agent agent;
    tda_status s = c->n_profiles ? contexts_new(&o, &cs) : TDA_OK;
    if (s || !c->n_profiles) return s;
    s = agent_init(&agent, c, plugins, cs);
    if (!s) s = profiles_load(&agent, report);
    agent_fini(&agent);
    contexts_free(cs);
    return s;
}

/* Also those that count from the next start on: a file that would not start is not taken. */
static tda_status check_listeners(const struct config *c, struct buf *report) {
    struct error e = {.retry_ms = -1};
    tda_status s = server_check(c, &e);
    if (s) buf_addf(report, "%s\n", e.text);
    return s;
}

/* The plugins under the new configuration, for nobody but the check of its profiles. */
static tda_status check_whole(struct host *h, struct reload *r, struct registry **ret_registry, struct buf *report) {
    tda_status s = read_again(h, r, report);
    if (!s) s = check_listeners(r->config, report);
    if (!s) s = plugins_prepare(h->plugins, r->config, ret_registry, report);
    if (s) return s;
    struct plugins *view;
    s = plugins_view(h->plugins, r->config, *ret_registry, &view);
    if (!s) s = host_check_profiles(r->config, view, report);
    plugins_view_free(view);
    return s;
}

/* ---- telling ---- */

/* The next line of those that p points into; false: there is none. The last may lack its end. */
static bool next_line(const struct buf *lines, const char **p, tda_str *ret) {
    if (!lines->p) return false;
    const char *end = lines->p + lines->n;
    if (*p >= end) return false;
    const char *lf = memchr(*p, '\n', (size_t)(end - *p));
    *ret = (tda_str){*p, (size_t)((lf ? lf : end) - *p)};
    *p = lf ? lf + 1 : end;
    return true;
}

static void say_paths(const char *what, const struct buf *paths) {
    tda_str line;
    for (const char *p = paths->p; next_line(paths, &p, &line);) log_info(what, LOG_STR("setting", line));
}

static void say_warnings(const struct buf *warnings) {
    tda_str line;
    for (const char *p = warnings->p; next_line(warnings, &p, &line);)
        log_warn("the configuration is taken, but will not work", LOG_STR("reason", line));
}

static void say_error(tda_str reason) {
    log_error("the configuration is not usable and is not taken", LOG_STR("reason", reason));
}

static void say_errors(const struct buf *report) {
    tda_str line;
    for (const char *p = report->p; next_line(report, &p, &line);) say_error(line);
}

static size_t count_lines(const struct buf *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) n += b->p[i] == '\n';
    return n;
}

/* ---- swapping ---- */

/* Nothing can be refused any more: the profiles have been made once for the check. */
static void swap_whole(struct host *h, struct reload *r, struct registry *registry, struct buf *report) {
    agent_init_next(&r->agent, h->reloads ? &h->reloads->agent : &h->agent, r->config);
    plugins_publish(h->plugins, registry);
    config_publish(h->config, r->config);
    if (profiles_load(&r->agent, report)) say_errors(report);
    router_set_agent(h->router, &r->agent);
    if (h->server) server_renew_certificates(h->server, r->config);
    log_set_level((enum log_level)(r->config->log_level + 1));
}

/* ---- the job ---- */

static void reload_free(struct reload *r) {
    config_free(r->config);
    buf_fini(&r->changed);
    buf_fini(&r->restart);
    buf_fini(&r->warnings);
    free(r);
}

static tda_status refused(struct reload *r, const struct buf *report, tda_status s, char *note, size_t note_size) {
    size_t n = count_lines(report);
    const char *first = n ? report->p : status_text(s);
    if (n)
        say_errors(report);
    else
        say_error(tda_str_of(first));
    snprintf(note, note_size, "%.*s%s", (int)strcspn(first, "\n"), first, n > 1 ? " (and more: see the log)" : "");
    reload_free(r);
    return s;
}

static tda_status taken(struct host *h, struct reload *r, char *note, size_t note_size) {
    size_t n = count_lines(&r->changed), later = count_lines(&r->restart), bad = count_lines(&r->warnings);
    r->before = h->reloads;
    h->reloads = r;
    say_paths("setting changed", &r->changed);
    say_paths("setting changed, which takes a restart to count", &r->restart);
    say_warnings(&r->warnings);
    int at = snprintf(note, note_size, "%zu settings changed, %zu more need a restart", n, later);
    if (bad && at > 0 && (size_t)at < note_size) snprintf(note + at, note_size - (size_t)at, ", %zu warnings", bad);
    log_info("configuration read again", LOG_Z("note", note));
    return TDA_OK;
}

tda_status host_reload(void *arg, char *note, size_t note_size) {
    struct host *h = arg;
    struct registry *registry = NULL;
    struct buf report;
    size_t n = 0;
    audit_reopen(h->audit); /* a rotation needs no good configuration */
    for (struct reload *old = h->reloads; old; old = old->before) n++;
    struct reload *r = n < RELOADS_MAX ? calloc(1, sizeof *r) : NULL;
    if (!r) {
        snprintf(note, note_size, n < RELOADS_MAX ? "out of memory" : "read %d times since the start: restart the daemon",
                 RELOADS_MAX);
        say_error(tda_str_of(note));
        return TDA_E_LIMIT;
    }
    buf_init(&report, REPORT_MAX);
    buf_init(&r->changed, PATHS_MAX);
    buf_init(&r->restart, PATHS_MAX);
    buf_init(&r->warnings, PATHS_MAX);
    tda_status s = check_whole(h, r, &registry, &report);
    if (!s) s = config_diff(config_of(h), r->config, add_path, r);
    if (!s)
        swap_whole(h, r, registry, &report);
    else if (registry)
        plugins_discard(h->plugins, registry);
    if (!s) plugins_foresee(r->config, &r->warnings);
    s = s ? refused(r, &report, s, note, note_size) : taken(h, r, note, note_size);
    buf_fini(&report);
    return s;
}

static void write_lines(struct jw *w, const char *key, const struct buf *lines) {
    tda_str line;
    jw_open_array(w, key);
    for (const char *p = lines->p; next_line(lines, &p, &line);) jw_str(w, line);
    jw_end_array(w);
}

void host_write_reload(void *arg, struct jw *w) {
    struct host *h = arg;
    if (!h->reloads) return;
    write_lines(w, "changed", &h->reloads->changed);
    write_lines(w, "restart", &h->reloads->restart);
    if (h->reloads->warnings.n) write_lines(w, "warnings", &h->reloads->warnings);
}

void host_free_reloads(struct host *h) {
    while (h->reloads) {
        struct reload *r = h->reloads;
        h->reloads = r->before;
        reload_free(r);
    }
}
