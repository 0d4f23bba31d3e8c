/* What a turn may use up: steps, tokens, cost; and what its calls have cost. Time is the work's deadline. [loop]
 *
 * A limit that is reached ends the turn after the model's answer, before another tool is called: the caller gets that answer, and
 * `stopped_by` says which. The caller may ask for less than the operator allows, never for more. */
#ifndef AGENT_TURN_LIMITS_H
#define AGENT_TURN_LIMITS_H

#include "agent/agent.h"

struct turn_limits {
    int64_t steps;
    int64_t tokens; /* 0: any number */
    double cost;    /* 0: any */
};

tda_status turn_limits_from_params(struct turn_limits *l, const struct work *w, struct error *e);
/* "step_limit", "token_limit", "cost_limit"; NULL: go on. What is not known counts for nothing. Pure. */
const char *turn_limits_reached(const struct turn_limits *l, uint32_t steps, const struct work_meta *m);

/* Cost of one call; false: a count is not known. Cached tokens are part of the input. Pure. */
bool usage_cost(const struct config_model *price, const struct tda_usage *u, double *ret);
/* Sums a call into w->meta, and tells the listener. `u` NULL: the service did not say. */
void work_add_usage(struct work *w, const struct tda_usage *u);

#endif
