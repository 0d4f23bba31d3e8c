/* What a store promises (core/session/store.h), held against each one there is. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory_store.h"
#include "session/sqlite_impl.h"

TestSuite(store, .timeout = 60);

static const struct store_limits limits = {.sessions_per_user = 5, .turns_per_session = 4};
static char folder[64];

static struct store *open_sqlite(void) {
    char path[128];
    struct error e = {.retry_ms = -1};
    struct store *s = NULL;
    snprintf(path, sizeof path, "%s/s.db", folder);
    struct sqlite_options o = {.path = path, .limits = limits, .read_timeout_ns = 5LL * NS_PER_S};
    cr_assert(sqlite_store_open(&o, &s, &e) == TDA_OK, "%s", e.text);
    return s;
}

static struct store *open_memory(void) {
    return memory_store_new(&limits);
}

/* Another store is one more line here. */
static struct store *(*const stores[])(void) = {open_sqlite, open_memory};

/* Runs the test's body on a fresh store of each kind. */
#define ON_EACH(name)                                                                                                              \
    static void name(struct store *s, const struct store_ops *o);                                                                  \
    Test(store, name) {                                                                                                            \
        hash_init();                                                                                                               \
        for (size_t i = 0; i < ARRAY_LEN(stores); i++) {                                                                           \
            snprintf(folder, sizeof folder, "/tmp/tda-unit-store-XXXXXX");                                                         \
            cr_assert_not_null(mkdtemp(folder));                                                                                   \
            struct store *s = stores[i]();                                                                                         \
            name(s, s->ops);                                                                                                       \
            s->ops->close(s);                                                                                                      \
            char command[128];                                                                                                     \
            snprintf(command, sizeof command, "rm -rf %s", folder);                                                                \
            cr_assert(system(command) == 0);                                                                                       \
        }                                                                                                                          \
    }                                                                                                                              \
    static void name(struct store *s, const struct store_ops *o)

#define STR(text) tda_str_of(text)

/* One write as a group of its own. */
#define WRITE(call)                                                                                                                \
    do {                                                                                                                           \
        struct error we = {.retry_ms = -1};                                                                                        \
        cr_assert(o->begin(s, &we) == TDA_OK);                                                                                     \
        tda_status ws = (call);                                                                                                    \
        cr_assert(ws == TDA_OK, "%s", status_name(ws));                                                                            \
        cr_assert(o->commit(s, &we) == TDA_OK);                                                                                    \
    } while (0)

static struct session_row session(const char *id, const char *user, const char *title, int64_t at) {
    return (struct session_row){.id = STR(id), .user = STR(user), .title = STR(title), .created_ms = at, .updated_ms = at};
}

static struct turn_row turn(const char *id, const char *user, const char *messages, int64_t at) {
    return (struct turn_row){
        .session = STR(id),
        .user = STR(user),
        .title = STR("from the question"),
        .at_ms = at,
        .provider = STR("P"),
        .model = STR("M"),
        .stop = STR("end_turn"),
        .messages = STR(messages),
        .calls = STR("[]"),
        .usage = {
            .turns = 1, .calls = 2, .unknown = 1, .input = 10, .output = 5, .cache_read = 3, .cache_write = 2, .reasoning = 1}};
}

/* ---- what was read, as one text ---- */

static char got[4096];

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *fmt, ...) {
    size_t n = strlen(got);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(got + n, sizeof got - n, fmt, ap);
    va_end(ap);
}

static void see_session(void *arg, const struct session_row *r, tda_str cursor) {
    (void)arg, (void)cursor;
    add("[%.*s %.*s '%.*s' %.*s %lld %lld %llu %llu/%llu]", STR_FMT(r->id), STR_FMT(r->user), STR_FMT(r->title),
        r->context.p ? (int)r->context.n : 1, r->context.p ? r->context.p : "-", (long long)r->created_ms, (long long)r->updated_ms,
        (unsigned long long)r->turns, (unsigned long long)r->usage.input, (unsigned long long)r->usage.unknown);
}

