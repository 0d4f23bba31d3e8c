/* A snapshot under construction. What it may hold is checked here, whoever asks. */
#include <stdio.h>

#include "context/context_impl.h"
#include "tda/host.h"

static tda_status copy_text(char **place, const char *text) {
    char *copy = text ? str_dup(tda_str_of(text)) : NULL;
    if (text && !copy) return TDA_E_NOMEM;
    free(*place);
    *place = copy;
    return TDA_OK;
}

static tda_status make_room(struct snapshot *s, size_t n_settings) {
    struct setting_kv *settings = realloc(s->settings, n_settings * sizeof *settings);
    if (!settings) return TDA_E_NOMEM;
    s->settings = settings;
    return TDA_OK;
}

static tda_status copy_into(struct snapshot *to, const struct snapshot *from) {
    for (size_t i = 0; i < CTX_FIELDS; i++)
        if (copy_text(&to->fields[i], from->fields[i])) return TDA_E_NOMEM;
    if (from->n_settings && make_room(to, from->n_settings)) return TDA_E_NOMEM;
    for (size_t i = 0; i < from->n_settings; i++) {
        struct setting_kv *kv = &to->settings[i];
        *kv = (struct setting_kv){0};
        to->n_settings = i + 1;
        if (copy_text(&kv->name, from->settings[i].name) || copy_text(&kv->value, from->settings[i].value)) return TDA_E_NOMEM;
    }
    memcpy(to->configured_as, from->configured_as, sizeof to->configured_as);
    return TDA_OK;
}

static tda_status share(struct snapshot *to, const struct snapshot *from, bool with_secrets) {
    for (size_t g = 0; g < CTX_GROUPS; g++) {
        to->live[g] = from->live[g];
        if (to->live[g]) live_ref(to->live[g]);
    }
    to->secrets = with_secrets ? from->secrets : NULL;
    if (to->secrets) secrets_ref(to->secrets);
    to->server_secrets = with_secrets ? from->server_secrets : NULL;
    if (to->server_secrets) secrets_ref(to->server_secrets);
    for (size_t k = 0; k < ENABLED_KINDS; k++) {
        to->enabled[k] = from->enabled[k];
        names_ref(to->enabled[k]);
    }
    to->profiles = with_secrets ? from->profiles : NULL; /* they hold secrets of their own */
    profile_set_ref(to->profiles);
    return TDA_OK;
}

tda_status draft_new(struct contexts *cs, tda_str user, struct snapshot *base, struct draft **ret_draft) {
    struct draft *d = calloc(1, sizeof *d);
    if (!d) return TDA_E_NOMEM;
    d->contexts = cs;
    tda_status s = snapshot_new(contexts_is_shared(cs) ? (tda_str){"", 0} : user, &d->next);
    if (!s && base) {
        s = copy_into(d->next, base);
        share(d->next, base, true);
        snapshot_ref(base);
        d->base = base;
    }
    for (size_t g = 0; g < CTX_GROUPS && !s && !base; g++) {
        d->changed[g] = true;
        s = live_new(contexts_poster(cs), &d->next->live[g]);
    }
    if (s) {
        draft_free(d);
        return s;
    }
    *ret_draft = d;
    return TDA_OK;
}

void draft_free(struct draft *d) {
    if (!d) return;
    snapshot_unref(d->next);
    snapshot_unref(d->base);
    free(d);
}

/* The group's live objects belong to the configuration before: from here on there are new ones. */
static tda_status change_group(struct draft *d, enum ctx_group group) {
    struct live *box;
    if (d->changed[group]) return TDA_OK;
    tda_status s = live_new(contexts_poster(d->contexts), &box);
    if (s) return s;
    live_unref(d->next->live[group]);
    d->next->live[group] = box;
    d->changed[group] = true;
    return TDA_OK;
}

