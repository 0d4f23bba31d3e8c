/* Principals, tokens' texts, their file, and what is good when. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "identity/identity.h"
#include "identity/token_store.h"

TestSuite(identity, .timeout = 20);

static char path[64];

static void in_a_folder(void) {
    char folder[] = "/tmp/tda-identity-XXXXXX";
    cr_assert(hash_init() == TDA_OK && mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tokens.db", folder);
}

static void remove_it(void) {
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
}

static struct identity *open_identity(void) {
    struct identity *id = NULL;
    struct error e = {0};
    static const uint32_t operators[] = {4000001}, front_ends[] = {4000002};
    struct identity_options o = {
        .path = path, .max_tokens = 3, .operators = operators, .n_operators = 1, .front_ends = front_ends, .n_front_ends = 1};
    cr_assert(identity_new(&o, &id, &e) == TDA_OK, "%s", e.text);
    return id;
}

static void save(struct identity *id) {
    char note[200];
    cr_assert(identity_save(id, note, sizeof note) == TDA_OK, "%s", note);
}

static const char *check(struct identity *id, bool is_ipc, uint32_t uid, const char *auth, struct principal *ret) {
    static struct error e;
    struct principal ignored = {0};
    e = (struct error){0};
    tda_str text = auth ? tda_str_of(auth) : (tda_str){0};
    return identity_check(id, is_ipc, uid, text, ret ? ret : &ignored, &e) ? e.kind : "";
}

Test(identity, nobody_may_nothing_and_a_user_only_for_himself) {
    struct principal nobody = {0}, peer = {.kind = PRINCIPAL_PEER, .uid = 7},
                     service = {.kind = PRINCIPAL_SERVICE, .token = "0123456789ab"},
                     user = {.kind = PRINCIPAL_USER, .user = "alice"};
    const struct row {
        const struct principal *who;
        const char *user;
        bool may;
    } rows[] = {{&nobody, "alice", false}, {&nobody, "", false},       {&peer, "alice", true},   {&peer, "", true},
                {&service, "bob", true},   {&user, "alice", true},     {&user, "alicea", false}, {&user, "", false},
                {&user, "Alice", false},   {&principal_host, "", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert((principal_may(rows[i].who, tda_str_of(rows[i].user), NULL) == TDA_OK) == rows[i].may, "row %zu", i);
    cr_assert(principal_may(&user, (tda_str){0}, NULL) == TDA_E_DENIED);
    cr_assert(principal_may(&user, (tda_str){"alice\0b", 7}, NULL) == TDA_E_DENIED);
    cr_assert(principal_operates(&principal_host, NULL) == TDA_OK && principal_operates(&peer, NULL) == TDA_E_DENIED);
    char name[PRINCIPAL_NAME_SIZE];
    principal_name(&peer, name);
    cr_assert_str_eq(name, "uid:7");
    principal_name(&service, name);
    cr_assert_str_eq(name, "token:0123456789ab");
    principal_name(&user, name);
    cr_assert_str_eq(name, "user:alice");
}

Test(identity, a_tokens_text, .init = in_a_folder) {
    struct token t = {.is_service = true}, other = t;
    char text[TOKEN_TEXT_SIZE], another[TOKEN_TEXT_SIZE];
    unsigned char hash[TOKEN_HASH_SIZE];
    token_draw(&t, text);
    token_draw(&other, another);
    cr_assert(strlen(text) == TOKEN_TEXT_SIZE - 1 && strlen(t.id) == TOKEN_ID_SIZE - 1);
    cr_assert(strcmp(text, another) != 0 && strcmp(t.id, other.id) != 0);
    cr_assert(token_read(tda_str_of(text), hash) == TDA_OK && memcmp(hash, t.hash, sizeof hash) == 0);
    for (size_t i = 0; i < strlen(text); i++) { /* no character may differ, and none may be missing */
        char wrong[TOKEN_TEXT_SIZE];
        memcpy(wrong, text, sizeof wrong);
        wrong[i] = 'G';
        cr_assert(token_read(tda_str_of(wrong), hash) == TDA_E_INVALID, "at %zu", i);
        cr_assert(token_read((tda_str){text, i}, hash) == TDA_E_INVALID, "cut at %zu", i);
    }
    cr_assert(token_read((tda_str){0}, hash) == TDA_E_INVALID);
    remove_it();
}

