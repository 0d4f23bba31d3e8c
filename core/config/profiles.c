/* The section `profiles`: what the operator offers everybody as @TAG. */
#include <stdio.h>

#include "config/config_impl.h"

enum { PATH_SIZE = 200 };

static const char *const known[] = {
    "provider",   "model", "base_url", "aws_region", "model_provider_in_profile", "azure_deployment_details", "friendli_details",
    "mcp_server", "tools", "prompts",  "credentials"};

static bool is_map_of(const char *key) {
    return strcmp(key, "azure_deployment_details") == 0 || strcmp(key, "friendli_details") == 0;
}

static bool is_known(const char *key) {
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(key, known[i]) == 0) return true;
    return false;
}

static bool is_reference(const struct ynode *n) {
    if (n->kind != YNODE_SCALAR || strcspn(n->text, "}") + 1 != strlen(n->text)) return false;
    return strncmp(n->text, "${env:", 6) == 0 || strncmp(n->text, "${credential:", 13) == 0;
}

/* A file is for everybody who may read it: a key in it is a mistake that should not start. */
static void read_credentials(struct loading *l, struct config_profile *p, const struct ynode *n, const char *path) {
    char member[PATH_SIZE + 80];
    if (n->kind != YNODE_MAP) {
        report_at(l, n->where, path, "a map is wanted here: {api_key: \"${env:NAME}\"}");
        return;
    }
    for (const struct ynode *m = n->first; m; m = m->next) {
        snprintf(member, sizeof member, "%s.%.64s", path, m->key);
        if (is_reference(m))
            kv_add(l, &p->credentials, &p->n_credentials, m, member, false);
        else
            report_at(l, m->where, member,
                      "a credential is given as \"${env:NAME}\" or \"${credential:NAME}\" here, and in no other way");
    }
}

static void read_details(struct loading *l, struct config_profile *p, const struct ynode *n, const char *path) {
    char member[PATH_SIZE + 80];
    if (n->kind != YNODE_MAP) {
        report_at(l, n->where, path, "a map is wanted here: {NAME: value}");
        return;
    }
    for (const struct ynode *m = n->first; m; m = m->next) {
        snprintf(member, sizeof member, "%s.%.64s", path, m->key);
        if (strcmp(m->key, "token") == 0) {
            report_at(l, m->where, member, "a token belongs into `credentials`");
            continue;
        }
        size_t before = p->n_settings;
        kv_add(l, &p->settings, &p->n_settings, m, member, false);
        if (p->n_settings == before) continue;
        char key[160];
        snprintf(key, sizeof key, "%.64s.%.64s", n->key, m->key);
        free(p->settings[before].key);
        p->settings[before].key = keep(l, key);
    }
}

/* `mcp_server: null` is none, where leaving it out means the user's own. */
static void read_server_name(struct loading *l, struct config_profile *p, const struct ynode *n, const char *path) {
    bool none = n->kind == YNODE_SCALAR && !n->quoted && (strcmp(n->text, "null") == 0 || strcmp(n->text, "~") == 0);
    struct ynode empty = *n;
    empty.text = (char[]){""};
    kv_add(l, &p->settings, &p->n_settings, none ? &empty : n, path, false);
}

static void read_member(struct loading *l, struct config_profile *p, const struct ynode *m, const char *path) {
    if (strcmp(m->key, "credentials") == 0) {
        read_credentials(l, p, m, path);
    } else if (strcmp(m->key, "tools") == 0) {
        if (section_list(l, &p->tools, m, path, false)) report_nomem(l);
    } else if (strcmp(m->key, "prompts") == 0) {
        if (section_list(l, &p->prompts, m, path, false)) report_nomem(l);
    } else if (is_map_of(m->key)) {
        read_details(l, p, m, path);
    } else if (strcmp(m->key, "mcp_server") == 0) {
        read_server_name(l, p, m, path);
    } else if (is_known(m->key)) {
        kv_add(l, &p->settings, &p->n_settings, m, path, false);
    } else {
        const char *best = nearest_word(tda_str_of(m->key), known, ARRAY_LEN(known));
        report_at(l, m->where, path, "there is no such setting; %s%s",
                  best ? "did you mean "
                       : "there are provider, model, base_url, credentials, mcp_server, tools, prompts and details",
                  best ? best : "");
    }
}

static bool tag_ok(struct loading *l, const struct ynode *entry) {
    const struct config *c = l->config;
    if (!tag_valid(tda_str_of(entry->key))) {
        report_at(l, entry->where, "profiles", "the tag \"%.64s\" is not possible; allowed: A-Z a-z 0-9 _ -, at most 32",
                  entry->key);
        return false;
    }
    for (size_t i = 0; i < c->n_profiles; i++) {
        if (!str_equal_nocase(tda_str_of(c->profiles[i].tag), tda_str_of(entry->key))) continue;
        report_at(l, entry->where, "profiles", "\"%.64s\" is there already: case does not matter in tags", entry->key);
        return false;
    }
    return true;
}

void read_profile(struct loading *l, const struct ynode *entry) {
    struct config *c = l->config;
    char path[PATH_SIZE];
    if (!tag_ok(l, entry)) return;
    struct config_profile *p = entry_new(l, &c->profiles, &c->n_profiles, sizeof *p, entry, "profiles");
    if (!p) return;
    p->tag = keep(l, entry->key);
    p->where = keep(l, entry->where);
    if (!entry->first)
        report_at(l, entry->where, "profiles", "\"%.64s\" says nothing: give provider and model, or tools", entry->key);
    for (const struct ynode *m = entry->first; m; m = m->next) {
        snprintf(path, sizeof path, "profiles.%.64s.%.64s", entry->key, m->key);
        read_member(l, p, m, path);
    }
}

static void free_list(char **list) {
    for (char **t = list; t && *t; t++) free(*t);
    free(list);
}

void profiles_free(struct config *c) {
    for (size_t i = 0; i < c->n_profiles; i++) {
        struct config_profile *p = &c->profiles[i];
        free(p->tag);
        free(p->where);
        free_list(p->tools);
        free_list(p->prompts);
        kv_free(p->settings, p->n_settings);
        kv_free(p->credentials, p->n_credentials);
    }
    free(c->profiles);
}
