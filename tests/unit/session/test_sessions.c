/* The threads between callers and a store: groups, bounds, one turn at a time; titles. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "memory_store.h"
#include "session/sessions.h"

TestSuite(sessions, .timeout = 60);

static const struct store_limits limits = {.sessions_per_user = 1000, .turns_per_session = 1000};

struct write_job {
    struct store_job job;
    struct session_row row;
    char id[SESSION_ID_SIZE];
    int runs;
};

static _Atomic int ended, failed;
static _Atomic bool hold;

static tda_status write_one(struct store_job *j, struct store *s) {
    struct write_job *w = CONTAINER_OF(j, struct write_job, job);
    while (atomic_load(&hold)) usleep(500);
    w->runs++;
    return s->ops->create(s, &w->row, &j->error);
}

static void on_done(struct store_job *j) {
    if (j->status) atomic_fetch_add(&failed, 1);
    atomic_fetch_add(&ended, 1);
}

static struct write_job *job(const char *user) {
    struct write_job *w = calloc(1, sizeof *w);
    session_id_new(w->id);
    w->row = (struct session_row){.id = tda_str_of(w->id), .user = tda_str_of(user), .title = TDA_STR("")};
    w->job.run = write_one;
    w->job.done = on_done;
    return w;
}

static struct sessions *start(struct store *store, uint64_t queue) {
    struct sessions *ss = NULL;
    hash_init();
    ended = failed = 0;
    cr_assert(sessions_new(store, queue, &ss) == TDA_OK);
    return ss;
}

Test(sessions, a_full_queue_is_busy_and_a_reserved_place_is_kept) {
    struct sessions *ss = start(memory_store_new(&limits), 3);
    struct error e = {.retry_ms = -1};
    struct write_job *jobs[5];
    for (int i = 0; i < 5; i++) jobs[i] = job("u");
    hold = true;
    cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &jobs[0]->job, &e) == TDA_OK);
    struct sessions_stats st;
    do sessions_stats(ss, &st);
    while (st.queued); /* the writer has it */
    cr_assert(sessions_reserve(ss, &e) == TDA_OK);
    cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &jobs[1]->job, &e) == TDA_OK);
    cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &jobs[2]->job, &e) == TDA_OK);
    cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &jobs[3]->job, &e) == TDA_E_BUSY);
    cr_assert(e.retry_ms > 0);
    cr_assert(sessions_reserve(ss, &e) == TDA_E_BUSY);
    sessions_write_reserved(ss, &jobs[4]->job);
    hold = false;
    sessions_free(ss); /* does what is queued */
    cr_assert_eq(ended, 4);
    cr_assert_eq(failed, 0);
    for (int i = 0; i < 5; i++) free(jobs[i]);
}

/* A store whose commits of more than one job fail: each is to be tried alone, and only the poisoned one to fail. */
static struct store_ops flaky_ops;
static const struct store_ops *real;
static int in_group;
static bool poisoned;

static tda_status flaky_begin(struct store *s, struct error *e) {
    in_group = 0;
    poisoned = false;
    return real->begin(s, e);
}
static tda_status flaky_create(struct store *s, const struct session_row *row, struct error *e) {
    in_group++;
    poisoned |= tda_str_eq(row->user, TDA_STR("poison"));
    return real->create(s, row, e);
}
static tda_status flaky_commit(struct store *s, struct error *e) {
    return poisoned ? error_set(e, TDA_E_IO, "store_full", "full") : real->commit(s, e);
}

static void count_one(void *arg, const struct session_row *row, tda_str cursor) {
    (void)row, (void)cursor;
    ++*(int *)arg;
}
static tda_status count_all(void *arg, struct store *s, struct error *e) {
    struct session_query q = {.limit = 1000};
    return s->ops->list(s, &q, count_one, arg, e);
}

