/* Profiles: what a derived snapshot takes from whom, what is kept of it, bounds, the saved file. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "context/profile.h"
#include "tda/host.h"

static struct contexts *cs;

static void begin_with(bool shared, bool host_keys) {
    struct contexts_options o = {.persistence = shared, .host_keys = host_keys, .max_users = 1000, .max_profiles = 8, .n_loops = 2};
    hash_init();
    cr_assert(contexts_new(&o, &cs) == TDA_OK);
}

static void begin(void) {
    begin_with(false, false);
}

static void end(void) {
    contexts_free(cs);
}

TestSuite(profile, .init = begin, .fini = end, .timeout = 60);

/* provider, model, base_url, key, server; NULL: not said */
struct say {
    const char *provider, *model, *base_url, *key, *server;
};

static void set(struct draft *d, uint32_t key, const char *value) {
    if (value) cr_assert(draft_set(d, key, tda_str_of(value), NULL) == TDA_OK);
}

static void fill(struct draft *d, const struct say *s) {
    set(d, TDA_CTX_PROVIDER, s->provider);
    set(d, TDA_CTX_MODEL, s->model);
    set(d, TDA_CTX_MCP_SERVER_NAME, s->server);
    if (s->base_url) cr_assert(draft_set_setting(d, "base_url", tda_str_of(s->base_url), NULL) == TDA_OK);
    if (s->key) cr_assert(draft_set_secret(d, "api_key", tda_str_of(s->key), NULL) == TDA_OK);
    cr_assert(draft_bind(d, s->base_url ? s->base_url : "https://home:443") == TDA_OK);
}

static struct profile *profile(const char *tag, struct say say, bool is_operators) {
    struct snapshot *definition;
    struct profile *p;
    struct draft *d;
    cr_assert(draft_new(cs, TDA_STR("u"), NULL, &d) == TDA_OK);
    fill(d, &say);
    cr_assert(draft_preview(d, &definition) == TDA_OK);
    cr_assert(profile_new(tda_str_of(tag), definition, say.server, is_operators, &p) == TDA_OK);
    snapshot_unref(definition);
    draft_free(d);
    return p;
}

static tda_status fill_context(struct draft *d, void *arg, struct error *e UNUSED) {
    fill(d, arg);
    return TDA_OK;
}

static struct snapshot *context(struct say say) {
    struct snapshot *s;
    cr_assert(contexts_update(cs, &principal_host, TDA_STR("u"), fill_context, &say, NULL, NULL) == TDA_OK);
    cr_assert(contexts_peek(cs, &principal_host, TDA_STR("u"), &s, NULL) == TDA_OK);
    return s;
}

static const char *key_of(const struct snapshot *s) {
    tda_str v = {0};
    const struct secrets *secrets = snapshot_secrets(s);
    return secrets && secrets_reveal(secrets, "api_key", &v) == TDA_OK ? v.p : "";
}

static const char *text(const struct snapshot *s, uint32_t key) {
    tda_str v = snapshot_get(s, key);
    return v.p ? v.p : "";
}

