/* Inside of core/agent: what stands around a turn. agent_run and agent_chat are these two with their account (account.c). */
#ifndef AGENT_ACCOUNT_H
#define AGENT_ACCOUNT_H

#include "agent/agent.h"

void turn_chat(struct work *w); /* turn.c */
void turn_run(struct work *w);

/* One turn or call with its account; lives in the work's arena. */
struct account {
    struct work *work;
    void (*done)(struct work *w, const struct error *e); /* the caller's, while ours stands in its place */
    bool reserved;                                       /* a place in the writer's queue */
};

tda_status account_begin(struct account *a, struct error *e); /* limits; a place for what it will have to store */
/* Figures of the work's calls. */
struct usage_sums account_sums(const struct work *w);
void account_count(struct account *a, const struct usage_sums *sums); /* towards the user's limits */
/* A turn that no session keeps: its tokens are stored, and nobody waits for that. */
void account_store_usage(struct account *a, const struct usage_sums *sums);

/* session_turn.c: a turn in the session that params name. */
void session_turn(struct work *w);

#endif
