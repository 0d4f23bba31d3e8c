/* Inside of core/config: what loading passes around. */
#ifndef CONFIG_IMPL_H
#define CONFIG_IMPL_H

#include "config/value.h"
#include "config/yaml.h"

/* What plugins.load is without being said: all that come along. */
#define PLUGINS_DEFAULT "offline, openai, anthropic, google, azure, amazon, friendli, ollama, mcp"

struct config_shown {
    char **from; /* n_settings places: "default", "tda.yaml:3:1", "environment TDA_LOOPS", "--set" */
    char *listen_from, *plugins_from, *secret_readers_from;
};

struct loading {
    struct config *config;
    char *const *env;
    struct buf *report;
    struct buf *notes;
};

/* One line of the report: "WHERE: PATH: TEXT". */
void report_at(struct loading *l, const char *where, const char *path, const char *fmt, ...) PRINTF_LIKE(4, 5);
void report_nomem(struct loading *l);
const char *env_get(char *const *env, const char *name); /* NULL: not set */
/* Copies, and says out of memory in the report. */
char *keep(struct loading *l, const char *text);

/* sections.c: what is no scalar of the table. Each reports its own errors. */
bool section_read(struct loading *l, const char *path, const struct ynode *n); /* false: `path` is no section */
extern const char *const section_names[];                                      /* NULL-terminated */
/* servers.c: mcp_servers */
void read_server(struct loading *l, const struct ynode *entry);
void servers_free(struct config *c);
/* server_auth.c: its members headers, bearer and oauth. False: it is none of them. */
bool server_auth_read(struct loading *l, struct config_server *s, const struct ynode *m, const char *path);
void server_auth_check(struct loading *l, const struct config_server *s, const char *where, const char *path);
void server_auth_free(struct config_server *s);
/* profiles.c */
void read_profile(struct loading *l, const struct ynode *entry);
void profiles_free(struct config *c);
/* models.c: sections `models` and `prices`. */
void read_model(struct loading *l, const struct ynode *entry);
void read_price(struct loading *l, const struct ynode *entry);
void models_free(struct config *c);

/* explain.c: what each server's entry comes to. */
tda_status servers_digest(struct config *c);

tda_status section_defaults(struct loading *l);
tda_status section_list(struct loading *l, char ***list, const struct ynode *n, const char *path, bool split_commas);
void sections_free(struct config *c);
/* The text of a scalar with its ${...} expanded; `secret`: a part of it came from there. `per_user`: ${user_hash} and
 * ${session_hash} may stay in it. NULL after a failure, which is in the report. */
char *section_text(struct loading *l, const struct ynode *n, const char *path, bool per_user, bool *secret);
/* NULL-terminated lists of texts. list_add takes `text`; NULL: it was out of memory already. */
void list_add(struct loading *l, char ***list, char *text);
void list_free(char **list);
/* A setting or credential; ${env:X} is expanded, and marks it as a secret. */
void kv_add(struct loading *l, struct config_kv **kv, size_t *n, const struct ynode *member, const char *path, bool per_user);
void kv_free(struct config_kv *kv, size_t n);
/* An entry's place in a growing array of structs; NULL after a report. */
void *entry_new(struct loading *l, void *array, size_t *n, size_t size, const struct ynode *entry, const char *section);

#endif
