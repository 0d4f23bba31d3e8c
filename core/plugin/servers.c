#include "plugin/servers.h"

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

/* ---- finding ---- */

struct server {
    tda_str name;
    const struct config_server *config; /* NULL: his own */
    tda_str url;                        /* absent: a command */
    struct health *health;              /* NULL: he has not used it */
};

static bool is_shared(const struct server *s) {
    return s->config && s->config->share;
}

static void find_health(const struct asking *a, struct server *s) {
    struct health_id id = {is_shared(s) ? "" : a->user, s->name, s->config, s->url};
    s->health = health_find(&plugin_loop_here()->health, &id);
}

static struct server operators(const struct asking *a, const struct config_server *config) {
    struct server s = {.name = tda_str_of(config->name), .config = config, .url = tda_str_of(config->url)};
    find_health(a, &s);
    return s;
}

static struct server own(const struct asking *a, struct json member) {
    struct server s = {.name = json_name(member), .url = json_str(json_key(member, TDA_STR("url")))};
    find_health(a, &s);
    return s;
}

/* `ret_doc`: what the server's texts point into. */
static tda_status find(const struct asking *a, tda_str name, struct server *ret, struct json_doc **ret_doc, struct error *e) {
    const struct config *config = config_now(a->plugins->config);
    const struct config_server *operators_one = config_server_find(config, name);
    if (operators_one) {
        *ret = operators(a, operators_one);
        return TDA_OK;
    }
    tda_str configs = a->snapshot ? snapshot_get(a->snapshot, TDA_CTX_SERVER_CONFIGS) : TDA_STR("{}");
    if (json_parse(configs, 0, ret_doc, NULL)) return server_unknown(config, name, e);
    struct json member = json_key(json_root(*ret_doc), name);
    if (json_type(member) != TDA_JSON_OBJECT) return server_unknown(config, name, e);
    *ret = own(a, member);
    return TDA_OK;
}

/* ---- telling ---- */

struct tally {
    unsigned n, processes;
    const struct conn *best; /* the one to tell of: ready before starting before closing, the oldest of equals */
};

static int rank(const struct conn *c) {
    return c->state == CONN_READY ? 3 : c->state == CONN_OPENING ? 2 : 1;
}

static unsigned processes(const struct conn *c) {
    const struct plugin_flow *f;
    unsigned n = 0;
    for (f = LIST_FIRST(&c->owner.flows); f; f = LIST_NEXT(f, entry)) n += f->kind == TDA_FLOW_SERVER;
    return n;
}

static struct tally tally(const struct health *h) {
    struct tally t = {0};
    const struct conn *c;
    for (c = h ? LIST_FIRST(&plugin_loop_here()->conns) : NULL; c; c = LIST_NEXT(c, of_loop)) {
        if (c->health != h) continue;
        t.n++;
        t.processes += processes(c);
        if (!t.best || rank(c) >= rank(t.best)) t.best = c;
    }
    return t;
}

static const char *state_of(const struct health *h, const struct conn *best) {
    if (best) return best->state == CONN_READY ? "ready" : best->state == CONN_OPENING ? "starting" : "closing";
    return h && health_parked_ms(h) ? "parked" : h && h->failures ? "failed" : "none";
}

static void write_time(struct jw *w, const char *key, int64_t wall_ms) {
    char text[25];
    clock_format_wall(wall_ms, text, sizeof text);
    jw_put_z(w, key, text);
}

/* What it said of itself. */
static void write_info(const struct conn *c, struct jw *w) {
    static const char *const members[] = {"era", "protocolVersion", "transport", "capabilities", "serverInfo"};
    static const char *const names[] = {"era", "version", "wire", "capabilities", "server"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (json_parse(conn_server_info(c), 0, &doc, NULL)) return;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct json v = json_key(json_root(doc), tda_str_of(members[i]));
        if (json_type(v)) jw_put_raw(w, names[i], json_raw(v));
    }
}

static void write_health(const struct health *h, const struct secrets *hidden, struct jw *w) {
    struct buf text;
    jw_put_u64(w, "calls", h->calls);
    jw_put_u64(w, "starts", h->starts);
    jw_put_i64(w, "failures", h->failures);
    if (health_parked_ms(h)) jw_put_i64(w, "parked_ms", health_parked_ms(h));
    if (!h->last_error[0]) return;
    buf_init(&text, 2 * sizeof h->last_error);
    buf_add_z(&text, h->last_error);
    secrets_redact(hidden, &text);
    jw_put_str(w, "last_error", buf_str(&text));
    write_time(w, "last_error_at", h->last_error_ms);
    buf_fini(&text);
}

