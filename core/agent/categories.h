/* The tools of a server in groups, for people to look at; nothing else depends on it. One group by default; by the user's model
 * where mcp.categories says so: one call, remembered with his configuration for as long as the tools stay as they are, and one
 * group whenever that fails. [loop] */
#ifndef AGENT_CATEGORIES_H
#define AGENT_CATEGORIES_H

#include "agent/account.h"
#include "agent/model_call.h"
#include "agent/toolbox.h"

/* The caller's, zeroed but for the first part; lives until done. */
struct categories {
    struct work *work;
    const struct catalogue *catalogue;
    void (*done)(struct categories *c); /* once, at once or later */

    struct account account;
    struct model_call call;
    struct timer timer;
    bool running;
    struct buf question, groups; /* groups: JSON, or empty */
    struct tda_part parts[2];
    const struct tda_part *lists[2];
    struct tda_msg msgs[2];
    const struct tda_msg *msg_list[2];
    unsigned char digest[DIGEST_SIZE];
};

void categories_find(struct categories *c);
void categories_cancel(struct categories *c); /* done comes soon */
/* The members `categories` and `categories_by`. */
void categories_write(const struct categories *c, struct jw *w);
void categories_fini(struct categories *c);

#endif
