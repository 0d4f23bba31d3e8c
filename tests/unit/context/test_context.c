/* The context map with an injected clock, drafts and their secrets, live objects. Acceptance lines 2, 8, 19, 39. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "context/context.h"
#include "tda/host.h"

static int64_t now_ns;
static struct contexts *cs;

static void begin_with(uint64_t max_users, bool shared) {
    struct contexts_options o = {.persistence = shared, .max_users = max_users, .n_loops = 2};
    hash_init();
    now_ns = 1000LL * NS_PER_S;
    clock_fake(&now_ns);
    cr_assert(contexts_new(&o, &cs) == TDA_OK);
}

static void begin(void) {
    begin_with(1000, false);
}

static void end(void) {
    contexts_free(cs);
    clock_fake(NULL);
}

TestSuite(context, .init = begin, .fini = end, .timeout = 60);

static tda_str user(const char *s) {
    return tda_str_of(s);
}

struct pair {
    uint32_t key;
    const char *value;
};

static tda_status set_one(struct draft *d, void *arg, struct error *e) {
    struct pair *p = arg;
    return draft_set(d, p->key, tda_str_of(p->value), e);
}

static tda_status set(const char *name, uint32_t key, const char *value) {
    struct error e;
    uint64_t epoch;
    return contexts_update(cs, &principal_host, user(name), set_one, &(struct pair){key, value}, &epoch, &e);
}

static bool exists(const char *name) {
    struct snapshot *s = NULL;
    struct error e;
    bool there = contexts_peek(cs, &principal_host, user(name), &s, &e) == TDA_OK;
    snapshot_unref(s);
    return there;
}

static void touch(const char *name) {
    struct snapshot *s = NULL;
    struct error e;
    cr_assert(contexts_acquire(cs, &principal_host, user(name), &s, &e) == TDA_OK);
    snapshot_unref(s);
}

static uint64_t sweep(int64_t max_age_s) {
    uint64_t removed;
    cr_assert(contexts_sweep(cs, max_age_s * NS_PER_S, &removed) == TDA_OK);
    return removed;
}

Test(context, exactly_at_the_limit_stays_beyond_goes) {
    set("a", TDA_CTX_MODEL, "m");
    now_ns += 100LL * NS_PER_S;
    cr_assert(sweep(100) == 0 && exists("a"), "exactly at the limit");
    now_ns += 1;
    cr_assert(sweep(100) == 1 && !exists("a"), "a nanosecond beyond");
    cr_assert(contexts_count(cs) == 0);
}

Test(context, use_keeps_peek_and_list_do_not) {
    set("used", TDA_CTX_MODEL, "m");
    set("seen", TDA_CTX_MODEL, "m");
    for (int i = 1; i <= 30; i++) {
        now_ns += 10LL * NS_PER_S;
        touch("used");
        sweep(50);
        cr_assert(exists("seen") == (i <= 5), "after %d s", i * 10);
    }
    cr_assert(exists("used") && !exists("seen"));
}

/* Against a plain array that does the same with no cleverness. */
Test(context, the_sweep_agrees_with_an_oracle) {
    enum { USERS = 300, ROUNDS = 4000 };
    static int64_t last[USERS];
    static bool there[USERS];
    uint32_t seed = 7;
    char name[16];
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t u = (seed >> 8) % USERS, what = seed >> 28;
        snprintf(name, sizeof name, "u%u", u);
        now_ns += (int64_t)(seed >> 4) % NS_PER_S;
        if (what < 8) {
            set(name, TDA_CTX_MODEL, "m");
            there[u] = true;
            last[u] = now_ns;
        } else if (what < 14 && there[u]) {
            touch(name);
            last[u] = now_ns;
        } else if (what == 14) {
            cr_assert((contexts_delete(cs, &principal_host, user(name), NULL) == TDA_OK) == there[u]);
            there[u] = false;
        } else {
            int64_t age = (int64_t)(seed >> 20) % 200 * NS_PER_S / 4;
            uint64_t removed, expected = 0;
            for (int i = 0; i < USERS; i++)
                if (there[i] && now_ns - last[i] > age) {
                    there[i] = false;
                    expected++;
                }
            contexts_sweep(cs, age, &removed);
            cr_assert(removed == expected, "round %d: %lu removed, %lu expected", round, (unsigned long)removed,
                      (unsigned long)expected);
        }
    }
    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof name, "u%d", i);
        cr_assert(exists(name) == there[i]);
    }
}

