#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "route/tasks.h"

TestSuite(events, .timeout = 20);
TestSuite(tasks, .timeout = 20);

/* ---- events ---- */

static const char *written(struct event_queue *q, uint64_t after) {
    static char text[4096];
    struct buf b;
    struct jw w;
    buf_init(&b, sizeof text);
    jw_init(&w, &b);
    jw_begin_object(&w);
    event_queue_write(q, after, &w);
    jw_end_object(&w);
    cr_assert(json_check(buf_str(&b), 0, NULL) == TDA_OK, "%.*s", STR_FMT(buf_str(&b)));
    snprintf(text, sizeof text, "%.*s", STR_FMT(buf_str(&b)));
    buf_fini(&b);
    return text;
}

static void say(struct event_queue *q, const char *json) {
    event_queue_add(q, tda_str_of(json));
}

Test(events, are_numbered_given_again_and_freed_by_after) {
    struct event_queue q;
    event_queue_init(&q, 100, 10000);
    cr_assert_not(event_queue_has(&q, 0));
    cr_assert_str_eq(written(&q, 0), "{\"events\":[],\"next\":0}");
    say(&q, "{\"type\":\"a\"}");
    say(&q, "{}");
    cr_assert_str_eq(written(&q, 0), "{\"events\":[{\"n\":1,\"type\":\"a\"},{\"n\":2}],\"next\":2}");
    cr_assert_str_eq(written(&q, 0), "{\"events\":[{\"n\":1,\"type\":\"a\"},{\"n\":2}],\"next\":2}", "a repeated poll is harmless");
    event_queue_free_to(&q, 1);
    cr_assert(q.n == 1);
    cr_assert(event_queue_has(&q, 1) && !event_queue_has(&q, 2));
    cr_assert_str_eq(written(&q, 1), "{\"events\":[{\"n\":2}],\"next\":2}");
    event_queue_fini(&q);
    cr_assert(q.bytes == 0);
}

Test(events, texts_that_nobody_has_seen_are_joined) {
    struct event_queue q;
    event_queue_init(&q, 100, 10000);
    say(&q, "{\"type\":\"text\",\"text\":\"a\\\"\"}");
    say(&q, "{\"type\":\"text\",\"text\":\"b\"}");
    say(&q, "{\"type\":\"thinking\",\"text\":\"c\"}");
    say(&q, "{\"type\":\"thinking\",\"text\":\"\"}");
    cr_assert_str_eq(written(&q, 0),
                     "{\"events\":[{\"n\":1,\"type\":\"text\",\"text\":\"a\\\"b\"},{\"n\":2,\"type\":\"thinking\",\"text\":\"c\"}],"
                     "\"next\":2}");
    say(&q, "{\"type\":\"thinking\",\"text\":\"d\"}");
    cr_assert_str_eq(written(&q, 2), "{\"events\":[{\"n\":3,\"type\":\"thinking\",\"text\":\"d\"}],\"next\":3}",
                     "what was seen is not changed");
    event_queue_fini(&q);
}

Test(events, the_oldest_go_and_it_is_said) {
    struct event_queue q;
    char json[64];
    event_queue_init(&q, 3, 100000);
    for (int i = 1; i <= 10; i++) {
        snprintf(json, sizeof json, "{\"i\":%d}", i);
        say(&q, json);
    }
    cr_assert_str_eq(written(&q, 0),
                     "{\"events\":[{\"n\":8,\"i\":8},{\"n\":9,\"i\":9},{\"n\":10,\"i\":10}],\"next\":10,\"dropped\":7}");
    cr_assert_str_eq(written(&q, 5),
                     "{\"events\":[{\"n\":8,\"i\":8},{\"n\":9,\"i\":9},{\"n\":10,\"i\":10}],\"next\":10,\"dropped\":2}");
    event_queue_fini(&q);
}

