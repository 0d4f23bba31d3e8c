#include "memory_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "base/clock.h"

struct state {
    struct session_row *sessions;
    struct turn_row *turns;
    struct usage_row *usage;
    struct pin_row *pins;
    size_t n_sessions, n_turns, n_usage, n_pins;
};

struct memory_store {
    struct store base;
    pthread_mutex_t lock; /* of now and before */
    struct store_limits limits;
    struct arena arena; /* everything; freed with the store */
    struct state now, before;
    bool grouped;
};

static struct memory_store *of(struct store *s) {
    return CONTAINER_OF(s, struct memory_store, base);
}

/* Texts are never freed while the store lives: rows are copied by their pointers. */
static tda_str keep(struct memory_store *m, tda_str s) {
    return s.p ? (tda_str){arena_dup(&m->arena, s), s.n} : s;
}

/* With room for one more. */
static void *copy(struct memory_store *m, const void *from, size_t n, size_t size) {
    void *to = arena_alloc(&m->arena, (n + 1) * size);
    if (n) memcpy(to, from, n * size);
    return to;
}

static struct state copy_state(struct memory_store *m, const struct state *s) {
    struct state c = *s;
    c.sessions = copy(m, s->sessions, s->n_sessions, sizeof *s->sessions);
    c.turns = copy(m, s->turns, s->n_turns, sizeof *s->turns);
    c.usage = copy(m, s->usage, s->n_usage, sizeof *s->usage);
    c.pins = copy(m, s->pins, s->n_pins, sizeof *s->pins);
    return c;
}

static tda_status begin(struct store *s, struct error *e) {
    (void)e;
    of(s)->before = copy_state(of(s), &of(s)->now);
    of(s)->grouped = true;
    return TDA_OK;
}
static tda_status commit(struct store *s, struct error *e) {
    (void)e;
    pthread_mutex_lock(&of(s)->lock);
    of(s)->before = of(s)->now; /* readers see it from here on */
    of(s)->grouped = false;
    pthread_mutex_unlock(&of(s)->lock);
    return TDA_OK;
}
static void rollback(struct store *s) {
    if (of(s)->grouped) of(s)->now = of(s)->before;
    of(s)->grouped = false;
}
static void store_close(struct store *s) {
    arena_fini(&of(s)->arena);
    pthread_mutex_destroy(&of(s)->lock);
    free(of(s));
}

static struct session_row *find(struct state *st, tda_str id) {
    for (size_t i = 0; i < st->n_sessions; i++)
        if (tda_str_eq(st->sessions[i].id, id)) return &st->sessions[i];
    return NULL;
}
static tda_status none(struct error *e) {
    return error_set(e, TDA_E_NOT_FOUND, "session_not_found", "none");
}

static int64_t after_others(const struct state *st, const struct session_row *own) {
    int64_t after = own->updated_ms;
    for (size_t i = 0; i < st->n_sessions; i++) {
        const struct session_row *r = &st->sessions[i];
        if (r != own && tda_str_eq(r->user, own->user) && r->updated_ms >= after) after = r->updated_ms + 1;
    }
    return after;
}

static tda_status create(struct store *s, const struct session_row *row, struct error *e) {
    struct state *st = &of(s)->now;
    uint64_t n = 0;
    for (size_t i = 0; i < st->n_sessions; i++) n += tda_str_eq(st->sessions[i].user, row->user);
    if (find(st, row->id)) return error_set(e, TDA_E_EXISTS, "session_exists", "exists");
    if (n >= of(s)->limits.sessions_per_user) return error_set(e, TDA_E_LIMIT, "too_many_sessions", "too many");
    st->sessions = copy(of(s), st->sessions, st->n_sessions, sizeof *st->sessions);
    struct session_row *made = &st->sessions[st->n_sessions++];
    *made = *row;
    made->id = keep(of(s), row->id);
    made->user = keep(of(s), row->user);
    made->title = keep(of(s), row->title);
    made->context = keep(of(s), row->context);
    made->updated_ms = after_others(st, made);
    return TDA_OK;
}

