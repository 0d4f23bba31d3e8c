/* The parts of the configuration that are lists and maps: listen, plugins.load, plugins.sha256, plugins.allow_secrets, providers,
 * identity's users (mcp_servers, profiles and models are read in files of their own). */
#include "config/config_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

enum { EXPANDED_MAX = 64 << 10, ENTRIES_MAX = 1000 };

const char *const section_names[] = {
    "listen",   "plugins.load", "plugins.sha256", "plugins.allow_secrets", "providers",           "mcp_servers",
    "profiles", "models",       "prices",         "identity.operators",    "identity.front_ends", NULL};

/* ---- ${env:X}, ${file:X}, ${credential:X} ---- */

/* `reference`: what stands between the braces. */
static void add_file(struct loading *l, const struct ynode *n, const char *path, const char *reference, const char *file,
                     struct buf *out) {
    char text[16384];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (got < 0)
        report_at(l, n->where, path, "${%.200s}: %s", reference, strerror(errno));
    else if (got == sizeof text)
        report_at(l, n->where, path, "${%.200s}: longer than 16 KB", reference);
    else {
        while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == '\r')) got--; /* what an editor leaves at the end */
        if (memchr(text, 0, (size_t)got))
            report_at(l, n->where, path, "${%.200s}: holds a NUL byte", reference);
        else
            buf_add(out, text, (size_t)got);
    }
    if (fd >= 0) close(fd);
    wipe(text, sizeof text);
}

/* What systemd's LoadCredential= and LoadCredentialEncrypted= put into a folder of this service's own. */
static void add_credential(struct loading *l, const struct ynode *n, const char *path, const char *reference, struct buf *out) {
    const char *name = strchr(reference, ':') + 1, *dir = env_get(l->env, "CREDENTIALS_DIRECTORY");
    char file[PATH_MAX];
    if (!name[0] || name[0] == '.' || strchr(name, '/'))
        report_at(l, n->where, path, "${%.200s}: the name of a credential is wanted, as LoadCredential= has it", reference);
    else if (!dir || dir[0] != '/')
        report_at(l, n->where, path,
                  "${%.200s}: there are no credentials; systemd sets CREDENTIALS_DIRECTORY where the unit has "
                  "LoadCredential=%.60s:/a/file",
                  reference, name);
    else if (snprintf(file, sizeof file, "%s/%s", dir, name) < (int)sizeof file)
        add_file(l, n, path, reference, file, out);
}

/* One ${...}: `name` is what stands between the braces. */
static void add_reference(struct loading *l, const struct ynode *n, const char *path, const char *name, bool per_user,
                          struct buf *out, bool *secret) {
    if (strncmp(name, "env:", 4) == 0) {
        const char *value = env_get(l->env, name + 4);
        if (value)
            buf_add_z(out, value);
        else
            report_at(l, n->where, path, "${%.100s}: this variable is not set", name);
        *secret = true;
    } else if (strncmp(name, "file:", 5) == 0) {
        add_file(l, n, path, name, name + 5, out);
        *secret = true;
    } else if (strncmp(name, "credential:", 11) == 0) {
        add_credential(l, n, path, name, out);
        *secret = true;
    } else if (per_user && (strcmp(name, "user_hash") == 0 || strcmp(name, "session_hash") == 0)) {
        buf_addf(out, "${%s}", name); /* filled in for each connection */
    } else {
        report_at(l, n->where, path, "${%.60s} is not known; there are ${env:NAME}, ${file:PATH}, ${credential:NAME}%s", name,
                  per_user ? ", ${user_hash}, ${session_hash}" : "");
    }
}

char *section_text(struct loading *l, const struct ynode *n, const char *path, bool per_user, bool *secret) {
    struct buf out;
    char name[300];
    *secret = false;
    if (n->kind != YNODE_SCALAR) {
        report_at(l, n->where, path, "a text is wanted here, not a %s", n->kind == YNODE_MAP ? "map" : "list");
        return NULL;
    }
    buf_init(&out, EXPANDED_MAX);
    for (const char *p = n->text; *p;) {
        const char *dollar = strstr(p, "${");
        if (!dollar) dollar = p + strlen(p);
        buf_add(&out, p, (size_t)(dollar - p));
        if (!*dollar) break;
        const char *end = strchr(dollar, '}');
        if (!end || (size_t)(end - dollar) >= sizeof name) {
            report_at(l, n->where, path, "\"${\" without its \"}\"");
            break;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - dollar - 2), dollar + 2);
        add_reference(l, n, path, name, per_user, &out, secret);
        p = end + 1;
    }
    if (!out.n) buf_add(&out, "", 0);
    char *text = buf_take(&out, NULL);
    if (!text) text = keep(l, "");
    return text;
}

