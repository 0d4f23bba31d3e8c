/* chat.complete and agent.run with what they cost: judged by the user's limits before, counted after, kept in the store. */
#include "agent/account.h"

#include "base/clock.h"

tda_status account_begin(struct account *a, struct error *e) {
    struct agent *agent = a->work->agent;
    tda_status s = agent->limits ? limits_begin(agent->limits, a->work->user, e) : TDA_OK;
    if (s || !agent->sessions) return s;
    s = sessions_reserve(agent->sessions, e);
    a->reserved = !s;
    return s;
}

static void add_known(uint64_t *sum, uint64_t v) {
    if (v != TDA_UNKNOWN) *sum += v;
}

struct usage_sums account_sums(const struct work *w) {
    struct usage_sums s = {.turns = 1};
    for (const struct call_usage *c = w->meta.calls; c; c = c->next) {
        const struct tda_usage *u = &c->usage;
        s.calls++;
        s.unknown += u->input == TDA_UNKNOWN || u->output == TDA_UNKNOWN;
        add_known(&s.input, u->input);
        add_known(&s.output, u->output);
        add_known(&s.cache_read, u->cache_read);
        add_known(&s.cache_write, u->cache_write);
        add_known(&s.reasoning, u->reasoning);
    }
    return s;
}

void account_count(struct account *a, const struct usage_sums *sums) {
    struct agent *agent = a->work->agent;
    if (agent->limits) limits_tokens(agent->limits, a->work->user, clock_wall_ms() / DAY_MS, sums->input + sums->output);
}

void account_store_usage(struct account *a, const struct usage_sums *sums) {
    const struct work *w = a->work;
    if (!a->reserved) return;
    a->reserved = false;
    struct usage_row row = {.user = w->user, .day = clock_wall_ms() / DAY_MS, .sums = *sums};
    if (w->snapshot) {
        row.provider = snapshot_get(w->snapshot, TDA_CTX_PROVIDER);
        row.model = snapshot_get(w->snapshot, TDA_CTX_MODEL);
    }
    if (sums->calls)
        sessions_add_usage(w->agent->sessions, &row);
    else
        sessions_unreserve(w->agent->sessions);
}

static void on_done(struct work *w, const struct error *e) {
    struct account *a = w->account;
    struct usage_sums sums = account_sums(w);
    w->done = a->done;
    account_count(a, &sums);
    account_store_usage(a, &sums);
    w->done(w, e);
}

static void refuse(struct work *w, tda_status status, const char *kind, const char *text) {
    struct error e = {.retry_ms = -1};
    error_set(&e, status, kind, "%s", text);
    w->done(w, &e);
}

static void run(struct work *w, void (*turn)(struct work *w)) {
    struct error e = {.retry_ms = -1};
    struct account *a = arena_alloc(w->arena, sizeof *a);
    if (!a) {
        refuse(w, TDA_E_NOMEM, "out_of_memory", "out of memory");
        return;
    }
    if (!w->snapshot) {
        refuse(w, TDA_E_NOT_FOUND, "not_configured", "this user is not configured");
        return;
    }
    *a = (struct account){.work = w, .done = w->done};
    if (account_begin(a, &e)) {
        w->done(w, &e);
        return;
    }
    w->account = a;
    w->done = on_done;
    turn(w);
}

void agent_chat(struct work *w) {
    run(w, turn_chat);
}

void agent_run(struct work *w) {
    if (json_type(json_key(w->params, TDA_STR("session"))))
        session_turn(w);
    else
        run(w, turn_run);
}
