/* A token: what is known of it, and its text. The text is "tda_" and 64 hexadecimal digits (32 random bytes), shown once; kept is
 * its SHA-256. Pure, [any]. */
#ifndef IDENTITY_TOKEN_H
#define IDENTITY_TOKEN_H

#include "base/principal.h"
#include "json/json.h"

enum { TOKEN_HASH_SIZE = 32, TOKEN_TEXT_SIZE = 4 + 64 + 1 };

struct token {
    char id[TOKEN_ID_SIZE]; /* for lists and for revoking; no secret */
    unsigned char hash[TOKEN_HASH_SIZE];
    bool is_service, is_operator;
    char user[USER_ID_SIZE]; /* "" for a service token */
    char label[TOKEN_LABEL_SIZE];
    int64_t created_ms, expires_ms, used_ms; /* wall time; 0: never */
};

/* Is it a token's text, and what is it kept as? Says nothing of whether there is such a token. INVALID. */
tda_status token_read(tda_str text, unsigned char ret_hash[TOKEN_HASH_SIZE]);

/* Draws id and text, fills in id and hash. The caller wipes the text. */
void token_draw(struct token *t, char ret_text[TOKEN_TEXT_SIZE]);

/* "30d", "12h", "90m", "never": the time from now on; 0 for never. INVALID says what is allowed. */
tda_status token_read_expiry(tda_str text, int64_t *ret_ms, struct error *e);
/* User, label and kind as they may be: INVALID names the field. */
tda_status token_check(const struct token *t, struct error *e);

/* The members of an object that tell of it; neither text nor hash. */
void token_write(const struct token *t, struct jw *w);
/* When it was used the last time: a member more, where that is known. */
void token_write_use(const struct token *t, struct jw *w);

#endif
