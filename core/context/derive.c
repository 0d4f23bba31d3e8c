/* A context's snapshot and a profile make the snapshot that serves one request. */
#include <pthread.h>

#include "context/context_impl.h"
#include "context/profile.h"
#include "tda/host.h"

enum { DERIVED_MAX = 4 }; /* kept with one snapshot: each may hold a connection and a child process */

/* The last used comes first. */
struct derived {
    pthread_mutex_t lock;
    size_t n;
    struct kept {
        struct profile *profile; /* a reference: its address is the key */
        struct snapshot *snapshot;
    } items[DERIVED_MAX];
};

void derived_free(struct derived *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n; i++) {
        snapshot_unref(d->items[i].snapshot);
        profile_unref(d->items[i].profile);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* Most snapshots never need one. */
static struct derived *derived_of(struct snapshot *s) {
    struct derived *there = atomic_load_explicit(&s->derived, memory_order_acquire), *mine;
    if (there || !(mine = calloc(1, sizeof *mine))) return there;
    pthread_mutex_init(&mine->lock, NULL);
    if (atomic_compare_exchange_strong(&s->derived, &there, mine)) return mine;
    derived_free(mine);
    return there;
}

/* With a reference; it becomes the first. NULL: it is not kept. */
static struct snapshot *take_kept(struct derived *d, const struct profile *p) {
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].profile != p) continue;
        struct kept hit = d->items[i];
        memmove(d->items + 1, d->items, i * sizeof *d->items);
        d->items[0] = hit;
        snapshot_ref(hit.snapshot);
        return hit.snapshot;
    }
    return NULL;
}

/* What has to make room is given back, to be let go outside of the lock. */
static struct kept keep_first(struct derived *d, struct profile *p, struct snapshot *s) {
    struct kept last = {0};
    if (d->n == DERIVED_MAX) last = d->items[--d->n];
    memmove(d->items + 1, d->items, d->n * sizeof *d->items);
    profile_ref(p);
    snapshot_ref(s);
    d->items[0] = (struct kept){p, s};
    d->n++;
    return last;
}

/* ---- making one ---- */

static tda_status clear_settings(struct draft *d, const struct snapshot *def, struct error *e) {
    for (size_t i = 0; i < d->next->n_settings;) {
        const char *name = d->next->settings[i].name;
        tda_str v = snapshot_setting(def, name);
        if (v.p) {
            i++;
            continue;
        }
        tda_status s = draft_set_setting(d, name, v, e); /* the last takes its place */
        if (s) return s;
    }
    return TDA_OK;
}

/* With a provider the whole model side is the profile's: a change of provider or address drops the context's credentials. */
static tda_status take_model_side(struct draft *d, const struct snapshot *def, struct error *e) {
    tda_str provider = snapshot_get(def, TDA_CTX_PROVIDER), model = snapshot_get(def, TDA_CTX_MODEL);
    if (!provider.p) return model.p ? draft_set(d, TDA_CTX_MODEL, model, e) : TDA_OK;
    tda_status s = draft_set(d, TDA_CTX_PROVIDER, provider, e);
    for (size_t i = 0; i < CTX_FIELDS && !s; i++) {
        const struct ctx_field *f = &ctx_fields[i];
        if (f->group == CTX_GROUP_MODEL && f->kind != CTX_LIVE && f->key != TDA_CTX_PROVIDER)
            s = draft_set(d, f->key, tda_str_of(def->fields[i]), e);
    }
    if (!s) s = clear_settings(d, def, e);
    for (size_t i = 0; i < def->n_settings && !s; i++)
        s = draft_set_setting(d, def->settings[i].name, tda_str_of(def->settings[i].value), e);
    return s;
}

static tda_status take_server(struct draft *d, const struct snapshot *def, struct error *e) {
    tda_status s = TDA_OK;
    for (size_t i = 0; i < CTX_FIELDS && !s; i++)
        if (ctx_fields[i].group == CTX_GROUP_TOOLS && ctx_fields[i].kind != CTX_LIVE)
            s = draft_set(d, ctx_fields[i].key, tda_str_of(def->fields[i]), e);
    for (enum enabled_kind k = 0; k < ENABLED_KINDS; k++) draft_set_enabled(d, k, NULL); /* of the other server's tools */
    secrets_unref(d->next->server_secrets);                                              /* the context's server's */
    d->next->server_secrets = def->server_secrets;
    if (def->server_secrets) secrets_ref(def->server_secrets);
    return s;
}

/* All of the profile's or all of the context's, as with requests. */
static void take_secrets(struct draft *d, const struct profile *p) {
    const struct contexts_options *o = contexts_options(d->contexts);
    struct secrets *own = p->definition->secrets;
    if (!secrets_count(own) || (p->is_operators && !o->persistence && !o->host_keys)) return;
    secrets_ref(own);
    secrets_unref(d->next->secrets);
    d->next->secrets = own;
}

static tda_status make(struct contexts *cs, struct snapshot *base, const struct profile *p, struct snapshot **ret,
                       struct error *e) {
    static const unsigned char by_no_configure[32];
    const struct snapshot *def = p->definition;
    struct draft *d;
    tda_status s = draft_new(cs, tda_str_of(base->user), base, &d);
    if (s) return error_set(e, s, NULL, "%s", status_text(s));
    s = draft_own_live(d); /* no connection is shared with another profile or the context itself */
    if (!s) s = take_model_side(d, def, e);
    if (!s && p->own_server) s = take_server(d, def, e);
    for (enum enabled_kind k = 0; k < ENABLED_KINDS && !s; k++)
        if (def->enabled[k]) draft_set_enabled(d, k, def->enabled[k]);
    if (!s) take_secrets(d, p);
    draft_set_configured_as(d, by_no_configure);
    profile_set_unref(d->next->profiles);
    d->next->profiles = NULL;
    if (!s) s = draft_preview(d, ret);
    draft_free(d);
    if (!s && !((*ret)->profile = str_dup(tda_str_of(p->tag)))) {
        snapshot_unref(*ret);
        s = TDA_E_NOMEM;
    }
    if (s && e && !e->text[0]) error_set(e, s, NULL, "%s", status_text(s));
    return s;
}

tda_status snapshot_derive(struct contexts *cs, struct snapshot *base, struct profile *p, struct snapshot **ret, struct error *e) {
    struct derived *d = derived_of(base);
    struct snapshot *mine = NULL, *kept;
    struct kept last = {0};
    if (!d) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    pthread_mutex_lock(&d->lock);
    kept = take_kept(d, p);
    pthread_mutex_unlock(&d->lock);
    if (kept) {
        *ret = kept;
        return TDA_OK;
    }
    tda_status s = make(cs, base, p, &mine, e);
    if (s) return s;
    pthread_mutex_lock(&d->lock);
    kept = take_kept(d, p); /* another request may have been faster: they share its connection */
    if (!kept) last = keep_first(d, p, mine);
    pthread_mutex_unlock(&d->lock);
    if (kept) snapshot_unref(mine);
    snapshot_unref(last.snapshot);
    profile_unref(last.profile);
    *ret = kept ? kept : mine;
    return TDA_OK;
}

const char *snapshot_profile(const struct snapshot *s) {
    return s->profile ? s->profile : "";
}
