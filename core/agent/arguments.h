/* The arguments of a tool call, before the server gets them. Pure. */
#ifndef AGENT_ARGUMENTS_H
#define AGENT_ARGUMENTS_H

#include "agent/catalogue.h"
#include "base/arena.h"

/* `*args` (absent: none) as the tool's own schema names them: a name that the schema does not have goes as its synonym, where the
 * schema has exactly one and that is not given; what else is unknown passes. `*args` becomes another text, in the arena, only when
 * a name changed. INVALID "invalid_arguments": no object; "missing_argument": names all that the schema requires and that are not
 * there. */
tda_status arguments_fit(const struct tool *tool, struct arena *a, tda_str *args, struct error *e);

#endif
