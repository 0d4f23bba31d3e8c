#include "agent/pins.h"

#include "base/clock.h"

enum { KEPT_MAX = 100000 }; /* in memory, of all users */

const char *pin_state_name(enum pin_state s) {
    static const char *const names[] = {[PIN_NONE] = NULL, [PIN_OK] = "ok", [PIN_CHANGED] = "changed", [PIN_NEW] = "new"};
    return names[s];
}

bool pins_wanted(const struct work *w) {
    const struct config_server *s = config_server_find(w->agent->config, snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME));
    return s && s->pin_tools;
}

static tda_str user_of(const struct pins *p) {
    return tda_str_of(snapshot_user(p->work->snapshot));
}

/* ---- comparing ---- */

static void begin_states(struct pins *p) {
    p->found = false;
    for (size_t i = 0; i < p->catalogue->n; i++) p->states[i] = PIN_NEW;
}

static void compare(void *arg, const struct pin_row *row) {
    struct pins *p = arg;
    const struct tool *t = catalogue_named(p->catalogue, row->tool);
    if (!row->tool.n) p->found = true;
    if (t) p->states[t - p->catalogue->tools] = memcmp(row->digest, t->digest, DIGEST_SIZE) == 0 ? PIN_OK : PIN_CHANGED;
}

static struct pin_row row_of(const struct pins *p, const struct tool *t) {
    struct pin_row row = {.user = user_of(p), .server = tda_str_of(p->catalogue->server), .first = p->first};
    row.tool = tda_str_of(t ? t->name : "");
    if (t) memcpy(row.digest, t->digest, DIGEST_SIZE);
    row.at_ms = clock_wall_ms();
    return row;
}

/* The mark that there are pins goes last: a first use is whole or none. */
static tda_status put_all(struct pins *p, tda_status (*put)(void *to, const struct pin_row *row, struct error *e), void *to,
                          struct error *e) {
    tda_status s = TDA_OK;
    for (size_t i = 0; i < p->catalogue->n && !s; i++) {
        const struct tool *t = &p->catalogue->tools[i];
        struct pin_row row = row_of(p, t);
        if (!p->only || p->only == t) s = put(to, &row, e);
    }
    struct pin_row mark = row_of(p, NULL);
    mark.first = true;
    return s ? s : put(to, &mark, e);
}

/* ---- in memory ---- */

struct kept_pin {
    struct kept_pin *next;
    char *user, *server, *tool;
    unsigned char digest[DIGEST_SIZE];
};

static bool is_of(const struct kept_pin *k, tda_str user, tda_str server) {
    return tda_str_eq(user, tda_str_of(k->user)) && tda_str_eq(server, tda_str_of(k->server));
}

struct kept_pins {
    pthread_mutex_t lock;
    struct kept_pin *first;
    size_t n;
};

static struct kept_pin *find_kept(const struct kept_pins *all, const struct pin_row *row, tda_str tool) {
    struct kept_pin *k = all->first;
    while (k && !(is_of(k, row->user, row->server) && tda_str_eq(tool, tda_str_of(k->tool)))) k = k->next;
    return k;
}

static void free_kept(struct kept_pin *k) {
    free(k->user);
    free(k->server);
    free(k->tool);
    free(k);
}

static struct kept_pin *make_kept(const struct pin_row *row) {
    struct kept_pin *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    *k = (struct kept_pin){.user = str_dup(row->user), .server = str_dup(row->server), .tool = str_dup(row->tool)};
    if (k->user && k->server && k->tool) return k;
    free_kept(k);
    return NULL;
}

static tda_status keep(void *to, const struct pin_row *row, struct error *e) {
    struct kept_pins *all = to;
    struct kept_pin *k = find_kept(all, row, row->tool);
    if (row->first && (k || find_kept(all, row, TDA_STR("")))) return TDA_OK;
    if (!k && all->n == KEPT_MAX)
        return error_set(e, TDA_E_LIMIT, "too_many_pins", "%d pinned tools are kept in memory, which is the limit", KEPT_MAX);
    if (!k) {
        k = make_kept(row);
        if (!k) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        k->next = all->first;
        all->first = k;
        all->n++;
    }
    memcpy(k->digest, row->digest, DIGEST_SIZE);
    return TDA_OK;
}