tda_status draft_own_live(struct draft *d) {
    tda_status s = TDA_OK;
    for (size_t g = 0; g < CTX_GROUPS && !s; g++) s = change_group(d, (enum ctx_group)g);
    return s;
}

/* ---- secrets ---- */

static tda_status own_secrets(struct draft *d) {
    struct secrets *mine;
    if (d->next->secrets && !secrets_is_shared(d->next->secrets)) return TDA_OK;
    tda_status s = secrets_clone(d->next->secrets, &mine);
    if (s) return s;
    secrets_unref(d->next->secrets);
    d->next->secrets = mine;
    return TDA_OK;
}

/* What was given for another provider or address must not go to this one. */
static tda_status drop_inherited(struct draft *d) {
    if (!d->next->secrets) return TDA_OK;
    tda_status s = own_secrets(d);
    if (!s) secrets_keep_fresh(d->next->secrets);
    return s;
}

static tda_status check_secret(const char *field, tda_str value, struct error *e) {
    bool whole = value.n && !memchr(value.p, 0, value.n) && !memchr(value.p, '\n', value.n) && !memchr(value.p, '\r', value.n);
    if (whole) return TDA_OK;
    error_set(e, TDA_E_INVALID, "invalid_credential", "the credential %s is empty or holds a line break", field);
    return TDA_E_INVALID;
}

tda_status draft_set_server_bearer(struct draft *d, tda_str value, const char *origin, struct error *e) {
    struct secrets *fresh;
    const char *server = d->next->fields[ctx_field_index(TDA_CTX_MCP_SERVER_NAME)];
    tda_status s = check_secret("mcp_server.bearer", value, e);
    error_field(e, "mcp_server.bearer");
    if (s) return s;
    s = secrets_clone(NULL, &fresh);
    if (!s && (s = secrets_set(fresh, "bearer", value))) secrets_unref(fresh);
    if (!s) s = change_group(d, CTX_GROUP_TOOLS);
    if (s)
        return error_set(e, s, s == TDA_E_LIMIT ? "credential_too_large" : NULL, "the bearer token cannot be kept: %s",
                         status_text(s));
    secrets_bind(fresh, server ? server : "", origin);
    secrets_unref(d->next->server_secrets);
    d->next->server_secrets = fresh;
    return TDA_OK;
}

tda_status draft_set_secret(struct draft *d, const char *name, tda_str value, struct error *e) {
    tda_status s = value.p ? check_secret(name, value, e) : TDA_OK;
    if (s) error_field(e, "credentials.%s", name);
    if (s) return s;
    s = own_secrets(d);
    if (!s) s = secrets_set(d->next->secrets, name, value);
    if (!s) s = change_group(d, CTX_GROUP_MODEL);
    if (!s) return TDA_OK;
    error_set(e, s, s == TDA_E_LIMIT ? "credential_too_large" : NULL, "the credential %s cannot be kept: %s", name, status_text(s));
    error_field(e, "credentials.%s", name);
    return s;
}

tda_status draft_bind(struct draft *d, const char *origin) {
    const char *was = d->next->secrets ? secrets_origin(d->next->secrets) : origin;
    tda_status s = strcmp(was, origin) == 0 ? TDA_OK : was[0] ? drop_inherited(d) : own_secrets(d);
    if (s) return s;
    snprintf(d->origin, sizeof d->origin, "%s", origin);
    d->bound = true;
    return TDA_OK;
}

/* ---- settings ---- */