Test(sessions, one_that_cannot_be_stored_takes_no_other_with_it) {
    struct store *store = memory_store_new(&limits);
    struct error e = {.retry_ms = -1};
    real = store->ops;
    flaky_ops = *real;
    flaky_ops.begin = flaky_begin;
    flaky_ops.create = flaky_create;
    flaky_ops.commit = flaky_commit;
    store->ops = &flaky_ops;
    struct sessions *ss = start(store, 100);
    struct write_job *jobs[20];
    hold = true;
    for (int i = 0; i < 20; i++) {
        jobs[i] = job(i == 11 ? "poison" : "u");
        cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &jobs[i]->job, &e) == TDA_OK);
    }
    hold = false;
    while (ended < 20) usleep(500);
    cr_assert_eq(failed, 1);
    cr_assert(jobs[11]->job.status == TDA_E_IO);
    cr_assert_str_eq(jobs[11]->job.error.kind, "store_full");
    int n = 0;
    cr_assert(sessions_run(ss, LANE_READ, count_all, &n, &e) == TDA_OK);
    cr_assert_eq(n, 19);
    struct sessions_stats st;
    sessions_stats(ss, &st);
    cr_assert(st.groups < 20, "many share a commit");
    sessions_free(ss);
    for (int i = 0; i < 20; i++) free(jobs[i]);
}

static void see_usage(void *arg, const struct usage_row *row) {
    uint64_t *got = arg;
    got[0]++;
    got[1] += row->sums.input;
    got[2] += row->sums.turns;
}
static tda_status read_usage(void *arg, struct store *s, struct error *e) {
    return s->ops->usage(s, TDA_STR("u"), 0, see_usage, arg, e);
}

Test(sessions, usage_that_waits_is_added_up) {
    struct sessions *ss = start(memory_store_new(&limits), 4);
    struct error e = {.retry_ms = -1};
    struct write_job *first = job("u");
    struct usage_row row = {
        .user = TDA_STR("u"), .provider = TDA_STR("P"), .model = TDA_STR("M"), .day = 9, .sums = {.turns = 1, .input = 3}};
    hold = true;
    cr_assert(sessions_submit(ss, &principal_host, TDA_STR("u"), LANE_WRITE, &first->job, &e) == TDA_OK);
    for (int i = 0; i < 1000; i++) {
        row.model = i % 2 ? TDA_STR("M") : TDA_STR("N");
        cr_assert(sessions_reserve(ss, &e) == TDA_OK, "%d", i);
        sessions_add_usage(ss, &row);
    }
    hold = false;
    uint64_t got[3] = {0};
    while (got[2] < 1000) {
        memset(got, 0, sizeof got);
        cr_assert(sessions_run(ss, LANE_READ, read_usage, got, &e) == TDA_OK);
    }
    cr_assert(got[0] == 2 && got[1] == 3000 && got[2] == 1000);
    sessions_free(ss);
    free(first);
}

static tda_status no_write(void *arg, struct store *s, struct error *e) {
    (void)arg, (void)s, (void)e;
    return TDA_OK;
}

Test(sessions, usage_waits_for_company_and_no_longer_than_the_next_job) {
    struct sessions *ss = start(memory_store_new(&limits), 1000);
    struct error e = {.retry_ms = -1};
    struct usage_row row = {
        .user = TDA_STR("u"), .provider = TDA_STR("P"), .model = TDA_STR("M"), .sums = {.turns = 1, .input = 3}};
    struct sessions_stats st;
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t got[3] = {0};
        row.day = (int64_t)i;
        cr_assert(sessions_reserve(ss, &e) == TDA_OK);
        sessions_add_usage(ss, &row);
        if (i % 50) continue;
        cr_assert(sessions_run(ss, LANE_WRITE, no_write, NULL, &e) == TDA_OK);
        cr_assert(sessions_run(ss, LANE_READ, read_usage, got, &e) == TDA_OK);
        cr_assert_eq(got[2], i);
    }
    sessions_stats(ss, &st);
    cr_assert(st.groups < 50, "%llu", (unsigned long long)st.groups);
    sessions_free(ss);
}

