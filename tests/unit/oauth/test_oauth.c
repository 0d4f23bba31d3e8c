/* Pure parts of OAuth: challenges, addresses of metadata, what a resource covers, scopes, queries, where a peer may send us. And
 * the table's bounds. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "oauth/oauth_impl.h"

TestSuite(oauth, .timeout = 30);

#define S(text) ((tda_str){text, sizeof text - 1})

/* ---- WWW-Authenticate ---- */

Test(oauth, challenges) {
    static const struct {
        const char *header, *prm, *scope, *error;
    } rows[] = {
        {"Bearer resource_metadata=\"https://h/p\", scope=\"a b\"", "https://h/p", "a b", ""},
        {"bearer SCOPE=a,ERROR=insufficient_scope", "", "a", "insufficient_scope"},
        {"Basic realm=\"scope=x, Bearer scope=y\", Bearer scope=z", "", "z", ""},
        {"Negotiate abc==, Bearer error = \"invalid_token\" , scope = z", "", "z", "invalid_token"},
        {"Bearer scope=a, Bearer scope=b", "", "a", ""},
        {"Bearer scope=a, DPoP scope=b, error=c", "", "a", ""},
        {"Bearer scope=\"a\\\" b\"", "", "", ""},
        {"Bearer scope=\"unclosed", "", "", ""},
        {"Bearer resource_metadata=\"javascript:alert(1)\", scope=a", "", "a", ""},
        {"Bearer resource_metadata=\"https://u:p@h/\"", "", "", ""},
        {"Bearer resource_metadata=\"https://h/x y\"", "", "", ""},
        {"Bearer", "", "", ""},
        {"Digest scope=a", "", "", ""},
        {"=,,=\"\\", "", "", ""},
        {"", "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct oauth_challenge c = {0};
        challenge_parse(tda_str_of(rows[i].header), &c);
        cr_assert_str_eq(c.resource_metadata, rows[i].prm, "%s", rows[i].header);
        cr_assert_str_eq(c.scope, rows[i].scope, "%s", rows[i].header);
        cr_assert_str_eq(c.error, rows[i].error, "%s", rows[i].header);
    }
}

Test(oauth, a_challenge_of_any_length) {
    struct buf text;
    struct oauth_challenge c = {0};
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "Bearer scope=\"");
    for (int i = 0; i < OAUTH_SCOPE_MAX; i++) buf_add_char(&text, 'a');
    buf_add_z(&text, "\", error=\"e\"");
    challenge_parse(buf_str(&text), &c);
    cr_assert_str_eq(c.scope, "", "too long is as if it were not there");
    cr_assert_str_eq(c.error, "e");
    buf_fini(&text);
}

/* ---- addresses ---- */

static void urls_are(tda_status (*fn)(tda_str, unsigned, char *, size_t), const char *of, const char *const *expected) {
    char url[OAUTH_URL_MAX];
    unsigned i = 0;
    for (; expected[i]; i++) {
        cr_assert(fn(tda_str_of(of), i, url, sizeof url) == TDA_OK, "%s %u", of, i);
        cr_assert_str_eq(url, expected[i]);
    }
    cr_assert(fn(tda_str_of(of), i, url, sizeof url) == TDA_E_NOT_FOUND, "%s", of);
}

Test(oauth, places_of_metadata) {
    urls_are(prm_url, "https://h:8/a/mcp?x=1",
             (const char *const[]){"https://h:8/.well-known/oauth-protected-resource/a/mcp",
                                   "https://h:8/.well-known/oauth-protected-resource", NULL});
    urls_are(prm_url, "https://h/", (const char *const[]){"https://h/.well-known/oauth-protected-resource", NULL});
    urls_are(as_metadata_url, "https://h",
             (const char *const[]){"https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration",
                                   NULL});
    urls_are(as_metadata_url, "https://h/t/1/",
             (const char *const[]){"https://h/.well-known/oauth-authorization-server/t/1",
                                   "https://h/.well-known/openid-configuration/t/1",
                                   "https://h/t/1/.well-known/openid-configuration", NULL});
}