tda_status draft_set_setting(struct draft *d, const char *name, tda_str value, struct error *e) {
    struct snapshot *n = d->next;
    size_t i = 0;
    while (i < n->n_settings && strcmp(n->settings[i].name, name) != 0) i++;
    if (i < n->n_settings ? tda_str_eq(tda_str_of(n->settings[i].value), value) : !value.p) return TDA_OK;
    if (i == SETTINGS_MAX || value.n > CTX_TEXT_MAX)
        return error_set(e, TDA_E_LIMIT, NULL, "the setting %s is too long, or one too many", name);
    char *copy = value.p ? str_dup(value) : NULL, *key = i < n->n_settings ? n->settings[i].name : str_dup(tda_str_of(name));
    tda_status s = (value.p && !copy) || !key ? TDA_E_NOMEM : change_group(d, CTX_GROUP_MODEL);
    if (!s && i == n->n_settings) s = make_room(n, i + 1);
    if (!s) s = drop_inherited(d); /* it may be an address */
    if (s) {
        free(copy);
        if (i == n->n_settings) free(key);
        return error_set(e, s, NULL, "the setting %s cannot be kept: %s", name, status_text(s));
    }
    if (i < n->n_settings)
        free(n->settings[i].value);
    else
        n->n_settings++;
    n->settings[i] = (struct setting_kv){key, copy};
    if (!copy) { /* unset: the last takes its place */
        free(key);
        n->settings[i] = n->settings[--n->n_settings];
    }
    return TDA_OK;
}

void draft_set_configured_as(struct draft *d, const unsigned char digest[32]) {
    memcpy(d->next->configured_as, digest, 32);
}

/* ---- fields ---- */

static tda_status bad_value(const struct ctx_field *f, struct error *e, const char *what) {
    error_set(e, TDA_E_INVALID, "invalid_value", "%s %s", f->name, what);
    error_field(e, "fields.%s", f->name);
    if (f->members) error_hint(e, "%s: %s", f->name, f->help);
    return TDA_E_INVALID;
}

static tda_status check_text(const struct ctx_field *f, tda_str v, struct error *e) {
    if (v.n == 0) return bad_value(f, e, "is empty; null unsets it");
    if (v.n > CTX_TEXT_MAX) return bad_value(f, e, "is longer than 2048 bytes");
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f) return bad_value(f, e, "holds a control character");
    return TDA_OK;
}

/* The members that may be shown, as JSON; a secret one goes to the secrets. */
static tda_status split_object(struct draft *d, const struct ctx_field *f, struct json object, struct buf *out, struct error *e) {
    struct jw w;
    jw_init(&w, out);
    jw_begin_object(&w);
    for (struct json m = json_first(object); json_type(m); m = json_next(m)) {
        tda_str name = json_name(m), text = json_str(m);
        if (f->members && !ctx_field_has(f, name)) return bad_value(f, e, "has a member that it does not know");
        if (f->members && !text.p && json_type(m) != TDA_JSON_NULL) return bad_value(f, e, "has a member that is no text");
        if (f->secret && tda_str_eq(name, tda_str_of(f->secret))) {
            tda_status s = draft_set_secret(d, f->secret, text, e);
            if (s) return s;
            continue;
        }
        jw_key(&w, name);
        jw_raw(&w, json_raw(m));
    }
    jw_end_object(&w);
    return out->status;
}

static tda_status check_object(struct draft *d, const struct ctx_field *f, tda_str v, char **ret, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf out;
    if (v.n > CTX_OBJECT_MAX) return bad_value(f, e, "is larger than 64 KiB");
    tda_status s = json_parse(v, 8, &doc, e);
    if (s) return s;
    if (json_type(json_root(doc)) != TDA_JSON_OBJECT) return bad_value(f, e, "must be an object");
    buf_init(&out, CTX_OBJECT_MAX * 2);
    s = split_object(d, f, json_root(doc), &out, e);
    *ret = s ? NULL : buf_take(&out, NULL);
    buf_fini(&out);
    return s || *ret ? s : TDA_E_NOMEM;
}

static tda_status put_field(struct draft *d, const struct ctx_field *f, char *value) {
    char **place = &d->next->fields[f - ctx_fields];
    bool same = *place && value ? strcmp(*place, value) == 0 : *place == value;
    tda_status s = same ? TDA_OK : change_group(d, f->group);
    if (s) {
        free(value);
        return s;
    }
    free(*place);
    *place = value;
    return TDA_OK;
}

