/* Who asks? The peers that are trusted on ipc, and the tokens there are.
 *
 * Tokens are held in memory and answered from there; the file is read at the start and written by identity_save, which blocks: the
 * jobs' thread calls it. So a check waits for no disk, and its last use costs no write. A check on ipc takes no lock and no memory.
 *
 * Threads: [any] unless said. Lock: the table's, shared for a check. */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "identity/token.h"

struct identity;

struct identity_options {
    const char *path; /* of the file; made with the first token. NULL or "": no tokens */
    uint64_t max_tokens;
    const uint32_t *operators; /* uids beside the daemon's own and root's */
    size_t n_operators;
    const uint32_t *front_ends; /* uids that may name users, and no more */
    size_t n_front_ends;
};

/* Reads the file. Uids are borrowed. */
tda_status identity_new(const struct identity_options *o, struct identity **ret, struct error *e);
void identity_free(struct identity *id);                        /* NULL is fine; saves nothing */
bool identity_has_saved(struct identity *id, tda_str token_id); /* [any] the file has this one */
bool identity_keeps_tokens(const struct identity *id);
uint64_t identity_count(struct identity *id); /* of tokens, expired ones too */

/* `auth` absent: on ipc the peer decides. One that is given decides, wherever. DENIED "token_required", "token_invalid" (unknown or
 * revoked), "token_expired", "not_trusted". */
tda_status identity_check(struct identity *id, bool is_ipc, uint32_t uid, tda_str auth, struct principal *ret, struct error *e);

/* `t` says user, label, kind and expires_ms, and gets the rest. It counts once it has been saved. The caller wipes the text.
 * INVALID, LIMIT "too_many_tokens", UNSUPPORTED "tokens_off". */
tda_status identity_create(struct identity *id, struct token *t, char ret_text[TOKEN_TEXT_SIZE], struct error *e);
tda_status identity_revoke(struct identity *id, tda_str token_id, struct error *e); /* counts at once. NOT_FOUND */
/* Likewise all of a user ("" is none); also with an error, *ret_n are gone. */
tda_status identity_revoke_user(struct identity *id, tda_str user, uint64_t *ret_n, struct error *e);
/* Oldest first. A copy each; no lock is held while `visit` runs. */
tda_status identity_list(struct identity *id, void (*visit)(void *arg, const struct token *t), void *arg);

/* Writes what changed: new and revoked ones, last uses; tokens that expired 30 days ago go. What could not be written stays to be
 * written, but a new token is dropped. `note` is a line for people. A job of core/jobs. [its thread; or the only
 * one] */
tda_status identity_save(void *identity, char *note, size_t note_size);

#endif
