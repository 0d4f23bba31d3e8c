/* Inside of core/context. */
#ifndef CONTEXT_IMPL_H
#define CONTEXT_IMPL_H

#include <stdatomic.h>

#include "context/context.h"
#include "context/profile.h"

enum {
    CTX_GROUPS = 2,
    CTX_TEXT_MAX = 2048,
    CTX_OBJECT_MAX = 64 << 10,
    SECRET_MAX = 8192, /* bytes of one value */
    SECRETS_MAX = 16,  /* of one configuration */
    SECRET_NAME_MAX = 64,
    SETTINGS_MAX = 16,
    ORIGIN_MAX = 300
};

/* How the last reference to live objects reaches the loops that own them. */
struct poster {
    void (*post)(void *post_arg, unsigned loop, void (*fn)(void *), void *arg);
    void *arg;
    unsigned n_loops;
};

tda_status live_new(const struct poster *p, struct live **ret);

/* ---- secrets.c ---- */

/* A copy with the same bindings, or an empty one. */
tda_status secrets_clone(const struct secrets *from, struct secrets **ret);
bool secrets_is_shared(const struct secrets *s); /* somebody else holds a reference */
/* {NULL,0} removes. LIMIT, NOMEM. */
tda_status secrets_set(struct secrets *s, const char *name, tda_str value);
void secrets_keep_fresh(struct secrets *s); /* what was set before the clone goes */
size_t secrets_count(const struct secrets *s);
void secrets_bind(struct secrets *s, const char *provider, const char *origin);
typedef void (*secrets_visit)(void *arg, const char *name);
void secrets_names(const struct secrets *s, secrets_visit visit, void *arg);

/* ---- snapshot.c ---- */

struct setting_kv {
    char *name, *value;
};

/* Immutable once published, but for `epoch`, which is written before the snapshot can be seen. */
struct snapshot {
    struct ref ref;
    uint64_t epoch;
    char *user;
    char *fields[CTX_FIELDS]; /* NULL: unset */
    struct live *live[CTX_GROUPS];
    struct secrets *secrets;        /* NULL: none */
    struct secrets *server_secrets; /* replaced whole; NULL: none */
    struct setting_kv *settings;    /* at most SETTINGS_MAX; most contexts have none */
    size_t n_settings;
    unsigned char configured_as[32];
    struct names *enabled[ENABLED_KINDS]; /* NULL: everything */
    struct profile_set *profiles;         /* private ones; NULL: none, and no default */
    char *profile;                        /* of a derived one: its profile's tag */
    _Atomic(struct derived *) derived;    /* what was derived from it, with a lock of its own; NULL: nothing yet */
};

tda_status snapshot_new(tda_str user, struct snapshot **ret);
size_t ctx_field_index(uint32_t key); /* CTX_FIELDS: none */

/* ---- profile.c, derive.c ---- */

struct profile {
    struct ref ref;
    char *tag;
    struct snapshot *definition; /* its live boxes stay empty */
    bool own_server, is_operators;
};

/* Immutable, counted. */
struct profile_set {
    struct ref ref;
    char *default_tag;          /* NULL: none; may name one of the operator's */
    struct profile_set *before; /* the operator's: what a reload has replaced */
    size_t n;
    struct profile *items[];
};

void profile_set_ref(struct profile_set *set); /* NULL is fine */
void profile_set_unref(struct profile_set *set);
/* Takes their references over, and `before`'s. */
tda_status profile_set_of(struct profile **list, size_t n, struct profile_set *before, struct profile_set **ret);
void snapshot_write_enabled(const struct snapshot *s, struct jw *w);
void snapshot_write_profiles(const struct snapshot *s, struct jw *w);
void derived_free(struct derived *d);

/* ---- save_profiles.c: members of the saved object ---- */

void save_values(const struct snapshot *s, struct jw *w); /* "fields", "settings", "tools", "prompts" */
void save_profiles(const struct snapshot *s, struct jw *w);
tda_status restore_values(struct draft *d, struct json from, struct error *e);
tda_status restore_profiles(struct draft *d, struct json root, struct error *e);

/* ---- draft.c ---- */

struct draft {
    struct contexts *contexts;
    struct snapshot *base; /* reference or NULL */
    struct snapshot *next; /* under construction; its live boxes are the candidate's once a group has changed */
    bool changed[CTX_GROUPS];
    char origin[ORIGIN_MAX];
    bool bound;
};

const struct contexts_options *contexts_options(const struct contexts *cs);
const struct profile_set *contexts_profiles(const struct contexts *cs); /* the operator's; NULL: none */
const struct poster *contexts_poster(const struct contexts *cs);
tda_status draft_own_live(struct draft *d); /* live boxes of its own in every group */
/* The finished snapshot, given to the caller; the draft stays usable. */
tda_status draft_build(struct draft *d, bool with_secrets, struct snapshot **ret);

/* ---- map.c: user id -> context, in shards ---- */

struct context {
    char *user;
    uint64_t hash;
    int64_t used_ns;             /* last use */
    int64_t tick;                /* its place in `by_use` */
    struct context *prev, *next; /* of by_use */
    struct snapshot *snapshot;
};

struct map;
tda_status map_new(uint64_t max, struct map **ret);
void map_free(struct map *m);
uint64_t map_count(const struct map *m);
/* With a reference, or NULL. `touch`: counts as use. */
struct snapshot *map_get(struct map *m, tda_str user, bool touch, int64_t *ret_used_ns);
/* E_CONFLICT, E_LIMIT, E_NOMEM. Takes the reference of `next` on success; sets its epoch. */
tda_status map_put(struct map *m, struct snapshot *next, uint64_t expect_epoch, uint64_t *ret_epoch);
bool map_delete(struct map *m, tda_str user);
/* `swept` is told each user, without a lock; NULL: nobody. */
uint64_t map_sweep(struct map *m, int64_t max_age_ns, void (*swept)(void *arg, const char *user), void *arg);
typedef void (*map_visit)(void *arg, struct snapshot *s, int64_t used_ns);
tda_status map_each(struct map *m, size_t limit, map_visit visit, void *arg);

#endif
