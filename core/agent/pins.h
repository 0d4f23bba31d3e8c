/* Pinned definitions of tools, for servers whose operator says `pin_tools`: what a user has seen first is trusted, what has changed
 * since or was not there is refused until he approves it. A user's and server's; in the session store, or in memory where there is
 * none: then a restart forgets them. */
#ifndef AGENT_PINS_H
#define AGENT_PINS_H

#include "agent/agent.h"
#include "agent/catalogue.h"

enum pin_state { PIN_NONE, PIN_OK, PIN_CHANGED, PIN_NEW }; /* NONE: nothing is pinned here */

const char *pin_state_name(enum pin_state s);
bool pins_wanted(const struct work *w); /* by its server */

/* One look, or one approval. The caller's, zeroed but for the first part; it and the catalogue stay until done. [loop] */
struct pins {
    struct work *work;
    const struct catalogue *catalogue;
    void (*done)(struct pins *p, const struct error *e); /* once, at once or later */

    enum pin_state *states; /* by the tools' places, in the work's arena */
    bool found;             /* there are pins */
    bool first, stored;
    const struct tool *only; /* of an approval; NULL: all */
    struct store_job job;
    struct task back;
};

/* Compares; a user who has no pins of this server gets them. */
void pins_check(struct pins *p);
/* What stands in the catalogue is approved: `only`, or all of it. */
void pins_approve(struct pins *p, const struct tool *only);
/* Those in memory. One for all agents that reloads make. [any] */
struct kept_pins *pins_new(void); /* NULL: out of memory */
void pins_free(struct kept_pins *all);
void pins_erase(struct agent *a, tda_str user);

#endif
