/* What the configuration came to, and the reference of all settings: both from the table. */
#include <stdio.h>

#include "base/hash.h"
#include "config/config_impl.h"
#include "json/json.h"

struct shown {
    const char *path, *from, *fallback, *help, *variable;
    tda_str value;
    bool is_secret; /* the value is compared, and never shown */
};
typedef void (*show_fn)(void *arg, const struct shown *s);

static void join(char *const *list, struct buf *out) {
    out->n = 0; /* a failure sticks */
    for (; list && *list; list++) {
        if (out->n) buf_add_z(out, ", ");
        buf_add_z(out, *list);
    }
}

static void show_kv(const char *section, const char *name, const char *group, const struct config_kv *kv, size_t n, show_fn fn,
                    void *arg) {
    char path[300];
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s.%s.%s%s", section, name, group, kv[i].key);
        fn(arg, &(struct shown){path, kv[i].where, "", "", NULL, tda_str_of(kv[i].val), kv[i].is_secret});
    }
}

static void show_text(const char *section, const char *name, const char *key, const char *text, const char *from, show_fn fn,
                      void *arg) {
    char path[300];
    snprintf(path, sizeof path, "%s.%s.%s", section, name, key);
    if (text) fn(arg, &(struct shown){path, from, "", "", NULL, tda_str_of(text), false});
}

static void show_secret(const char *section, const char *name, const char *key, const char *text, const char *from, show_fn fn,
                        void *arg) {
    char path[300];
    snprintf(path, sizeof path, "%s.%s.%s", section, name, key);
    if (text) fn(arg, &(struct shown){path, from, "", "", NULL, tda_str_of(text), true});
}

static void show_names(const struct config_profile *p, const char *key, char *const *list, struct buf *text, show_fn fn,
                       void *arg) {
    join(list, text);
    if (list && !buf_add_char(text, 0)) show_text("profiles", p->tag, key, text->p, p->where, fn, arg);
}

static void show_profiles(const struct config *c, struct buf *text, show_fn fn, void *arg) {
    for (size_t i = 0; i < c->n_profiles; i++) {
        const struct config_profile *p = &c->profiles[i];
        show_kv("profiles", p->tag, "", p->settings, p->n_settings, fn, arg);
        show_kv("profiles", p->tag, "credentials.", p->credentials, p->n_credentials, fn, arg);
        show_names(p, "tools", p->tools, text, fn, arg);
        show_names(p, "prompts", p->prompts, text, fn, arg);
    }
}

static void show_models(const struct config *c, show_fn fn, void *arg) {
    char text[32];
    for (size_t i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        const double amounts[] = {m->input, m->output, m->cache_read};
        static const char *const names[] = {"input", "output", "cache_read"};
        snprintf(text, sizeof text, "%lld", (long long)m->context);
        show_text("models", m->name, "context", m->context ? text : NULL, m->where, fn, arg);
        for (size_t k = 0; k < ARRAY_LEN(names) && m->has_price; k++) {
            snprintf(text, sizeof text, "%.15g", amounts[k]);
            show_text("prices", m->name, names[k], text, m->price_where, fn, arg);
        }
    }
}

static void show_server_auth(const struct config_server *s, show_fn fn, void *arg) {
    const struct config_oauth *o = &s->oauth;
    const char *oauth = o->grant == OAUTH_CLIENT_CREDENTIALS ? "client_credentials" : "authorization_code";
    show_kv("mcp_servers", s->name, "headers.", s->headers, s->n_headers, fn, arg);
    show_secret("mcp_servers", s->name, "bearer", s->bearer, s->where, fn, arg);
    if (s->url && !s->bearer) show_text("mcp_servers", s->name, "oauth.grant", o->off ? "none" : oauth, s->where, fn, arg);
    show_text("mcp_servers", s->name, "oauth.issuer", o->issuer, s->where, fn, arg);
    show_text("mcp_servers", s->name, "oauth.client_id", o->client_id, s->where, fn, arg);
    show_secret("mcp_servers", s->name, "oauth.client_secret", o->client_secret, s->where, fn, arg);
    show_text("mcp_servers", s->name, "oauth.client_metadata_url", o->client_metadata_url, s->where, fn, arg);
    show_text("mcp_servers", s->name, "oauth.scopes", o->scopes, s->where, fn, arg);
    show_text("mcp_servers", s->name, "oauth.redirect_uri", o->redirect_uri, s->where, fn, arg);
}

