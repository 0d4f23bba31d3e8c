/* The contract: what is played to every plugin, in children. */
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "cmd.h"

enum { CUTS_MAX = 1500, WARM_UP = 200, LEAK_ROUNDS = 60, BLOCKED_MS = 30, BLOCKED_TIMES = 3, SLOW_MS = 200 };

struct tda_test *open_instance(const struct check *c, struct result *r) {
    struct error e = {.retry_ms = -1};
    const struct loaded *m;
    struct tda_test *t;
    step(r, "loading");
    if (!kit_module(c->file, &m, &e) && !kit_open(m, &t, &e)) return t;
    found(r, FAILURE, "it cannot be loaded: %s%s%s", e.text, e.hint[0] ? "; " : "", e.hint);
    return NULL;
}

/* A busy machine may take the processor away just when a callback gives it up for a moment: once is no proof. A language's runtime
 * stops the world to collect. */
static void judge_time(const struct tda_test *t, struct result *r) {
    const struct kit_spent *s = &t->longest;
    long long wall = s->wall_ns / NS_PER_MS, cpu = s->cpu_ns / NS_PER_MS;
    bool blocked = wall - cpu > BLOCKED_MS && s->waited;
    if (blocked && ++r->blocked >= BLOCKED_TIMES && !t->module->note.threads) {
        r->hopeless = true;
        found(r, FAILURE,
              "it blocks its loop: %s took %lld ms and waited for %lld of them: never sleep, read or wait in a callback; use "
              "host->timer and flows",
              s->callback, wall, wall - cpu);
    } else if (blocked && r->blocked == 1) {
        found(r, WARNING, "%s took %lld ms and waited for %lld of them, once: does it wait for something?", s->callback, wall,
              wall - cpu);
    } else if (cpu > SLOW_MS) {
        found(r, WARNING, "%s took %lld ms of processor time: the loop's other users wait that long", s->callback, cpu);
    }
}

static void take_faults(const struct tda_test *t, struct result *r, const char *where) {
    for (size_t i = 0; i < t->n_faults; i++)
        found(r, FAILURE, "%s (%s%s%u times)", t->faults[i].text, where, where[0] ? ", " : "", t->faults[i].times);
}

void close_instance(struct tda_test *t, struct result *r, const char *where) {
    step(r, "closing");
    kit_settle(t);
    if (t->starts != t->drops)
        found(r, FAILURE, "%llu calls started and %llu were dropped", (unsigned long long)t->starts, (unsigned long long)t->drops);
    take_faults(t, r, where);
    judge_time(t, r);
    tda_test_close(t);
}

/* Each fixture once, with its own faults. */
typedef void (*each_fn)(struct tda_test *t, const struct fixture *f, struct result *r);

static void for_each(const struct check *c, struct result *r, each_fn fn) {
    for (size_t i = 0; i < c->fixtures->n && !r->hopeless; i++) {
        const struct fixture *f = c->fixtures->list[i];
        struct tda_test *t = open_instance(c, r);
        if (!t) return;
        step(r, "%s", f->name);
        fn(t, f, r);
        close_instance(t, r, f->name);
    }
}

/* ---- load, interface ---- */

void case_load(const struct check *c, struct result *r) {
    unsigned threads = count_entries("/proc/self/task");
    struct tda_test *t = open_instance(c, r);
    if (!t) return;
    if (count_entries("/proc/self/task") > threads && !c->note->threads)
        found(r, FAILURE, "it starts threads while it is loaded: say `threads` in the note, or do without");
    struct state *before = state_take();
    close_instance(t, r, "");
    for (int i = 0; i < 3 && (t = open_instance(c, r)); i++) close_instance(t, r, "opened again");
    state_compare(before, c->note, r);
}

void case_interface(const struct check *c, struct result *r) {
    static const char *const unknown[] = {"tda.unknown/1", "tda.provider/2", "tda.provider/1x", "tda.adapter/9", "",
                                          "tda.provider"};
    struct tda_test *t = open_instance(c, r);
    if (!t) return;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        step(r, "interface(\"%s\")", unknown[i]);
        if (t->module->plugin->interface(tda_str_of(unknown[i])))
            found(r, FAILURE,
                  "it offers a table for the interface \"%s\", which does not exist: return NULL for ids that you do not know",
                  unknown[i]);
    }
    step(r, "interface of no name");
    if (t->module->plugin->interface((tda_str){NULL, 0}))
        found(r, FAILURE, "it offers a table for an interface without a name: return NULL");
    close_instance(t, r, "");
}

/* ---- answers ---- */

static void judge_wants(const struct fixture *f, const struct outcome *o, struct result *r) {
    if (!o->started) found(r, FAILURE, "%s: its start failed: accept the call and finish it with a class that says why", f->name);
    if (f->want_class && strcmp(class_name(o->cls), f->want_class) != 0)
        found(r, FAILURE, "%s: the call ended with class %s, wanted is %s", f->name, class_name(o->cls), f->want_class);
    if (f->want_text && strcmp(o->text ? o->text : "", f->want_text) != 0)
        found(r, FAILURE, "%s: the text is \"%.120s\", wanted is \"%.120s\"", f->name, o->text ? o->text : "", f->want_text);
    if (f->want_sent && !strstr(o->transcript ? o->transcript : "", f->want_sent))
        found(r, FAILURE, "%s: what it sent does not hold \"%.120s\"", f->name, f->want_sent);
}

