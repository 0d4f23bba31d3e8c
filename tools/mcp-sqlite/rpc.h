/* MCP over lines: one message in, at most one out. */
#ifndef MCP_SQLITE_RPC_H
#define MCP_SQLITE_RPC_H

#include "tools.h"

#define MCP_SQLITE_VERSION "0.1.0"

/* `out` gets the answer's line without its end, or stays empty. */
void rpc_line(struct db *db, const char *database_name, tda_str line, struct buf *out);

#endif