static bool see_turn(void *arg, const struct turn_row *r) {
    (void)arg;
    add("(%llu %.*s %.*s)", (unsigned long long)r->n, STR_FMT(r->messages), r->key.p ? (int)r->key.n : 1,
        r->key.p ? r->key.p : "-");
    return true;
}

static bool see_one(void *arg, const struct turn_row *r) {
    see_turn(arg, r);
    return false;
}

static void see_usage(void *arg, const struct usage_row *r) {
    (void)arg;
    add("{%.*s %lld %.*s %llu %llu %llu %llu}", STR_FMT(r->user), (long long)r->day, STR_FMT(r->model),
        (unsigned long long)r->sums.turns, (unsigned long long)r->sums.calls, (unsigned long long)r->sums.input,
        (unsigned long long)r->sums.unknown);
}

#define SAW(text) cr_assert_str_eq(got, text)

static void look(struct store *s, const char *id) {
    struct error e = {.retry_ms = -1};
    got[0] = 0;
    if (s->ops->get(s, (tda_str){0}, STR(id), see_session, NULL, &e)) add("none");
    s->ops->turns(s, (tda_str){0}, STR(id), 0, false, see_turn, NULL, &e);
}

ON_EACH(a_turn_is_there_with_its_session_usage_and_key) {
    struct session_row a = session("s-a", "u", "", 1000);
    struct turn_row t = turn("s-a", "u", "[1]", 2000);
    struct error e;
    WRITE(o->create(s, &a, &e));
    look(s, "s-a");
    SAW("[s-a u '' - 1000 1000 0 0/0]");
    t.key = STR("k1");
    t.reply = STR("{\"text\":\"hi\"}");
    memset(t.digest, 7, sizeof t.digest);
    WRITE(o->append(s, &t, &e));
    t.key = (tda_str){0};
    t.messages = STR("[2]");
    t.title = STR("a later question");
    WRITE(o->append(s, &t, &e));
    look(s, "s-a");
    SAW("[s-a u 'from the question' - 1000 2000 2 20/2](1 [1] k1)(2 [2] -)");
    got[0] = 0;
    cr_assert(o->turns(s, (tda_str){0}, STR("s-a"), 0, true, see_one, NULL, &e) == TDA_OK);
    cr_assert(o->turns(s, (tda_str){0}, STR("s-a"), 1, false, see_turn, NULL, &e) == TDA_OK);
    SAW("(2 [2] -)(2 [2] -)");
    got[0] = 0; /* another user's is not there */
    cr_assert(o->get(s, STR("other"), STR("s-a"), see_session, NULL, &e) == TDA_E_NOT_FOUND);
    cr_assert(o->turns(s, STR("other"), STR("s-a"), 0, false, see_turn, NULL, &e) == TDA_OK && !got[0]);
    cr_assert(o->get(s, STR("u"), STR("s-a"), see_session, NULL, &e) == TDA_OK);
    cr_assert(o->turns(s, STR("u"), STR("s-a"), 1, false, see_turn, NULL, &e) == TDA_OK);
    SAW("[s-a u 'from the question' - 1000 2000 2 20/2](2 [2] -)");
    got[0] = 0;
    cr_assert(o->usage(s, STR("u"), 0, see_usage, NULL, &e) == TDA_OK);
    cr_assert(o->usage(s, STR("u"), 1, see_usage, NULL, &e) == TDA_OK);
    cr_assert(o->usage(s, STR("other"), 0, see_usage, NULL, &e) == TDA_OK);
    SAW("{u 0 M 2 4 20 2}");
}

static bool check_key(void *arg, const struct turn_row *r) {
    *(bool *)arg =
        tda_str_eq(r->reply, STR("{}")) && r->digest[31] == 9 && tda_str_eq(r->session, STR("s-a")) && r->usage.output == 5;
    return true;
}

