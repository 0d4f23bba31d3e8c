/* The tools this server offers, as MCP shows and calls them. */
#ifndef MCP_SQLITE_TOOLS_H
#define MCP_SQLITE_TOOLS_H

#include "db.h"

void tools_list(struct jw *w); /* the array */
/* The result object of tools/call. False: there is no tool of that name, and nothing was written. */
bool tools_call(struct db *db, tda_str name, struct json arguments, struct jw *w);

#endif
