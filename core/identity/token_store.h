/* Tokens in a small SQLite file of their own (core/adr/0030), which one process has at a time. Blocks; one thread at a time. */
#ifndef IDENTITY_TOKEN_STORE_H
#define IDENTITY_TOKEN_STORE_H

#include "identity/token.h"

struct token_store;

/* Without `create` a file that is not there is NOT_FOUND. BUSY: another process has it. The file gets mode 0600. */
tda_status token_store_open(const char *path, bool create, struct token_store **ret, struct error *e);
void token_store_close(struct token_store *s); /* NULL is fine */

tda_status token_store_each(struct token_store *s, void (*visit)(void *arg, const struct token *t), void *arg, struct error *e);

/* What happens between begin and commit is kept whole or not at all. */
tda_status token_store_begin(struct token_store *s, struct error *e);
tda_status token_store_put(struct token_store *s, const struct token *t, struct error *e); /* new, or another last use */
tda_status token_store_remove(struct token_store *s, const char *id, struct error *e);
tda_status token_store_commit(struct token_store *s, struct error *e);
void token_store_rollback(struct token_store *s);

#endif