/* A switch of provider leaves nothing of the former one. */
static tda_status clear_provider(struct draft *d) {
    struct snapshot *n = d->next;
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        if (ctx_fields[i].group != CTX_GROUP_MODEL || ctx_fields[i].key == TDA_CTX_PROVIDER) continue;
        free(n->fields[i]);
        n->fields[i] = NULL;
    }
    while (n->n_settings) {
        struct setting_kv *kv = &n->settings[--n->n_settings];
        free(kv->name);
        free(kv->value);
        *kv = (struct setting_kv){0};
    }
    tda_status s = change_group(d, CTX_GROUP_MODEL);
    return s ? s : drop_inherited(d);
}

tda_status draft_set(struct draft *d, uint32_t key, tda_str value, struct error *e) {
    const struct ctx_field *f = ctx_field_by_key(key);
    char *copy = NULL;
    tda_status s = TDA_OK;
    if (!f || f->kind == CTX_LIVE) return error_set(e, TDA_E_DENIED, "live_field", "a live object cannot be set");
    tda_str now = draft_get(d, key);
    if (value.p && f->kind == CTX_TEXT) {
        s = check_text(f, value, e);
        if (!s && !(copy = str_dup(value))) s = TDA_E_NOMEM;
    } else if (value.p) {
        s = check_object(d, f, value, &copy, e);
    }
    if (s) return s;
    bool switches = key == TDA_CTX_PROVIDER && now.p && !str_equal_nocase(now, value);
    bool same = now.p && copy ? tda_str_eq(now, tda_str_of(copy)) : !now.p && !copy;
    bool moves = ctx_field_is_address(f) && !same;
    if (switches) s = clear_provider(d);
    if (moves && !s) s = drop_inherited(d);
    if ((key == TDA_CTX_MCP_SERVER_NAME || key == TDA_CTX_SERVER_CONFIGS) &&
        !same) { /* what was given for the other is not for it */
        secrets_unref(d->next->server_secrets);
        d->next->server_secrets = NULL;
    }
    if (key == TDA_CTX_MCP_SERVER_NAME && !same) /* the lists were of the other's tools */
        for (enum enabled_kind k = 0; k < ENABLED_KINDS; k++) draft_set_enabled(d, k, NULL);
    if (s) {
        free(copy);
        return error_set(e, s, NULL, "%s cannot be set: %s", f->name, status_text(s));
    }
    s = put_field(d, f, copy);
    return s ? error_set(e, s, NULL, "%s cannot be set: %s", f->name, status_text(s)) : TDA_OK;
}

tda_str draft_get(const struct draft *d, uint32_t key) {
    return snapshot_get(d->next, key);
}

const struct snapshot *draft_snapshot(const struct draft *d) {
    return d->next;
}

/* ---- what comes out ---- */

tda_status draft_build(struct draft *d, bool with_secrets, struct snapshot **ret) {
    struct snapshot *s;
    if (d->next->secrets && !secrets_is_shared(d->next->secrets))
        secrets_bind(d->next->secrets,
                     snapshot_get(d->next, TDA_CTX_PROVIDER).n ? d->next->fields[ctx_field_index(TDA_CTX_PROVIDER)] : "",
                     d->bound ? d->origin : secrets_origin(d->next->secrets));
    tda_status status = snapshot_new(tda_str_of(d->next->user), &s);
    if (status) return status;
    share(s, d->next, with_secrets);
    s->epoch = d->base ? d->base->epoch : 0;
    status = copy_into(s, d->next);
    if (status) {
        snapshot_unref(s);
        return status;
    }
    *ret = s;
    return TDA_OK;
}

tda_status draft_preview(struct draft *d, struct snapshot **ret_snapshot) {
    return draft_build(d, true, ret_snapshot);
}