static tda_status add_usage(struct store *s, const struct usage_row *row, struct error *e) {
    struct state *st = &of(s)->now;
    (void)e;
    for (size_t i = 0; i < st->n_usage; i++) {
        struct usage_row *u = &st->usage[i];
        if (u->day != row->day || !tda_str_eq(u->user, row->user) || !tda_str_eq(u->provider, row->provider) ||
            !tda_str_eq(u->model, row->model))
            continue;
        usage_sums_add(&u->sums, &row->sums);
        return TDA_OK;
    }
    st->usage = copy(of(s), st->usage, st->n_usage, sizeof *st->usage);
    struct usage_row *made = &st->usage[st->n_usage++];
    *made = *row;
    made->user = keep(of(s), row->user);
    made->provider = keep(of(s), row->provider);
    made->model = keep(of(s), row->model);
    return TDA_OK;
}

static tda_status append(struct store *s, const struct turn_row *row, struct error *e) {
    struct state *st = &of(s)->now;
    struct session_row *session = find(st, row->session);
    if (!session || !tda_str_eq(session->user, row->user)) return none(e);
    if (session->turns >= of(s)->limits.turns_per_session) return error_set(e, TDA_E_LIMIT, "session_full", "full");
    for (size_t i = 0; i < st->n_turns && row->key.p; i++)
        if (st->turns[i].key.p && tda_str_eq(st->turns[i].key, row->key) && tda_str_eq(st->turns[i].user, row->user))
            return error_set(e, TDA_E_EXISTS, "idempotency_conflict", "taken");
    st->turns = copy(of(s), st->turns, st->n_turns, sizeof *st->turns);
    struct turn_row *made = &st->turns[st->n_turns++];
    *made = *row;
    tda_str *const texts[] = {&made->session, &made->user,     &made->provider, &made->model, &made->mcp_server, &made->profile,
                              &made->stop,    &made->messages, &made->calls,    &made->key,   &made->reply};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = keep(of(s), *texts[i]);
    made->n = ++session->turns;
    if (!session->title.n) session->title = keep(of(s), row->title);
    if (row->at_ms > session->updated_ms) session->updated_ms = row->at_ms;
    session->updated_ms = after_others(st, session);
    usage_sums_add(&session->usage, &row->usage);
    session->usage.turns = session->turns;
    struct usage_row u = {
        .user = row->user, .provider = row->provider, .model = row->model, .day = row->at_ms / DAY_MS, .sums = row->usage};
    return add_usage(s, &u, e);
}

static tda_status rename_one(struct store *s, tda_str user, tda_str id, tda_str title, struct error *e) {
    struct session_row *row = find(&of(s)->now, id);
    if (!row || !tda_str_eq(row->user, user)) return none(e);
    row->title = keep(of(s), title);
    return TDA_OK;
}

static void drop_session(struct state *st, size_t at) {
    tda_str id = st->sessions[at].id;
    size_t n = 0;
    for (size_t i = 0; i < st->n_turns; i++)
        if (!tda_str_eq(st->turns[i].session, id)) st->turns[n++] = st->turns[i];
    st->n_turns = n;
    memmove(&st->sessions[at], &st->sessions[at + 1], (st->n_sessions - at - 1) * sizeof *st->sessions);
    st->n_sessions--;
}

static tda_status remove_one(struct store *s, tda_str user, tda_str id, struct error *e) {
    struct state *st = &of(s)->now;
    struct session_row *row = find(st, id);
    if (!row || !tda_str_eq(row->user, user)) return none(e);
    drop_session(st, (size_t)(row - st->sessions));
    return TDA_OK;
}

static struct pin_row *find_pin(struct state *st, tda_str user, tda_str server, tda_str tool) {
    for (size_t i = 0; i < st->n_pins; i++)
        if (tda_str_eq(st->pins[i].user, user) && tda_str_eq(st->pins[i].server, server) && tda_str_eq(st->pins[i].tool, tool))
            return &st->pins[i];
    return NULL;
}

static tda_status pin(struct store *s, const struct pin_row *row, struct error *e) {
    struct state *st = &of(s)->now;
    struct pin_row *made = find_pin(st, row->user, row->server, row->tool);
    (void)e;
    if (row->first && (made || find_pin(st, row->user, row->server, TDA_STR("")))) return TDA_OK;
    if (!made) {
        st->pins = copy(of(s), st->pins, st->n_pins, sizeof *st->pins);
        made = &st->pins[st->n_pins++];
    }
    *made = *row;
    made->user = keep(of(s), row->user);
    made->server = keep(of(s), row->server);
    made->tool = keep(of(s), row->tool);
    return TDA_OK;
}

