#include "context/context_impl.h"
#include "tda/host.h"

tda_status snapshot_new(tda_str user, struct snapshot **ret) {
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s) return TDA_E_NOMEM;
    ref_init(&s->ref);
    s->user = str_dup(user.p ? user : (tda_str){"", 0});
    if (!s->user) {
        free(s);
        return TDA_E_NOMEM;
    }
    *ret = s;
    return TDA_OK;
}

void snapshot_ref(struct snapshot *s) {
    ref_take(&s->ref);
}

void snapshot_unref(struct snapshot *s) {
    if (!s || !ref_drop(&s->ref)) return;
    for (size_t i = 0; i < CTX_FIELDS; i++) free(s->fields[i]);
    for (size_t i = 0; i < CTX_GROUPS; i++) live_unref(s->live[i]);
    for (size_t i = 0; i < s->n_settings; i++) {
        free(s->settings[i].name);
        free(s->settings[i].value);
    }
    free(s->settings);
    for (size_t k = 0; k < ENABLED_KINDS; k++) names_unref(s->enabled[k]);
    secrets_unref(s->secrets);
    secrets_unref(s->server_secrets);
    derived_free(atomic_load_explicit(&s->derived, memory_order_acquire));
    profile_set_unref(s->profiles);
    free(s->profile);
    free(s->user);
    free(s);
}

tda_str snapshot_get(const struct snapshot *s, uint32_t key) {
    size_t i = ctx_field_index(key);
    if (i == CTX_FIELDS) return (tda_str){0};
    if (!s->fields[i] && key == TDA_CTX_SERVER_CONFIGS) return TDA_STR("{}");
    return tda_str_of(s->fields[i]);
}

uint64_t snapshot_epoch(const struct snapshot *s) {
    return s->epoch;
}

const char *snapshot_user(const struct snapshot *s) {
    return s->user;
}

struct live *snapshot_live(const struct snapshot *s, enum ctx_group group) {
    return s->live[group];
}

const struct secrets *snapshot_server_secrets(const struct snapshot *s) {
    return s->server_secrets;
}

const struct secrets *snapshot_secrets(const struct snapshot *s) {
    return secrets_count(s->secrets) ? s->secrets : NULL;
}

tda_str snapshot_setting(const struct snapshot *s, const char *name) {
    for (size_t i = 0; i < s->n_settings; i++)
        if (strcmp(s->settings[i].name, name) == 0) return tda_str_of(s->settings[i].value);
    return (tda_str){0};
}

const unsigned char *snapshot_configured_as(const struct snapshot *s) {
    return s->configured_as;
}

static void write_name(void *arg, const char *name) {
    jw_str(arg, tda_str_of(name));
}

void snapshot_write(const struct snapshot *s, struct jw *w) {
    jw_begin_object(w);
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        const struct ctx_field *f = &ctx_fields[i];
        tda_str v = snapshot_get(s, f->key); /* absent for live objects: they never leave the process */
        if (f->kind == CTX_OBJECT && v.p)
            jw_put_raw(w, f->name, v);
        else
            jw_put_str(w, f->name, v);
    }
    for (size_t i = 0; i < s->n_settings; i++) jw_put_z(w, s->settings[i].name, s->settings[i].value);
    jw_open_array(w, "credentials");
    secrets_names(s->secrets, write_name, w);
    if (s->server_secrets) jw_str(w, TDA_STR("mcp_server.bearer"));
    jw_end_array(w);
    snapshot_write_enabled(s, w);
    snapshot_write_profiles(s, w);
    jw_put_u64(w, "epoch", s->epoch);
    jw_end_object(w);
}