Test(context, a_snapshot_in_use_outlives_its_context) {
    struct snapshot *s;
    struct error e;
    set("a", TDA_CTX_MODEL, "first");
    cr_assert(contexts_acquire(cs, &principal_host, user("a"), &s, &e) == TDA_OK);
    set("a", TDA_CTX_MODEL, "second");
    now_ns += 1000LL * NS_PER_S;
    cr_assert(sweep(1) == 1);
    cr_assert(tda_str_eq(snapshot_get(s, TDA_CTX_MODEL), TDA_STR("first")));
    snapshot_unref(s);
}

Test(context, the_cap_holds_and_frees) {
    char name[16];
    end();
    begin_with(50, false);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "u%d", i);
        cr_assert(set(name, TDA_CTX_MODEL, "m") == TDA_OK);
    }
    cr_assert(set("one-more", TDA_CTX_MODEL, "m") == TDA_E_LIMIT);
    cr_assert(set("u7", TDA_CTX_MODEL, "n") == TDA_OK, "those who are there are unaffected");
    contexts_delete(cs, &principal_host, user("u7"), NULL);
    cr_assert(set("one-more", TDA_CTX_MODEL, "m") == TDA_OK);
    cr_assert(contexts_count(cs) == 50);
}

Test(context, publish_expects_the_epoch_it_was_made_from) {
    struct draft *a, *b;
    struct snapshot *base;
    struct error e;
    uint64_t epoch;
    set("a", TDA_CTX_MODEL, "m");
    cr_assert(contexts_peek(cs, &principal_host, user("a"), &base, &e) == TDA_OK);
    cr_assert(draft_new(cs, user("a"), base, &a) == TDA_OK && draft_new(cs, user("a"), base, &b) == TDA_OK);
    draft_set(a, TDA_CTX_MODEL, TDA_STR("from-a"), &e);
    draft_set(b, TDA_CTX_MODEL, TDA_STR("from-b"), &e);
    cr_assert(contexts_publish(cs, &principal_host, a, snapshot_epoch(base), &epoch, &e) == TDA_OK && epoch == 2);
    cr_assert(contexts_publish(cs, &principal_host, b, snapshot_epoch(base), &epoch, &e) == TDA_E_CONFLICT);
    draft_free(a);
    draft_free(b);
    snapshot_unref(base);
}

/* Else what was begun for the deleted one would be published over the new one, its secrets included. */
Test(context, who_comes_back_after_a_deletion_has_no_epoch_of_before) {
    struct draft *d;
    struct snapshot *base;
    struct error e;
    uint64_t epoch;
    set("a", TDA_CTX_MODEL, "m");
    cr_assert(contexts_peek(cs, &principal_host, user("a"), &base, &e) == TDA_OK && draft_new(cs, user("a"), base, &d) == TDA_OK);
    cr_assert(contexts_delete(cs, &principal_host, user("a"), &e) == TDA_OK && set("a", TDA_CTX_MODEL, "new") == TDA_OK);
    cr_assert(contexts_publish(cs, &principal_host, d, snapshot_epoch(base), &epoch, &e) == TDA_E_CONFLICT);
    draft_free(d);
    snapshot_unref(base);
}

