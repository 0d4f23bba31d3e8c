/* The offline provider: fixed rules instead of a model. No network, no clock, no randomness: the same request gives the same
 * answer.
 *
 *   offline.c   what the host calls: operations, and the events of an answer, one after the other
 *   rules.c     a conversation -> call this tool, or say this
 *   words.c     finding words and tables in a question
 *   render.c    a tool's result as short text
 *
 * Everything a call needs is in its state, of fixed size; what does not fit is cut, and the answer says so. [loop] throughout. */
#ifndef OFFLINE_H
#define OFFLINE_H

#include <stdbool.h>

#include "tda/plugin.h"

enum {
    OUT_MAX = 12 * 1024, /* of an answer's text, or of a tool's arguments                                         */
    QUOTE_MAX = 2000,    /* bytes quoted of one result or of the question                                         */
    RESULTS_MAX = 4,     /* results quoted in one answer                                                          */
    NAME_MAX_BYTES = 64, /* of a tool's name (message.h)                                                          */
    TABLE_MAX = 64
};

#define OFFLINE_INTRO "The offline provider is no model; it follows fixed rules."

/* Text of bounded size: what does not fit is left out, and `cut` says so. */
struct out {
    size_t n;
    bool cut;
    char p[OUT_MAX];
};

void out_str(struct out *o, tda_str s);
void out_z(struct out *o, const char *s);
/* At most `max` bytes of s, cut between characters, with a note when something was left out. */
void out_quote(struct out *o, tda_str s, size_t max);

/* The state of one call. `out` is the text to say, or the arguments when `tool` is not empty. */
struct call {
    tda_call handle;
    uint32_t stream;
    char model[NAME_MAX_BYTES + 1];
    char tool[NAME_MAX_BYTES + 1];
    char tool_id[32];
    struct out out;
};

extern const struct tda_host *offline_host;
extern const struct tda_json_api *offline_json;

/* Fills c->tool and c->out. */
void rules_apply(struct call *c, const struct tda_request *r);

/* Quotes the results in `last` into c->out. */
void render_results(struct call *c, const struct tda_request *r, const struct tda_msg *last);

/* ---- words.c: ASCII, case does not matter ---- */

/* Place of the word (or words: "how many") in s from `from` on, as whole words; SIZE_MAX when it is not there. */
size_t words_find(tda_str s, const char *word, size_t from);
bool words_have_any(tda_str s, const char *const *words);
/* The first identifier after `from` that is no filler ("the", "rows", "of"); {NULL, 0} when there is none. */
tda_str words_table(tda_str s, size_t from);
bool words_contain(tda_str s, const char *part); /* anywhere, not as a whole word */
bool words_is_identifier(char c);
bool words_equal(tda_str a, tda_str b);

#endif