static _Atomic uint64_t rows_stored;
static tda_status count_usage(struct store *s, const struct usage_row *row, struct error *e) {
    rows_stored++;
    return real->add_usage(s, row, e);
}

/* A queue that what waits would fill is not kept waiting; what still waits at the end is stored. */
Test(sessions, usage_that_waits_refuses_nobody_and_outlives_the_end) {
    struct store *store = memory_store_new(&limits);
    struct error e = {.retry_ms = -1};
    struct usage_row row = {.user = TDA_STR("u"), .provider = TDA_STR("P"), .model = TDA_STR("M"), .sums = {.turns = 1}};
    real = store->ops;
    flaky_ops = *real;
    flaky_ops.add_usage = count_usage;
    store->ops = &flaky_ops;
    struct sessions *ss = start(store, 8);
    for (int i = 0; i < 100; i++) {
        row.day = i;
        while (sessions_reserve(ss, &e)) usleep(100);
        sessions_add_usage(ss, &row);
    }
    sessions_free(ss);
    cr_assert_eq(rows_stored, 100);
}

Test(sessions, one_turn_at_a_time) {
    struct sessions *ss = start(memory_store_new(&limits), 10);
    struct session_entry a, b, c, d;
    struct error e = {.retry_ms = -1};
    const tda_str u = TDA_STR("u");
    cr_assert(sessions_enter(ss, &a, u, TDA_STR("s-1"), &e) == TDA_OK);
    cr_assert(sessions_enter(ss, &b, u, TDA_STR("s-1"), &e) == TDA_E_BUSY);
    cr_assert(e.retry_ms > 0);
    cr_assert(sessions_enter(ss, &c, u, TDA_STR("s-2"), &e) == TDA_OK);
    cr_assert(sessions_enter(ss, &d, TDA_STR("v"), TDA_STR("s-1"), &e) == TDA_OK,
              "who has only heard of the id is in nobody's way");
    sessions_leave(ss, &a);
    cr_assert(sessions_enter(ss, &b, u, TDA_STR("s-1"), &e) == TDA_OK);
    sessions_free(ss);
}

Test(sessions, titles) {
    char out[TITLE_MAX + 1];
    static const char *const rows[][2] = {
        {"hello", "hello"},
        {"  two\n\t words  ", "two words"},
        {"", ""},
        {"\n", ""},
        {"012345678901234567890123456789012345678901234567890123456789",
         "012345678901234567890123456789012345678901234567890123456789"},
        {"012345678901234567890123456789012345678901234567890123456789x",
         "012345678901234567890123456789012345678901234567890123456789..."},
        {"01234567890123456789012345678901234567890123456789012345678\xc3\xa9z",
         "01234567890123456789012345678901234567890123456789012345678\xc3\xa9..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        session_title_from(tda_str_of(rows[i][0]), out);
        cr_expect_str_eq(out, rows[i][1]);
    }
}

Test(sessions, who_may_not_act_for_the_user_gets_nothing_done) {
    struct sessions *ss = start(memory_store_new(&limits), 10);
    struct principal nobody = {0}, bob = {.kind = PRINCIPAL_USER, .user = "bob"};
    struct write_job *j = job("u");
    for (enum sessions_lane lane = 0; lane < LANES; lane++) {
        cr_assert(sessions_submit(ss, &nobody, TDA_STR("u"), lane, &j->job, NULL) == TDA_E_DENIED);
        cr_assert(sessions_submit(ss, &bob, TDA_STR("u"), lane, &j->job, NULL) == TDA_E_DENIED);
        cr_assert(sessions_submit(ss, &bob, TDA_STR(""), lane, &j->job, NULL) == TDA_E_DENIED);
    }
    sessions_free(ss);
    cr_assert(j->runs == 0 && ended == 0);
    free(j);
}
