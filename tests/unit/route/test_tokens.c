/* A token's text is in the reply and nowhere else: whatever becomes of the request, what was drawn is wiped before the answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "route/route.h"

TestSuite(tokens, .timeout = 20);

void __real_wipe(void *p, size_t n);
void __wrap_wipe(void *p, size_t n);

static unsigned n_wiped;

void __wrap_wipe(void *p, size_t n) {
    n_wiped += n == TOKEN_TEXT_SIZE && memcmp(p, "tda_", 4) == 0;
    __real_wipe(p, n);
}

static unsigned n_replies, wiped_at_reply;
static char reply_text[4096];

static void on_reply(void *token, tda_str text) {
    (void)token;
    n_replies++;
    wiped_at_reply = n_wiped;
    snprintf(reply_text, sizeof reply_text, "%.*s", STR_FMT(text));
}

static struct {
    char dir[32], path[48];
    struct config *config;
    struct identity *identity;
    struct jobs *jobs;
    struct router *router;
} host;

static void begin(uint64_t max_tokens) {
    struct identity_options io = {.path = host.path, .max_tokens = max_tokens};
    struct job_spec save = {.name = "token_save", .help = "", .run = identity_save};
    struct buf report, notes;
    struct error e;
    buf_init(&report, 4096);
    buf_init(&notes, 4096);
    strcpy(host.dir, "/tmp/tda-tokens-XXXXXX");
    cr_assert(mkdtemp(host.dir));
    snprintf(host.path, sizeof host.path, "%s/tokens.db", host.dir);
    cr_assert(hash_init() == 0);
    cr_assert(config_load(&(struct config_source){.path = NULL}, &host.config, &report, &notes) == TDA_OK);
    cr_assert(identity_new(&io, &host.identity, &e) == TDA_OK);
    save.arg = host.identity;
    cr_assert(jobs_new(&host.jobs) == TDA_OK && jobs_add(host.jobs, &save) == TDA_OK);
    struct router_options ro = {.config = host.config, .identity = host.identity, .jobs = host.jobs, .reply = on_reply};
    cr_assert(router_new(&ro, &host.router) == TDA_OK);
    buf_fini(&report);
    buf_fini(&notes);
}

static void end(void) {
    router_free(host.router);
    jobs_free(host.jobs);
    identity_free(host.identity);
    config_free(host.config);
    unlink(host.path);
    rmdir(host.dir);
}

static void create(void) {
    static int token;
    struct caller caller = {.connection = 1, .is_ipc = true, .uid = (uint32_t)geteuid()};
    n_wiped = n_replies = wiped_at_reply = 0;
    route_request(
        host.router, &token, &caller,
        TDA_STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token.create\",\"params\":{\"service\":true,\"label\":\"x\"}}"));
}

static void is_wiped(const char *word) {
    cr_assert(n_replies == 1 && strstr(reply_text, word), "no <%s> in <%s>", word, reply_text);
    cr_assert(wiped_at_reply == 1, "%u texts were wiped before the answer", wiped_at_reply);
}

static void nothing(void *arg, tda_status status, const char *note) {
    (void)arg;
    (void)status;
    (void)note;
}

Test(tokens, one_that_is_made_is_in_its_reply_alone) {
    begin(10);
    create();
    cr_assert(n_replies == 0, "<%s>", reply_text);
    jobs_tick(host.jobs, 0);
    is_wiped("\"token\":\"tda_");
    cr_assert(identity_count(host.identity) == 1);
    end();
}

Test(tokens, one_whose_saving_nobody_has_time_for_is_wiped) {
    begin(10);
    unsigned n = 0;
    while (n < 10000 && jobs_run_now(host.jobs, TDA_STR("token_save"), nothing, NULL, NULL) == TDA_OK) n++;
    cr_assert(n > 0 && n < 10000);
    create();
    is_wiped("\"busy\"");
    cr_assert(identity_count(host.identity) == 0);
    jobs_tick(host.jobs, 0);
    end();
}

Test(tokens, one_that_is_too_many_is_wiped) {
    begin(1);
    create();
    jobs_tick(host.jobs, 0);
    create();
    is_wiped("too_many_tokens");
    end();
}
