/* The configuration: one table of settings (settings.def), a YAML file, the environment, the command line.
 *
 * Precedence: default < YAML < environment < command line. The result is immutable and shared by all threads.
 * Strict: an unknown key, a wrong type, a bad unit, a duplicate key or a value out of range is refused with file:line:column, the
 * nearest right name and what is allowed; all errors of a file are reported at once. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdatomic.h>

#include "base/buf.h"

struct config_kv {
    char *key;
    char *val;
    char *where;    /* "tda.yaml:12:3", "--set" */
    bool is_secret; /* came from ${env:X}, ${file:X} or ${credential:X}, or the key says so (api_key, token, ...): never shown */
};

/* providers.NAME: {plugin: ..., hosts: [...], <settings of the plugin's schema>}. `plugin` defaults to the name in lower case.
 * Which keys a plugin takes is checked by core/plugin against its note, with file:line:column from `where`. */
struct config_provider {
    char *name;
    char *plugin;
    struct config_kv *settings;
    size_t n_settings;
    char **hosts; /* in place of the note's, NULL-terminated; NULL: the note's. Checked by core/plugin */
    char *hosts_where;
    char *where; /* "tda.yaml:12:3", or the variable */
};

/* How the host may get tokens for a server at a url. All of it may be left out: what a server asks for is then found out. */
enum { SERVER_HEADERS_MAX = 16 };
enum oauth_grant { OAUTH_AUTHORIZATION_CODE, OAUTH_CLIENT_CREDENTIALS };
struct config_oauth {
    bool off; /* `oauth: false` */
    enum oauth_grant grant;
    char *issuer;                    /* the only one that is accepted; NULL: the one that the server names */
    char *client_id, *client_secret; /* registered before, by hand */
    char *client_metadata_url;       /* a client id that is the address of its own description */
    char *scopes;                    /* asked for in any case */
    char *redirect_uri;
};

/* mcp_servers.NAME: {id, command: [...], env: {K: V}, cwd} or {id, url}, and how connections to it are kept. ${user_hash} and
 * ${session_hash} stay in args and env, to be filled in per connection; ${env:X} is expanded here. */
struct config_server {
    char *name;
    char *id;      /* default: the name */
    char *adapter; /* default "mcp" */
    char **argv;   /* NULL-terminated; NULL for a url */
    char *url;
    char *cwd;
    struct config_kv *env;
    size_t n_env;
    struct config_kv *headers; /* of a url; each request has them */
    size_t n_headers;
    char *bearer; /* a token that stands in the configuration */
    struct config_oauth oauth;
    uint32_t era;       /* enum tda_server_era */
    uint32_t asks;      /* enum tda_server_asks, bits: what it may ask its user for */
    bool pin_tools;     /* its tools are pinned: what has changed is refused until the user approves it */
    bool share;         /* one connection of a loop for all users; else each user has his own */
    bool stateful;      /* or each session of a user, when the server is not to mix them up */
    int64_t idle_close; /* 0: mcp.idle_close; see config_server_idle_close */
    char *where;
    unsigned char digest[32]; /* of all that is said of it: the same after a reload? */
};

/* profiles.TAG: a profile for everybody. `settings` by the names that configure takes: provider, model, base_url, aws_region,
 * model_provider_in_profile, mcp_server (a name; "" for none), azure_deployment_details.endpoint ... Whether they fit the provider
 * is checked by core/agent, with file:line:column from `where`. Credentials are ${env:X} or ${credential:X}. */
struct config_profile {
    char *tag;
    struct config_kv *settings;
    size_t n_settings;
    struct config_kv *credentials;
    size_t n_credentials;
    char **tools, **prompts; /* enabled ones, NULL-terminated; NULL: all */
    char *where;
};

/* models and prices, by "PROVIDER/MODEL" or, for all others of a provider, by "PROVIDER": what the operator knows of a model. */
struct config_model {
    char *name;
    int64_t context; /* tokens that it takes in; 0: not said */
    bool has_price;
    double input, output, cache_read; /* per million tokens, in whatever money the operator counts */
    char *where, *price_where;
};

