/* Tools' names as services take them: [A-Za-z0-9_-]{1,64}. A name that is not so gets an alias, the same in every turn, and what
 * comes back under the alias is given to the caller under the tool's own name. One owner, on its loop; memory is the arena's. */
#ifndef AGENT_TOOL_NAMES_H
#define AGENT_TOOL_NAMES_H

#include "base/arena.h"

enum { TOOL_ALIAS_MAX = 64 };

/* SERVER__TOOL; an empty server: TOOL. Into out[TOOL_ALIAS_MAX + 1]. Where that had to be changed, eight digits of a hash of the
 * name keep it apart; `round` above 0 asks for another alias, where that one is taken. Pure. */
void tool_alias(tda_str server, tda_str name, uint32_t round, char *out);

struct tool_name {
    tda_str own, alias;
    uint32_t next_own, next_alias; /* of the same bucket: place + 1; 0: none */
};

struct tool_names {
    struct arena *arena;
    struct tool_name *list;
    uint32_t n, cap;
    uint32_t *by_own, *by_alias; /* buckets, made with the first name */
};

tda_status tool_names_add(struct tool_names *t, tda_str own, tda_str alias); /* borrows both */
bool tool_names_has(const struct tool_names *t, tda_str own);
/* The alias of a name, or of an alias; a name that is not there is added. {NULL,0}: out of memory. */
tda_str tool_names_alias(struct tool_names *t, tda_str name);
tda_str tool_names_own(const struct tool_names *t, tda_str alias); /* unknown: itself */

#endif
