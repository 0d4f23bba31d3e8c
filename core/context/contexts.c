/* The contexts of a process: one per user in the map, or one that all share. */
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "context/context_impl.h"
#include "tda/host.h"

enum { UPDATE_TRIES = 100 };

struct contexts {
    struct contexts_options o;
    struct poster poster;
    struct map *map;
    struct map *shared;                     /* one entry, the user "" */
    _Atomic(struct profile_set *) profiles; /* the operator's */
    _Atomic unsigned spread;
};

tda_status contexts_new(const struct contexts_options *o, struct contexts **ret) {
    struct contexts *cs = calloc(1, sizeof *cs);
    if (!cs) return TDA_E_NOMEM;
    cs->o = *o;
    cs->poster = (struct poster){o->post, o->post_arg, o->n_loops};
    tda_status s = map_new(o->max_users, &cs->map);
    if (!s) s = map_new(1, &cs->shared);
    if (s) {
        contexts_free(cs);
        return s;
    }
    *ret = cs;
    return TDA_OK;
}

void contexts_free(struct contexts *cs) {
    if (!cs) return;
    map_free(cs->map);
    map_free(cs->shared);
    profile_set_unref(atomic_load(&cs->profiles));
    free(cs);
}

tda_status contexts_set_profiles(struct contexts *cs, struct profile **list, size_t n) {
    struct profile_set *set;
    tda_status s = profile_set_of(list, n, atomic_load(&cs->profiles), &set);
    if (!s) atomic_store_explicit(&cs->profiles, set, memory_order_release);
    for (size_t i = 0; i < n && s; i++) profile_unref(list[i]);
    return s;
}

const struct profile_set *contexts_profiles(const struct contexts *cs) {
    return atomic_load_explicit(&cs->profiles, memory_order_acquire);
}

const struct contexts_options *contexts_options(const struct contexts *cs) {
    return &cs->o;
}

const struct poster *contexts_poster(const struct contexts *cs) {
    return &cs->poster;
}

bool contexts_is_shared(const struct contexts *cs) {
    return cs->o.persistence;
}

uint64_t contexts_count(const struct contexts *cs) {
    return map_count(cs->map);
}

unsigned contexts_loop(struct contexts *cs, tda_str user) {
    if (cs->o.persistence) return atomic_fetch_add_explicit(&cs->spread, 1, memory_order_relaxed) % cs->o.n_loops;
    return (unsigned)(hash_keyed(user) % cs->o.n_loops);
}

/* ---- whose context ---- */

static tda_status check_user(tda_str user, struct error *e) {
    if (!user.n) {
        error_set(e, TDA_E_INVALID, "user_required", "this host keeps one context per user, and the request names none");
        error_field(e, "user");
        error_hint(e, "add \"user\" to the params");
        return TDA_E_INVALID;
    }
    if (user_id_valid(user)) return TDA_OK;
    error_set(e, TDA_E_INVALID, "user_invalid", "this is no user id");
    error_field(e, "user");
    error_hint(e, "1 to 128 of A-Z a-z 0-9 . _ @ : -, a letter or digit first, no \"..\"");
    return TDA_E_INVALID;
}

/* The map that the request is about; `user` becomes its key. Whoever gets here has a right to it. */
static tda_status find_map(struct contexts *cs, const struct principal *who, bool reading, tda_str *user, struct map **ret,
                           struct error *e) {
    tda_status s = principal_may(who, *user, e);
    if (s) return s;
    *ret = cs->map;
    if (cs->o.persistence || (reading && cs->o.mirror_to_shared && !user->n)) {
        *ret = cs->shared;
        *user = (tda_str){"", 0};
        return TDA_OK;
    }
    return check_user(*user, e);
}

static tda_status not_configured(struct contexts *cs, tda_str user, struct error *e) {
    if (cs->o.persistence)
        error_set(e, TDA_E_NOT_FOUND, "not_configured", "the shared context is not configured");
    else
        error_set(e, TDA_E_NOT_FOUND, "not_configured", "user %.*s is not configured", STR_FMT(user));
    error_hint(e, "call configure with provider, model and credentials");
    return TDA_E_NOT_FOUND;
}

static tda_status get(struct contexts *cs, const struct principal *who, tda_str user, bool touch, struct snapshot **ret_snapshot,
                      struct error *e) {
    struct map *m;
    tda_status s = find_map(cs, who, true, &user, &m, e);
    if (s) return s;
    struct snapshot *found = map_get(m, user, touch, NULL);
    if (!found) return not_configured(cs, user, e);
    *ret_snapshot = found;
    return TDA_OK;
}

tda_status contexts_acquire(struct contexts *cs, const struct principal *who, tda_str user, struct snapshot **ret_snapshot,
                            struct error *e) {
    return get(cs, who, user, true, ret_snapshot, e);
}

tda_status contexts_peek(struct contexts *cs, const struct principal *who, tda_str user, struct snapshot **ret_snapshot,
                         struct error *e) {
    return get(cs, who, user, false, ret_snapshot, e);
}