Test(events, bytes_are_bounded_and_one_too_large_counts_as_dropped) {
    struct event_queue q;
    char json[600];
    event_queue_init(&q, 1000, 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(json, sizeof json, "{\"type\":\"text\",\"text\":\"%0*d\"}", i % 400 + 1, i);
        say(&q, json);
        cr_assert(q.bytes <= 1000);
    }
    uint64_t next = q.next;
    char huge[2000] = "{\"type\":\"tool_result\",\"text\":\"";
    size_t n = strlen(huge);
    memset(huge + n, 'x', 1500);
    strcpy(huge + n + 1500, "\"}");
    event_queue_free_to(&q, next - 1);
    say(&q, huge);
    say(&q, "{}");
    char want[100];
    snprintf(want, sizeof want, "{\"events\":[{\"n\":%llu}],\"next\":%llu,\"dropped\":1}", (unsigned long long)next + 1,
             (unsigned long long)next + 1);
    cr_assert_str_eq(written(&q, next - 1), want);
    event_queue_fini(&q);
}

/* ---- the table ---- */

static int64_t now = 1000 * (int64_t)NS_PER_S;
static struct config config = {.tasks_keep = 60LL * NS_PER_S,
                               .tasks_per_user = 3,
                               .tasks_entries = 5,
                               .tasks_bytes = 1 << 20,
                               .tasks_events = 10,
                               .tasks_event_bytes = 1 << 16};

static struct tasks *table(void) {
    struct tasks *ts = NULL;
    hash_init();
    clock_fake(&now);
    cr_assert(tasks_new(&config, &ts) == TDA_OK);
    return ts;
}

static struct task_entry *add(struct tasks *ts, const char *user, bool submitted) {
    struct task_entry *t = NULL;
    cr_assert(tasks_add(ts, tda_str_of(user), "agent.run", NULL, NULL, submitted, &t) == TDA_OK);
    return t;
}

static void end(struct task_entry *t, const char *body) {
    task_end(t, NULL, tda_str_of(body));
    task_unref(t);
}

static const char *kind(struct tasks *ts, const char *user, const char *id) {
    static struct error e;
    struct task_entry *t = NULL;
    e = (struct error){0};
    if (tasks_find(ts, &principal_host, tda_str_of(user), tda_str_of(id), &t, &e)) return e.kind;
    task_unref(t);
    return "";
}

static struct task_stats stats(struct tasks *ts) {
    struct task_stats s;
    tasks_stats(ts, &s);
    return s;
}