static void compare_kept(struct pins *p) {
    begin_states(p);
    for (const struct kept_pin *k = p->work->agent->pins->first; k; k = k->next) {
        struct pin_row row = {.tool = tda_str_of(k->tool)};
        memcpy(row.digest, k->digest, DIGEST_SIZE);
        if (is_of(k, user_of(p), tda_str_of(p->catalogue->server))) compare(p, &row);
    }
}

/* NULL: of all users. */
static void erase(struct kept_pins *all, const tda_str *user) {
    for (struct kept_pin **link = &all->first, *k; (k = *link);) {
        if (user && !tda_str_eq(*user, tda_str_of(k->user))) {
            link = &k->next;
            continue;
        }
        *link = k->next;
        all->n--;
        free_kept(k);
    }
}

struct kept_pins *pins_new(void) {
    struct kept_pins *all = calloc(1, sizeof *all);
    if (all) pthread_mutex_init(&all->lock, NULL);
    return all;
}

void pins_free(struct kept_pins *all) {
    if (!all) return;
    erase(all, NULL);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

void pins_erase(struct agent *a, tda_str user) {
    if (!a->pins) return;
    pthread_mutex_lock(&a->pins->lock);
    erase(a->pins, &user);
    pthread_mutex_unlock(&a->pins->lock);
}

static void use_memory(struct pins *p, bool writes) {
    struct kept_pins *all = p->work->agent->pins;
    struct error e = {.retry_ms = -1};
    pthread_mutex_lock(&all->lock);
    compare_kept(p);
    tda_status s = writes || !p->found ? put_all(p, keep, all, &e) : TDA_OK;
    if (!s) compare_kept(p);
    pthread_mutex_unlock(&all->lock);
    p->done(p, s ? &e : NULL);
}

/* ---- in the store ---- */

static void submit(struct pins *p, enum sessions_lane lane, tda_status (*run)(struct store_job *j, struct store *s));

static void go_back(struct store_job *j) {
    struct pins *p = CONTAINER_OF(j, struct pins, job);
    loop_post(p->work->loop, &p->back);
}

static tda_status read_pins(struct store_job *j, struct store *s) {
    struct pins *p = CONTAINER_OF(j, struct pins, job);
    begin_states(p);
    return s->ops->pins(s, user_of(p), tda_str_of(p->catalogue->server), compare, p, &j->error);
}

static tda_status put_stored(void *to, const struct pin_row *row, struct error *e) {
    struct store *s = to;
    return s->ops->pin(s, row, e);
}

static tda_status write_pins(struct store_job *j, struct store *s) {
    return put_all(CONTAINER_OF(j, struct pins, job), put_stored, s, &j->error);
}

/* Read; where there were none write them, and read what is there now: another of this user's may have been first. */
static void on_back(struct task *task) {
    struct pins *p = CONTAINER_OF(task, struct pins, back);
    bool wrote = p->job.run == write_pins;
    if (p->job.status) {
        p->done(p, &p->job.error);
    } else if (wrote) {
        p->stored = true;
        submit(p, LANE_READ, read_pins);
    } else if (!p->found && !p->stored) {
        p->first = true;
        submit(p, LANE_WRITE, write_pins);
    } else {
        p->done(p, NULL);
    }
}

static void submit(struct pins *p, enum sessions_lane lane, tda_status (*run)(struct store_job *j, struct store *s)) {
    struct error e = {.retry_ms = -1};
    p->job = (struct store_job){.run = run, .done = go_back, .error = {.retry_ms = -1}};
    p->back = (struct task){.run = on_back, .line.lane = loop_lane(p->work->user)};
    if (sessions_submit(p->work->agent->sessions, p->work->principal, p->work->user, lane, &p->job, &e)) p->done(p, &e);
}

/* ---- both ---- */

static bool begin(struct pins *p) {
    struct error e = {.retry_ms = -1};
    p->states = arena_alloc(p->work->arena, (p->catalogue->n + 1) * sizeof *p->states);
    if (p->states) return true;
    error_set(&e, TDA_E_LIMIT, "request_too_large", "the server's tools need more memory than one request may have");
    p->done(p, &e);
    return false;
}

void pins_check(struct pins *p) {
    if (!begin(p)) return;
    p->first = true;
    if (p->work->agent->sessions)
        submit(p, LANE_READ, read_pins);
    else
        use_memory(p, false);
}

void pins_approve(struct pins *p, const struct tool *only) {
    if (!begin(p)) return;
    p->only = only;
    p->first = false;
    if (p->work->agent->sessions)
        submit(p, LANE_WRITE, write_pins);
    else
        use_memory(p, true);
}