static tda_status erase(struct store *s, tda_str user, struct removed *ret, struct error *e) {
    struct state *st = &of(s)->now;
    struct removed r = {0};
    size_t n = 0;
    (void)e;
    for (size_t i = 0; i < st->n_turns; i++) r.keys += st->turns[i].key.p && tda_str_eq(st->turns[i].user, user);
    for (size_t i = st->n_sessions; i-- > 0;)
        if (tda_str_eq(st->sessions[i].user, user)) {
            drop_session(st, i);
            r.sessions++;
        }
    for (size_t i = 0; i < st->n_usage; i++)
        if (!tda_str_eq(st->usage[i].user, user)) st->usage[n++] = st->usage[i];
    r.usage_days = st->n_usage - n;
    st->n_usage = n;
    n = 0;
    for (size_t i = 0; i < st->n_pins; i++)
        if (!tda_str_eq(st->pins[i].user, user)) st->pins[n++] = st->pins[i];
    st->n_pins = n;
    *ret = r;
    return TDA_OK;
}

static uint64_t newer_of_user(const struct state *st, size_t at) {
    uint64_t n = 0;
    for (size_t i = 0; i < st->n_sessions; i++) {
        if (!tda_str_eq(st->sessions[i].user, st->sessions[at].user) || i == at) continue;
        int64_t a = st->sessions[i].updated_ms, b = st->sessions[at].updated_ms;
        n += a > b || (a == b && i > at);
    }
    return n;
}

static tda_status retain(struct store *s, const struct retention *keep_rule, struct removed *ret, struct error *e) {
    struct state *st = &of(s)->now;
    struct removed r = {0};
    size_t n = 0;
    (void)e;
    for (size_t i = st->n_sessions; i-- > 0;)
        if (st->sessions[i].updated_ms < keep_rule->sessions_before_ms ||
            (keep_rule->keep_per_user && newer_of_user(st, i) >= keep_rule->keep_per_user)) {
            drop_session(st, i);
            r.sessions++;
            i = st->n_sessions; /* places have moved */
        }
    for (size_t i = 0; i < st->n_turns; i++)
        if (st->turns[i].key.p && st->turns[i].at_ms < keep_rule->keys_before_ms) {
            st->turns[i].key = st->turns[i].reply = (tda_str){0};
            r.keys++;
        }
    for (size_t i = 0; i < st->n_usage; i++)
        if (st->usage[i].day >= keep_rule->usage_before_day) st->usage[n++] = st->usage[i];
    r.usage_days = st->n_usage - n;
    st->n_usage = n;
    *ret = r;
    return TDA_OK;
}

/* ---- reading ---- */

static struct state *seen(struct store *s) {
    return of(s)->grouped ? &of(s)->before : &of(s)->now;
}

static bool holds(tda_str text, tda_str word) {
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (strncasecmp(text.p + i, word.p, word.n) == 0) return true;
    return word.n == 0;
}

static bool wanted(const struct state *st, const struct session_row *row, const struct session_query *q) {
    bool found = !q->search.p || holds(row->title, q->search);
    for (size_t i = 0; i < st->n_turns && !found; i++)
        found = tda_str_eq(st->turns[i].session, row->id) && holds(st->turns[i].messages, q->search);
    return found && (!q->user.p || tda_str_eq(q->user, row->user));
}

/* Is a before b? */
static bool before(const struct session_row *a, const struct session_row *b, enum session_sort sort) {
    if (sort == SORT_TITLE) {
        size_t n = a->title.n < b->title.n ? a->title.n : b->title.n;
        int d = memcmp(a->title.p, b->title.p, n);
        return d < 0 || (d == 0 && (a->title.n < b->title.n || (a->title.n == b->title.n && a < b)));
    }
    int64_t x = sort == SORT_UPDATED ? a->updated_ms : a->created_ms, y = sort == SORT_UPDATED ? b->updated_ms : b->created_ms;
    return x > y || (x == y && a > b);
}