/* ---- lists ---- */

static size_t list_count(char **list) {
    size_t n = 0;
    while (list && list[n]) n++;
    return n;
}

void list_free(char **list) {
    for (char **t = list; t && *t; t++) free(*t);
    free(list);
}

void list_add(struct loading *l, char ***list, char *text) {
    size_t n = list_count(*list);
    char **grown = text ? realloc(*list, (n + 2) * sizeof *grown) : NULL;
    if (!grown) {
        if (text) report_nomem(l);
        free(text);
        return;
    }
    grown[n] = text;
    grown[n + 1] = NULL;
    *list = grown;
}

static void list_split(struct loading *l, char ***list, const char *text) {
    while (*text) {
        size_t n = strcspn(text, ",");
        tda_str item = {text, n};
        while (item.n && *item.p == ' ') item = (tda_str){item.p + 1, item.n - 1};
        while (item.n && item.p[item.n - 1] == ' ') item.n--;
        if (item.n) list_add(l, list, str_dup(item));
        text += n + (text[n] == ',');
    }
}

/* In place of what was there: the file's list is not added to the default's. */
tda_status section_list(struct loading *l, char ***list, const struct ynode *n, const char *path, bool split_commas) {
    list_free(*list);
    *list = calloc(1, sizeof **list);
    if (!*list) return TDA_E_NOMEM;
    if (n->kind == YNODE_MAP) {
        report_at(l, n->where, path, "a list is wanted here: [a, b]");
        return TDA_OK;
    }
    if (n->kind == YNODE_SCALAR) {
        if (split_commas)
            list_split(l, list, n->text);
        else if (n->text[0])
            list_add(l, list, keep(l, n->text));
        return TDA_OK;
    }
    for (const struct ynode *i = n->first; i; i = i->next) {
        if (i->kind == YNODE_SCALAR && i->text[0])
            list_add(l, list, keep(l, i->text));
        else
            report_at(l, i->where, path, "each item of this list is a text");
    }
    return TDA_OK;
}

static bool is_port(const char *text) {
    char *end;
    long port = strtol(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && port <= 65535;
}

/* HOST:PORT, and for a websocket a path. Which of them may be bound is core/server's to say. */
static bool is_address(const char *url) {
    static const char *const schemes[] = {"tcp://", "tls+tcp://", "ws://", "wss://"};
    char host[256];
    if (strncmp(url, "ipc://", 6) == 0) return url[6] == '/';
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (strncmp(url, schemes[i], n) != 0) continue;
        snprintf(host, sizeof host, "%.*s", (int)(schemes[i][0] == 'w' ? strcspn(url + n, "/") : strlen(url + n)), url + n);
        const char *colon = strrchr(host, ':');
        return colon && colon > host && is_port(colon + 1);
    }
    return false;
}

static void read_listen(struct loading *l, const struct ynode *n) {
    section_list(l, &l->config->listen, n, "listen", true);
    if (!list_count(l->config->listen))
        report_at(l, n->where, "listen",
                  "at least one address is wanted, such as ipc:///run/tda/tda.sock or tls+tcp://0.0.0.0:7701");
    for (char **url = l->config->listen; url && *url; url++)
        if (!is_address(*url))
            report_at(l, n->where, "listen",
                      "\"%.100s\" is not possible; allowed: ipc:///absolute/path, and tcp, tls+tcp, ws and wss "
                      "with HOST:PORT, as tls+tcp://0.0.0.0:7701 or ws://127.0.0.1:7702/tda",
                      *url);
    free(l->config->shown->listen_from);
    l->config->shown->listen_from = keep(l, n->where);
}

/* A user's name or number. */
static bool find_uid(const char *name, uint32_t *ret) {
    char text[4096], *end;
    struct passwd entry, *found = NULL;
    unsigned long n = strtoul(name, &end, 10);
    bool is_number = name[0] >= '0' && name[0] <= '9' && !*end && n < UINT32_MAX;
    if (!is_number && (getpwnam_r(name, &entry, text, sizeof text, &found) || !found)) return false;
    *ret = is_number ? (uint32_t)n : entry.pw_uid;
    return true;
}