Test(oauth, what_a_resource_covers) {
    static const struct {
        const char *resource, *url;
        bool covers;
    } rows[] = {
        {"https://h/mcp", "https://h/mcp", true},
        {"https://h/mcp", "https://H:443/mcp?x=1", true},
        {"https://h/mcp/", "https://h/mcp", true},
        {"https://h/mcp", "https://h/mcp/deeper", true},
        {"https://h", "https://h/mcp", true},
        {"https://h/", "https://h/../mcp", true},
        {"https://h/mcp", "https://h/mcpx", false},
        {"https://h/mcp", "https://h/mc", false},
        {"https://h/mcp", "https://h/MCP", false},
        {"https://h/mcp", "https://h/mcp/../other", false},
        {"https://h/mcp", "https://h/mcp/%2e%2e/other", false},
        {"https://h/mcp/deeper", "https://h/mcp", false},
        {"https://h/mcp?x=1", "https://h/mcp?x=1", false},
        {"https://h/mcp", "http://h/mcp", false},
        {"https://h/mcp", "https://h:8443/mcp", false},
        {"https://h/mcp", "https://h.evil/mcp", false},
        {"https://h/mcp#x", "https://h/mcp", false},
        {"https://u@h/mcp", "https://h/mcp", false},
        {"urn:x", "https://h/mcp", false},
        {"", "https://h/mcp", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(resource_covers(tda_str_of(rows[i].resource), tda_str_of(rows[i].url)) == rows[i].covers, "%s %s",
                  rows[i].resource, rows[i].url);
}

Test(oauth, where_a_peer_may_send_us) {
    static const struct config_oauth named = {.issuer = (char *)(uintptr_t) "http://10.1.1.1/as"};
    static const struct {
        const char *server;
        bool user_given, named;
        const char *url;
        bool ok, judged_as_users;
    } rows[] = {
        {"https://h/mcp", false, false, "https://as.example/x", true, true},
        {"https://h/mcp", false, false, "http://as.example/x", false, false},
        {"https://h/mcp", false, false, "http://169.254.169.254/latest", false, false},
        {"https://h/mcp", false, false, "https://127.0.0.1/x", true, true}, /* the socket's judge refuses it */
        {"https://h/mcp", false, false, "https://h/x", true, false},
        {"https://h/mcp", false, true, "http://10.1.1.1/token", true, false},
        {"https://h/mcp", false, true, "http://10.1.1.2/token", false, false},
        {"http://127.0.0.1:1/mcp", false, false, "http://127.0.0.1:2/x", true, false},
        {"http://localhost:1/mcp", false, false, "http://10.0.0.1/x", true, false},
        {"http://[::1]:1/mcp", false, false, "http://localhost:2/x", true, false},
        {"http://internal/mcp", false, false, "http://other/x", true, true},
        {"http://127.0.0.1:1/mcp", true, false, "http://127.0.0.1:1/x", true, true},
        {"https://h/mcp", true, false, "https://h/x", true, true},
        {"https://h/mcp", false, false, "file:///etc/passwd", false, false},
        {"https://h/mcp", false, false, "https://u:p@h/x", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct oauth_server server = {
            .name = "s", .url = rows[i].server, .user_given = rows[i].user_given, .config = rows[i].named ? &named : NULL};
        struct reach r;
        bool users = false;
        reach_of(&r, &server);
        cr_assert((reach_check(&r, tda_str_of(rows[i].url), &users, NULL) == TDA_OK) == rows[i].ok, "%s %s", rows[i].server,
                  rows[i].url);
        if (rows[i].ok) cr_assert(users == rows[i].judged_as_users, "%s %s", rows[i].server, rows[i].url);
    }
}

/* ---- scopes ---- */

Test(oauth, union_of_scopes) {
    char out[OAUTH_SCOPE_MAX], big[OAUTH_SCOPE_MAX + 8];
    static const struct {
        const char *a, *b, *both;
    } rows[] = {{"a b", "b c", "a b c"}, {"", "", ""}, {"", "x", "x"}, {"  a   a ", "", "a"}, {"ab", "a b", "ab a b"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_assert(scope_union(tda_str_of(rows[i].a), tda_str_of(rows[i].b), out) == TDA_OK);
        cr_assert_str_eq(out, rows[i].both);
    }
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    cr_assert(scope_union(tda_str_of(big), S(""), out) == TDA_E_LIMIT);
}

/* A dumb oracle: each word once, in the order of its first place. */
Test(oauth, union_of_any_scopes) {
    unsigned seed = 1;
    for (int round = 0; round < 2000; round++) {
        char a[64] = "", b[64] = "", out[OAUTH_SCOPE_MAX], expected[OAUTH_SCOPE_MAX] = "";
        for (int i = 0; i < 12; i++) {
            char word[3] = {(char)('a' + rand_r(&seed) % 4), rand_r(&seed) % 3 ? ' ' : 0, 0};
            strcat(i < 6 ? a : b, word);
        }
        char all[160], *save = NULL;
        snprintf(all, sizeof all, "%s %s", a, b);
        for (char *w = strtok_r(all, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
            char padded[OAUTH_SCOPE_MAX + 2], needle[40];
            snprintf(padded, sizeof padded, " %s ", expected);
            snprintf(needle, sizeof needle, " %.30s ", w);
            if (strstr(padded, needle)) continue;
            if (expected[0]) strcat(expected, " ");
            strcat(expected, w);
        }
        cr_assert(scope_union(tda_str_of(a), tda_str_of(b), out) == TDA_OK);
        cr_assert_str_eq(out, expected);
    }
}

/* ---- queries ---- */

Test(oauth, members_of_a_query) {
    char out[16];
    cr_assert(query_get(S("a=1&code=x%2Fy+z&b"), "code", out, sizeof out) == TDA_OK);
    cr_assert_str_eq(out, "x/y z");
    cr_assert(query_get(S("code=1&code=2"), "code", out, sizeof out) == TDA_E_INVALID, "twice");
    cr_assert(query_get(S("xcode=1"), "code", out, sizeof out) == TDA_E_NOT_FOUND);
    cr_assert(query_get(S("code"), "code", out, sizeof out) == TDA_E_NOT_FOUND);
    static const char *const bad[] = {"code=%", "code=%2", "code=%zz", "code=%00", "code=%0a", "code=0123456789abcdef"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert(query_get(tda_str_of(bad[i]), "code", out, sizeof out) == TDA_E_INVALID, "%s", bad[i]);
}

Test(oauth, what_is_encoded_is_decoded) {
    char out[300], in[257];
    for (int c = ' '; c < 0x7f; c++) in[c - ' '] = (char)c;
    in[0x7f - ' '] = 0;
    struct buf form;
    buf_init(&form, 4096);
    form_add(&form, "x", S("1"));
    form_add(&form, "code", tda_str_of(in));
    cr_assert(query_get(buf_str(&form), "code", out, sizeof out) == TDA_OK);
    cr_assert_str_eq(out, in);
    buf_fini(&form);
}

Test(oauth, base64url_as_rfc4648) {
    static const char *const rows[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"\xff\xfe\xfd", "__79"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        buf_init(&out, 64);
        base64url(tda_str_of(rows[i][0]), &out);
        cr_assert(tda_str_eq(buf_str(&out), tda_str_of(rows[i][1])), "%s", rows[i][1]);
        buf_fini(&out);
    }
}

/* ---- the table ---- */

static struct oauth_server server_at(char *url, size_t size, int i) {
    snprintf(url, size, "https://h%d/mcp", i);
    return (struct oauth_server){.name = "s", .url = url};
}

static void keep(struct credential *c, const char *issuer, const char *resource, const char *token) {
    struct grant g = {
        .access = tda_str_of(token), .source = TOKEN_BY_USER, .issuer = issuer, .resource = resource, .requested = "a"};
    cr_assert(credential_keep_token(c, &g) == TDA_OK);
}

static tda_status token(struct oauth *oa, const char *user, const struct oauth_server *s, const char *url, char out[64]) {
    struct buf b;
    uint64_t serial;
    buf_init(&b, 64);
    tda_status status = oauth_token(oa, user, s, tda_str_of(url), &b, &serial);
    snprintf(out, 64, "%.*s", STR_FMT(buf_str(&b)));
    buf_fini(&b);
    return status;
}

Test(oauth, whose_token) {
    struct oauth *oa;
    struct credential *c;
    char url[64], out[64];
    struct oauth_server s = server_at(url, sizeof url, 1), other = s;
    cr_assert(hash_init() == TDA_OK && oauth_new(&oa) == TDA_OK);
    cr_assert(token(oa, "u", &s, url, out) == TDA_E_NOT_FOUND);
    cr_assert(credential_get(oa, "u", &s, true, &c) == TDA_OK);
    keep(c, "https://as", url, "t1");
    cr_assert(token(oa, "u", &s, url, out) == TDA_OK);
    cr_assert_str_eq(out, "Bearer t1");
    cr_assert(token(oa, "v", &s, url, out) == TDA_E_NOT_FOUND, "another user");
    other.user_given = true;
    cr_assert(token(oa, "u", &other, url, out) == TDA_E_NOT_FOUND, "his own server at the operator's place");
    cr_assert(token(oa, "u", &s, "https://h1/other", out) == TDA_E_NOT_FOUND, "another path");
    credential_bind(c, "https://as2");
    cr_assert(token(oa, "u", &s, url, out) == TDA_E_NOT_FOUND, "another issuer");
    keep(c, "https://as2", url, "t2");
    oauth_forget(oa, S("u"));
    cr_assert(token(oa, "u", &s, url, out) == TDA_E_NOT_FOUND);
    struct grant late = {.access = S("t3"), .source = TOKEN_BY_USER, .issuer = "https://as2", .resource = url, .requested = "a"};
    cr_assert(credential_keep_token(c, &late) == TDA_E_CANCELLED, "what comes after he was forgotten is not kept");
    credential_unref(c);
    oauth_free(oa);
}

Test(oauth, a_users_servers_are_bounded) {
    struct oauth *oa;
    struct oauth_stats stats;
    char url[64], out[64];
    cr_assert(hash_init() == TDA_OK && oauth_new(&oa) == TDA_OK);
    for (int i = 0; i < 100; i++) {
        struct oauth_server s = server_at(url, sizeof url, i);
        struct credential *c;
        cr_assert(credential_get(oa, "u", &s, true, &c) == TDA_OK);
        keep(c, "https://as", url, "t");
        credential_unref(c);
    }
    oauth_stats(oa, &stats);
    cr_assert(stats.users == 1 && stats.servers == USER_SERVERS_MAX);
    struct oauth_server first = server_at(url, sizeof url, 0);
    cr_assert(token(oa, "u", &first, url, out) == TDA_E_NOT_FOUND, "the longest unused one goes");
    struct oauth_server last = server_at(url, sizeof url, 99);
    cr_assert(token(oa, "u", &last, url, out) == TDA_OK);
    oauth_free(oa);
}

Test(oauth, an_operators_client_is_shown_to_one_issuer) {
    struct oauth *oa;
    cr_assert(hash_init() == TDA_OK && oauth_new(&oa) == TDA_OK);
    cr_assert(oauth_pin(oa, "s", "https://as") && oauth_pin(oa, "s", "https://as"));
    cr_assert(!oauth_pin(oa, "s", "https://evil"));
    cr_assert(oauth_pin(oa, "other", "https://evil"));
    oauth_free(oa);
}
