/* The loaded plugins: loader, registry, instances. Loading follows one order: path rules, file rules, ELF audit without executing,
 * dlopen of the very descriptor that was checked, entry, boot. Never unloaded. One bad plugin never stops the others. */
#ifndef PLUGIN_PLUGINS_H
#define PLUGIN_PLUGINS_H

#include "config/config.h"
#include "context/context.h"
#include "loop/loop.h"
#include "tda/plugin.h"
#include "json/json.h"

struct note; /* plugin/note.h: what the ELF note says */
struct plugins;
struct plugin;

/* Loads config->plugins on the calling thread [boot]; refusals are logged and kept for plugin.list. Then overlays the notes' `env`
 * variables on the shared context's provider settings and checks providers.NAME.KEY against the notes: unknown keys, bad values and
 * an unknown `plugin` are config errors, appended to `report` with their place (E_INVALID). */
tda_status plugins_new(const struct config *c, char *const *env, struct plugins **ret, struct buf *report);
/* Instances of every plugin on this loop: [loop] open / close. plugins_close_loop comes after the last call of the loop is dropped.
 */
tda_status plugins_open_loop(struct plugins *ps, struct loop *l);
void plugins_end_conns(struct plugins *ps, struct loop *l); /* [loop] says goodbye on all connections; they end a while later */
void plugins_close_loop(struct plugins *ps, struct loop *l);
void plugins_free(struct plugins *ps);
/* [any] What this user was authorised for at MCP servers is gone. */
void plugins_forget(struct plugins *ps, tda_str user);
struct oauth_stats;
void plugins_oauth_stats(const struct plugins *ps, struct oauth_stats *ret); /* [any] */

/* Takes no more blocking calls and waits for those that run. False: some have not returned within grace_ns; from then on nothing
 * that they may touch can be freed, ps and the loops least of all. [main] after the last request */
bool plugins_stop_workers(struct plugins *ps, int64_t grace_ns);

/* Hot load: a new plugin, or another version of one beside the one that serves. New calls go to the new generation, running ones
 * and live connections end on the old. [any] E_INVALID, E_DENIED: `what` is neither a plugin's id nor a file that plugins.load or
 * plugins.dir allow; E_BUSY. After TDA_OK `done` comes once, on a worker: e NULL and what was loaded (borrowed), or why the old one
 * goes on serving. */
struct loaded_plugin {
    const char *id, *version, *file;
    uint32_t generation;
};
typedef void (*plugins_loaded_fn)(void *arg, const struct loaded_plugin *loaded, const struct error *e);
tda_status plugins_load(struct plugins *ps, tda_str what, plugins_loaded_fn done, void *arg, struct error *e);

/* [any] array of {id, version, generation, file, state: "loaded"|"replaced"|"refused", reason?, provides, hosts, calls, in_flight,
 * connections, bugs} */
void plugins_write(const struct plugins *ps, struct jw *w);
size_t plugins_refused(const struct plugins *ps); /* [any] how many; each was logged with its reason */

struct workers_stats;
void plugins_worker_stats(const struct plugins *ps, struct workers_stats *ret); /* [any] */

/* A provider as a user names it: an entry of providers.* or, without one, a loaded plugin's id. */
struct provider_entry {
    const char *name;                     /* as the operator writes it, or the plugin's id */
    struct plugin *plugin;                /* NULL: configured, but its plugin is not loaded */
    const struct config_provider *config; /* NULL: no entry */
    struct entry_addresses *addresses;    /* entry.c; NULL without a plugin */
};
/* [any] E_NOT_FOUND "unknown_provider" (lists the known ones), E_UNSUPPORTED "plugin_not_loaded". Case does not matter. */
tda_status plugins_provider(const struct plugins *ps, tda_str name, const struct provider_entry **ret, struct error *e);
/* Effective value of a setting for this snapshot: user's (where the note lets him), else operator's, else the note's default.
 * base_url is had from plugins_address. */
tda_str plugins_setting(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name);
/* The note's config entry: is `name` a secret of this provider; is it required; may a user set it. */
struct setting_rule {
    const char *name, *type, *fallback, *help;
    bool user, required, secret;
};
size_t plugins_rules(const struct provider_entry *p, const struct setting_rule **ret_rules);

/* Would a call on this snapshot, whose user has no secret `name` of his own, use the operator's, and is there one? (Shared mode, or
 * contexts.users_may_use_host_keys.) */
bool plugins_host_secret(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, const char *name);

/* ---- under another configuration (reconfigure.c) [job thread] ---- */

struct registry;
/* The plugins that are loaded, as providers of `c`. What does not fit the plugins' notes goes into the report: INVALID. BUSY while
 * a plugin.load is under way; one at a time. Ends with plugins_publish or plugins_discard. */
tda_status plugins_prepare(struct plugins *ps, const struct config *c, struct registry **ret, struct buf *report);
/* A line for each plugin of plugins.load that a start with `c` would refuse: its file is gone, or is not what may be loaded. */
void plugins_foresee(const struct config *c, struct buf *report);
void plugins_publish(struct plugins *ps, struct registry *r);
void plugins_discard(struct plugins *ps, struct registry *r);
/* The plugins as they would be, to check with; nothing may be called on it. */
tda_status plugins_view(const struct plugins *ps, const struct config *c, struct registry *r, struct plugins **ret);
void plugins_view_free(struct plugins *view);

/* ---- where calls go (address.c) ---- */

enum { ADDRESS_MAX = 2049, ORIGIN_SIZE = 300 };
struct address {
    char url[ADDRESS_MAX];
    char origin[ORIGIN_SIZE];
    char name[80]; /* what says so: "base_url", "azure_deployment_details.endpoint" */
    bool users;    /* the user says so, and not the operator or the plugin */
};
/* The address of this snapshot's calls: of the context's member that the note names, else the user's base_url, else the operator's,
 * else the note's. NOT_FOUND: none, the plugin knows its hosts; INVALID: no address. `name` and `users` are set in any case. */
tda_status plugins_address(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, struct address *ret);

/* May a call on this snapshot go to `origin`? To the plugin's own hosts (the note's, or the operator's in their place), to the
 * operator's base_url, to the user's address; else DENIED. `ret_user`: only the user says this address. */
tda_status plugins_check_target(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s,
                                const char *origin, bool *ret_user);
bool plugins_is_own_host(const struct provider_entry *p, const char *origin);

/* What the user's secrets are to be bound to: the origin of his calls' address; without an address OWN_HOSTS, so that a host that
 * is made of his region keeps them; "" when the plugin talks to nobody. */
#define OWN_HOSTS "own hosts"
tda_status plugins_origin(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s, char out[ORIGIN_SIZE],
                          struct error *e);

/* Does this snapshot talk to the vendor's own address (a host of the note's)? There a `required` credential is required; another
 * base_url may be a server that wants none. */
bool plugins_at_home(const struct plugins *ps, const struct provider_entry *p, const struct snapshot *s);

#endif
