/* The process behind an adapter's connection: command and environment come from the operator's configuration, and from nowhere
 * else. */
#include <stdio.h>

#include "base/hash.h"
#include "plugin/plugin_impl.h"

/* What a child sees of the daemon's environment: where programs and a home are, and how to write. No keys. */
static const char *const passed_on[] = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"};

struct strings {
    char **list;
    size_t n;
};

static bool add(struct strings *s, char *text) {
    char **list = text ? realloc(s->list, (s->n + 2) * sizeof *list) : NULL;
    if (!list) {
        free(text);
        return false;
    }
    s->list = list;
    list[s->n++] = text;
    list[s->n] = NULL;
    return true;
}

static void strings_fini(struct strings *s) {
    for (size_t i = 0; i < s->n; i++) {
        wipe(s->list[i], strlen(s->list[i]));
        free(s->list[i]);
    }
    free(s->list);
}

/* What stands for the user and the session of a connection: the same after each restart, and not his name. Without a session, the
 * user's. */
struct hashes {
    char user[33], session[33];
};

static struct hashes hashes_of(const struct conn *c) {
    struct hashes h;
    hash_user_hex(tda_str_of(c->owner.user[0] ? c->owner.user : "shared"), h.user);
    memcpy(h.session, c->session[0] ? c->session : h.user, sizeof h.session);
    return h;
}

static char *expand(const char *prefix, const char *text, const struct hashes *h) {
    struct buf out;
    buf_init(&out, 64 << 10);
    buf_add_z(&out, prefix);
    while (*text) {
        if (strncmp(text, "${user_hash}", 12) == 0) {
            buf_add_z(&out, h->user);
            text += 12;
        } else if (strncmp(text, "${session_hash}", 15) == 0) {
            buf_add_z(&out, h->session);
            text += 15;
        } else {
            buf_add_char(&out, *text++);
        }
    }
    char *s = out.n ? buf_take(&out, NULL) : str_dup(TDA_STR(""));
    buf_fini(&out);
    return s;
}

static bool make_argv(struct strings *argv, const struct conn *c, const struct hashes *h) {
    for (char **a = c->server->argv; *a; a++)
        if (!add(argv, expand("", *a, h))) return false;
    return true;
}

static bool make_env(struct strings *env, const struct conn *c, const struct hashes *h) {
    char prefix[128];
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
        const char *value = getenv(passed_on[i]);
        snprintf(prefix, sizeof prefix, "%s=", passed_on[i]);
        bool replaced = false;
        for (size_t k = 0; k < c->server->n_env; k++) replaced |= strcmp(c->server->env[k].key, passed_on[i]) == 0;
        if (value && !replaced && !add(env, expand(prefix, value, h))) return false;
    }
    for (size_t i = 0; i < c->server->n_env; i++) {
        snprintf(prefix, sizeof prefix, "%s=", c->server->env[i].key);
        if (!add(env, expand(prefix, c->server->env[i].val, h))) return false;
    }
    return env->list || add(env, str_dup(TDA_STR("PATH=/usr/bin:/bin")));
}

tda_status server_flow_open(struct owner *o, flow_event_fn fn, void *arg, struct flow **ret, struct error *e) {
    struct conn *c = (struct conn *)o;
    struct strings argv = {0}, env = {0};
    struct hashes h = hashes_of(c);
    if (!c->server || !c->server->argv) return error_set(e, TDA_E_NOT_FOUND, NULL, "this server has no command");
    tda_status s = make_argv(&argv, c, &h) && make_env(&env, c, &h) ? TDA_OK : error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    if (!s) {
        struct proc_spec spec = {.lane = o->lane,
                                 .argv = argv.list,
                                 .env = env.list,
                                 .cwd = c->server->cwd,
                                 .label = c->server->name,
                                 .owner = conn_is_shared(c) ? NULL : o->user};
        s = flow_open_proc(o->pl->loop, &spec, fn, arg, ret, e);
    }
    strings_fini(&argv);
    strings_fini(&env);
    return s;
}
