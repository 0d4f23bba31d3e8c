/* The per-user context: eleven fields, held as immutable snapshots.
 *
 *   contexts --map--> context (user id, last use, references) --> snapshot (fields, secrets, live boxes, epoch)
 *
 * Reading: look up, take a reference, use, drop. Writing: build a draft aside, publish it with one swap. Labels, credentials and
 * live objects stand in one snapshot, so a reader never sees a mixture. A context in use is detached by the sweep, never destroyed;
 * the last reference to a snapshot posts the drops of its live objects to the loops that own them.
 *
 * All functions are [any] thread unless said otherwise. Locks: a shard's mutex, held for a look-up, an insert or a swap, never
 * across a callback. */
#ifndef CONTEXT_CONTEXT_H
#define CONTEXT_CONTEXT_H

#include "base/base.h"
#include "base/principal.h"
#include "base/ref.h"
#include "json/json.h"

enum ctx_kind { CTX_TEXT, CTX_OBJECT, CTX_LIVE };
enum ctx_group { CTX_GROUP_MODEL, CTX_GROUP_TOOLS }; /* a change in a group ends that group's live objects */

/* The eleven fields: the SDK's keys, the wire's names, the CLI and the tests come from this table. */
struct ctx_field {
    uint32_t key; /* enum tda_ctx_key */
    const char *name;
    enum ctx_kind kind;
    enum ctx_group group;
    const char *members; /* CTX_OBJECT with fixed members: "endpoint|deployment_name|api_version"; NULL: any */
    const char *secret;  /* a member of the object that is a secret: "token" */
    const char *help;
};
enum { CTX_FIELDS = 11 };
extern const struct ctx_field ctx_fields[CTX_FIELDS];
const struct ctx_field *ctx_field_find(tda_str name); /* NULL */
const struct ctx_field *ctx_field_by_key(uint32_t key);
bool ctx_field_has(const struct ctx_field *f, tda_str member);
/* A change of its value may move the place that credentials go to: it drops them. */
bool ctx_field_is_address(const struct ctx_field *f);

struct contexts;

/* ---- live objects ---- */

/* A box of live objects (llm_instance, MCP connections) that share a lifetime: one per group and configuration. Entries of loop i
 * are touched on loop i only. */
struct live;
typedef void (*live_drop)(void *owner, void *object); /* [loop] */

void *live_get(struct live *box, unsigned loop, const void *owner, uint64_t key); /* [loop] NULL: none */
tda_status live_put(struct live *box, unsigned loop, void *owner, uint64_t key, void *object, live_drop drop); /* [loop] EXISTS */
void *live_take(struct live *box, unsigned loop, const void *owner, uint64_t key); /* [loop] removes without dropping */
uint64_t live_id(const struct live *box); /* unique in the process: the "configuration epoch" of this group */
void live_ref(struct live *box);
void live_unref(struct live *box);

/* ---- secrets ---- */

/* The credentials of one configuration: write-only, bound to a provider and an origin, in memory that is locked, left out of dumps
 * and wiped with the last reference. */
struct secrets;
/* The value, only for the code that puts it into a request (core/plugin). NOT_FOUND. */
tda_status secrets_reveal(const struct secrets *s, const char *name, tda_str *ret_value);
const char *secrets_provider(const struct secrets *s);
const char *secrets_origin(const struct secrets *s); /* "https://api.openai.com:443"; "" when not bound to one */
/* Replace each value of a secret in text by "[redacted]", and drop the beginning of one that the text ends with; values under 6
 * bytes are left, they would hit ordinary words. */
void secrets_redact(const struct secrets *s, struct buf *text);
void secrets_ref(struct secrets *s);
void secrets_unref(struct secrets *s);

/* ---- snapshots ---- */

struct snapshot;
/* A field's value, {NULL,0} when unset. server_configs is "{}" when unset. Live fields and secret members are never in it. */
tda_str snapshot_get(const struct snapshot *s, uint32_t key);
uint64_t snapshot_epoch(const struct snapshot *s);                          /* goes up with each publish of that context */
const char *snapshot_user(const struct snapshot *s);                        /* "" for the shared context */
struct live *snapshot_live(const struct snapshot *s, enum ctx_group group); /* borrowed */
const struct secrets *snapshot_secrets(const struct snapshot *s);           /* borrowed; NULL: none */
/* What the user shows to an MCP server of his own ("bearer"), bound to that server's name and origin. Borrowed; NULL: nothing. */
const struct secrets *snapshot_server_secrets(const struct snapshot *s);
/* A user's own setting that is no field: base_url. {NULL,0} when unset. */
tda_str snapshot_setting(const struct snapshot *s, const char *name);
/* Under which profile it serves; "" for the context itself. */
const char *snapshot_profile(const struct snapshot *s);
/* Is a tool or prompt of the MCP server one of those that are enabled here? Everything is, unless a list says otherwise. */
enum enabled_kind { ENABLED_TOOLS, ENABLED_PROMPTS, ENABLED_KINDS };
bool snapshot_enables(const struct snapshot *s, enum enabled_kind kind, tda_str name);
/* Digest of what configure was asked for, secrets included; all zero when it was not made by configure. */
const unsigned char *snapshot_configured_as(const struct snapshot *s);
void snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is fine */
static inline void snapshot_unref_p(struct snapshot **s) {
    snapshot_unref(*s);
}
/* {"provider": ..., all fields that may be shown, "credentials": ["api_key"], "epoch": n} */
void snapshot_write(const struct snapshot *s, struct jw *w);

/* ---- drafts: a snapshot under construction; one thread ---- */

