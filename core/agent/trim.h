/* A conversation cut to what a model takes in. Pure; all memory is the history's.
 *
 * What goes, oldest first: whole turns of before (a user's message with all that followed it), then the calls of this turn with
 * their results. What stays: system messages, the question, the last calls with their results. A tool's call and its result go
 * together. Tokens are estimated: four bytes each, some for every part, a fixed number for an image. */
#ifndef AGENT_TRIM_H
#define AGENT_TRIM_H

#include "agent/message.h"

int64_t message_tokens(const struct tda_msg *m);
int64_t history_tokens(const struct history *h);
/* What the tools on offer take. */
int64_t tools_tokens(const struct tda_request *r);

/* Leaves out messages until the rest has at most `budget` tokens, or nothing more may go. How many went. */
uint32_t history_trim(struct history *h, int64_t budget);

#endif