Test(context, a_shared_context_that_was_made_anew_is_saved) {
    char path[] = "/tmp/tda-context-XXXXXX", text[512] = "";
    uint64_t saved = 0;
    struct error e;
    end();
    begin_with(1, true);
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    set("", TDA_CTX_MODEL, "first");
    cr_assert(contexts_save(cs, path, &saved, &e) == TDA_OK);
    cr_assert(contexts_delete(cs, &principal_host, user(""), &e) == TDA_OK && set("", TDA_CTX_MODEL, "second") == TDA_OK);
    cr_assert(contexts_save(cs, path, &saved, &e) == TDA_OK);
    FILE *f = fopen(path, "r");
    cr_assert(f && fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    unlink(path);
    cr_assert(strstr(text, "second"), "%s", text);
}

/* ---- secrets ---- */

static struct draft *with_secret(const char *provider, const char *secret) {
    struct draft *d;
    struct error e;
    cr_assert(draft_new(cs, user("s"), NULL, &d) == TDA_OK);
    cr_assert(draft_set(d, TDA_CTX_PROVIDER, tda_str_of(provider), &e) == TDA_OK);
    cr_assert(draft_set_secret(d, "api_key", tda_str_of(secret), &e) == TDA_OK);
    draft_bind(d, "https://one.example:443");
    return d;
}

static struct snapshot *publish(struct draft *d) {
    struct snapshot *s;
    struct error e;
    uint64_t epoch;
    cr_assert(contexts_publish(cs, &principal_host, d, UINT64_MAX, &epoch, &e) == TDA_OK, "%s", e.text);
    draft_free(d);
    cr_assert(contexts_peek(cs, &principal_host, user("s"), &s, &e) == TDA_OK);
    return s;
}

Test(context, a_switch_of_provider_leaves_no_field_and_no_secret) {
    struct error e;
    struct draft *d = with_secret("Azure", "secret-of-azure");
    draft_set(d, TDA_CTX_AZURE_DEPLOYMENT_DETAILS, TDA_STR("{\"endpoint\":\"https://one.example\"}"), &e);
    draft_set(d, TDA_CTX_AWS_REGION, TDA_STR("eu"), &e);
    draft_set_setting(d, "base_url", TDA_STR("https://one.example"), &e);
    struct snapshot *s = publish(d);
    cr_assert(snapshot_secrets(s));
    cr_assert(draft_new(cs, user("s"), s, &d) == TDA_OK);
    snapshot_unref(s);
    cr_assert(draft_set(d, TDA_CTX_PROVIDER, TDA_STR("Friendli"), &e) == TDA_OK);
    s = publish(d);
    cr_assert(!snapshot_secrets(s) && !snapshot_setting(s, "base_url").p);
    cr_assert(!snapshot_get(s, TDA_CTX_AZURE_DEPLOYMENT_DETAILS).p && !snapshot_get(s, TDA_CTX_AWS_REGION).p);
    snapshot_unref(s);
}

Test(context, a_secret_stays_with_its_origin) {
    struct error e;
    struct snapshot *s = publish(with_secret("openai", "secret-number-one"));
    struct draft *d;
    tda_str value;
    cr_assert(secrets_reveal(snapshot_secrets(s), "api_key", &value) == TDA_OK);
    cr_assert_str_eq(secrets_provider(snapshot_secrets(s)), "openai");
    cr_assert_str_eq(secrets_origin(snapshot_secrets(s)), "https://one.example:443");
    cr_assert(draft_new(cs, user("s"), s, &d) == TDA_OK);
    cr_assert(draft_bind(d, "https://two.example:443") == TDA_OK);
    struct snapshot *moved = publish(d);
    cr_assert(!snapshot_secrets(moved), "another origin: gone");
    cr_assert(secrets_reveal(snapshot_secrets(s), "api_key", &value) == TDA_OK, "whoever runs on the old snapshot still has it");
    snapshot_unref(moved);
    snapshot_unref(s);
    (void)e;
}

Test(context, secrets_are_redacted_and_never_written) {
    struct buf text;
    struct jw w;
    struct snapshot *s = publish(with_secret("openai", "sk-canary-123456"));
    buf_init(&text, 4096);
    buf_add_z(&text, "key sk-canary-123456 and again sk-canary-123456.");
    secrets_redact(snapshot_secrets(s), &text);
    cr_assert(tda_str_eq(buf_str(&text), TDA_STR("key [redacted] and again [redacted].")), "%.*s", STR_FMT(buf_str(&text)));
    buf_clear(&text);
    buf_add_z(&text, "cut within it: sk-canary-12345");
    secrets_redact(snapshot_secrets(s), &text);
    cr_assert(tda_str_eq(buf_str(&text), TDA_STR("cut within it: ")), "%.*s", STR_FMT(buf_str(&text)));
    buf_clear(&text);
    jw_init(&w, &text);
    snapshot_write(s, &w);
    cr_assert(!str_has(buf_str(&text), TDA_STR("canary")));
    cr_assert(str_has(buf_str(&text), TDA_STR("\"credentials\":[\"api_key\"]")));
    buf_fini(&text);
    snapshot_unref(s);
}

/* ---- live objects ---- */

static int drops;
static void count_drop(void *owner, void *object) {
    (void)owner;
    drops += *(int *)object;
}

Test(context, live_objects_are_dropped_once_after_the_last_use) {
    static int one = 1, owner;
    struct snapshot *s;
    struct error e;
    drops = 0;
    set("a", TDA_CTX_PROVIDER, "offline");
    set("a", TDA_CTX_MODEL, "m");
    cr_assert(contexts_acquire(cs, &principal_host, user("a"), &s, &e) == TDA_OK);
    struct live *model = snapshot_live(s, CTX_GROUP_MODEL), *tools = snapshot_live(s, CTX_GROUP_TOOLS);
    cr_assert(live_put(model, 0, &owner, 0, &one, count_drop) == TDA_OK);
    cr_assert(live_put(model, 0, &owner, 0, &one, count_drop) == TDA_E_EXISTS);
    cr_assert(live_put(model, 1, &owner, 0, &one, count_drop) == TDA_OK, "once for each loop");
    cr_assert(live_put(tools, 0, &owner, 7, &one, count_drop) == TDA_OK);
    set("a", TDA_CTX_MCP_SERVER_NAME, "x");
    cr_assert(drops == 0, "in use");
    snapshot_unref(s);
    cr_assert(drops == 1, "the tools' group changed, the model's did not");
    cr_assert(contexts_acquire(cs, &principal_host, user("a"), &s, &e) == TDA_OK);
    cr_assert(live_get(snapshot_live(s, CTX_GROUP_MODEL), 0, &owner, 0) == &one);
    snapshot_unref(s);
    contexts_delete(cs, &principal_host, user("a"), NULL);
    cr_assert(drops == 3);
}

Test(context, an_empty_context_is_empty) {
    struct draft *d;
    cr_assert(draft_new(cs, user("s"), NULL, &d) == TDA_OK);
    struct snapshot *s = publish(d);
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        tda_str v = snapshot_get(s, ctx_fields[i].key);
        if (ctx_fields[i].key == TDA_CTX_SERVER_CONFIGS)
            cr_assert(tda_str_eq(v, TDA_STR("{}")));
        else
            cr_assert(!v.p);
    }
    snapshot_unref(s);
}

