/* Which connection a request gets, and how long one is kept.
 *
 * A set belongs to one configuration of one user and hangs in its box of live objects: what ends the configuration ends the set,
 * and each connection of it with its last call. Another user, or the same one after a change, has another box, so he cannot meet
 * it. Connections to shared servers are in a set of the loop. A connection leaves its set when it begins to end: who comes later
 * gets a new one. */
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

enum { SESSION_MAX = 256 };

/* ---- sets ---- */

static void add(struct conn_set *set, struct conn *c) {
    LIST_INSERT_HEAD(&set->conns, c, of_set);
    c->set = set;
    conn_ref(c);
}

void conn_leave_set(struct conn *c) {
    if (!c->set) return;
    c->set = NULL;
    LIST_REMOVE(c, of_set);
    conn_unref(c); /* the plugin has a reference until conn_fini */
}

static bool in_use(const struct conn *c) {
    return !LIST_EMPTY(&c->waiters) || !LIST_EMPTY(&c->calls);
}

/* The configuration is gone (live.c), on this loop. */
static void set_gone(void *owner UNUSED, void *object) {
    struct conn_set *set = object;
    struct conn *c;
    while ((c = LIST_FIRST(&set->conns))) {
        conn_ref(c);
        conn_leave_set(c);
        if (!in_use(c)) conn_close(c, "its configuration has ended");
        conn_unref(c);
    }
    free(set);
}

static const char box_owner; /* its address is the key of the set in a box */

static struct conn_set *set_of(struct plugin_loop *pl, const struct snapshot *s) {
    struct live *box = snapshot_live(s, CTX_GROUP_TOOLS);
    void *owner = (void *)(uintptr_t)&box_owner;
    struct conn_set *set = live_get(box, pl->index, owner, 0);
    if (set || !(set = calloc(1, sizeof *set))) return set;
    if (live_put(box, pl->index, owner, 0, set, set_gone) == TDA_OK) return set;
    free(set);
    return NULL;
}

/* Two users who say the same session do not mean the same one. */
static void hash_session(const struct snapshot *s, tda_str session, char out[33]) {
    char text[SESSION_MAX + 256];
    int n = snprintf(text, sizeof text, "%s %.*s", snapshot_user(s), STR_FMT(session));
    hash_user_hex((tda_str){text, (size_t)n}, out);
}

/* A reload makes another entry of each server: a connection stays when the entry says the same. */
static bool is_same(const struct config_server *a, const struct config_server *b) {
    if (a == b || !a || !b) return a == b;
    return strcmp(a->name, b->name) == 0 && memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

static struct conn *find(const struct conn_set *set, const struct config_server *server, const char *session) {
    struct conn *c;
    for (c = LIST_FIRST(&set->conns); c; c = LIST_NEXT(c, of_set))
        if (is_same(c->server, server) && strcmp(c->session, session) == 0) return c;
    return NULL;
}

/* ---- idleness ---- */

static int64_t idle_ns(const struct conn *c) {
    return config_server_idle_close(config_now(c->owner.pl->plugins->config), c->server);
}

static void idle_fired(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, idle);
    int64_t now = clock_now_ns(), at = (in_use(c) ? now : c->used_ns) + idle_ns(c);
    if (at <= now)
        conn_close(c, "nobody has used the connection for a while");
    else
        timer_set(c->owner.pl->loop, t, at);
}

void conn_idle_clock(struct conn *c) {
    c->used_ns = clock_now_ns();
    c->idle.fire = idle_fired;
    if (timer_set(c->owner.pl->loop, &c->idle, c->used_ns + idle_ns(c)))
        log_warn("out of memory: a connection is not closed when it is idle", LOG_Z("server", conn_server_name(c)));
}

static bool is_of(const struct conn *c, const char *user) {
    return !conn_is_shared(c) && (!user || strcmp(c->owner.user, user) == 0);
}

bool conn_close_idle(struct plugin_loop *pl, const char *user) {
    struct conn *c, *idle = NULL;
    for (c = LIST_FIRST(&pl->conns); c; c = LIST_NEXT(c, of_loop))
        if (is_of(c, user) && c->state == CONN_READY && !in_use(c) && (!idle || c->used_ns < idle->used_ns)) idle = c;
    if (idle) conn_close(idle, "it was idle, and another needs its place");
    return idle != NULL;
}

int64_t conn_count_of(const struct plugin_loop *pl, const char *user, bool ending) {
    int64_t n = 0;
    for (const struct conn *c = LIST_FIRST(&pl->conns); c; c = LIST_NEXT(c, of_loop))
        n += is_of(c, user) && (c->state >= CONN_CLOSING) == ending;
    return n;
}

