/* From the settings to a running store, and the job that keeps it within its bounds. */
#include <stdio.h>

#include "base/clock.h"
#include "session/open.h"
#include "session/sqlite_store.h"

#define READ_TIMEOUT_NS (5LL * NS_PER_S)

tda_status sessions_open(const struct config *c, const char *path, struct sessions **ret, struct error *e) {
    struct store *store;
    struct sqlite_options o = {.path = path,
                               .full = c->sessions_synchronous == 0,
                               .limits = {(uint64_t)c->sessions_per_user, (uint64_t)c->sessions_turns},
                               .read_timeout_ns = READ_TIMEOUT_NS};
    tda_status s = sqlite_store_open(&o, &store, e);
    if (s) return s;
    s = sessions_new(store, (uint64_t)c->sessions_queue, ret);
    return s ? error_set(e, s, NULL, "cannot start the session store's threads") : TDA_OK;
}

struct retaining {
    struct retention keep;
    struct removed removed;
};

static tda_status retain(void *arg, struct store *s, struct error *e) {
    struct retaining *r = arg;
    return s->ops->retain(s, &r->keep, &r->removed, e);
}

void retention_begin(struct retention_ages *ages) {
    int64_t wall = clock_wall_ms(), now = clock_now_ns();
    clock_age_begin(&ages->sessions, wall, now);
    clock_age_begin(&ages->keys, wall, now);
    clock_age_begin(&ages->usage, wall, now);
}

tda_status sessions_retain(struct sessions *ss, const struct config *c, struct retention_ages *ages, char *note, size_t note_size) {
    int64_t wall = clock_wall_ms(), now = clock_now_ns();
    struct error e = {.retry_ms = -1};
    struct retaining r = {.keep = {.sessions_before_ms = clock_age_before_ms(&ages->sessions, wall, now, c->retention_max_age),
                                   .keep_per_user = (uint64_t)c->retention_keep,
                                   .keys_before_ms = clock_age_before_ms(&ages->keys, wall, now, c->retention_keys),
                                   .usage_before_day = clock_age_before_ms(&ages->usage, wall, now, c->retention_usage) / DAY_MS}};
    struct removed all = {0};
    tda_status s;
    do {
        s = sessions_run(ss, LANE_WRITE, retain, &r, &e);
        if (s) break;
        all.sessions += r.removed.sessions;
        all.keys += r.removed.keys;
        all.usage_days += r.removed.usage_days;
    } while (r.removed.sessions >= RETAIN_STEP);
    if (s)
        snprintf(note, note_size, "%s", e.text);
    else
        snprintf(note, note_size, "%llu sessions, %llu keys, %llu rows of usage removed", (unsigned long long)all.sessions,
                 (unsigned long long)all.keys, (unsigned long long)all.usage_days);
    return s;
}

struct counting {
    void (*visit)(void *arg, tda_str user, uint64_t tokens);
    void *arg;
};

static void count_one(void *arg, const struct usage_row *row) {
    struct counting *c = arg;
    c->visit(c->arg, row->user, row->sums.input + row->sums.output);
}

static tda_status count(void *arg, struct store *s, struct error *e) {
    return s->ops->day(s, clock_wall_ms() / DAY_MS, count_one, arg, e);
}

tda_status sessions_tokens_today(struct sessions *ss, void (*visit)(void *arg, tda_str user, uint64_t tokens), void *arg,
                                 struct error *e) {
    struct counting c = {visit, arg};
    return sessions_run(ss, LANE_READ, count, &c, e);
}