static void read_uids(struct loading *l, struct config_uids *u, const struct ynode *n, const char *path) {
    section_list(l, &u->names, n, path, true);
    free(u->list);
    u->n = 0;
    u->list = calloc(list_count(u->names) + 1, sizeof *u->list);
    if (!u->list) report_nomem(l);
    for (char **name = u->names; u->list && name && *name; name++)
        if (!find_uid(*name, &u->list[u->n++])) report_at(l, n->where, path, "\"%.64s\" is no user of this machine", *name);
    free(u->from);
    u->from = keep(l, n->where);
}

static void uids_free(struct config_uids *u) {
    list_free(u->names);
    free(u->list);
    free(u->from);
}

static void read_load(struct loading *l, const struct ynode *n) {
    section_list(l, &l->config->plugins, n, "plugins.load", true);
    for (char **name = l->config->plugins; name && *name; name++)
        if (strchr(*name, '/') && (*name)[0] != '/')
            report_at(l, n->where, "plugins.load", "\"%.100s\": a name (NAME.so in plugins.dir) or an absolute path", *name);
    free(l->config->shown->plugins_from);
    l->config->shown->plugins_from = keep(l, n->where);
}

static void read_secret_readers(struct loading *l, const struct ynode *n) {
    section_list(l, &l->config->secret_readers, n, "plugins.allow_secrets", true);
    free(l->config->shown->secret_readers_from);
    l->config->shown->secret_readers_from = keep(l, n->where);
}

/* ---- maps ---- */

void kv_free(struct config_kv *kv, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(kv[i].key);
        if (kv[i].val) wipe(kv[i].val, strlen(kv[i].val));
        free(kv[i].val);
        free(kv[i].where);
    }
    free(kv);
}

/* Keys that hold a secret whoever named them. */
static bool sounds_secret(const char *key) {
    static const char *const words[] = {"key", "token", "secret", "password", "passwd", "credential", "authorization"};
    char lower[128];
    size_t i = 0;
    for (; i < sizeof lower - 1 && key[i]; i++) lower[i] = key[i] >= 'A' && key[i] <= 'Z' ? (char)(key[i] - 'A' + 'a') : key[i];
    lower[i] = 0;
    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        if (strstr(lower, words[w])) return true;
    return false;
}