static void count_one(void *arg, const struct context_info *info UNUSED) {
    ++*(int *)arg;
}

Test(context, every_accessor_asks_who_it_is) {
    struct principal nobody = {0}, bob = {.kind = PRINCIPAL_USER, .user = "bob"};
    const struct principal *const wrong[] = {&nobody, &bob};
    struct pair p = {TDA_CTX_MODEL, "intruded"};
    cr_assert(set("alice", TDA_CTX_MODEL, "m") == TDA_OK);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct snapshot *s = NULL;
        struct draft *d = NULL;
        struct error e = {0};
        int n = 0;
        cr_assert(contexts_peek(cs, wrong[i], user("alice"), &s, &e) == TDA_E_DENIED && !s);
        cr_assert_str_eq(e.kind, "denied");
        cr_assert(contexts_acquire(cs, wrong[i], user("alice"), &s, NULL) == TDA_E_DENIED && !s);
        cr_assert(contexts_update(cs, wrong[i], user("alice"), set_one, &p, NULL, NULL) == TDA_E_DENIED);
        cr_assert(contexts_update(cs, wrong[i], user("new"), set_one, &p, NULL, NULL) == TDA_E_DENIED);
        cr_assert(contexts_delete(cs, wrong[i], user("alice"), NULL) == TDA_E_DENIED);
        cr_assert(contexts_list(cs, wrong[i], 10, count_one, &n, NULL) == TDA_E_DENIED && n == 0);
        cr_assert(draft_new(cs, user("alice"), NULL, &d) == TDA_OK);
        cr_assert(contexts_publish(cs, wrong[i], d, UINT64_MAX, NULL, NULL) == TDA_E_DENIED);
        draft_free(d);
    }
    cr_assert(contexts_count(cs) == 1, "nothing was made");
    cr_assert(contexts_update(cs, &bob, user("bob"), set_one, &p, NULL, NULL) == TDA_OK && exists("bob"));
}

Test(context, the_shared_one_is_everybodys_who_is_somebody) {
    contexts_free(cs);
    begin_with(1000, true);
    struct principal nobody = {0}, bob = {.kind = PRINCIPAL_USER, .user = "bob"};
    struct pair p = {TDA_CTX_MODEL, "m"};
    cr_assert(contexts_update(cs, &nobody, user("bob"), set_one, &p, NULL, NULL) == TDA_E_DENIED);
    cr_assert(contexts_update(cs, &bob, user("alice"), set_one, &p, NULL, NULL) == TDA_E_DENIED);
    cr_assert(contexts_update(cs, &bob, user("bob"), set_one, &p, NULL, NULL) == TDA_OK);
}
