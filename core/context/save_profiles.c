/* The part of the saved context that is lists and profiles. Credentials stay out, as everywhere on disk. */
#include <stdio.h>

#include "context/context_impl.h"
#include "context/profile.h"

/* ---- writing ---- */

void save_values(const struct snapshot *s, struct jw *w) {
    jw_open_object(w, "fields");
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        tda_str v = tda_str_of(s->fields[i]);
        if (v.p && ctx_fields[i].kind == CTX_OBJECT) jw_put_raw(w, ctx_fields[i].name, v);
        if (v.p && ctx_fields[i].kind == CTX_TEXT) jw_put_str(w, ctx_fields[i].name, v);
    }
    jw_end_object(w);
    jw_open_object(w, "settings");
    for (size_t i = 0; i < s->n_settings; i++) jw_put_z(w, s->settings[i].name, s->settings[i].value);
    jw_end_object(w);
    snapshot_write_enabled(s, w);
}

void save_profiles(const struct snapshot *s, struct jw *w) {
    if (!s->profiles) return;
    jw_open_array(w, "profiles");
    for (size_t i = 0; i < s->profiles->n; i++) {
        const struct profile *p = s->profiles->items[i];
        jw_begin_object(w);
        jw_put_z(w, "tag", p->tag);
        jw_put_bool(w, "own_server", p->own_server);
        save_values(p->definition, w);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_put_z(w, "default_profile", s->profiles->default_tag);
}

/* ---- reading ---- */

static tda_status restore_enabled(struct draft *d, struct json from, const char *name, enum enabled_kind kind) {
    struct json list = json_key(from, tda_str_of(name));
    tda_str texts[NAMES_MAX];
    struct names *names;
    size_t n = 0;
    if (json_type(list) != TDA_JSON_ARRAY) return TDA_OK;
    for (struct json v = json_first(list); json_type(v) && n < NAMES_MAX; v = json_next(v)) texts[n++] = json_str(v);
    tda_status s = names_new(texts, n, &names);
    if (s) return s;
    draft_set_enabled(d, kind, names);
    names_unref(names);
    return TDA_OK;
}

tda_status restore_values(struct draft *d, struct json from, struct error *e) {
    char name[SECRET_NAME_MAX];
    tda_status s = TDA_OK;
    for (struct json v = json_first(json_key(from, TDA_STR("fields"))); json_type(v) && !s; v = json_next(v)) {
        const struct ctx_field *f = ctx_field_find(json_name(v)); /* NULL: of a later version */
        if (f && json_type(v) != (f->kind == CTX_OBJECT ? TDA_JSON_OBJECT : TDA_JSON_STRING))
            return error_set(e, TDA_E_INVALID, NULL, "%s is of the wrong type", f->name);
        if (f) s = draft_set(d, f->key, f->kind == CTX_OBJECT ? json_raw(v) : json_str(v), e);
    }
    for (struct json v = json_first(json_key(from, TDA_STR("settings"))); json_type(v) && !s; v = json_next(v)) {
        snprintf(name, sizeof name, "%.*s", (int)(json_name(v).n < sizeof name ? json_name(v).n : sizeof name - 1), json_name(v).p);
        s = draft_set_setting(d, name, json_str(v), e);
    }
    if (!s) s = restore_enabled(d, from, "tools", ENABLED_TOOLS);
    return s ? s : restore_enabled(d, from, "prompts", ENABLED_PROMPTS);
}

static tda_status restore_profile(struct draft *d, struct json from, struct error *e) {
    struct snapshot *definition = NULL;
    struct profile *p = NULL;
    struct draft *own;
    bool own_server = false;
    tda_str tag = json_str(json_key(from, TDA_STR("tag")));
    json_bool(json_key(from, TDA_STR("own_server")), &own_server);
    if (!tag_valid(tag)) return error_set(e, TDA_E_INVALID, "not_read", "a profile has no tag");
    tda_status s = draft_new(d->contexts, tda_str_of(d->next->user), NULL, &own);
    if (s) return s;
    s = restore_values(own, from, e);
    if (!s) s = draft_preview(own, &definition);
    draft_free(own);
    if (!s) s = profile_new(tag, definition, own_server, false, &p);
    snapshot_unref(definition);
    if (!s) s = draft_put_profile(d, p, e);
    profile_unref(p);
    return s;
}

tda_status restore_profiles(struct draft *d, struct json root, struct error *e) {
    tda_str usual = json_str(json_key(root, TDA_STR("default_profile")));
    tda_status s = TDA_OK;
    for (struct json v = json_first(json_key(root, TDA_STR("profiles"))); json_type(v) && !s; v = json_next(v))
        s = restore_profile(d, v, e);
    if (!s && usual.p) s = draft_set_default_profile(d, usual);
    return s == TDA_E_NOT_FOUND ? TDA_OK : s; /* it was the operator's, and he has taken it away */
}