/* What of model, key and server a request runs on. */
Test(profile, what_is_derived) {
    static const struct {
        const char *name;
        struct say context, profile;
        bool is_operators;
        const char *provider, *model, *key, *server;
    } rows[] = {
        {"all its own", {"A", "m", NULL, "own", "s"}, {"B", "n", NULL, "its", "t"}, false, "B", "n", "its", "t"},
        {"the model alone", {"A", "m", NULL, "own", "s"}, {NULL, "n", NULL, NULL, NULL}, false, "A", "n", "own", "s"},
        {"nothing but a list", {"A", "m", NULL, "own", "s"}, {NULL, NULL, NULL, NULL, NULL}, false, "A", "m", "own", "s"},
        {"same place", {"A", "m", NULL, "own", "s"}, {"A", "n", NULL, NULL, NULL}, false, "A", "n", "own", "s"},
        {"same address", {"A", "m", "https://x", "own", "s"}, {"A", "n", "https://x", NULL, NULL}, false, "A", "n", "own", "s"},
        {"another address", {"A", "m", NULL, "own", "s"}, {"A", "n", "https://x", NULL, NULL}, false, "A", "n", "", "s"},
        {"no more address", {"A", "m", "https://x", "own", "s"}, {"A", "n", NULL, NULL, NULL}, false, "A", "n", "", "s"},
        {"another provider", {"A", "m", NULL, "own", "s"}, {"B", "n", NULL, NULL, NULL}, false, "B", "n", "", "s"},
        {"its own key at another address",
         {"A", "m", "https://x", "own", NULL},
         {"A", "n", NULL, "its", NULL},
         false,
         "A",
         "n",
         "its",
         ""},
        {"operator's key", {"A", "m", NULL, "own", "s"}, {"A", "n", NULL, "ops", NULL}, true, "A", "n", "own", "s"},
        {"operator's key, no own", {"A", "m", NULL, NULL, "s"}, {"B", "n", NULL, "ops", NULL}, true, "B", "n", "", "s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snapshot *base = context(rows[i].context), *s;
        struct profile *p = profile("P", rows[i].profile, rows[i].is_operators);
        cr_assert(snapshot_derive(cs, base, p, &s, NULL) == TDA_OK);
        cr_expect_str_eq(text(s, TDA_CTX_PROVIDER), rows[i].provider, "%s", rows[i].name);
        cr_expect_str_eq(text(s, TDA_CTX_MODEL), rows[i].model, "%s", rows[i].name);
        cr_expect_str_eq(text(s, TDA_CTX_MCP_SERVER_NAME), rows[i].server, "%s", rows[i].name);
        cr_expect_str_eq(key_of(s), rows[i].key, "%s: %s", rows[i].name, key_of(s));
        cr_expect_str_eq(snapshot_profile(s), "P");
        cr_expect(snapshot_epoch(s) == snapshot_epoch(base));
        cr_expect_str_eq(snapshot_user(s), "u");
        cr_expect_str_eq(key_of(base), rows[i].context.key ? rows[i].context.key : "", "%s: the context is as it was",
                         rows[i].name);
        cr_expect_str_eq(text(base, TDA_CTX_MODEL), rows[i].context.model);
        for (int g = 0; g < 2; g++)
            cr_expect(snapshot_live(s, g) != snapshot_live(base, g), "%s: its own live objects", rows[i].name);
        snapshot_unref(s);
        snapshot_unref(base);
        profile_unref(p);
        cr_assert(contexts_delete(cs, &principal_host, TDA_STR("u"), NULL) == TDA_OK);
    }
}

Test(profile, the_operators_key_where_he_says_so) {
    for (int shared = 0; shared < 2; shared++) {
        contexts_free(cs);
        begin_with(shared, !shared);
        struct snapshot *base = context((struct say){"A", "m", "https://mine", NULL, NULL}), *s;
        struct profile *p = profile("P", (struct say){"A", "n", NULL, "ops", NULL}, true);
        cr_assert(snapshot_derive(cs, base, p, &s, NULL) == TDA_OK);
        cr_expect_str_eq(key_of(s), "ops");
        cr_expect_str_eq(secrets_origin(snapshot_secrets(s)), "https://home:443");
        cr_expect_null(snapshot_setting(s, "base_url").p, "and the user's address is not there");
        snapshot_unref(s);
        snapshot_unref(base);
        profile_unref(p);
    }
}

Test(profile, the_same_is_kept_and_a_new_context_begins_anew) {
    struct say say = {"A", "m", NULL, NULL, NULL};
    struct snapshot *base = context(say), *first, *again, *other;
    struct profile *p[6];
    for (int i = 0; i < 6; i++) p[i] = profile("P", (struct say){NULL, "n", NULL, NULL, NULL}, false);
    cr_assert(snapshot_derive(cs, base, p[0], &first, NULL) == TDA_OK);
    uint64_t id = live_id(snapshot_live(first, CTX_GROUP_TOOLS));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 4; i++) { /* four are kept */
            cr_assert(snapshot_derive(cs, base, p[i], &again, NULL) == TDA_OK);
            if (i == 0) cr_expect(again == first);
            snapshot_unref(again);
        }
    for (int i = 1; i < 6; i++) {
        cr_assert(snapshot_derive(cs, base, p[i], &again, NULL) == TDA_OK);
        cr_expect(live_id(snapshot_live(again, CTX_GROUP_TOOLS)) != id);
        snapshot_unref(again);
    }
    cr_assert(snapshot_derive(cs, base, p[0], &again, NULL) == TDA_OK);
    cr_expect(again != first, "the one that was used longest ago went");
    snapshot_unref(again);
    other = context(say);
    cr_assert(snapshot_derive(cs, other, p[5], &again, NULL) == TDA_OK);
    snapshot_unref(again);
    snapshot_unref(other);
    snapshot_unref(base);
    cr_expect_str_eq(text(first, TDA_CTX_MODEL), "n", "a request holds what serves it");
    snapshot_unref(first);
    for (int i = 0; i < 6; i++) profile_unref(p[i]);
}

