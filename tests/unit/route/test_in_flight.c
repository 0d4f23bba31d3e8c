/* Who has a reply in hand is not refused for the request that it answers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "route/router_impl.h"

TestSuite(in_flight, .timeout = 20);

static struct router *router;
static unsigned n_replies;
static char last[4096];

static void ask(void) {
    static int token;
    struct caller caller = {.connection = 1, .is_ipc = true, .uid = (uint32_t)geteuid()};
    route_request(router, &token, &caller, TDA_STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.ping\"}"));
}

/* A client that asks anew before the host has gone on. */
static void on_reply(void *token, tda_str text) {
    (void)token;
    snprintf(last, sizeof last, "%.*s", STR_FMT(text));
    if (++n_replies < 100) ask();
}

static void answers(int64_t all, int64_t of_a_user) {
    struct identity_options io = {.path = "none", .max_tokens = 1};
    struct config *config;
    struct identity *identity;
    struct jobs *jobs;
    struct buf report, notes;
    struct error e;
    buf_init(&report, 4096);
    buf_init(&notes, 4096);
    cr_assert(hash_init() == 0);
    cr_assert(config_load(&(struct config_source){.path = NULL}, &config, &report, &notes) == TDA_OK);
    config->limits_requests = all;
    config->limits_user_requests = of_a_user;
    cr_assert(identity_new(&io, &identity, &e) == TDA_OK && jobs_new(&jobs) == TDA_OK);
    struct router_options ro = {.config = config, .identity = identity, .jobs = jobs, .reply = on_reply};
    cr_assert(router_new(&ro, &router) == TDA_OK);
    ask();
    cr_assert(n_replies == 100 && strstr(last, "pong"), "%u replies, the last: %s", n_replies, last);
    struct route_stats stats;
    router_stats(router, &stats);
    cr_assert(stats.in_flight == 0 && stats.users_in_flight == 0 && stats.refused == 0);
    router_free(router);
    jobs_free(jobs);
    identity_free(identity);
    config_free(config);
    buf_fini(&report);
    buf_fini(&notes);
}

Test(in_flight, whoever_has_his_reply_may_ask_anew_at_the_users_limit) {
    answers(1000, 1);
}

Test(in_flight, whoever_has_his_reply_may_ask_anew_at_the_hosts_limit) {
    answers(1, 1000);
}