static void once(struct tda_test *t, const struct fixture *f, struct result *r) {
    struct outcome o;
    play(t, &(struct plan){.fixture = f}, &o);
    if (getenv("TDA_TEST_LOG")) fprintf(stderr, "---- %s\n%s\n", f->name, o.transcript);
    judge_wants(f, &o, r);
    outcome_fini(&o);
}

void case_answers(const struct check *c, struct result *r) {
    const struct loaded *m;
    struct error e;
    if (kit_module(c->file, &m, &e)) return; /* the first case has said why */
    struct state *booted = state_take();
    for_each(c, r, once);
    state_compare(booted, c->note, r);
}

/* The lines in which they part. */
static void first_difference(const char *a, const char *b, char *out, size_t size) {
    size_t at = 0, line = 0;
    for (; a[at] && a[at] == b[at]; at++)
        if (a[at] == '\n') line = at + 1;
    snprintf(out, size, "\"%.*s\" became \"%.*s\"", (int)(strcspn(a + line, "\n") < 100 ? strcspn(a + line, "\n") : 100), a + line,
             (int)(strcspn(b + line, "\n") < 100 ? strcspn(b + line, "\n") : 100), b + line);
}

static bool same(const struct outcome *whole, const struct outcome *o, const char *how, const struct fixture *f, struct result *r) {
    char difference[260];
    if (whole->transcript && o->transcript && strcmp(whole->transcript, o->transcript) == 0) return true;
    first_difference(whole->transcript ? whole->transcript : "", o->transcript ? o->transcript : "", difference, sizeof difference);
    found(r, FAILURE, "%s: %s: %s: what it says must not depend on that", f->name, how, difference);
    return false;
}

static bool compare_with(struct tda_test *t, const struct plan *p, const struct outcome *whole, const char *how, struct result *r) {
    struct outcome o;
    step(r, "%s, %s", p->fixture->name, how);
    play(t, p, &o);
    bool ok = same(whole, &o, how, p->fixture, r);
    outcome_fini(&o);
    return ok;
}

static void split(struct tda_test *t, const struct fixture *f, struct result *r) {
    struct outcome whole;
    char how[64];
    play(t, &(struct plan){.fixture = f}, &whole);
    size_t n = whole.bytes, stride = n / CUTS_MAX + 1;
    bool ok = compare_with(t, &(struct plan){.fixture = f, .pieces = BYTES}, &whole, "delivered byte by byte", r) &&
              compare_with(t, &(struct plan){.fixture = f, .pieces = LINES}, &whole, "delivered line by line", r);
    for (size_t at = 1; ok && at < n; at += stride) {
        snprintf(how, sizeof how, "cut after byte %zu", at);
        ok = compare_with(t, &(struct plan){.fixture = f, .pieces = CUT_AT, .cut_at = at}, &whole, how, r);
    }
    outcome_fini(&whole);
}

void case_split(const struct check *c, struct result *r) {
    for_each(c, r, split);
}

/* ---- cancel, deadline, a broken connection, at every event ---- */

static void stop_everywhere(struct tda_test *t, const struct fixture *f, struct result *r) {
    static const struct {
        enum stop stop;
        const char *what;
    } ways[] = {{STOP_CANCEL, "cancelled"},
                {STOP_DEADLINE, "at its deadline"},
                {STOP_BREAK, "with its connection broken"},
                {STOP_END, "with its answer cut"},
                {STOP_CLOSE, "with its connection closed"}};
    struct outcome o;
    play(t, &(struct plan){.fixture = f, .pieces = LINES}, &o);
    unsigned n = o.events;
    outcome_fini(&o);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        if (ways[w].stop == STOP_CLOSE && !f->of_adapter) continue;
        for (unsigned at = 1; at <= n; at++) {
            step(r, "%s, %s at event %u", f->name, ways[w].what, at);
            play(t, &(struct plan){.fixture = f, .pieces = LINES, .stop = ways[w].stop, .stop_at = at}, &o);
            if (o.started && !o.finished) found(r, FAILURE, "%s: a call %s at event %u has no end", f->name, ways[w].what, at);
            outcome_fini(&o);
        }
    }
}

void case_cancel(const struct check *c, struct result *r) {
    for_each(c, r, stop_everywhere);
}

/* ---- emit says no; a process reads slowly ---- */

static void refuse_at(struct tda_test *t, const struct fixture *f, uint64_t at, struct result *r) {
    static const tda_status faults[] = {TDA_E_NOMEM, TDA_E_LIMIT};
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct outcome o;
        step(r, "%s, emit %llu answers %s", f->name, (unsigned long long)at, status_name(faults[i]));
        play(t, &(struct plan){.fixture = f, .refuse_at = at, .refuse_status = faults[i]}, &o);
        if (o.started && !o.finished) found(r, FAILURE, "%s: a call whose emit fails has no end", f->name);
        outcome_fini(&o);
    }
}