static struct draft *draft(void) {
    struct draft *d;
    cr_assert(draft_new(cs, TDA_STR("u"), NULL, &d) == TDA_OK);
    return d;
}

Test(profile, a_set_of_them) {
    struct draft *d = draft();
    struct error e;
    char tag[8];
    for (int i = 0; i < 9; i++) {
        snprintf(tag, sizeof tag, "T%d", i);
        struct profile *p = profile(tag, (struct say){NULL, "n", NULL, NULL, NULL}, false);
        cr_expect(draft_put_profile(d, p, &e) == (i < 8 ? TDA_OK : TDA_E_LIMIT));
        profile_unref(p);
    }
    const struct snapshot *s = draft_snapshot(d);
    cr_expect(profile_find(cs, s, TDA_STR("t3")) != NULL);
    cr_expect(profile_find(cs, s, TDA_STR("T9")) == NULL);
    cr_expect(draft_set_default_profile(d, TDA_STR("t9")) == TDA_E_NOT_FOUND);
    cr_expect(draft_set_default_profile(d, TDA_STR("t3")) == TDA_OK);
    cr_expect_str_eq(snapshot_default_profile(s), "T3");
    cr_expect(draft_delete_profile(d, TDA_STR("T9")) == TDA_E_NOT_FOUND);
    cr_expect(draft_delete_profile(d, TDA_STR("T4")) == TDA_OK);
    cr_expect_str_eq(snapshot_default_profile(s), "T3");
    cr_expect(draft_delete_profile(d, TDA_STR("t3")) == TDA_OK);
    cr_expect_null(snapshot_default_profile(s));
    draft_free(d);
}