struct draft;
/* Starts from `base` (kept by reference) or, with NULL, from nothing. */
tda_status draft_new(struct contexts *cs, tda_str user, struct snapshot *base, struct draft **ret_draft);
void draft_free(struct draft *d); /* NULL is fine; a published draft too */
/* Checks kind and members; unsets on {NULL,0}. Objects as JSON text; a secret member goes to the secrets and out of the object.
 * Changing provider drops what belonged to the former one (details, secrets, settings). Changing the origin drops the secrets. */
tda_status draft_set(struct draft *d, uint32_t key, tda_str value, struct error *e);
tda_status draft_set_secret(struct draft *d, const char *name, tda_str value, struct error *e);
/* Of the MCP server at `origin` that the draft names: goes there only, and is gone once the draft names another server. */
tda_status draft_set_server_bearer(struct draft *d, tda_str value, const char *origin, struct error *e);
tda_status draft_set_setting(struct draft *d, const char *name, tda_str value, struct error *e);
/* The secrets in it go to this origin only. Inherited ones that were bound to another are dropped; those that were given before
 * there was a provider are bound now. */
tda_status draft_bind(struct draft *d, const char *origin);
void draft_set_configured_as(struct draft *d, const unsigned char digest[32]);
tda_str draft_get(const struct draft *d, uint32_t key);
const struct snapshot *draft_snapshot(const struct draft *d); /* as it stands; borrowed */
/* A snapshot that nobody has published, to validate with: it shares the draft's live boxes and secrets, so what validation makes
 * (an llm_instance, an MCP connection) is there after publish. The caller owns the reference. */
tda_status draft_preview(struct draft *d, struct snapshot **ret_snapshot);

/* ---- the contexts ---- */

struct contexts;
struct contexts_options {
    bool persistence; /* true: shared mode */
    bool mirror_to_shared;
    bool host_keys; /* per-user mode: the credentials of the operator's profiles may be used */
    uint64_t max_users;
    uint64_t max_profiles; /* private ones of one context */
    unsigned n_loops;
    /* [any] Run fn(arg) on loop i, soon. Never fails. */
    void (*post)(void *post_arg, unsigned loop, void (*fn)(void *), void *arg);
    void *post_arg;
    /* [the sweep's thread] This user's context was idle for too long and is gone. May be NULL. */
    void (*swept)(void *post_arg, const char *user);
};

tda_status contexts_new(const struct contexts_options *o, struct contexts **ret);
void contexts_free(struct contexts *cs); /* when all references are gone */

/* All of these judge `who`: DENIED when he may not act for the user.
 *
 * Per-user mode: `user` must be valid (E_INVALID "user_required" / "user_invalid"); shared mode ignores it. Both take a reference
 * to the current snapshot. acquire counts as use, peek does not. NOT_FOUND "not_configured": there is no such context; nothing is
 * made. */
tda_status contexts_acquire(struct contexts *cs, const struct principal *who, tda_str user, struct snapshot **ret_snapshot,
                            struct error *e);
tda_status contexts_peek(struct contexts *cs, const struct principal *who, tda_str user, struct snapshot **ret_snapshot,
                         struct error *e);

/* Swap the draft in; makes the context when there is none (E_LIMIT "too_many_users"). `expect_epoch`: E_CONFLICT when another
 * publish came between; UINT64_MAX: do not care; 0: expect none. A mirrored set goes to the shared context too, without secrets and
 * live objects. */
tda_status contexts_publish(struct contexts *cs, const struct principal *who, struct draft *d, uint64_t expect_epoch,
                            uint64_t *ret_epoch, struct error *e);
/* Read, change, publish, again on conflict: the whole of a `set`. `change` may run more than once. */
tda_status contexts_update(struct contexts *cs, const struct principal *who, tda_str user,
                           tda_status (*change)(struct draft *d, void *arg, struct error *e), void *arg, uint64_t *ret_epoch,
                           struct error *e);
tda_status contexts_delete(struct contexts *cs, const struct principal *who, tda_str user, struct error *e); /* NOT_FOUND */

struct context_info {
    const char *user; /* "" for the shared one */
    int64_t idle_ns;
    uint64_t epoch;
    tda_str provider, model;
};
/* The operator's. In no order, each at most once, at most `limit`; no lock is held while `visit` runs. Touches nothing. */
tda_status contexts_list(struct contexts *cs, const struct principal *who, size_t limit,
                         void (*visit)(void *arg, const struct context_info *info), void *arg, struct error *e);
uint64_t contexts_count(const struct contexts *cs); /* per-user entries; 0 in shared mode */
bool contexts_is_shared(const struct contexts *cs);

/* Remove what has been idle for longer than max_age_ns; O(expired). Works in small chunks, never long under a lock. */
tda_status contexts_sweep(struct contexts *cs, int64_t max_age_ns, uint64_t *ret_removed);

/* Shared mode: keep the context in a file across restarts, without secrets. Written only when it has changed since *saved_epoch. A
 * file that is not there is no error; one that is no whole file of ours is of kind "damaged", one of a later version
 * "later_version". [job thread; load before the first request] */
tda_status contexts_save(struct contexts *cs, const char *path, uint64_t *saved_epoch, struct error *e);
tda_status contexts_load(struct contexts *cs, const char *path, uint64_t *saved_epoch, struct error *e);

/* Gives a file that contexts_load found "damaged" another name, which goes into kept_as: FILE.damaged-<time>. Nothing is
 * overwritten. */
tda_status contexts_keep_aside(const char *path, char *kept_as, size_t size);

/* The loop of a user. In shared mode: spreads. */
unsigned contexts_loop(struct contexts *cs, tda_str user);

#endif
