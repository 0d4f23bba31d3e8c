/* What configure and profile.put are given, put into a draft that nobody else sees: the model side and the MCP server. [any] */
#ifndef AGENT_CANDIDATE_H
#define AGENT_CANDIDATE_H

#include "agent/agent.h"

struct candidate {
    struct agent *agent;
    struct arena *arena;
    struct json params;
    struct draft *draft;
    const struct provider_entry *provider; /* of params.provider */
};

/* Provider, model, details, base_url and credentials as params say; what they do not say is unset, but for the credentials, which
 * stay as far as provider and address are the same. */
tda_status candidate_set_model(struct candidate *c, struct error *e);
/* params.mcp_server; null is none, and not mentioned leaves it as it is. */
tda_status candidate_set_server(struct candidate *c, struct error *e);

/* E_INVALID with that kind, field and text. */
tda_status missing(struct error *e, const char *kind, const char *field, const char *what);

#endif