Test(profile, tags) {
    static const char *const good[] = {"A", "fast", "9", "a_b-C", "12345678901234567890123456789012"};
    static const char *const bad[] = {"", "-a", "_a", "a b", "a.b", "@a", "\xc3\xa9", "123456789012345678901234567890123"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) cr_expect(tag_valid(tda_str_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) cr_expect(!tag_valid(tda_str_of(bad[i])), "%s", bad[i]);
}

Test(profile, lists_of_names) {
    tda_str list[] = {TDA_STR("a"), TDA_STR("b"), TDA_STR("a"), TDA_STR("")};
    static char many[NAME_BYTES_MAX + 1];
    struct names *names;
    struct draft *d = draft();
    set(d, TDA_CTX_MCP_SERVER_NAME, "one");
    cr_expect(snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("x")), "without a list everything is");
    cr_assert(names_new(list, 3, &names) == TDA_OK);
    draft_set_enabled(d, ENABLED_TOOLS, names);
    names_unref(names);
    cr_expect(snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("b")));
    cr_expect(!snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("x")));
    cr_expect(snapshot_enables(draft_snapshot(d), ENABLED_PROMPTS, TDA_STR("x")));
    set(d, TDA_CTX_MCP_SERVER_NAME, "one");
    cr_expect(!snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("x")), "the same server keeps it");
    set(d, TDA_CTX_MCP_SERVER_NAME, "two");
    cr_expect(snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("x")), "another's tools are others");
    cr_assert(names_new(NULL, 0, &names) == TDA_OK);
    draft_set_enabled(d, ENABLED_TOOLS, names);
    names_unref(names);
    cr_expect(!snapshot_enables(draft_snapshot(d), ENABLED_TOOLS, TDA_STR("a")), "an empty list is none");
    cr_expect(names_new(&(tda_str){many, sizeof many}, 1, &names) == TDA_E_LIMIT);
    cr_expect(names_new(list, NAMES_MAX + 1, &names) == TDA_E_LIMIT);
    tda_str long_ones[LIST_BYTES_MAX / NAME_BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(long_ones); i++) long_ones[i] = (tda_str){many, NAME_BYTES_MAX};
    cr_expect(names_new(long_ones, ARRAY_LEN(long_ones), &names) == TDA_E_LIMIT);
    draft_free(d);
}

static tda_status add_profiles(struct draft *d, void *arg UNUSED, struct error *e) {
    struct profile *p = profile("KEPT", (struct say){"B", "n", "https://x", "canary", NULL}, false);
    struct profile *q = profile("NONE", (struct say){NULL, "k", NULL, NULL, "t"}, false);
    struct names *names;
    tda_str list[] = {TDA_STR("a")};
    cr_assert(names_new(list, 1, &names) == TDA_OK);
    draft_set_enabled(d, ENABLED_TOOLS, names);
    names_unref(names);
    cr_assert(draft_put_profile(d, p, e) == TDA_OK && draft_put_profile(d, q, e) == TDA_OK);
    profile_unref(p);
    profile_unref(q);
    return draft_set_default_profile(d, TDA_STR("KEPT"));
}

Test(profile, saved_without_credentials) {
    char path[] = "/tmp/tda-profile-XXXXXX", content[4096] = "";
    uint64_t epoch = 0;
    struct snapshot *s, *served;
    contexts_free(cs);
    begin_with(true, false);
    cr_assert(close(mkstemp(path)) == 0);
    snapshot_unref(context((struct say){"A", "m", NULL, NULL, "s"}));
    cr_assert(contexts_update(cs, &principal_host, TDA_STR(""), add_profiles, NULL, NULL, NULL) == TDA_OK);
    cr_assert(contexts_save(cs, path, &epoch, NULL) == TDA_OK);
    FILE *f = fopen(path, "r");
    cr_assert(fread(content, 1, sizeof content - 1, f) > 0);
    fclose(f);
    cr_expect_null(strstr(content, "canary"), "%s", content);
    contexts_free(cs);
    begin_with(true, false);
    cr_assert(contexts_load(cs, path, &epoch, NULL) == TDA_OK);
    cr_assert(contexts_peek(cs, &principal_host, TDA_STR(""), &s, NULL) == TDA_OK);
    cr_expect_str_eq(snapshot_default_profile(s), "KEPT");
    cr_expect(!snapshot_enables(s, ENABLED_TOOLS, TDA_STR("b")));
    cr_assert(snapshot_derive(cs, s, profile_find(cs, s, TDA_STR("none")), &served, NULL) == TDA_OK);
    cr_expect_str_eq(text(served, TDA_CTX_MCP_SERVER_NAME), "t");
    cr_expect_str_eq(text(served, TDA_CTX_MODEL), "k");
    snapshot_unref(served);
    snapshot_unref(s);
    unlink(path);
}
