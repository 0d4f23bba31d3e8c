/* Profiles: named alternatives to a context, chosen for one request (`@TAG`) or as a user's default.
 *
 * A profile is a definition: part of a context (private, gone with it) or the operator's (for all). A request under a profile runs
 * on a snapshot derived from the context's own and from the definition: what the profile does not say is the context's. Nothing is
 * mutated, so there is nothing to restore. A context's snapshot keeps the few derived snapshots that were used last, so that a
 * profile's MCP connection serves more than one request; a new snapshot of the context begins with none.
 *
 * All functions are [any] thread. A profile and a list of names are immutable and counted. */
#ifndef CONTEXT_PROFILE_H
#define CONTEXT_PROFILE_H

#include "context/context.h"

/* ---- lists of enabled names ---- */

struct names;
/* Copies, in order, repeated ones once; no NUL may be inside. E_LIMIT: more than NAMES_MAX, one longer than NAME_BYTES_MAX, or
 * LIST_BYTES_MAX in all. */
enum { NAMES_MAX = 1000, NAME_BYTES_MAX = 256, LIST_BYTES_MAX = 64 << 10 };
tda_status names_new(const tda_str *list, size_t n, struct names **ret);
void names_ref(struct names *n);
void names_unref(struct names *n);
void names_write(const struct names *n, struct jw *w); /* an array */

/* ---- profiles ---- */

struct profile;
/* `definition` holds what the profile says, its lists and its credentials; a reference is taken. Without a provider the model side
 * is the context's, but for the model. `own_server`: the MCP side is the definition's, even if that is none. */
tda_status profile_new(tda_str tag, struct snapshot *definition, bool own_server, bool is_operators, struct profile **ret);
void profile_ref(struct profile *p);
void profile_unref(struct profile *p); /* NULL is fine */
const char *profile_tag(const struct profile *p);
bool profile_is_operators(const struct profile *p);
struct snapshot *profile_definition(const struct profile *p); /* borrowed */
/* {"tag", "scope": "private"|"operator", what it says; of a private one the names of its credentials}. `is_default` is put in. */
void profile_write(const struct profile *p, bool is_default, struct jw *w);

/* The operator's, from the configuration; each reference is taken over, on failure too. In place of those before, which stay in
 * memory until the end: who found one may still hold it. */
tda_status contexts_set_profiles(struct contexts *cs, struct profile **list, size_t n);

/* By tag, without case; a private one comes before the operator's. Lives as long as `s` and `cs`; `s` may be NULL. NULL: none. */
struct profile *profile_find(const struct contexts *cs, const struct snapshot *s, tda_str tag);
/* All that profile_find can find. */
void profiles_each(const struct contexts *cs, const struct snapshot *s, void (*visit)(void *arg, const struct profile *p),
                   void *arg);
const char *snapshot_default_profile(const struct snapshot *s); /* NULL: none */

/* E_LIMIT "too_many_profiles" for one more than the host keeps of a user. */
tda_status draft_put_profile(struct draft *d, struct profile *p, struct error *e);
tda_status draft_delete_profile(struct draft *d, tda_str tag);                        /* NOT_FOUND; no longer the default either */
tda_status draft_set_default_profile(struct draft *d, tda_str tag);                   /* {NULL,0}: none */
void draft_set_enabled(struct draft *d, enum enabled_kind kind, struct names *names); /* takes a reference; NULL: everything */

/* The snapshot that serves `base` under `p`, with a reference. Its credentials are the profile's; without any of its own, or where
 * the operator's may not be used, the context's as far as provider and address are the same. */
tda_status snapshot_derive(struct contexts *cs, struct snapshot *base, struct profile *p, struct snapshot **ret, struct error *e);

#endif
