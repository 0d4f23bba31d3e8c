/* A conversation cut to what a model takes in. Pure; the history itself stays whole.
 *
 * What goes, oldest first: whole turns of before (a user's message with all that followed it), then the calls of this turn with
 * their results. What stays: system messages, the question, the last calls with their results. A tool's call and its result go
 * together. Tokens are estimated: four bytes each, some for every part, a fixed number for an image. */
#ifndef AGENT_TRIM_H
#define AGENT_TRIM_H

#include "agent/message.h"

int64_t message_tokens(const struct tda_msg *m);
int64_t messages_tokens(const struct tda_msg *const *msgs, uint32_t n);
/* What the tools on offer take. */
int64_t tools_tokens(const struct tda_request *r);

/* What is sent, into `out`, which has room for h->n: messages are left out until the rest has at most `budget` tokens, or nothing
 * more may go. How many there are. */
uint32_t history_trim(const struct history *h, int64_t budget, const struct tda_msg **out);

#endif