static void write_members(const struct asking *a, const struct server *s, struct jw *w) {
    struct tally t = tally(s->health);
    jw_put_str(w, "name", s->name);
    jw_put_bool(w, "own", !s->config);
    jw_put_z(w, "transport", s->url.p ? "url" : "process");
    jw_put_bool(w, "share", is_shared(s));
    jw_put_bool(w, "stateful", s->config && s->config->stateful);
    jw_put_z(w, "state", state_of(s->health, t.best));
    jw_put_u64(w, "connections", t.n);
    jw_put_u64(w, "processes", t.processes);
    if (t.best && t.best->ready_ns) {
        write_time(w, "since", clock_wall_ms() - (clock_now_ns() - t.best->ready_ns) / NS_PER_MS);
        write_info(t.best, w);
    }
    if (s->health) write_health(s->health, a->snapshot ? snapshot_secrets(a->snapshot) : NULL, w);
}

static void write_one(const struct asking *a, const struct server *s, struct jw *w) {
    jw_begin_object(w);
    write_members(a, s, w);
    jw_end_object(w);
}

void servers_write(const struct asking *a, struct jw *w) {
    const struct config *config = config_now(a->plugins->config);
    struct json_doc *doc GUARD(json_free_p) = NULL;
    jw_begin_array(w);
    for (size_t i = 0; i < config->n_servers; i++) {
        struct server s = operators(a, &config->servers[i]);
        write_one(a, &s, w);
    }
    if (a->snapshot && json_parse(snapshot_get(a->snapshot, TDA_CTX_SERVER_CONFIGS), 0, &doc, NULL) == TDA_OK)
        for (struct json m = json_first(json_root(doc)); json_type(m); m = json_next(m)) {
            struct server s = own(a, m);
            if (!config_server_find(config, s.name)) write_one(a, &s, w);
        }
    jw_end_array(w);
}

tda_status server_write(const struct asking *a, tda_str name, struct jw *w, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct server s = {0};
    tda_status status = find(a, name, &s, &doc, e);
    if (!status) write_members(a, &s, w);
    return status;
}

/* ---- log and restart ---- */

static tda_status refuse_shared(const struct server *s, const char *what, struct error *e) {
    error_set(e, TDA_E_DENIED, "shared_server", "MCP server %.*s is shared by all users: %s", STR_FMT(s->name), what);
    error_hint(e, "ask the operator");
    return TDA_E_DENIED;
}

tda_status server_write_log(const struct asking *a, tda_str name, uint64_t after, size_t max, struct jw *w, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    static const struct conn_log empty;
    struct server s = {0};
    tda_status status = find(a, name, &s, &doc, e);
    if (!status && is_shared(&s)) status = refuse_shared(&s, "what it says may be about any of them", e);
    if (status) return status;
    jw_put_str(w, "server", s.name);
    conn_log_write(s.health ? &s.health->log : &empty, after, max, a->snapshot ? snapshot_secrets(a->snapshot) : NULL, w);
    return TDA_OK;
}

/* From the start after each: closing one may end others. */
static struct conn *open_one(const struct health *h) {
    struct conn *c;
    for (c = LIST_FIRST(&plugin_loop_here()->conns); c; c = LIST_NEXT(c, of_loop))
        if (c->health == h && c->state < CONN_CLOSING) return c;
    return NULL;
}

tda_status server_restart(const struct asking *a, tda_str name, unsigned *ret_closed, bool *ret_parked, struct error *e) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct server s = {0};
    struct conn *c;
    tda_status status = find(a, name, &s, &doc, e);
    if (!status && is_shared(&s)) status = refuse_shared(&s, "it cannot be restarted for one", e);
    *ret_closed = 0;
    *ret_parked = false;
    if (status || !s.health) return status;
    *ret_parked = health_parked_ms(s.health) > 0;
    health_restart(s.health);
    for (; (c = open_one(s.health)); ++*ret_closed) conn_close(c, "the server was restarted");
    return TDA_OK;
}

/* ---- a user is erased ---- */

struct forgetting {
    struct task task;
    char user[129];
};

static void forget(struct task *t) {
    struct forgetting *f = CONTAINER_OF(t, struct forgetting, task);
    struct plugin_loop *pl = plugin_loop_here();
    if (pl) health_forget_user(&pl->health, f->user);
    free(f);
}

void servers_forget_user(struct loop *l, tda_str user) {
    struct forgetting *f = calloc(1, sizeof *f);
    if (!f || user.n >= sizeof f->user) {
        log_error("out of memory: what servers of an erased user said is kept for an hour");
        free(f);
        return;
    }
    f->task.run = forget;
    memcpy(f->user, user.p, user.n);
    loop_post(l, &f->task);
}