static void show_server(const struct config *c, const struct config_server *s, struct buf *text, show_fn fn, void *arg) {
    static const char *const eras[] = {"any", "legacy", "modern"}, *const asks[] = {"none", "form", "url", "form, url"};
    show_text("mcp_servers", s->name, "id", s->id, s->where, fn, arg);
    show_text("mcp_servers", s->name, "url", s->url, s->where, fn, arg);
    join(s->argv, text);
    if (s->argv && !buf_add_char(text, 0)) show_text("mcp_servers", s->name, "command", text->p, s->where, fn, arg);
    show_text("mcp_servers", s->name, "cwd", s->cwd, s->where, fn, arg);
    show_kv("mcp_servers", s->name, "env.", s->env, s->n_env, fn, arg);
    show_server_auth(s, fn, arg);
    show_text("mcp_servers", s->name, "era", eras[s->era], s->where, fn, arg);
    show_text("mcp_servers", s->name, "asks", asks[s->asks], s->where, fn, arg);
    show_text("mcp_servers", s->name, "share", s->share ? "true" : "false", s->where, fn, arg);
    show_text("mcp_servers", s->name, "stateful", s->stateful ? "true" : "false", s->where, fn, arg);
    show_text("mcp_servers", s->name, "pin_tools", s->pin_tools ? "true" : "false", s->where, fn, arg);
    text->n = 0;
    time_format(config_server_idle_close(c, s), text);
    if (!buf_add_char(text, 0)) show_text("mcp_servers", s->name, "idle_close", text->p, s->where, fn, arg);
}

static void show_uids(const struct config_uids *u, const char *path, const char *help, struct buf *text, show_fn fn, void *arg) {
    join(u->names, text);
    fn(arg, &(struct shown){path, u->from ? u->from : "default", "", help, NULL, buf_str(text), false});
}

const char *config_plugins_from(const struct config *c) {
    return c->shown->plugins_from;
}

/* The status of the text that values are put together in: after a failure what follows is without values. */
static tda_status show_all(const struct config *c, show_fn fn, void *arg) {
    struct buf text;
    buf_init(&text, 1 << 20);
    join(c->listen, &text);
    fn(arg, &(struct shown){"listen", c->shown->listen_from, "", "addresses that clients connect to", "TDA_LISTEN", buf_str(&text),
                            false});
    join(c->plugins, &text);
    fn(arg, &(struct shown){"plugins.load", c->shown->plugins_from, PLUGINS_DEFAULT,
                            "plugins: names in plugins.dir, or absolute paths", "TDA_PLUGINS", buf_str(&text), false});
    join(c->secret_readers, &text);
    fn(arg, &(struct shown){"plugins.allow_secrets", c->shown->secret_readers_from ? c->shown->secret_readers_from : "default", "",
                            "plugins that may read credentials in clear", NULL, buf_str(&text), false});
    show_uids(&c->operators, "identity.operators", "unix users beside the daemon's own that may do everything, on ipc", &text, fn,
              arg);
    show_uids(&c->front_ends, "identity.front_ends", "unix users that may name users, on ipc", &text, fn, arg);
    for (size_t i = 0; i < n_settings; i++) {
        text.n = 0;
        setting_format(&settings[i], c, &text);
        fn(arg, &(struct shown){settings[i].path, c->shown->from[i], settings[i].fallback, settings[i].help, settings[i].variable,
                                buf_str(&text), false});
    }
    for (size_t i = 0; i < c->n_pins; i++) {
        char path[120];
        snprintf(path, sizeof path, "plugins.sha256.%s", c->pins[i].key);
        fn(arg, &(struct shown){path, c->pins[i].where, "", "", NULL, tda_str_of(c->pins[i].val), false});
    }
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct config_provider *p = &c->providers[i];
        show_text("providers", p->name, "plugin", p->plugin, p->where, fn, arg);
        join(p->hosts, &text);
        if (p->hosts && !buf_add_char(&text, 0)) show_text("providers", p->name, "hosts", text.p, p->hosts_where, fn, arg);
        show_kv("providers", p->name, "", p->settings, p->n_settings, fn, arg);
    }
    for (size_t i = 0; i < c->n_servers; i++) show_server(c, &c->servers[i], &text, fn, arg);
    show_profiles(c, &text, fn, arg);
    show_models(c, fn, arg);
    tda_status status = text.status;
    buf_fini(&text);
    return status;
}

