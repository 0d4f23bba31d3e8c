/* Sessions as the settings say. These block: for start and for jobs. */
#ifndef SESSION_OPEN_H
#define SESSION_OPEN_H

#include "base/clock.h"
#include "config/config.h"
#include "session/sessions.h"

/* One for each kind of what is kept, against a wall clock that jumps. */
struct retention_ages {
    struct clock_age sessions, keys, usage;
};

tda_status sessions_open(const struct config *c, const char *path, struct sessions **ret, struct error *e);
void retention_begin(struct retention_ages *ages);
/* maintenance.session_retention. `note` gets a line for people. */
tda_status sessions_retain(struct sessions *ss, const struct config *c, struct retention_ages *ages, char *note, size_t note_size);
/* What each user has used today already. */
tda_status sessions_tokens_today(struct sessions *ss, void (*visit)(void *arg, tda_str user, uint64_t tokens), void *arg,
                                 struct error *e);

#endif
