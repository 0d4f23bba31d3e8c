/* Sessions as the settings say. These block: for start and for jobs. */
#ifndef SESSION_OPEN_H
#define SESSION_OPEN_H

#include "config/config.h"
#include "session/sessions.h"

tda_status sessions_open(const struct config *c, const char *path, struct sessions **ret, struct error *e);
/* maintenance.session_retention. `note` gets a line for people. */
tda_status sessions_retain(struct sessions *ss, const struct config *c, char *note, size_t note_size);
/* What each user has used today already. */
tda_status sessions_tokens_today(struct sessions *ss, void (*visit)(void *arg, tda_str user, uint64_t tokens), void *arg,
                                 struct error *e);

#endif
