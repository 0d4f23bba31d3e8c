/* A host in the test's own process, whose one provider is a table in the test: "fake", no file behind it. For what needs an
 * injected clock, or a thread sanitizer. Start, use its loops, stop; what fails ends the test. */
#ifndef SUPPORT_IN_PROCESS_H
#define SUPPORT_IN_PROCESS_H

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "plugin/plugin_impl.h"

enum { IN_PROCESS_LOOPS = 4 };

struct in_process {
    struct config config; /* fill in before the start */
    struct plugins plugins;
    struct plugin plugin;
    struct plugin *list[1];
    struct provider_entry entry;
    struct registry registry;
    struct contexts *contexts;
    struct loop *loops[IN_PROCESS_LOOPS];
    unsigned n_loops;
};

static inline void must(tda_status s, const char *what) {
    if (!s) return;
    fprintf(stderr, "%s: %s\n", what, status_text(s));
    abort();
}

struct in_process_post {
    struct task task;
    void (*fn)(void *);
    void *arg;
};

static void in_process_run_post(struct task *t) {
    struct in_process_post *p = CONTAINER_OF(t, struct in_process_post, task);
    p->fn(p->arg);
    free(p);
}

static void in_process_post(void *arg, unsigned loop, void (*fn)(void *), void *fn_arg) {
    struct in_process *h = arg;
    struct in_process_post *p = malloc(sizeof *p);
    if (!p) abort();
    *p = (struct in_process_post){.task = {.run = in_process_run_post}, .fn = fn, .arg = fn_arg};
    loop_post(h->loops[loop], &p->task);
}

static struct in_process *in_process_of_loop; /* one host at a time */

static void in_process_open(void *arg) {
    must(plugins_open_loop(&in_process_of_loop->plugins, arg), "open");
}

static void in_process_close(void *arg) {
    plugins_close_loop(&in_process_of_loop->plugins, arg);
}

static inline void in_process_start(struct in_process *h, const struct tda_provider *provider, unsigned n_loops) {
    must(hash_init(), "random numbers");
    in_process_of_loop = h;
    h->plugin.loaded.provider = provider;
    h->plugin.loaded.note.id = h->plugin.loaded.note.version = "fake";
    h->plugin.generation = 1;
    snprintf(h->plugin.label, sizeof h->plugin.label, "plugin fake");
    h->list[0] = &h->plugin;
    h->entry = (struct provider_entry){.name = "fake", .plugin = &h->plugin};
    must(entry_make(&h->entry), "the provider's entry");
    h->registry = (struct registry){.list = h->list, .n = 1, .entries = &h->entry, .n_entries = 1};
    h->plugins.config = &h->config;
    atomic_store(&h->plugins.now, &h->registry);
    must(workers_new((unsigned)h->config.limits_workers, (unsigned)h->config.limits_user_workers,
                     (unsigned)h->config.limits_worker_queue, &h->plugins.workers),
         "workers");
    h->n_loops = n_loops;
    for (unsigned i = 0; i < n_loops; i++) {
        must(loop_new(&(struct loop_options){.index = i, .config = &h->config}, &h->loops[i]), "loop");
        must(loop_start(h->loops[i]), "loop's thread");
        loop_call(h->loops[i], in_process_open, h->loops[i]);
    }
    struct contexts_options o = {.max_users = 1000, .n_loops = n_loops, .post = in_process_post, .post_arg = h};
    must(contexts_new(&o, &h->contexts), "contexts");
}

static tda_status in_process_fill(struct draft *d, void *arg, struct error *e) {
    (void)arg;
    tda_status s = draft_set(d, TDA_CTX_PROVIDER, TDA_STR("fake"), e);
    return s ? s : draft_set(d, TDA_CTX_MODEL, TDA_STR("model"), e);
}

/* The snapshot of a user who is configured; a reference. */
static inline struct snapshot *in_process_user(struct in_process *h, const char *user) {
    struct snapshot *s;
    must(contexts_update(h->contexts, &principal_host, tda_str_of(user), in_process_fill, NULL, NULL, NULL), "a user");
    must(contexts_acquire(h->contexts, &principal_host, tda_str_of(user), &s, NULL), "his snapshot");
    return s;
}

/* Everything that was asked has ended. */
static inline void in_process_stop(struct in_process *h) {
    if (!workers_stop(h->plugins.workers, 10LL * NS_PER_S)) abort();
    contexts_free(h->contexts);
    for (unsigned i = 0; i < h->n_loops; i++) loop_call(h->loops[i], in_process_close, h->loops[i]);
    for (unsigned i = 0; i < h->n_loops; i++) loop_stop(h->loops[i]);
    for (unsigned i = 0; i < h->n_loops; i++) loop_free(h->loops[i]);
    workers_free(h->plugins.workers);
    entry_fini(&h->entry);
}

#endif