/* ---- changing ---- */

/* For callers of old that name no user: labels only. */
static void mirror(struct contexts *cs, struct draft *d) {
    struct snapshot *copy;
    if (cs->o.persistence || !cs->o.mirror_to_shared || draft_build(d, false, &copy)) return;
    copy->user[0] = 0;
    memset(copy->configured_as, 0, sizeof copy->configured_as);
    for (size_t g = 0; g < CTX_GROUPS; g++) {
        struct live *own;
        live_unref(copy->live[g]);
        copy->live[g] = NULL;
        if (live_new(&cs->poster, &own)) {
            snapshot_unref(copy);
            return;
        }
        copy->live[g] = own;
    }
    if (map_put(cs->shared, copy, UINT64_MAX, NULL)) snapshot_unref(copy);
}

static tda_status say_why(struct contexts *cs, tda_status s, struct error *e) {
    if (s == TDA_E_CONFLICT) {
        error_set(e, s, "changed_meanwhile", "another request changed this context meanwhile");
        error_hint(e, "read it again, and try again");
        if (e) e->retry_ms = 0;
    } else if (s == TDA_E_LIMIT) {
        error_set(e, s, "too_many_users", "this host keeps %llu contexts and has no room for another user",
                  (unsigned long long)cs->o.max_users);
        if (e) e->retry_ms = 1000;
        error_hint(e, "idle contexts go after maintenance.context_cleanup.max_age; the operator may raise contexts.max_users");
    } else if (s) {
        error_set(e, s, NULL, "the context cannot be kept: %s", status_text(s));
    }
    return s;
}

/* The shared context is nobody's own: who may act for himself may change it. */
tda_status contexts_publish(struct contexts *cs, const struct principal *who, struct draft *d, uint64_t expect_epoch,
                            uint64_t *ret_epoch, struct error *e) {
    struct snapshot *next;
    tda_str user = tda_str_of(d->next->user);
    tda_status s = principal_may(who, cs->o.persistence ? tda_str_of(who->user) : user, e);
    if (!s && !cs->o.persistence) s = check_user(user, e);
    if (s) return s;
    s = draft_build(d, true, &next);
    if (!s) {
        s = map_put(cs->o.persistence ? cs->shared : cs->map, next, expect_epoch, ret_epoch);
        if (s) snapshot_unref(next);
    }
    if (s) return say_why(cs, s, e);
    mirror(cs, d);
    return TDA_OK;
}

tda_status contexts_update(struct contexts *cs, const struct principal *who, tda_str user,
                           tda_status (*change)(struct draft *d, void *arg, struct error *e), void *arg, uint64_t *ret_epoch,
                           struct error *e) {
    struct map *m;
    tda_status s = find_map(cs, who, false, &user, &m, e);
    if (s) return s;
    for (int i = 0; i < UPDATE_TRIES; i++) {
        struct snapshot *base GUARD(snapshot_unref_p) = map_get(m, user, false, NULL);
        struct draft *d;
        s = draft_new(cs, user, base, &d);
        if (s) return say_why(cs, s, e);
        s = change(d, arg, e);
        if (!s) {
            s = contexts_publish(cs, who, d, base ? base->epoch : 0, ret_epoch, e);
            if (s == TDA_E_CONFLICT) {
                draft_free(d);
                continue;
            }
        }
        draft_free(d);
        return s;
    }
    return s;
}

tda_status contexts_delete(struct contexts *cs, const struct principal *who, tda_str user, struct error *e) {
    struct map *m;
    tda_status s = find_map(cs, who, false, &user, &m, e);
    if (s) return s;
    return map_delete(m, user) ? TDA_OK : not_configured(cs, user, e);
}

/* ---- looking at all ---- */

struct listing {
    void (*visit)(void *arg, const struct context_info *info);
    void *arg;
    int64_t now;
};

static void list_one(void *arg, struct snapshot *s, int64_t used_ns) {
    struct listing *l = arg;
    struct context_info info = {.user = s->user,
                                .idle_ns = l->now > used_ns ? l->now - used_ns : 0,
                                .epoch = s->epoch,
                                .provider = snapshot_get(s, TDA_CTX_PROVIDER),
                                .model = snapshot_get(s, TDA_CTX_MODEL)};
    l->visit(l->arg, &info);
}

tda_status contexts_list(struct contexts *cs, const struct principal *who, size_t limit,
                         void (*visit)(void *arg, const struct context_info *info), void *arg, struct error *e) {
    struct listing l = {visit, arg, clock_now_ns()};
    tda_status s = principal_operates(who, e);
    if (s) return s;
    s = map_each(cs->o.persistence ? cs->shared : cs->map, limit, list_one, &l);
    return s ? error_set(e, s, NULL, "%s", status_text(s)) : TDA_OK;
}

tda_status contexts_sweep(struct contexts *cs, int64_t max_age_ns, uint64_t *ret_removed) {
    *ret_removed = map_sweep(cs->map, max_age_ns, cs->o.swept, cs->o.post_arg);
    return TDA_OK;
}
