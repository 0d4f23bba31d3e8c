/* The section `mcp_servers`: the servers that users may name, and how connections to them are kept. */
#include <stdio.h>

#include "config/config_impl.h"
#include "tda/adapter.h"

static const char *const known[] = {"id",    "adapter",  "command",    "env",       "cwd",     "url",    "era",  "asks",
                                    "share", "stateful", "idle_close", "pin_tools", "headers", "bearer", "oauth"};

static void read_argv(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    bool secret;
    if (n->kind != YNODE_LIST || !n->first) {
        report_at(l, n->where, path, "a list is wanted here, the program first: [npx, -y, server]; no shell reads it");
        return;
    }
    for (const struct ynode *i = n->first; i; i = i->next) {
        char *text = section_text(l, i, path, true, &secret);
        if (text && secret)
            report_at(l, i->where, path,
                      "a secret (${env:}, ${file:}, ${credential:}) belongs into `env:`; arguments can be seen by every user of "
                      "this machine");
        list_add(l, &s->argv, text);
    }
}

static void read_env(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    char member[280];
    if (n->kind != YNODE_MAP) {
        report_at(l, n->where, path, "a map is wanted here: {NAME: value}");
        return;
    }
    for (const struct ynode *m = n->first; m; m = m->next) {
        snprintf(member, sizeof member, "%s.%.64s", path, m->key);
        if (!m->key[0] || strpbrk(m->key, "= \t\n"))
            report_at(l, m->where, member, "not a variable's name");
        else
            kv_add(l, &s->env, &s->n_env, m, member, true);
    }
}

/* ---- how connections are kept ---- */

static void read_era(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    tda_str text = n->kind == YNODE_SCALAR ? tda_str_of(n->text) : TDA_STR("");
    if (tda_str_eq(text, TDA_STR("any")))
        s->era = TDA_ERA_ANY;
    else if (tda_str_eq(text, TDA_STR("legacy")))
        s->era = TDA_ERA_LEGACY;
    else if (tda_str_eq(text, TDA_STR("modern")))
        s->era = TDA_ERA_MODERN;
    else
        report_at(l, n->where, path, "allowed: any, legacy (MCP up to 2025-11-25), modern (2026-07-28 and later)");
}

static void read_asks(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    s->asks = 0;
    if (n->kind != YNODE_LIST) report_at(l, n->where, path, "a list is wanted here: [form, url], or [] for nothing");
    for (const struct ynode *i = n->kind == YNODE_LIST ? n->first : NULL; i; i = i->next) {
        tda_str text = i->kind == YNODE_SCALAR ? tda_str_of(i->text) : TDA_STR("");
        if (tda_str_eq(text, TDA_STR("form")))
            s->asks |= TDA_ASK_FORM;
        else if (tda_str_eq(text, TDA_STR("url")))
            s->asks |= TDA_ASK_URL;
        else
            report_at(l, i->where, path, "allowed: form, url");
    }
}

static void read_bool(struct loading *l, bool *ret, const struct ynode *n, const char *path) {
    if (n->kind != YNODE_SCALAR || n->quoted || !bool_parse(tda_str_of(n->text), ret))
        report_at(l, n->where, path, "allowed: true, false, yes, no, on, off, 1, 0");
}

static void read_idle_close(struct loading *l, struct config_server *s, const struct ynode *n, const char *path) {
    struct config c = {0};
    char why[256] = "a time is wanted here";
    const struct setting *setting = setting_find("mcp.idle_close");
    if (n->kind != YNODE_SCALAR || setting_parse(setting, tda_str_of(n->text), 0, &c, why, sizeof why))
        report_at(l, n->where, path, "%s", why);
    else
        s->idle_close = c.mcp_idle_close;
}

/* ---- a server ---- */

static bool read_text(struct loading *l, struct config_server *s, const struct ynode *m, const char *path) {
    bool secret;
    char **text = strcmp(m->key, "id") == 0        ? &s->id
                  : strcmp(m->key, "adapter") == 0 ? &s->adapter
                  : strcmp(m->key, "cwd") == 0     ? &s->cwd
                  : strcmp(m->key, "url") == 0     ? &s->url
                                                   : NULL;
    if (text) *text = section_text(l, m, path, false, &secret);
    return text != NULL;
}