Test(identity, how_long_a_token_lasts) {
    static const struct row {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {{"30d", 30 * DAY_MS},
                {"12h", 12 * 3600000},
                {"90m", 90 * 60000},
                {"1s", 1000},
                {"never", 0},
                {"3650d", 3650 * DAY_MS},
                {"3651d", -1},
                {"0d", -1},
                {"", -1},
                {"d", -1},
                {"30", -1},
                {"-1d", -1},
                {"1.5d", -1},
                {"30D", -1},
                {"99999999999d", -1},
                {" 1d", -1},
                {"1d ", -1},
                {"1w", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        tda_status s = token_read_expiry(tda_str_of(rows[i].text), &ms, NULL);
        cr_assert((s == TDA_OK) == (rows[i].ms >= 0) && ms == rows[i].ms, "%s: %lld", rows[i].text, (long long)ms);
    }
}

Test(identity, peers, .init = in_a_folder) {
    struct identity *id = open_identity();
    struct principal p = {0};
    cr_assert_str_eq(check(id, true, geteuid(), NULL, &p), "");
    cr_assert(p.kind == PRINCIPAL_PEER && p.is_operator);
    cr_assert_str_eq(check(id, true, 4000001, NULL, &p), "");
    cr_assert(p.is_operator);
    cr_assert_str_eq(check(id, true, 4000002, NULL, &p), "");
    cr_assert(p.kind == PRINCIPAL_PEER && !p.is_operator);
    cr_assert_str_eq(check(id, true, 4000003, NULL, NULL), "not_trusted");
    cr_assert_str_eq(check(id, true, UINT32_MAX, NULL, NULL), "not_trusted", "what has no uid");
    cr_assert_str_eq(check(id, false, geteuid(), NULL, NULL), "token_required", "a uid counts on ipc alone");
    identity_free(id);
    cr_assert(access(path, F_OK), "no token, no file");
    remove_it();
}

Test(identity, a_token_is_good_once_it_is_saved_until_it_is_revoked, .init = in_a_folder) {
    struct identity *id = open_identity();
    struct token t = {.user = "alice", .label = "laptop"};
    char text[TOKEN_TEXT_SIZE];
    struct principal p = {0};
    struct stat st;
    cr_assert(identity_create(id, &t, text, NULL) == TDA_OK);
    cr_assert_str_eq(check(id, false, 0, text, NULL), "token_invalid");
    save(id);
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    cr_assert_str_eq(check(id, false, 0, text, &p), "");
    cr_assert(p.kind == PRINCIPAL_USER && !p.is_operator && strcmp(p.user, "alice") == 0 && strcmp(p.token, t.id) == 0);
    cr_assert_str_eq(check(id, true, 0, "", NULL), "token_invalid", "what is given must be right, also on ipc");
    save(id);
    identity_free(id);
    id = open_identity();
    cr_assert(identity_count(id) == 1);
    cr_assert_str_eq(check(id, false, 0, text, &p), "");
    cr_assert(identity_revoke(id, tda_str_of(t.id), NULL) == TDA_OK &&
              identity_revoke(id, tda_str_of(t.id), NULL) == TDA_E_NOT_FOUND);
    cr_assert_str_eq(check(id, false, 0, text, &p), "token_invalid");
    cr_assert(p.kind == PRINCIPAL_NOBODY);
    save(id);
    identity_free(id);
    id = open_identity();
    cr_assert(identity_count(id) == 0);
    identity_free(id);
    remove_it();
}

static void put(struct token_store *s, const char *id, int64_t expires_ms) {
    struct token t = {.is_service = true, .created_ms = 1, .expires_ms = expires_ms};
    snprintf(t.id, sizeof t.id, "%s", id);
    random_bytes(t.hash, sizeof t.hash);
    cr_assert(token_store_put(s, &t, NULL) == TDA_OK);
}

Test(identity, expired_ones_are_refused_and_go_a_month_later, .init = in_a_folder) {
    struct token_store *s = NULL;
    cr_assert(token_store_open(path, true, &s, NULL) == TDA_OK && token_store_begin(s, NULL) == TDA_OK);
    put(s, "00000000000a", clock_wall_ms() - 31 * DAY_MS);
    put(s, "00000000000b", clock_wall_ms() - 29 * DAY_MS);
    cr_assert(token_store_commit(s, NULL) == TDA_OK);
    token_store_close(s);
    struct identity *id = open_identity();
    struct token t = {.is_service = true, .expires_ms = clock_wall_ms() + 1};
    char text[TOKEN_TEXT_SIZE];
    cr_assert(identity_count(id) == 2 && identity_create(id, &t, text, NULL) == TDA_OK);
    save(id);
    usleep(5000);
    cr_assert_str_eq(check(id, false, 0, text, NULL), "token_expired");
    cr_assert(identity_count(id) == 2, "a month after its end");
    t.expires_ms = 0;
    cr_assert(identity_create(id, &t, text, NULL) == TDA_OK);
    cr_assert(identity_create(id, &t, text, NULL) == TDA_E_LIMIT);
    identity_free(id);
    remove_it();
}

Test(identity, the_file_is_one_process_alone_and_no_other_programs, .init = in_a_folder) {
    struct token_store *s = NULL, *second = NULL;
    struct error e = {0};
    cr_assert(token_store_open(path, false, &s, &e) == TDA_E_NOT_FOUND);
    cr_assert(token_store_open(path, true, &s, &e) == TDA_OK, "%s", e.text);
    cr_assert(token_store_open(path, true, &second, &e) == TDA_E_BUSY);
    cr_assert_str_eq(e.kind, "store_in_use");
    token_store_close(s);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++) fputs("no database\n", f);
    fclose(f);
    cr_assert(token_store_open(path, true, &s, &e) != TDA_OK && strstr(e.text, path));
    remove_it();
}