ON_EACH(a_key_is_its_users_and_unique) {
    struct session_row a = session("s-a", "u", "", 1), b = session("s-b", "v", "", 1);
    struct turn_row t = turn("s-a", "u", "[1]", 2);
    struct error e = {.retry_ms = -1};
    bool found = false;
    WRITE(o->create(s, &a, &e));
    WRITE(o->create(s, &b, &e));
    t.key = STR("k");
    t.reply = STR("{}");
    memset(t.digest, 9, sizeof t.digest);
    WRITE(o->append(s, &t, &e));
    cr_assert(o->keyed(s, STR("u"), STR("k"), check_key, &found, &e) == TDA_OK && found);
    cr_assert(o->keyed(s, STR("v"), STR("k"), check_key, &found, &e) == TDA_E_NOT_FOUND);
    cr_assert(o->keyed(s, STR("u"), STR("K"), check_key, &found, &e) == TDA_E_NOT_FOUND);
    o->begin(s, &e);
    cr_assert(o->append(s, &t, &e) == TDA_E_EXISTS);
    cr_assert(o->commit(s, &e) == TDA_OK, "one that fails does not end the group");
    look(s, "s-a");
    SAW("[s-a u 'from the question' - 1 2 1 10/1](1 [1] k)");
    t.session = STR("s-b");
    t.user = STR("v");
    WRITE(o->append(s, &t, &e));
}

ON_EACH(what_fails_leaves_no_trace_and_a_group_may_be_taken_back) {
    struct session_row a = session("s-a", "u", "t", 1);
    struct turn_row t = turn("s-a", "u", "[1]", 2), other = turn("s-a", "v", "[2]", 2), none = turn("s-x", "u", "[3]", 2);
    struct error e = {.retry_ms = -1};
    WRITE(o->create(s, &a, &e));
    o->begin(s, &e);
    cr_assert(o->append(s, &t, &e) == TDA_OK);
    cr_assert(o->append(s, &other, &e) == TDA_E_NOT_FOUND, "another's session");
    cr_assert(o->append(s, &none, &e) == TDA_E_NOT_FOUND);
    cr_assert(o->rename(s, STR("v"), STR("s-a"), STR("x"), &e) == TDA_E_NOT_FOUND);
    cr_assert(o->remove(s, STR("v"), STR("s-a"), &e) == TDA_E_NOT_FOUND);
    look(s, "s-a");
    SAW("[s-a u 't' - 1 1 0 0/0]");
    o->rollback(s);
    o->rollback(s);
    look(s, "s-a");
    SAW("[s-a u 't' - 1 1 0 0/0]");
    WRITE(o->append(s, &t, &e));
    look(s, "s-a");
    SAW("[s-a u 't' - 1 2 1 10/1](1 [1] -)");
    got[0] = 0;
    o->usage(s, STR("u"), 0, see_usage, NULL, &e);
    o->usage(s, STR("v"), 0, see_usage, NULL, &e);
    SAW("{u 0 M 1 2 10 1}");
}

/* Made and used while the wall clock was a year ahead, then set right. */
ON_EACH(the_session_used_last_is_last_whatever_the_wall_clock_did) {
    struct session_row a = session("s-a", "u", "t", 1000), b = session("s-b", "u", "t", 1100), c = session("s-c", "v", "t", 1200);
    struct turn_row first = turn("s-a", "u", "[1]", 900000), then = turn("s-b", "u", "[2]", 1300);
    struct retention keep = {.keep_per_user = 1};
    struct removed removed = {0};
    struct error e = {.retry_ms = -1};
    WRITE(o->create(s, &a, &e));
    WRITE(o->append(s, &first, &e));
    WRITE(o->create(s, &b, &e));
    WRITE(o->append(s, &then, &e));
    WRITE(o->create(s, &c, &e));
    look(s, "s-b");
    SAW("[s-b u 't' - 1100 900001 1 10/1](1 [2] -)");
    look(s, "s-c"); /* another user's */
    SAW("[s-c v 't' - 1200 1200 0 0/0]");
    WRITE(o->retain(s, &keep, &removed, &e));
    cr_assert_eq(removed.sessions, 1);
    look(s, "s-a");
    SAW("none");
}

