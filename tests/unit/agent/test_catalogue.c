/* What the core makes of a server's tools: aliases, lists of enabled ones, arguments. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "agent/arguments.h"
#include "agent/catalogue.h"
#include "base/hash.h"
#include "context/profile.h"

TestSuite(catalogue, .timeout = 20);
TestSuite(arguments, .timeout = 20);

static void add(struct catalogue *c, const char *name, const char *schema, const char *whole) {
    struct tda_event e = {.size = sizeof e,
                          .kind = TDA_EV_ITEM,
                          .name = tda_str_of(name),
                          .text = TDA_STR("does it"),
                          .json = tda_str_of(schema),
                          .whole = tda_str_of(whole)};
    cr_assert(catalogue_add(c, &e));
}

static const struct tool *find(const struct catalogue *c, const char *name) {
    return catalogue_find(c, tda_str_of(name));
}

Test(catalogue, no_two_aliases_are_equal_and_each_leads_back) {
    hash_init();
    struct catalogue *c = catalogue_new(TDA_STR("shop"));
    char taken[80];
    add(c, "a.b", NULL, NULL);
    catalogue_seal(c);
    snprintf(taken, sizeof taken, "%s", c->tools[0].alias + strlen("shop__")); /* what another tool would be called */
    catalogue_unref(c);

    c = catalogue_new(TDA_STR("shop"));
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[199] = 0;
    const char *const names[] = {"a.b", taken, "a/b", "a_b", "\xc3\xa9", longer, "query"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) add(c, names[i], NULL, NULL);
    longer[198] = 'y';
    add(c, longer, NULL, NULL);
    cr_assert(catalogue_seal(c) == TDA_OK);
    cr_assert(c->n == ARRAY_LEN(names) + 1);
    for (size_t i = 0; i < c->n; i++) {
        const struct tool *t = &c->tools[i];
        cr_assert(strlen(t->alias) <= 64 && strncmp(t->alias, "shop__", 6) == 0, "%s", t->alias);
        cr_assert(strspn(t->alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(t->alias));
        for (size_t k = 0; k < i; k++) cr_assert_str_neq(t->alias, c->tools[k].alias);
        cr_assert(find(c, t->alias) == t, "%s", t->alias);
        cr_assert(find(c, t->name) == t, "%s", t->name);
    }
    cr_assert(!find(c, "nothing") && !find(c, ""));
    cr_assert_str_eq(find(c, "query")->alias, "shop__query", "what needs no change gets none");
    catalogue_unref(c);
}

Test(catalogue, a_second_tool_of_the_same_name_is_left_out) {
    hash_init();
    struct catalogue *c = catalogue_new(TDA_STR("s"));
    add(c, "one", "{\"type\":\"object\",\"title\":\"first\"}", NULL);
    add(c, "two", NULL, NULL);
    add(c, "one", "{\"type\":\"object\",\"title\":\"second\"}", NULL);
    cr_assert(catalogue_seal(c) == TDA_OK);
    cr_assert(c->n == 2);
    cr_assert(strstr(find(c, "one")->schema, "first"));
    catalogue_unref(c);
}

Test(catalogue, what_the_server_says_of_a_tool_is_kept) {
    hash_init();
    struct catalogue *c = catalogue_new(TDA_STR("s"));
    add(c, "t", "{}",
        "{\"name\":\"t\",\"title\":\"The T\",\"outputSchema\":{\"type\":\"object\"},\"annotations\":{\"readOnlyHint\":true}}");
    add(c, "u", "{}", "{\"outputSchema\":7,\"annotations\":[]}");
    add(c, "v", "{}", "no JSON");
    cr_assert(catalogue_seal(c) == TDA_OK);
    cr_assert_str_eq(find(c, "t")->title, "The T");
    cr_assert_str_eq(find(c, "t")->output_schema, "{\"type\":\"object\"}");
    cr_assert_str_eq(find(c, "t")->annotations, "{\"readOnlyHint\":true}");
    cr_assert(!find(c, "u")->output_schema && !find(c, "u")->annotations && !find(c, "v")->title);
    catalogue_unref(c);
}

