/* Profiles as requests and the operator write them, and the request that names one. [any] */
#ifndef AGENT_PROFILE_H
#define AGENT_PROFILE_H

#include "agent/agent.h"
#include "context/profile.h"

/* From the params of profile.put. `old`: the one of that tag, or NULL; its credentials stay as far as provider and address do. */
tda_status profile_from_params(struct agent *a, struct arena *arena, tda_str user, struct json params, const struct profile *old,
                               struct profile **ret, struct error *e);
/* A list of names from params; NULL for null. */
tda_status names_from_json(struct json list, const char *field, struct names **ret, struct error *e);

/* The section `profiles` of the configuration, into `a`'s contexts. All its errors go to `report`, one line each. [main] */
tda_status profiles_load(struct agent *a, struct buf *report);

/* What a request under a profile runs with. Zeroed: the context itself, and its params as they are. */
struct override {
    struct snapshot *snapshot; /* a reference, or NULL */
    struct json_doc *doc;      /* of `params`, when the text had to be changed */
    struct json params;
};

/* Finds the profile: `@TAG` at the very start of `input` or of the last user message, or the parameter `profile` (null: none), or
 * the context's default. With a tag, ret->params are `params` without it. */
tda_status override_find(struct agent *a, struct snapshot *base, struct json params, struct override *ret, struct error *e);
void override_fini(struct override *o);

#endif