/* Unix users, as written and as numbers. */
struct config_uids {
    char **names; /* NULL-terminated; NULL: none */
    uint32_t *list;
    size_t n;
    char *from;
};

struct config {
#define BOOL bool
#define INT int64_t
#define SIZE int64_t
#define TIME int64_t
#define ENUM int64_t
#define TEXT char *
#define AMOUNT double
#define S(member, path, type, def, min, max, env, help) type member;
#include "config/settings.def"
#undef S
#undef BOOL
#undef INT
#undef SIZE
#undef TIME
#undef ENUM
#undef TEXT
#undef AMOUNT
    char **listen;                            /* NULL-terminated */
    struct config_uids operators, front_ends; /* identity.operators, identity.front_ends */
    char **plugins;                           /* plugins.load: names or absolute paths; NULL-terminated */
    char **secret_readers;  /* plugins.allow_secrets: ids of plugins that may read credentials in clear; NULL: none */
    struct config_kv *pins; /* plugins.sha256: {NAME: hex} */
    size_t n_pins;
    struct config_provider *providers;
    size_t n_providers;
    struct config_server *servers;
    size_t n_servers;
    struct config_profile *profiles;
    size_t n_profiles;
    struct config_model *models; /* of models and prices */
    size_t n_models;
    struct config_shown *shown; /* where each setting came from, for --explain */
    /* Of the one that the daemon began with: what counts now (config_now). NULL until the first reload. */
    _Atomic(const struct config *) now;
};

/* Where settings come from. `path` NULL: no file. `env` like environ; `flags`: "a.b=value" each (tdad --set). */
struct config_source {
    const char *path;
    char *const *env;
    const char *const *flags;
    size_t n_flags;
};

/* On failure ret_config is untouched and `report` holds one line per error. `notes` gets one line for each thing worth saying that
 * is no error (an old variable name accepted). Both are text for people. */
tda_status config_load(const struct config_source *source, struct config **ret_config, struct buf *report, struct buf *notes);
void config_free(struct config *c);

/* Reloading. The parts of the host keep the configuration they were started with and read through config_now, so each reading sees
 * one configuration whole; a request keeps the one it began with. What was replaced stays until the end: calls, connections and
 * registries point into it. [any] */
static inline const struct config *config_now(const struct config *first) {
    const struct config *now = atomic_load_explicit(&first->now, memory_order_acquire);
    return now ? now : first;
}
void config_publish(struct config *first, const struct config *next);
/* Each setting that has another value, secrets included, by path. `fixed`: it is read at the start only. NOMEM: fn was not called.
 */
typedef void (*config_changed_fn)(void *arg, const char *path, bool fixed);
tda_status config_diff(const struct config *before, const struct config *after, config_changed_fn fn, void *arg);

const char *config_plugins_from(const struct config *c); /* where plugins.load stands: "tda.yaml:3:1", "default" */
const struct config_provider *config_provider_find(const struct config *c, tda_str name); /* ASCII case does not matter */
const struct config_server *config_server_find(const struct config *c, tda_str name);
/* ns without a call after which a connection is closed; `s` NULL: a server of a user's own */
int64_t config_server_idle_close(const struct config *c, const struct config_server *s);

/* The model's own entry counts, else its provider's. [any] */
int64_t config_model_context(const struct config *c, tda_str provider, tda_str model); /* without an entry calls.max_context */
const struct config_model *config_model_price(const struct config *c, tda_str provider, tda_str model); /* NULL: none */

/* The path of something that outlives the daemon, into out: `given`, or FILE in $STATE_DIRECTORY (a unit's), /var/lib/tda (root) or
 * the user's state folder; folders that are not there are made (0700). "" for "none", and when there is no such folder to be had.
 */
void state_path(const char *given, const char *file, char *out, size_t size);

/* Every effective setting: as a table for people, or as JSON (array of {path, value, unit?, source, default, help, variable}).
 * Secrets are shown as "(set)". */
void config_explain(const struct config *c, bool json, struct buf *out);
/* The reference of all settings, from the table, as Markdown. */
void config_reference(struct buf *out);

/* Environment variables of providers' keys are not read here: core/plugin overlays them by the notes' `env` lines. */

#endif
