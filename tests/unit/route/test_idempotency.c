#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/hash.h"
#include "route/idempotency.h"

TestSuite(idempotency, .timeout = 20);

static int64_t now = 1000 * (int64_t)NS_PER_S;
static struct config config = {.idem_ttl = 600LL * NS_PER_S, .idem_entries = 3, .idem_bytes = 1 << 20};

static struct idempotency *store(void) {
    struct idempotency *s = NULL;
    hash_init();
    clock_fake(&now);
    cr_assert(idempotency_new(&config, &s) == TDA_OK);
    return s;
}

static enum idem_outcome begin(struct idempotency *s, const char *user, const char *key, const char *params, struct idem **i,
                               struct buf *stored) {
    unsigned char digest[DIGEST_SIZE];
    static int token;
    hash_digest(tda_str_of(params), digest);
    buf_clear(stored);
    return idempotency_begin(s, TDA_STR("uid:0"), tda_str_of(user), tda_str_of(key), digest, &token, TDA_STR("7"), i, stored);
}

Test(idempotency, a_finished_call_answers_from_memory) {
    struct idempotency *s = store();
    struct idem *i = NULL;
    struct buf b;
    buf_init(&b, 1000);
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    cr_assert_null(idempotency_finish(s, i, true, TDA_STR("\"result\":1")));
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_STORED);
    cr_assert(tda_str_eq(buf_str(&b), TDA_STR("\"result\":1")));
    buf_fini(&b);
    idempotency_free(s);
}

Test(idempotency, a_running_call_is_joined) {
    struct idempotency *s = store();
    struct idem *i = NULL, *other = NULL;
    struct buf b;
    buf_init(&b, 1000);
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    cr_assert(begin(s, "u1", "k", "p", &other, &b) == IDEM_JOINED);
    cr_assert(begin(s, "u1", "k", "p", &other, &b) == IDEM_JOINED);
    struct idem_waiter *w = idempotency_finish(s, i, true, TDA_STR("x"));
    int n = 0;
    for (struct idem_waiter *next; w; w = next, n++) {
        next = w->next;
        cr_assert(tda_str_eq(w->id, TDA_STR("7")));
        free(w);
    }
    cr_assert(n == 2);
    buf_fini(&b);
    idempotency_free(s);
}

Test(idempotency, the_same_key_with_other_parameters_is_a_conflict) {
    struct idempotency *s = store();
    struct idem *i = NULL;
    struct buf b;
    buf_init(&b, 1000);
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    cr_assert(begin(s, "u1", "k", "q", &i, &b) == IDEM_CONFLICT);
    idempotency_finish(s, i, true, TDA_STR("x"));
    cr_assert(begin(s, "u1", "k", "q", &i, &b) == IDEM_CONFLICT);
    buf_fini(&b);
    idempotency_free(s);
}

Test(idempotency, users_and_principals_do_not_meet) {
    struct idempotency *s = store();
    struct idem *i = NULL, *j = NULL;
    struct buf b;
    buf_init(&b, 1000);
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    cr_assert(begin(s, "u", "1k", "p", &j, &b) == IDEM_RUN, "no choice of names makes two keys meet");
    idempotency_finish(s, i, true, TDA_STR("one"));
    idempotency_finish(s, j, true, TDA_STR("two"));
    cr_assert(begin(s, "u2", "k", "p", &i, &b) == IDEM_RUN);
    idempotency_finish(s, i, false, TDA_STR(""));
    buf_fini(&b);
    idempotency_free(s);
}

Test(idempotency, what_is_not_kept_runs_again) {
    struct idempotency *s = store();
    struct idem *i = NULL;
    struct buf b;
    buf_init(&b, 1000);
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    idempotency_finish(s, i, false, TDA_STR("\"error\":1"));
    cr_assert(begin(s, "u1", "k", "p", &i, &b) == IDEM_RUN);
    idempotency_finish(s, i, false, TDA_STR(""));
    buf_fini(&b);
    idempotency_free(s);
}

Test(idempotency, the_store_is_bounded_in_time_entries_and_by_user) {
    struct idempotency *s = store();
    struct idem *i = NULL;
    struct buf b;
    uint64_t entries, bytes;
    buf_init(&b, 1000);
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        cr_assert(begin(s, "u1", keys[k], "p", &i, &b) == IDEM_RUN);
        idempotency_finish(s, i, true, TDA_STR("x"));
    }
    idempotency_stats(s, &entries, &bytes);
    cr_assert(entries == 3 && bytes > 0);
    cr_assert(begin(s, "u1", "e", "p", &i, &b) == IDEM_STORED, "the newest stay");
    now += 600LL * NS_PER_S;
    cr_assert(idempotency_clean(s) == 0, "exactly at the limit stays");
    now += 1;
    cr_assert(idempotency_clean(s) == 3);
    cr_assert(begin(s, "u1", "a", "p", &i, &b) == IDEM_RUN);
    idempotency_finish(s, i, true, TDA_STR("x"));
    cr_assert(idempotency_forget(s, TDA_STR("u2")) == 0);
    cr_assert(idempotency_forget(s, TDA_STR("u1")) == 1);
    idempotency_stats(s, &entries, &bytes);
    cr_assert(entries == 0 && bytes == 0);
    buf_fini(&b);
    idempotency_free(s);
}
