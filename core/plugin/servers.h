/* What a user may know and do about MCP servers: the operator's, and those of his own. Of the operator's it is how his connections
 * fare, never a command, an address or a secret. [loop] the user's */
#ifndef PLUGIN_SERVERS_H
#define PLUGIN_SERVERS_H

#include "plugin/plugins.h"
#include "json/json.h"

struct asking {
    struct plugins *plugins;
    const struct snapshot *snapshot; /* that serves the request; NULL: he has no context */
    const char *user;                /* "": the shared context's */
};

/* An array: name, own, transport, share, stateful, state, and what there is of his connections to it. */
void servers_write(const struct asking *a, struct jw *w);
/* The members of one; nothing more than `state` none when he has not used it. NOT_FOUND unknown_mcp_server. */
tda_status server_write(const struct asking *a, tda_str name, struct jw *w, struct error *e);
/* conn_log_write of his connections to it. DENIED: it is shared, and what it says is about all. */
tda_status server_write_log(const struct asking *a, tda_str name, uint64_t after, size_t max, struct jw *w, struct error *e);
/* Ends his connections to it, cancels their calls, and lets it be tried again though it failed. DENIED: it is shared. */
tda_status server_restart(const struct asking *a, tda_str name, unsigned *ret_closed, bool *ret_parked, struct error *e);
/* [any] A user is erased: what is remembered of his servers goes, on his loop. */
void servers_forget_user(struct loop *l, tda_str user);

#endif
