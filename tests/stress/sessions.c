/* Threads write and read one store through its queues; at the end every acknowledged turn is there, in order. For TSan.
 *
 * usage: stress_sessions [TURNS]   per thread; default 2000 (100 times less than asked, for a turn is no post), or TDA_STRESS */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "session/sessions.h"
#include "session/sqlite_store.h"

enum { WRITERS = 4, IN_FLIGHT = 16 };

static struct sessions *ss;
static long turns = 2000;
static _Atomic long acknowledged, refused, failed, seen, out_of_order, mixed;

struct turn {
    struct store_job job;
    struct turn_row row;
    char user[16], session[16], key[32], text[32];
    _Atomic bool ended;
};

static tda_status run_create(void *arg, struct store *s, struct error *e) {
    return s->ops->create(s, arg, e);
}

static tda_status run_append(struct store_job *j, struct store *s) {
    return s->ops->append(s, &CONTAINER_OF(j, struct turn, job)->row, &j->error);
}

static void on_done(struct store_job *j) {
    atomic_fetch_add(j->status ? &failed : &acknowledged, 1);
    atomic_store(&CONTAINER_OF(j, struct turn, job)->ended, true);
}

static void prepare(struct turn *t, int writer, long i) {
    *t = (struct turn){.job = {.run = run_append, .done = on_done}};
    snprintf(t->user, sizeof t->user, "u%d", writer);
    snprintf(t->session, sizeof t->session, "s-%d", writer);
    snprintf(t->key, sizeof t->key, "k%d-%ld", writer, i);
    snprintf(t->text, sizeof t->text, "[\"u%d\",%ld]", writer, i);
    t->row = (struct turn_row){.session = tda_str_of(t->session),
                               .user = tda_str_of(t->user),
                               .at_ms = clock_wall_ms(),
                               .messages = tda_str_of(t->text),
                               .key = tda_str_of(t->key),
                               .reply = TDA_STR("{}"),
                               .usage = {.turns = 1, .calls = 1, .input = 1}};
}

static void *write_turns(void *arg) {
    static struct turn all[WRITERS][IN_FLIGHT];
    int writer = (int)(intptr_t)arg;
    struct turn *mine = all[writer];
    for (int i = 0; i < IN_FLIGHT; i++) atomic_store(&mine[i].ended, true);
    for (long i = 0; i < turns; i++) {
        struct turn *t = &mine[i % IN_FLIGHT];
        while (!atomic_load(&t->ended)) usleep(50);
        prepare(t, writer, i);
        while (sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &t->job, NULL)) {
            atomic_fetch_add(&refused, 1);
            usleep(50);
        }
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        while (!atomic_load(&mine[i].ended)) usleep(50);
    return NULL;
}

struct reading {
    char session[16], user[16];
    uint64_t n;
};

static bool look(void *arg, const struct turn_row *row) {
    struct reading *r = arg;
    if (row->n != ++r->n) atomic_fetch_add(&out_of_order, 1);
    if (!tda_str_eq(row->user, tda_str_of(r->user)) || !str_has(row->messages, tda_str_of(r->user))) atomic_fetch_add(&mixed, 1);
    atomic_fetch_add(&seen, 1);
    return true;
}

static tda_status run_read(void *arg, struct store *s, struct error *e) {
    struct reading *r = arg;
    return s->ops->turns(s, (tda_str){0}, tda_str_of(r->session), 0, false, look, r, e);
}

static uint64_t read_session(int writer) {
    struct reading r = {.n = 0};
    snprintf(r.session, sizeof r.session, "s-%d", writer);
    snprintf(r.user, sizeof r.user, "u%d", writer);
    if (sessions_run(ss, LANE_READ, run_read, &r, NULL)) atomic_fetch_add(&failed, 1);
    return r.n;
}

static _Atomic bool over;

static void *read_turns(void *arg) {
    (void)arg;
    for (int i = 0; !atomic_load(&over); i++) {
        read_session(i % WRITERS);
        usleep(5000);
    }
    return NULL;
}

static int run(void) {
    pthread_t threads[WRITERS], reader;
    uint64_t kept = 0;
    for (int i = 0; i < WRITERS; i++) {
        char id[16], user[16];
        snprintf(id, sizeof id, "s-%d", i);
        snprintf(user, sizeof user, "u%d", i);
        struct session_row row = {.id = tda_str_of(id), .user = tda_str_of(user), .title = TDA_STR("t")};
        if (sessions_run(ss, LANE_WRITE, run_create, &row, NULL)) return 1;
    }
    pthread_create(&reader, NULL, read_turns, NULL);
    for (int i = 0; i < WRITERS; i++) pthread_create(&threads[i], NULL, write_turns, (void *)(intptr_t)i);
    for (int i = 0; i < WRITERS; i++) pthread_join(threads[i], NULL);
    atomic_store(&over, true);
    pthread_join(reader, NULL);
    for (int i = 0; i < WRITERS; i++) kept += read_session(i);
    struct sessions_stats st;
    sessions_stats(ss, &st);
    printf("%ld turns acknowledged in %llu groups, %llu kept, %ld read meanwhile, %ld failed, %ld out of order, %ld mixed\n",
           acknowledged, (unsigned long long)st.groups, (unsigned long long)kept, seen, failed, out_of_order, mixed);
    return acknowledged != WRITERS * turns || kept != (uint64_t)acknowledged || failed || out_of_order || mixed;
}

int main(int argc, char **argv) {
    const char *amount = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    char folder[] = "/tmp/tda-stress-store-XXXXXX", path[64], command[64];
    struct store *store;
    struct error e = {.retry_ms = -1};
    if (amount) turns = strtol(amount, NULL, 10) / 100 + 1;
    if (hash_init() || !mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/s.db", folder);
    struct sqlite_options o = {.path = path, .limits = {10, UINT64_MAX}, .read_timeout_ns = 60LL * NS_PER_S};
    if (sqlite_store_open(&o, &store, &e) || sessions_new(store, 32, &ss)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int code = run();
    sessions_free(ss);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) || code;
}