Test(tasks, are_their_owners) {
    struct tasks *ts = table();
    struct task_entry *t = add(ts, "u", true);
    char id[TASK_ID_SIZE], other[TASK_ID_SIZE];
    snprintf(id, sizeof id, "%s", t->id);
    snprintf(other, sizeof other, "%s", id);
    other[2] = other[2] == '0' ? '1' : '0';
    cr_assert_str_eq(kind(ts, "u", id), "");
    cr_assert_str_eq(kind(ts, "v", id), "denied");
    cr_assert_str_eq(kind(ts, "", id), "denied");
    cr_assert_str_eq(kind(ts, "u", other), "task_lost");
    static const char *const nonsense[] = {
        "", "t", "t--1", "t-1-1", "t-0000000g-1", "t-00000000-01", "t-00000000--1", "t-00000000-99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) cr_assert_str_eq(kind(ts, "u", nonsense[i]), "not_found", "%s", nonsense[i]);
    end(t, "\"result\":{}");
    cr_assert_str_eq(kind(ts, "u", id), "");
    cr_assert_str_eq(kind(ts, "v", id), "denied");
    tasks_free(ts);
}

Test(tasks, one_that_is_waited_for_is_gone_with_its_end) {
    struct tasks *ts = table();
    struct task_entry *t = add(ts, "u", false);
    char id[TASK_ID_SIZE];
    snprintf(id, sizeof id, "%s", t->id);
    cr_assert_str_eq(kind(ts, "u", id), "");
    end(t, "\"result\":{}");
    cr_assert_str_eq(kind(ts, "u", id), "not_found");
    cr_assert(stats(ts).running == 0 && stats(ts).ended == 0 && stats(ts).bytes == 0);
    tasks_free(ts);
}

Test(tasks, ended_ones_go_by_age_at_the_limit_they_stay) {
    struct tasks *ts = table();
    struct task_entry *running = add(ts, "u", true);
    end(add(ts, "u", true), "\"result\":{}");
    now += config.tasks_keep;
    cr_assert(tasks_clean(ts) == 0, "exactly at the limit");
    now++;
    cr_assert(tasks_clean(ts) == 1);
    cr_assert(tasks_clean(ts) == 0 && stats(ts).running == 1, "what runs has no age");
    end(running, "\"result\":{}");
    cr_assert(stats(ts).running == 0 && stats(ts).ended == 1);
    tasks_free(ts);
}

Test(tasks, ended_ones_are_bounded_for_each_user_and_in_all) {
    struct tasks *ts = table();
    for (int i = 0; i < 10; i++) end(add(ts, "u", true), "\"result\":{}");
    cr_assert(stats(ts).ended == 3);
    struct task_entry *last = add(ts, "v", true);
    for (int i = 0; i < 3; i++) end(add(ts, "w", true), "\"result\":{}");
    cr_assert(stats(ts).ended == 5 && stats(ts).running == 1);
    char *large = malloc(2 << 20);
    memset(large, 'x', (2 << 20) - 1);
    large[(2 << 20) - 1] = 0;
    end(last, large);
    free(large);
    cr_assert(stats(ts).ended == 1 && stats(ts).bytes > 2 << 20, "the newest stays, however large");
    end(add(ts, "u", true), "\"result\":{}");
    cr_assert(stats(ts).ended == 1 && stats(ts).bytes < 1000, "until the next one");
    tasks_free(ts);
}

Test(tasks, what_is_fetched_is_not_counted_any_more) {
    struct tasks *ts = table();
    struct task_entry *t = add(ts, "u", true);
    ref_take(&t->ref);
    task_event(t, TDA_STR("{\"type\":\"x\"}"));
    end(t, "\"result\":{}");
    uint64_t before = stats(ts).bytes;
    event_queue_free_to(&t->events, 1);
    tasks_recount(ts, t);
    cr_assert(stats(ts).bytes < before);
    task_unref(t);
    tasks_free(ts);
}

Test(tasks, the_newest_are_listed_first) {
    struct tasks *ts = table();
    struct buf b;
    struct jw w;
    end(add(ts, "u", true), "\"result\":{}");
    end(add(ts, "v", true), "\"result\":{}");
    struct task_entry *t = add(ts, "u", true);
    buf_init(&b, 4096);
    jw_init(&w, &b);
    jw_begin_object(&w);
    tasks_write(ts, &principal_host, TDA_STR("u"), 10, &w, NULL);
    jw_end_object(&w);
    struct json_doc *doc = NULL;
    cr_assert(json_parse(buf_str(&b), 0, &doc, NULL) == TDA_OK);
    struct json list = json_get(json_root(doc), "tasks");
    cr_assert(json_count(list) == 2);
    cr_assert(tda_str_eq(json_str(json_get(list, "0.state")), TDA_STR("pending")));
    cr_assert(tda_str_eq(json_str(json_get(list, "1.state")), TDA_STR("complete")));
    json_free(doc);
    buf_fini(&b);
    end(t, "\"result\":{}");
    tasks_free(ts);
}

Test(tasks, who_may_not_act_for_the_user_finds_nothing) {
    struct tasks *ts = table();
    struct task_entry *t = add(ts, "u", true), *found = NULL;
    struct principal nobody = {0}, bob = {.kind = PRINCIPAL_USER, .user = "bob"};
    const struct principal *const wrong[] = {&nobody, &bob};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out;
        struct jw w;
        buf_init(&out, 4096);
        jw_init(&w, &out);
        cr_assert(tasks_find(ts, wrong[i], TDA_STR("u"), tda_str_of(t->id), &found, NULL) == TDA_E_DENIED && !found);
        cr_assert(tasks_write(ts, wrong[i], TDA_STR("u"), 10, &w, NULL) == TDA_E_DENIED && out.n == 0);
        buf_fini(&out);
    }
    end(t, "\"result\":{}");
    tasks_free(ts);
}