static tda_status list(struct store *s, const struct session_query *q, session_visit visit, void *arg, struct error *e) {
    struct state *st = seen(s);
    const struct session_row **sorted = arena_alloc(&of(s)->arena, (st->n_sessions + 1) * sizeof(void *));
    uint64_t skip = q->cursor.p ? strtoull(q->cursor.p + 1, NULL, 10) : 0, n = 0;
    char cursor[32];
    if (q->cursor.p && q->cursor.p[0] != "uct"[q->sort]) return error_set(e, TDA_E_INVALID, "invalid_param", "cursor");
    for (size_t i = 0; i < st->n_sessions; i++) { /* by insertion */
        size_t k = i;
        for (; k > 0 && before(&st->sessions[i], sorted[k - 1], q->sort); k--) sorted[k] = sorted[k - 1];
        sorted[k] = &st->sessions[i];
    }
    for (size_t i = skip; i < st->n_sessions && n < q->limit; i++) {
        if (!wanted(st, sorted[i], q)) continue;
        snprintf(cursor, sizeof cursor, "%c%zu", "uct"[q->sort], i + 1);
        visit(arg, sorted[i], tda_str_of(cursor));
        n++;
    }
    return TDA_OK;
}

static tda_status get(struct store *s, tda_str user, tda_str id, session_visit visit, void *arg, struct error *e) {
    struct session_row *row = find(seen(s), id);
    if (!row || (user.p && !tda_str_eq(row->user, user))) return none(e);
    visit(arg, row, (tda_str){0});
    return TDA_OK;
}

static tda_status turns(struct store *s, tda_str user, tda_str id, uint64_t after, bool newest_first, turn_visit visit, void *arg,
                        struct error *e) {
    struct state *st = seen(s);
    (void)e;
    for (size_t k = 0; k < st->n_turns; k++) {
        const struct turn_row *t = &st->turns[newest_first ? st->n_turns - 1 - k : k];
        if (tda_str_eq(t->session, id) && (!user.p || tda_str_eq(t->user, user)) && t->n > after && !visit(arg, t)) break;
    }
    return TDA_OK;
}

static tda_status keyed(struct store *s, tda_str user, tda_str key, turn_visit visit, void *arg, struct error *e) {
    struct state *st = seen(s);
    (void)e;
    for (size_t i = 0; i < st->n_turns; i++)
        if (st->turns[i].key.p && tda_str_eq(st->turns[i].key, key) && tda_str_eq(st->turns[i].user, user)) {
            visit(arg, &st->turns[i]);
            return TDA_OK;
        }
    return TDA_E_NOT_FOUND;
}

static tda_status usage(struct store *s, tda_str user, int64_t from_day, usage_visit visit, void *arg, struct error *e) {
    struct state *st = seen(s);
    (void)e;
    for (size_t i = 0; i < st->n_usage; i++)
        if (tda_str_eq(st->usage[i].user, user) && st->usage[i].day >= from_day) visit(arg, &st->usage[i]);
    return TDA_OK;
}

static tda_status day(struct store *s, int64_t wanted_day, usage_visit visit, void *arg, struct error *e) {
    struct state *st = seen(s);
    (void)e;
    for (size_t i = 0; i < st->n_usage; i++) {
        struct usage_row sum = {.user = st->usage[i].user, .day = wanted_day};
        bool first = st->usage[i].day == wanted_day;
        for (size_t k = 0; k < st->n_usage; k++) {
            if (st->usage[k].day != wanted_day || !tda_str_eq(st->usage[k].user, sum.user)) continue;
            first = first && k >= i;
            usage_sums_add(&sum.sums, &st->usage[k].sums);
        }
        if (first) visit(arg, &sum);
    }
    return TDA_OK;
}

static tda_status pins(struct store *s, tda_str user, tda_str server, pin_visit visit, void *arg, struct error *e) {
    const struct state *st = seen(s);
    (void)e;
    for (size_t i = 0; i < st->n_pins; i++)
        if (tda_str_eq(st->pins[i].user, user) && tda_str_eq(st->pins[i].server, server)) visit(arg, &st->pins[i]);
    return TDA_OK;
}

static tda_status backup(struct store *s, const char *path, struct error *e) {
    (void)s;
    FILE *f = fopen(path, "wx");
    if (!f) return error_set(e, TDA_E_EXISTS, "backup_exists", "exists");
    fclose(f);
    return TDA_OK;
}

struct store *memory_store_new(const struct store_limits *limits) {
    static const struct store_ops ops = {store_close, begin,     commit, rollback, create, append, rename_one,
                                         remove_one,  add_usage, pin,    erase,    retain, list,   get,
                                         turns,       keyed,     usage,  pins,     day,    backup};
    struct memory_store *s = calloc(1, sizeof *s);
    s->base.ops = &ops;
    s->limits = *limits;
    arena_init(&s->arena, SIZE_MAX / 2);
    pthread_mutex_init(&s->lock, NULL);
    return &s->base;
}