/* A server cannot get a tool enabled by calling it as the alias of an enabled one. */
Test(catalogue, a_list_enables_the_tool_that_the_name_leads_to) {
    hash_init();
    struct contexts_options o = {.max_users = 10, .n_loops = 1};
    struct contexts *cs;
    struct draft *d;
    struct names *names;
    tda_str list[] = {TDA_STR("s__query"), TDA_STR("drop")};
    cr_assert(contexts_new(&o, &cs) == TDA_OK && draft_new(cs, TDA_STR("u"), NULL, &d) == TDA_OK);
    cr_assert(names_new(list, ARRAY_LEN(list), &names) == TDA_OK);
    draft_set_enabled(d, ENABLED_TOOLS, names);
    names_unref(names);
    struct catalogue *c = catalogue_new(TDA_STR("s"));
    const char *const tools[] = {"query", "drop", "s__query", "other"};
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) add(c, tools[i], NULL, NULL);
    cr_assert(catalogue_seal(c) == TDA_OK);
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        cr_expect(catalogue_enables(c, find(c, c->tools[i].alias), draft_snapshot(d)) == (i < 2), "%s", tools[i]);
    catalogue_unref(c);
    draft_free(d);
    contexts_free(cs);
}

/* ---- arguments ---- */

static struct arena arena;

static const char *fitted(const char *schema, const char *args, struct error *e) {
    static char out[1000];
    char *own = (char *)(uintptr_t)schema, name[] = "t";
    struct tool t = {.name = name, .schema = own};
    tda_str text = tda_str_of(args);
    *e = (struct error){0};
    arena_init(&arena, 1 << 20);
    tda_status s = arguments_fit(&t, &arena, &text, e);
    snprintf(out, sizeof out, "%.*s", STR_FMT(text));
    arena_fini(&arena);
    return s ? e->kind : out;
}

#define TABLES "{\"properties\":{\"db_name\":{},\"object_name\":{},\"column_name\":{},\"limit\":{}},\"required\":[\"object_name\"]}"

Test(arguments, synonyms_go_by_the_tools_own_names) {
    struct error e;
    static const struct {
        const char *schema, *given, *sent;
    } rows[] = {
        {TABLES, "{\"object_name\":1}", "{\"object_name\":1}"},
        {TABLES, "{\"table_name\":1}", "{\"object_name\":1}"},
        {TABLES, "{\"view_name\": \"a\\n\",\"database_name\":[1, 2]}", "{\"object_name\":\"a\\n\",\"db_name\":[1, 2]}"},
        {TABLES, "{\"object_name\":1,\"table_name\":2}", "{\"object_name\":1,\"table_name\":2}"}, /* its own is given */
        {TABLES, "{\"view_name\":1,\"table_name\":2}", "{\"object_name\":1,\"table_name\":2}"},   /* the first is it */
        {TABLES, "{\"object_name\":1,\"wrong\":2}", "{\"object_name\":1,\"wrong\":2}"},           /* unknown ones pass */
        {"{\"properties\":{\"table_name\":{},\"view_name\":{}}}", "{\"object_name\":1}", "{\"object_name\":1}"}, /* which? */
        {"{\"properties\":{\"table_name\":{},\"view_name\":{}}}", "{\"view_name\":1}", "{\"view_name\":1}"},
        {"{}", "{\"table_name\":1}", "{\"table_name\":1}"},
        {"{\"properties\":{}}", "", "{}"},
        {"7", "{\"a\" : 1}", "{\"a\" : 1}"}, /* a schema that is none judges nothing */
        {"{{{", "{\"a\" : 1}", "{\"a\" : 1}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *given = rows[i].given[0] ? rows[i].given : NULL;
        cr_assert_str_eq(fitted(rows[i].schema, given, &e), rows[i].sent, "row %zu: %s", i, fitted(rows[i].schema, given, &e));
    }
}

Test(arguments, what_is_missing_is_named) {
    struct error e;
    cr_assert_str_eq(fitted(TABLES, "{\"limit\":1}", &e), "missing_argument");
    cr_assert_str_eq(e.field, "arguments.object_name");
    cr_assert_str_eq(fitted("{\"required\":[\"a\",\"b\",\"c\"]}", "{\"b\":null}", &e), "missing_argument");
    cr_assert(strstr(e.text, "the arguments a, c are required"), "%s", e.text);
    cr_assert_str_eq(fitted("{}", "[]", &e), "invalid_arguments");
    cr_assert_str_eq(fitted("{}", "{\"a\":1", &e), "invalid_arguments");
}
