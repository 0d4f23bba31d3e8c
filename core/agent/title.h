/* A session's title, asked of the model that has just answered in it (sessions.title: model). The turn's own answer is whole by
 * then; a title that cannot be had is no error. [loop] */
#ifndef AGENT_TITLE_H
#define AGENT_TITLE_H

#include "agent/model_call.h"

struct title {
    struct model_call call;
    struct tda_part parts[2];
    const struct tda_part *lists[2];
    struct tda_msg msgs[2];
    const struct tda_msg *msg_list[2];
    void (*done)(struct work *w, tda_str said); /* once, later; absent: the model gave none. `said` lives until title_fini */
    struct buf text;
};

/* `question` lives until done. What the call uses counts as the turn's; nobody hears its events. */
void title_ask(struct title *t, struct work *w, tda_str question, void (*done)(struct work *w, tda_str said));
void title_cancel(struct title *t); /* done comes soon, with none */
void title_fini(struct title *t);

#endif