static void read_member(struct loading *l, struct config_server *s, const struct ynode *m, const char *path) {
    if (read_text(l, s, m, path) || server_auth_read(l, s, m, path)) return;
    if (strcmp(m->key, "command") == 0) {
        read_argv(l, s, m, path);
    } else if (strcmp(m->key, "env") == 0) {
        read_env(l, s, m, path);
    } else if (strcmp(m->key, "era") == 0) {
        read_era(l, s, m, path);
    } else if (strcmp(m->key, "asks") == 0) {
        read_asks(l, s, m, path);
    } else if (strcmp(m->key, "share") == 0) {
        read_bool(l, &s->share, m, path);
    } else if (strcmp(m->key, "stateful") == 0) {
        read_bool(l, &s->stateful, m, path);
    } else if (strcmp(m->key, "pin_tools") == 0) {
        read_bool(l, &s->pin_tools, m, path);
    } else if (strcmp(m->key, "idle_close") == 0) {
        read_idle_close(l, s, m, path);
    } else {
        const char *best = nearest_word(tda_str_of(m->key), known, ARRAY_LEN(known));
        report_at(l, m->where, path, "there is no such setting; %s%s",
                  best ? "did you mean "
                       : "there are command, env, cwd, url, headers, bearer, oauth, id, adapter, era, asks, share, stateful, "
                         "pin_tools, idle_close",
                  best ? best : "");
    }
}

static bool any_refers_to(const struct config_kv *kv, size_t n, const char *reference) {
    for (size_t i = 0; i < n; i++)
        if (strstr(kv[i].val, reference)) return true;
    return false;
}

/* Does the command, its environment or a header hold `reference`? */
static bool refers_to(const struct config_server *s, const char *reference) {
    for (char **a = s->argv; a && *a; a++)
        if (strstr(*a, reference)) return true;
    return any_refers_to(s->env, s->n_env, reference) || any_refers_to(s->headers, s->n_headers, reference);
}

/* Users log in one by one, each for himself. */
static bool users_log_in(const struct config_oauth *o) {
    bool said = o->issuer || o->client_id || o->client_metadata_url || o->scopes || o->redirect_uri;
    return said && o->grant == OAUTH_AUTHORIZATION_CODE;
}

/* One connection for all cannot be told whose it is, and nobody in particular could answer what it asks, or log in. */
static void check_shared(struct loading *l, struct config_server *s, const char *where, const char *path) {
    const char *reference = refers_to(s, "${user_hash}") ? "${user_hash}" : s->stateful ? "${session_hash}" : NULL;
    if (reference && refers_to(s, reference))
        report_at(l, where, path, "a shared server cannot use %s: its one connection serves all users", reference);
    else if (s->stateful)
        report_at(l, where, path, "either `share` or `stateful`: a shared connection cannot tell sessions apart");
    if (users_log_in(&s->oauth))
        report_at(l, where, path,
                  "a shared server cannot have its users log in: give it headers, bearer, or oauth with grant: client_credentials");
    if (s->asks) report_at(l, where, path, "a shared server cannot ask: leave `asks` out");
}

static void check_server(struct loading *l, struct config_server *s, const char *where, const char *path) {
    if (!s->argv == !s->url) report_at(l, where, path, "either `command` or `url` is wanted%s", s->argv ? ", not both" : "");
    if (s->cwd && s->cwd[0] != '/') report_at(l, where, path, "cwd wants an absolute path");
    if (refers_to(s, "${session_hash}")) s->stateful = true;
    server_auth_check(l, s, where, path);
    if (s->share) check_shared(l, s, where, path);
}

void read_server(struct loading *l, const struct ynode *entry) {
    struct config *c = l->config;
    char path[200];
    struct config_server *s = entry_new(l, &c->servers, &c->n_servers, sizeof *s, entry, "mcp_servers");
    if (!s) return;
    s->name = keep(l, entry->key);
    s->where = keep(l, entry->where);
    for (const struct ynode *m = entry->first; m; m = m->next) {
        snprintf(path, sizeof path, "mcp_servers.%.64s.%.64s", entry->key, m->key);
        read_member(l, s, m, path);
    }
    if (!s->id) s->id = keep(l, entry->key);
    if (!s->adapter) s->adapter = keep(l, "mcp");
    snprintf(path, sizeof path, "mcp_servers.%.64s", entry->key);
    check_server(l, s, entry->where, path);
}

void servers_free(struct config *c) {
    for (size_t i = 0; i < c->n_servers; i++) {
        struct config_server *s = &c->servers[i];
        free(s->name);
        free(s->id);
        free(s->adapter);
        free(s->url);
        free(s->cwd);
        free(s->where);
        list_free(s->argv);
        server_auth_free(s);
        kv_free(s->env, s->n_env);
    }
    free(c->servers);
}

const struct config_server *config_server_find(const struct config *c, tda_str name) {
    for (size_t i = 0; i < c->n_servers; i++)
        if (tda_str_eq(tda_str_of(c->servers[i].name), name)) return &c->servers[i];
    return NULL;
}

int64_t config_server_idle_close(const struct config *c, const struct config_server *s) {
    return s && s->idle_close ? s->idle_close : c->mcp_idle_close;
}