static tda_str shown_value(const struct shown *s) {
    tda_str hidden = TDA_STR("(set)");
    return s->is_secret ? hidden : s->value;
}

static void show_line(void *arg, const struct shown *s) {
    tda_str value = shown_value(s);
    buf_addf(arg, "%-44s %-28.*s %s\n", s->path, STR_FMT(value), s->from ? s->from : "");
}

static void show_json(void *arg, const struct shown *s) {
    struct jw *w = arg;
    jw_begin_object(w);
    jw_put_z(w, "path", s->path);
    jw_put_str(w, "value", shown_value(s));
    jw_put_z(w, "source", s->from);
    jw_put_z(w, "default", s->fallback);
    jw_put_z(w, "help", s->help);
    if (s->variable) jw_put_z(w, "variable", s->variable);
    if (s->is_secret) jw_put_bool(w, "secret", true);
    jw_end_object(w);
}

void config_explain(const struct config *c, bool json, struct buf *out) {
    if (!json) {
        buf_addf(out, "%-44s %-28s %s\n", "SETTING", "VALUE", "FROM");
        tda_status s = show_all(c, show_line, out);
        if (s && !out->status) out->status = s;
        return;
    }
    struct jw w;
    jw_init(&w, out);
    jw_begin_array(&w);
    tda_status s = show_all(c, show_json, &w);
    if (s && !out->status) out->status = s;
    jw_end_array(&w);
}

/* ---- what another configuration has otherwise ---- */

struct entry {
    char *path;
    unsigned char digest[DIGEST_SIZE];
};

struct entries {
    struct entry *list;
    size_t n, cap;
    bool failed;
};

static void collect(void *arg, const struct shown *s) {
    struct entries *es = arg;
    if (es->n == es->cap) {
        size_t cap = es->cap ? 2 * es->cap : 256;
        struct entry *list = realloc(es->list, cap * sizeof *list);
        if (list) es->list = list;
        if (list) es->cap = cap;
    }
    char *path = es->n < es->cap ? str_dup(tda_str_of(s->path)) : NULL;
    es->failed |= !path;
    if (!path) return;
    es->list[es->n].path = path;
    hash_digest(s->value, es->list[es->n++].digest);
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static void entries_of(const struct config *c, struct entries *es) {
    *es = (struct entries){0};
    if (show_all(c, collect, es)) es->failed = true;
    if (es->n) qsort(es->list, es->n, sizeof *es->list, by_path);
}

static void entries_free(struct entries *es) {
    for (size_t i = 0; i < es->n; i++) free(es->list[i].path);
    free(es->list);
}

/* Read once, by what is made of them at the start. */
static bool is_fixed(const char *path) {
    static const char *const fixed[] = {"listen",
                                        "loops",
                                        "contexts.persistence",
                                        "contexts.file",
                                        "contexts.max_users",
                                        "contexts.mirror_to_shared",
                                        "contexts.users_may_use_host_keys",
                                        "plugins.",
                                        "sessions.path",
                                        "sessions.synchronous",
                                        "sessions.queue",
                                        "sessions.per_user",
                                        "sessions.turns",
                                        "maintenance.context_cleanup.interval",
                                        "maintenance.context_cleanup.enabled",
                                        "maintenance.report.",
                                        "maintenance.session_retention.interval",
                                        "maintenance.session_retention.enabled",
                                        "limits.workers",
                                        "limits.worker_queue",
                                        "limits.profiles_per_user",
                                        "log.format",
                                        "audit.",
                                        "identity.",
                                        "limits.tokens"};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (strncmp(path, fixed[i], strlen(fixed[i])) == 0) return true;
    return false;
}

tda_status config_diff(const struct config *before, const struct config *after, config_changed_fn fn, void *arg) {
    struct entries a, b;
    entries_of(before, &a);
    entries_of(after, &b);
    bool failed = a.failed || b.failed;
    for (size_t i = 0, k = 0; !failed && (i < a.n || k < b.n);) {
        int order = i == a.n ? 1 : k == b.n ? -1 : by_path(&a.list[i], &b.list[k]);
        const struct entry *e = order <= 0 ? &a.list[i] : &b.list[k];
        bool same = order == 0 && memcmp(a.list[i].digest, b.list[k].digest, sizeof e->digest) == 0;
        if (!same) fn(arg, e->path, is_fixed(e->path));
        i += order <= 0;
        k += order >= 0;
    }
    entries_free(&a);
    entries_free(&b);
    return failed ? TDA_E_NOMEM : TDA_OK;
}

static void add_shown(void *arg, const struct shown *s) {
    buf_addf(arg, "%s\n%.*s\n", s->path, STR_FMT(s->value));
}

tda_status servers_digest(struct config *c) {
    struct buf all, text;
    tda_status s = TDA_OK;
    buf_init(&all, 1 << 20);
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < c->n_servers && !s; i++) {
        buf_clear(&all);
        show_server(c, &c->servers[i], &text, add_shown, &all);
        s = all.status;
        hash_digest(buf_str(&all), c->servers[i].digest);
    }
    if (all.p) wipe(all.p, all.cap); /* secrets are in it */
    buf_fini(&all);
    buf_fini(&text);
    return s;
}