ON_EACH(bounds) {
    struct error e = {.retry_ms = -1};
    char id[8];
    o->begin(s, &e);
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "s-%d", i);
        struct session_row a = session(id, "u", "", i);
        cr_assert(o->create(s, &a, &e) == TDA_OK);
        cr_assert(o->create(s, &a, &e) != TDA_OK);
    }
    struct session_row more = session("s-9", "u", "", 1), others = session("s-9", "v", "", 1);
    cr_assert(o->create(s, &more, &e) == TDA_E_LIMIT);
    cr_assert(o->create(s, &others, &e) == TDA_OK);
    struct turn_row t = turn("s-0", "u", "[]", 1);
    for (int i = 0; i < 4; i++) cr_assert(o->append(s, &t, &e) == TDA_OK);
    cr_assert(o->append(s, &t, &e) == TDA_E_LIMIT);
    cr_assert(o->commit(s, &e) == TDA_OK);
}

static char last_cursor[64];

static void see_id(void *arg, const struct session_row *r, tda_str cursor) {
    (void)arg;
    add("%.*s ", STR_FMT(r->id));
    snprintf(last_cursor, sizeof last_cursor, "%.*s", STR_FMT(cursor));
}

static void pages(struct store *s, const char *user, const char *search, enum session_sort sort, uint64_t limit) {
    struct error e = {.retry_ms = -1};
    struct session_query q = {.sort = sort, .limit = limit};
    if (user) q.user = STR(user);
    if (search) q.search = STR(search);
    got[0] = 0;
    for (size_t before = 1; before != strlen(got);) {
        before = strlen(got);
        char cursor[64];
        cr_assert(s->ops->list(s, &q, see_id, NULL, &e) == TDA_OK, "%s", e.text);
        snprintf(cursor, sizeof cursor, "%s", last_cursor);
        memcpy(last_cursor, cursor, sizeof cursor);
        q.cursor = STR(last_cursor);
    }
}

ON_EACH(lists) {
    static const struct {
        const char *id, *user, *title;
        int64_t at;
    } rows[] = {
        {"a", "u", "Zebra", 5}, {"b", "u", "apple", 7}, {"c", "v", "100%", 6}, {"d", "u", "under_score", 7}, {"e", "v", "", 1}};
    struct error e = {.retry_ms = -1};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct session_row r = session(rows[i].id, rows[i].user, rows[i].title, rows[i].at);
        WRITE(o->create(s, &r, &e));
    }
    struct turn_row t = turn("e", "v", "[\"Hay and a NEEDLE\"]", 9);
    WRITE(o->append(s, &t, &e));
    for (uint64_t limit = 1; limit < 7; limit++) {
        pages(s, NULL, NULL, SORT_CREATED, limit);
        SAW("d b c a e ");
        pages(s, NULL, NULL, SORT_UPDATED, limit);
        SAW("e d b c a ");
        pages(s, NULL, NULL, SORT_TITLE, limit);
        SAW("c a b e d ");
        pages(s, "u", NULL, SORT_UPDATED, limit);
        SAW("d b a ");
    }
    pages(s, NULL, "needle", SORT_UPDATED, 10);
    SAW("e ");
    pages(s, "u", "needle", SORT_UPDATED, 10);
    SAW("");
    pages(s, NULL, "%", SORT_UPDATED, 10);
    SAW("c ");
    pages(s, NULL, "R_S", SORT_UPDATED, 10);
    SAW("d ");
    struct session_query wrong = {.sort = SORT_TITLE, .limit = 1, .cursor = STR("u1-1")};
    cr_assert(o->list(s, &wrong, see_id, NULL, &e) == TDA_E_INVALID);
}