static void refuse_everywhere(struct tda_test *t, const struct fixture *f, struct result *r) {
    struct outcome whole;
    play(t, &(struct plan){.fixture = f}, &whole);
    for (uint64_t at = 1; at <= whole.emits; at++) refuse_at(t, f, at, r);
    if (f->of_adapter) compare_with(t, &(struct plan){.fixture = f, .send_again = true}, &whole, "with AGAIN for flow_send", r);
    outcome_fini(&whole);
}

void case_refusals(const struct check *c, struct result *r) {
    for_each(c, r, refuse_everywhere);
}

/* ---- leaks ---- */

static void many(struct tda_test *t, const struct plan *p, unsigned n) {
    struct outcome o;
    for (unsigned i = 0; i < n; i++) {
        play(t, p, &o);
        outcome_fini(&o);
    }
}

/* Bytes a call, after a warm-up. A plugin may keep a little for all calls: what counts is what grows. */
static double growth(struct tda_test *t, const struct plan *p, unsigned n) {
    many(t, p, n / 10 + 5);
    size_t before = memory_in_use();
    many(t, p, n);
    size_t after = memory_in_use();
    return after > before ? (double)(after - before) / n : 0;
}

static void leaks_in(struct tda_test *t, const struct plan *p, const char *how, unsigned n, struct result *r) {
    step(r, "%s%s, %u times", p->fixture->name, how, n);
    double bytes = growth(t, p, n);
    for (int i = 0; i < 2 && bytes >= 1; i++) bytes = growth(t, p, n); /* an allocator may grow once */
    if (bytes >= 1)
        found(r, FAILURE, "%s%s: it leaks %.0f bytes with each call: free in drop what the call allocated", p->fixture->name, how,
              bytes);
}

void case_leaks(const struct check *c, struct result *r) {
    struct tda_test *t = open_instance(c, r);
    if (!t) return;
    const struct fixture *first = c->fixtures->list[0];
    many(t, &(struct plan){.fixture = first}, WARM_UP);
    struct state *before = state_take();
    for (size_t i = 0; i < c->fixtures->n; i++) {
        const struct fixture *f = c->fixtures->list[i];
        leaks_in(t, &(struct plan){.fixture = f}, "", LEAK_ROUNDS, r);
        leaks_in(t, &(struct plan){.fixture = f, .pieces = LINES, .stop = STOP_CANCEL, .stop_at = 3}, ", cancelled", LEAK_ROUNDS,
                 r);
    }
    leaks_in(t, &(struct plan){.fixture = first}, "", c->options->calls, r);
    state_compare(before, c->note, r);
    close_instance(t, r, "many calls");
}

/* ---- two instances on two threads ---- */

enum { THREADS = 2, THREAD_ROUNDS = 30 };

struct worker {
    const struct check *check;
    char **wanted;
    struct result *result; /* of its own */
};

static void *work(void *arg) {
    struct worker *w = arg;
    struct tda_test *t = open_instance(w->check, w->result);
    if (t) t->gives_way = true;
    for (int k = 0; t && k < THREAD_ROUNDS; k++) {
        for (size_t i = 0; i < w->check->fixtures->n; i++) {
            struct outcome o;
            const struct fixture *f = w->check->fixtures->list[i];
            play(t, &(struct plan){.fixture = f, .pieces = k % 2 ? LINES : WHOLE}, &o);
            struct outcome wanted = {.transcript = w->wanted[i]};
            same(&wanted, &o, "beside another instance on another thread", f, w->result);
            outcome_fini(&o);
        }
    }
    if (t) close_instance(t, w->result, "two instances on two threads");
    return NULL;
}

static char **transcripts(const struct check *c, struct result *r) {
    char **list = calloc(c->fixtures->n + 1, sizeof *list);
    struct tda_test *t = list ? open_instance(c, r) : NULL;
    for (size_t i = 0; t && i < c->fixtures->n; i++) {
        struct outcome o;
        play(t, &(struct plan){.fixture = c->fixtures->list[i]}, &o);
        list[i] = str_dup(tda_str_of(o.transcript));
        outcome_fini(&o);
    }
    if (t) close_instance(t, r, "");
    return list;
}

void case_threads(const struct check *c, struct result *r) {
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    int n = 0;
    char **wanted = transcripts(c, r);
    kit_mark = NULL; /* one place, and now two threads */
    step(r, "two instances on two threads");
    for (; n < THREADS && wanted; n++) {
        workers[n] = (struct worker){c, wanted, calloc(1, sizeof(struct result))};
        if (!workers[n].result || pthread_create(&threads[n], NULL, work, &workers[n])) break;
    }
    if (n < THREADS) found(r, WARNING, "there was no memory for two threads");
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        for (size_t k = 0; i < n && k < workers[i].result->n; k++)
            found(r, workers[i].result->findings[k].severity, "%s", workers[i].result->findings[k].text);
        free(workers[i].result);
    }
    for (size_t i = 0; wanted && i < c->fixtures->n; i++) free(wanted[i]);
    free(wanted);
}
