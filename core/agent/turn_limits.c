#include "agent/turn_limits.h"

#include <stdio.h>

#include "agent/answer.h"
#include "agent/events.h"

#define PER_TOKENS 1e6

static const struct config_model *price_of(const struct work *w) {
    return config_model_price(w->agent->config, snapshot_get(w->snapshot, TDA_CTX_PROVIDER),
                              snapshot_get(w->snapshot, TDA_CTX_MODEL));
}

static tda_status not_positive(const char *name, const char *what, struct error *e) {
    error_set(e, TDA_E_INVALID, "invalid_param", "%s must be %s", name, what);
    error_field(e, "%s", name);
    return TDA_E_INVALID;
}

static tda_status whole(const struct work *w, const char *name, int64_t *limit, struct error *e) {
    struct json v = json_key(w->params, tda_str_of(name));
    int64_t asked = 0;
    if (!json_type(v)) return TDA_OK;
    if (!json_i64(v, &asked) || asked < 1) return not_positive(name, "a whole number from 1", e);
    if (!*limit || asked < *limit) *limit = asked;
    return TDA_OK;
}

static tda_status amount(const struct work *w, double *limit, struct error *e) {
    struct json v = json_key(w->params, TDA_STR("max_cost"));
    double asked = 0;
    if (!json_type(v)) return TDA_OK;
    if (!json_f64(v, &asked) || asked <= 0) return not_positive("max_cost", "a number above 0", e);
    if (!price_of(w)) {
        error_set(e, TDA_E_INVALID, "no_price", "what %.*s costs is not known here, so max_cost cannot be kept",
                  STR_FMT(snapshot_get(w->snapshot, TDA_CTX_MODEL)));
        error_field(e, "max_cost");
        error_hint(e, "the operator gives prices under `prices`; max_turn_tokens needs none");
        return TDA_E_INVALID;
    }
    if (*limit <= 0 || asked < *limit) *limit = asked;
    return TDA_OK;
}

tda_status turn_limits_from_params(struct turn_limits *l, const struct work *w, struct error *e) {
    const struct config *c = w->agent->config;
    *l = (struct turn_limits){.steps = c->calls_max_steps, .tokens = c->calls_max_turn_tokens, .cost = c->calls_max_cost};
    tda_status s = whole(w, "max_steps", &l->steps, e);
    if (!s) s = whole(w, "max_turn_tokens", &l->tokens, e);
    return s ? s : amount(w, &l->cost, e);
}

static uint64_t known(uint64_t tokens) {
    return tokens == TDA_UNKNOWN ? 0 : tokens;
}

const char *turn_limits_reached(const struct turn_limits *l, uint32_t steps, const struct work_meta *m) {
    if (steps >= (uint64_t)l->steps) return "step_limit";
    if (l->tokens && m->tokens >= (uint64_t)l->tokens) return "token_limit";
    if (l->cost > 0 && m->cost >= l->cost) return "cost_limit";
    return NULL;
}

bool usage_cost(const struct config_model *price, const struct tda_usage *u, double *ret) {
    if (u->input == TDA_UNKNOWN || u->output == TDA_UNKNOWN) return false;
    uint64_t cached = known(u->cache_read) < u->input ? known(u->cache_read) : u->input;
    *ret = ((double)(u->input - cached) * price->input + (double)cached * price->cache_read + (double)u->output * price->output) /
           PER_TOKENS;
    return true;
}

void work_add_usage(struct work *w, const struct tda_usage *given) {
    static const struct tda_usage none = {sizeof none, 0, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN, TDA_UNKNOWN};
    struct work_meta *m = &w->meta;
    const struct tda_usage *u = given ? given : &none;
    const struct config_model *price = price_of(w);
    double cost = 0;
    bool cost_known = price && usage_cost(price, u, &cost);
    usage_add(&m->usage, u, !m->has_usage);
    m->has_usage = true;
    m->tokens += known(u->input) + known(u->output);
    m->has_cost = m->has_cost || price;
    m->cost_unknown = m->cost_unknown || !cost_known;
    m->cost += cost;
    event_usage(w, u, cost_known ? &cost : NULL);
}
