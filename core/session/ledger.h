/* Inside of core/session: usage on its way to the store. What comes for a user, day, provider and model for which a row waits in
 * the writer's queue already is added to that row: a burst of calls, or a slow disk, makes sums, not a queue. [any] */
#ifndef SESSION_LEDGER_H
#define SESSION_LEDGER_H

#include "session/sessions.h"

struct ledger;

tda_status ledger_new(struct ledger **ret);
void ledger_free(struct ledger *l); /* nothing waits any more; NULL is fine */
/* NULL: taken in by a row that waits; or out of memory, which the log says. Else a job for the writer, which frees itself. */
struct store_job *ledger_add(struct ledger *l, const struct usage_row *row);

#endif