void config_reference(struct buf *out) {
    buf_add_z(
        out, "| setting | type | default | allowed | variable | meaning |\n|---|---|---|---|---|---|\n"
             "| listen | list | the runtime folder's tda/tda.sock | ipc:///path, tcp, tls+tcp, ws, wss with HOST:PORT | TDA_LISTEN "
             "| addresses "
             "that clients connect to |\n"
             "| identity.operators | list | none | names or numbers of unix users | | who may do everything, on ipc, beside "
             "root and the daemon's own user |\n"
             "| identity.front_ends | list | none | names or numbers of unix users | | who may name users, on ipc |\n"
             "| plugins.load | list | " PLUGINS_DEFAULT " | names, absolute paths | TDA_PLUGINS | plugins: NAME.so in "
             "plugins.dir, or absolute paths; one that cannot be loaded is left out: plugin.list says why, and a reload "
             "warns |\n"
             "| plugins.sha256 | map | | NAME: 64 hex digits | | a plugin whose file differs is refused |\n"
             "| plugins.allow_secrets | list | none | plugins' ids | | blocking plugins that may read credentials in clear "
             "(`needs secrets` in their note) |\n"
             "| providers.NAME | map | | plugin, hosts, its note's settings | the note's | a provider as users name it |\n"
             "| profiles.TAG | map | | provider, model, credentials, mcp_server, tools, ... | | @TAG, for everybody |\n"
             "| models.PROVIDER/MODEL | map | | context: tokens | | what a model takes in; PROVIDER alone: all its others |\n"
             "| prices.PROVIDER/MODEL | map | | input, output, cache_read | | price of a million tokens; PROVIDER alone: all its "
             "others |\n"
             "| mcp_servers.NAME | map | | command, env, cwd, or url; id, adapter | | a server that users may name |\n"
             "| mcp_servers.NAME.headers | map | | NAME: value | | headers of each request to its url; secrets as ${env:X} |\n"
             "| mcp_servers.NAME.bearer | text | | ${env:X}, ${file:X} | | a token for its url that is there already |\n"
             "| mcp_servers.NAME.oauth | map | found out | grant, issuer, client_id, client_secret, client_metadata_url, scopes, "
             "redirect_uri; false | | how tokens for its url are obtained; false: not at all |\n"
             "| mcp_servers.NAME.era | word | any | any, legacy, modern | | what it speaks: MCP up to 2025-11-25, or 2026-07-28 "
             "and later; any: find out |\n"
             "| mcp_servers.NAME.asks | list | [] | form, url | | what it may ask its user for; nothing unless said, and never "
             "for a shared one |\n"
             "| mcp_servers.NAME.share | true or false | false | | | one connection for all users, where the server makes no "
             "difference between them |\n"
             "| mcp_servers.NAME.stateful | true or false | false | | | a connection for each session of a user; true also where "
             "`${session_hash}` is used |\n"
             "| mcp_servers.NAME.pin_tools | true or false | false | | | tools are trusted as a user sees them first; one that has "
             "changed is refused until he approves it |\n"
             "| mcp_servers.NAME.idle_close | time | mcp.idle_close | 10ms to 365d | | close its connections after so long without "
             "a call |\n");
    for (size_t i = 0; i < n_settings; i++) {
        const struct setting *s = &settings[i];
        buf_addf(out, "| %s | %s | %s | ", s->path, value_type_name(s->type), s->fallback[0] ? s->fallback : "empty");
        if (s->type == VALUE_ENUM)
            for (const char *p = s->min; *p; p++) buf_addf(out, *p == '|' ? ", " : "%c", *p);
        else if (s->min)
            buf_addf(out, "%s to %s", s->min, s->max);
        buf_addf(out, " | %s | %s |\n", s->variable, s->help);
    }
}
