/* What one user may ask for: requests a minute, tokens a day, tasks in flight (limits.per_user). A refusal says when to come back.
 *
 * Requests flow: a minute's worth at once, then one after the other as the minute gives them. Tokens are counted when a call ends
 * and judged when the next begins: a day's last call may go over. What a service did not count cannot be judged. [any] One lock,
 * held for a look-up. Bounded: users who are at rest are dropped by limits_clean and when there is no room. */
#ifndef AGENT_LIMITS_H
#define AGENT_LIMITS_H

#include "config/config.h"

struct limits;

tda_status limits_new(const struct config *c, struct limits **ret);
void limits_free(struct limits *l); /* NULL is fine */

/* Counts a request in. BUSY "rate_limited", LIMIT "quota_exceeded", both with retry_ms. */
tda_status limits_begin(struct limits *l, tda_str user, struct error *e);
void limits_tokens(struct limits *l, tda_str user, int64_t day, uint64_t tokens);
tda_status limits_task_begin(struct limits *l, tda_str user, struct error *e); /* BUSY "too_many_tasks" */
void limits_task_end(struct limits *l, tda_str user);

void limits_forget(struct limits *l, tda_str user); /* but for his tasks in flight */
uint64_t limits_clean(struct limits *l);            /* how many */

#endif