void kv_add(struct loading *l, struct config_kv **kv, size_t *n, const struct ynode *member, const char *path, bool per_user) {
    bool secret;
    char *val = section_text(l, member, path, per_user, &secret);
    struct config_kv *grown = val ? realloc(*kv, (*n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        if (val) report_nomem(l);
        free(val);
        return;
    }
    *kv = grown;
    grown[(*n)++] = (struct config_kv){keep(l, member->key), val, keep(l, member->where), secret || sounds_secret(member->key)};
}

static bool name_ok(const char *name) {
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > 64) return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

void *entry_new(struct loading *l, void *array, size_t *n, size_t size, const struct ynode *entry, const char *section) {
    if (entry->kind != YNODE_MAP) report_at(l, entry->where, section, "\"%.64s\" wants a map of settings", entry->key);
    if (!name_ok(entry->key))
        report_at(l, entry->where, section, "the name \"%.64s\" is not possible; allowed: A-Z a-z 0-9 _ . -, at most 64",
                  entry->key);
    if (entry->kind != YNODE_MAP || !name_ok(entry->key)) return NULL;
    void **base = array;
    char *grown = *n < ENTRIES_MAX ? realloc(*base, (*n + 1) * size) : NULL;
    if (!grown) {
        report_at(l, entry->where, section, "%s", *n < ENTRIES_MAX ? "out of memory" : "too many entries");
        return NULL;
    }
    *base = grown;
    return memset(grown + (*n)++ * size, 0, size);
}

static char *lower_case(struct loading *l, const char *text) {
    char *copy = keep(l, text);
    for (char *p = copy; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    return copy;
}

static void read_hosts(struct loading *l, struct config_provider *p, const struct ynode *m, const char *path) {
    section_list(l, &p->hosts, m, path, false);
    p->hosts_where = keep(l, m->where);
}

static void read_provider(struct loading *l, const struct ynode *entry) {
    struct config *c = l->config;
    char path[200];
    bool secret;
    if (entry->key && config_provider_find(c, tda_str_of(entry->key)))
        report_at(l, entry->where, "providers", "\"%.64s\" is there already: case does not matter in names", entry->key);
    struct config_provider *p = entry_new(l, &c->providers, &c->n_providers, sizeof *p, entry, "providers");
    if (!p) return;
    p->name = keep(l, entry->key);
    p->where = keep(l, entry->where);
    for (const struct ynode *m = entry->first; m; m = m->next) {
        snprintf(path, sizeof path, "providers.%.64s.%.64s", entry->key, m->key);
        if (strcmp(m->key, "plugin") == 0)
            p->plugin = section_text(l, m, path, false, &secret);
        else if (strcmp(m->key, "hosts") == 0)
            read_hosts(l, p, m, path);
        else
            kv_add(l, &p->settings, &p->n_settings, m, path, false);
    }
    if (!p->plugin) p->plugin = lower_case(l, entry->key);
}

static void read_pin(struct loading *l, const struct ynode *m) {
    struct config *c = l->config;
    char path[120];
    snprintf(path, sizeof path, "plugins.sha256.%.64s", m->key);
    if (m->kind != YNODE_SCALAR || strlen(m->text) != 64 || strspn(m->text, "0123456789abcdef") != 64)
        report_at(l, m->where, path, "64 hexadecimal digits in lower case are wanted: sha256sum FILE");
    else
        kv_add(l, &c->pins, &c->n_pins, m, path, false);
}

bool section_read(struct loading *l, const char *path, const struct ynode *n) {
    void (*read_entry)(struct loading *, const struct ynode *) = strcmp(path, "providers") == 0        ? read_provider
                                                                 : strcmp(path, "mcp_servers") == 0    ? read_server
                                                                 : strcmp(path, "plugins.sha256") == 0 ? read_pin
                                                                 : strcmp(path, "profiles") == 0       ? read_profile
                                                                 : strcmp(path, "models") == 0         ? read_model
                                                                 : strcmp(path, "prices") == 0         ? read_price
                                                                                                       : NULL;
    if (strcmp(path, "listen") == 0)
        read_listen(l, n);
    else if (strcmp(path, "plugins.load") == 0)
        read_load(l, n);
    else if (strcmp(path, "plugins.allow_secrets") == 0)
        read_secret_readers(l, n);
    else if (strcmp(path, "identity.operators") == 0)
        read_uids(l, &l->config->operators, n, path);
    else if (strcmp(path, "identity.front_ends") == 0)
        read_uids(l, &l->config->front_ends, n, path);
    else if (!read_entry)
        return false;
    else if (n->kind != YNODE_MAP)
        report_at(l, n->where, path, "a map is wanted here: NAME: {...}");
    else
        for (const struct ynode *m = n->first; m; m = m->next) read_entry(l, m);
    return true;
}

/* The daemon's own folder: the unit's RuntimeDirectory=, /run/tda for root, the user's runtime folder else. */
tda_status section_defaults(struct loading *l) {
    char url[256];
    const char *service = env_get(l->env, "RUNTIME_DIRECTORY"), *runtime = env_get(l->env, "XDG_RUNTIME_DIR");
    if (service && service[0] == '/' && strlen(service) < 90)
        snprintf(url, sizeof url, "ipc://%s/tda.sock", service);
    else if (geteuid() == 0)
        snprintf(url, sizeof url, "ipc:///run/tda/tda.sock");
    else if (runtime && runtime[0] == '/' && strlen(runtime) < 90)
        snprintf(url, sizeof url, "ipc://%s/tda/tda.sock", runtime);
    else
        snprintf(url, sizeof url, "ipc:///tmp/tda-%u/tda.sock", (unsigned)geteuid());
    list_add(l, &l->config->listen, keep(l, url));
    list_split(l, &l->config->plugins, PLUGINS_DEFAULT);
    l->config->shown->listen_from = keep(l, "default");
    l->config->shown->plugins_from = keep(l, "default");
    return TDA_OK;
}

void sections_free(struct config *c) {
    list_free(c->listen);
    list_free(c->plugins);
    list_free(c->secret_readers);
    uids_free(&c->operators);
    uids_free(&c->front_ends);
    kv_free(c->pins, c->n_pins);
    for (size_t i = 0; i < c->n_providers; i++) {
        free(c->providers[i].name);
        free(c->providers[i].plugin);
        free(c->providers[i].where);
        free(c->providers[i].hosts_where);
        list_free(c->providers[i].hosts);
        kv_free(c->providers[i].settings, c->providers[i].n_settings);
    }
    free(c->providers);
    servers_free(c);
    profiles_free(c);
    models_free(c);
}

const struct config_provider *config_provider_find(const struct config *c, tda_str name) {
    for (size_t i = 0; i < c->n_providers; i++)
        if (str_equal_nocase(tda_str_of(c->providers[i].name), name)) return &c->providers[i];
    return NULL;
}