ON_EACH(rename_remove_erase_retain) {
    struct error e = {.retry_ms = -1};
    struct removed r;
    for (int i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "s-%d", i);
        struct session_row a = session(id, i < 3 ? "u" : "v", "", 1000 * i);
        struct turn_row t = turn(id, i < 3 ? "u" : "v", "[]", 1000 * i);
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        t.key = STR(key);
        t.reply = STR("{}");
        WRITE(o->create(s, &a, &e));
        WRITE(o->append(s, &t, &e));
    }
    WRITE(o->rename(s, STR("u"), STR("s-0"), STR("named"), &e));
    look(s, "s-0");
    SAW("[s-0 u 'named' - 0 0 1 10/1](1 [] k0)");
    struct retention keep = {.sessions_before_ms = INT64_MIN, .keys_before_ms = 1500, .usage_before_day = INT64_MIN};
    WRITE(o->retain(s, &keep, &r, &e));
    cr_assert(r.sessions == 0 && r.keys == 2 && r.usage_days == 0);
    look(s, "s-1");
    SAW("[s-1 u 'from the question' - 1000 1000 1 10/1](1 [] -)");
    keep = (struct retention){.sessions_before_ms = 1000, .keep_per_user = 1, .keys_before_ms = INT64_MIN, .usage_before_day = 1};
    WRITE(o->retain(s, &keep, &r, &e));
    cr_assert(r.sessions == 2 && r.usage_days == 2, "%llu %llu", (unsigned long long)r.sessions, (unsigned long long)r.usage_days);
    pages(s, NULL, NULL, SORT_UPDATED, 10);
    SAW("s-3 s-2 ");
    WRITE(o->remove(s, STR("u"), STR("s-2"), &e));
    look(s, "s-2");
    SAW("none");
    cr_assert(o->keyed(s, STR("u"), STR("k2"), see_turn, NULL, &e) == TDA_E_NOT_FOUND, "a key goes with its turn");
    struct usage_row u = {.user = STR("v"), .provider = STR("P"), .model = STR("M"), .day = 3, .sums = {.turns = 1, .input = 4}};
    WRITE(o->add_usage(s, &u, &e));
    got[0] = 0;
    cr_assert(o->day(s, 3, see_usage, NULL, &e) == TDA_OK);
    SAW("{v 3  1 0 4 0}");
    WRITE(o->erase(s, STR("v"), &r, &e));
    cr_assert(r.sessions == 1 && r.keys == 1 && r.usage_days == 1);
    pages(s, NULL, NULL, SORT_UPDATED, 10);
    SAW("");
    got[0] = 0;
    o->usage(s, STR("v"), 0, see_usage, NULL, &e);
    SAW("");
}

static void see_pin(void *arg, const struct pin_row *r) {
    (void)arg;
    add("<%.*s %d>", STR_FMT(r->tool), r->digest[0]);
}

static void pins(struct store *s, const char *user, const char *server) {
    struct error e = {.retry_ms = -1};
    got[0] = 0;
    cr_assert(s->ops->pins(s, STR(user), STR(server), see_pin, NULL, &e) == TDA_OK);
}

static void pin(struct store *s, const char *user, const char *tool, unsigned char digest, bool first) {
    const struct store_ops *o = s->ops;
    struct error e = {.retry_ms = -1};
    struct pin_row row = {.user = STR(user), .server = STR("a"), .tool = STR(tool), .digest = {digest}, .first = first};
    WRITE(o->pin(s, &row, &e));
}

ON_EACH(pins_are_a_users_and_the_first_set_stays) {
    struct error e = {.retry_ms = -1};
    struct removed r;
    pin(s, "u", "one", 1, true);
    pin(s, "u", "", 0, true);
    pin(s, "u", "one", 2, true); /* a second first use */
    pin(s, "u", "two", 2, true);
    pins(s, "u", "a"); /* in any order */
    cr_assert(strlen(got) == strlen("< 0><one 1>") && strstr(got, "< 0>") && strstr(got, "<one 1>"), "%s", got);
    pin(s, "u", "one", 3, false); /* approved */
    pin(s, "v", "one", 9, false);
    pins(s, "u", "a");
    cr_assert(strlen(got) == strlen("< 0><one 3>") && strstr(got, "< 0>") && strstr(got, "<one 3>"), "%s", got);
    pins(s, "u", "b");
    SAW("");
    WRITE(o->erase(s, STR("u"), &r, &e));
    pins(s, "u", "a");
    SAW("");
    pins(s, "v", "a");
    SAW("<one 9>");
}