/* His own, or anybody's. */
static bool end_one(struct plugin_loop *pl, const char *user) {
    return conn_count_of(pl, user, true) || conn_close_idle(pl, user);
}

static bool look_further(struct plugins *ps);

static void look_here(struct task *t) {
    struct plugins *ps = CONTAINER_OF(t, struct plugins, room.task);
    struct plugin_loop *pl = plugin_loop_here();
    if (!pl || end_one(pl, NULL) || !look_further(ps)) atomic_store(&ps->room.under_way, false);
}

static bool look_further(struct plugins *ps) {
    while (ps->room.left) {
        ps->room.left--;
        ps->room.at = (ps->room.at + 1) % LOOPS_MAX;
        struct plugin_loop *pl = plugin_loop_hold(ps->room.at);
        if (!pl) continue;
        loop_post(pl->loop, &ps->room.task);
        plugin_loop_let_go();
        return true;
    }
    return false;
}

/* The bounds are of all loops together. One search at a time, so that who asks again and again ends one, and not as many as he
 * asks. */
static void look_elsewhere(struct plugin_loop *pl) {
    struct plugins *ps = pl->plugins;
    if (atomic_exchange(&ps->room.under_way, true)) return;
    ps->room.task.run = look_here;
    ps->room.at = pl->index;
    ps->room.left = LOOPS_MAX - 1;
    if (!look_further(ps)) atomic_store(&ps->room.under_way, false);
}

bool conn_make_room(struct plugin_loop *pl, const char *user) {
    if (end_one(pl, user)) return true;
    if (conn_count_of(pl, user, false)) return false;
    if (end_one(pl, NULL)) return true;
    look_elsewhere(pl);
    return false;
}

/* ---- acquiring ---- */

/* In a context that all share nobody is told of others' sessions. Without memory nobody is told of this one. */
static void name_session(struct conn *c, const char *hash, tda_str session) {
    memcpy(c->session, hash, sizeof c->session);
    if (hash[0] && c->owner.user[0]) c->session_id = str_dup(session);
}

static tda_status get(const struct call_spec *spec, tda_str session, struct server_ref *server, struct conn **ret, bool *ret_new,
                      struct error *e) {
    struct plugin_loop *pl = plugin_loop_here();
    const struct config_server *config = server->config;
    struct conn_set *set = config && config->share ? &pl->shared : set_of(pl, spec->snapshot);
    char hash[33] = "";
    if (!set) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    if (session.n > SESSION_MAX) return error_set(e, TDA_E_INVALID, "invalid_param", "the session's id is too long");
    if (config && config->stateful && session.n) hash_session(spec->snapshot, session, hash);
    *ret = find(set, config, hash);
    *ret_new = !*ret;
    if (*ret) return TDA_OK;
    tda_status s = conn_new(spec, server, ret, e);
    if (s) return s;
    name_session(*ret, hash, session);
    add(set, *ret);
    return TDA_OK;
}

tda_status conn_acquire(const struct call_spec *spec, tda_str session, conn_ready_fn ready, void *arg, struct conn **ret_conn,
                        struct error *e) {
    struct server_ref server = {0};
    struct conn *c;
    bool is_new = false;
    struct waiter *w = calloc(1, sizeof *w);
    if (!w) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    *w = (struct waiter){.ready = ready, .arg = arg, .asker = {spec->on_ask, spec->on_ask_over, spec->ask_arg, NULL, 0}};
    tda_status s = server_find(config_now(spec->plugins->config), spec->snapshot, &server, e);
    if (!s) s = get(spec, session, &server, &c, &is_new, e);
    free(server.url);
    if (s) {
        free(w);
        return s;
    }
    LIST_INSERT_HEAD(&c->waiters, w, entry);
    conn_ref(c);
    *ret_conn = c;
    if (is_new) conn_connect(c);
    if (c->state == CONN_READY) conn_queue_step(c);
    return TDA_OK;
}

void conn_release(struct conn *c, void *arg) {
    struct waiter *w;
    for (w = LIST_FIRST(&c->waiters); w && w->arg != arg;) w = LIST_NEXT(w, entry);
    if (w) {
        asks_leave(c, &w->asker);
        LIST_REMOVE(w, entry);
        free(w);
    }
    c->used_ns = clock_now_ns();
    if (!c->set && !in_use(c) && c->state < CONN_CLOSING) conn_close(c, "its configuration has ended");
    conn_unref(c);
}