ON_EACH(a_backup_replaces_nothing) {
    char path[128];
    struct error e = {.retry_ms = -1};
    snprintf(path, sizeof path, "%s/copy.db", folder);
    cr_assert(o->backup(s, path, &e) == TDA_OK, "%s", e.text);
    cr_assert(o->backup(s, path, &e) == TDA_E_EXISTS);
}

/* ---- SQLite's own ---- */

/* What SQLite does by itself when a disk is full in the middle of a group. */
Test(store, a_transaction_that_ended_by_itself_keeps_nothing_that_comes_after) {
    struct error e = {.retry_ms = -1};
    hash_init();
    snprintf(folder, sizeof folder, "/tmp/tda-unit-store-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    struct store *s = open_sqlite();
    const struct store_ops *o = s->ops;
    struct session_row a = session("s-a", "u", "t", 1), b = session("s-b", "u", "t", 2);
    struct turn_row first = turn("s-a", "u", "[]", 3);
    struct usage_row usage = {
        .user = TDA_STR("u"), .day = 1, .provider = TDA_STR("P"), .model = TDA_STR("M"), .sums = {.turns = 1}};
    struct pin_row pin = {.user = TDA_STR("u"), .server = TDA_STR("s"), .tool = TDA_STR("t")};
    struct removed removed;
    WRITE(o->create(s, &a, &e));
    cr_assert(o->begin(s, &e) == TDA_OK);
    cr_assert(sqlite3_exec(store_of(s)->writer, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    cr_expect(o->append(s, &first, &e) == TDA_E_IO);
    cr_expect(o->create(s, &b, &e) == TDA_E_IO);
    cr_expect(o->rename(s, STR("u"), STR("s-a"), STR("new"), &e) == TDA_E_IO);
    cr_expect(o->remove(s, STR("u"), STR("s-a"), &e) == TDA_E_IO);
    cr_expect(o->add_usage(s, &usage, &e) == TDA_E_IO);
    cr_expect(o->pin(s, &pin, &e) == TDA_E_IO);
    cr_expect(o->erase(s, STR("u"), &removed, &e) == TDA_E_IO);
    cr_expect(o->commit(s, &e) == TDA_E_IO);
    o->rollback(s);
    look(s, "s-a");
    SAW("[s-a u 't' - 1 1 0 0/0]");
    WRITE(o->append(s, &first, &e)); /* and the group may be done once more */
    o->close(s);
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert(system(command) == 0);
}

Test(store, acknowledged_turns_outlive_the_end_of_the_process) {
    struct error e = {.retry_ms = -1};
    hash_init();
    snprintf(folder, sizeof folder, "/tmp/tda-unit-store-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    struct store *s = open_sqlite();
    const struct store_ops *o = s->ops;
    struct session_row a = session("s-a", "u", "t", 1);
    WRITE(o->create(s, &a, &e));
    char path[128], command[160];
    snprintf(path, sizeof path, "%s/s.db", folder);
    struct store *second = NULL;
    struct sqlite_options options = {.path = path, .limits = limits, .read_timeout_ns = NS_PER_S};
    cr_assert(sqlite_store_open(&options, &second, &e) == TDA_E_BUSY, "the file is one process's");
    o->close(s);
    s = open_sqlite();
    look(s, "s-a");
    SAW("[s-a u 't' - 1 1 0 0/0]");
    struct stat st;
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    s->ops->close(s);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert(system(command) == 0);
}
