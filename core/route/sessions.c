/* session.*, usage.get and store.backup: each a job for the store's threads, which also send the reply. */
#include <stdio.h>

#include "agent/pins.h"
#include "base/clock.h"
#include "plugin/servers.h"
#include "route/request.h"

enum {
    LIST_DEFAULT = 50,
    LIST_MAX = 1000,
    TURNS_DEFAULT = 100,
    TURNS_MAX = 1000,
    PAGE_BYTES = 8 << 20,
    DAYS_MAX = 400,
    DAYS_DEFAULT = 30
};

/* In the request's arena; the request is nobody else's until its job is done. */
struct session_request {
    struct store_job job;
    struct request *q;
    enum sessions_lane lane; /* where `settled` goes on, once usage is stored */
    tda_status (*settled)(struct store_job *j, struct store *s);
    tda_str id, title;
    bool own, as_lines; /* is what was found the user's; how turns are written */
    uint64_t after, limit, n, last, bytes;
    bool more;
    struct buf line;
    struct session_query query;
    struct session_row row;
    char new_id[SESSION_ID_SIZE];
    int64_t from_day;
    struct usage_sums total;
    const char *path;
};

static void on_done(struct store_job *j) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    struct error e = j->error;
    buf_fini(&r->line);
    request_reply(r->q, j->status ? &e : NULL);
}

static struct sessions *sessions_of(const struct request *q) {
    return router_options(q->router)->agent->sessions;
}

static struct session_request *prepare(struct request *q, struct error *e) {
    struct session_request *r = arena_alloc(&q->arena, sizeof *r);
    if (!sessions_of(q)) {
        error_set(e, TDA_E_UNSUPPORTED, "sessions_off", "this host keeps no sessions");
        error_hint(e, "the operator's setting is sessions.path");
        return NULL;
    }
    if (!r) {
        error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        return NULL;
    }
    r->q = q;
    r->job.done = on_done;
    r->id = json_str(request_param(q, "session"));
    buf_init(&r->line, PAGE_BYTES * 4);
    return r;
}

static void submit(struct session_request *r, enum sessions_lane lane, tda_status (*run)(struct store_job *j, struct store *s)) {
    struct error e = {.retry_ms = -1};
    struct request *q = r->q;
    r->job.run = run;
    if (!sessions_submit(sessions_of(q), &q->principal, q->user, lane, &r->job, &e)) return;
    request_reply(q, &e);
}

/* A read of what no turn waited for: the writer is asked to store it first. Whether he could is no reason not to read. */
static tda_status run_nothing(struct store_job *j, struct store *s) {
    (void)j, (void)s;
    return TDA_OK;
}

static void on_settled(struct store_job *j) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    r->job.done = on_done;
    submit(r, r->lane, r->settled);
}

static void submit_settled(struct session_request *r, enum sessions_lane lane,
                           tda_status (*run)(struct store_job *j, struct store *s)) {
    r->lane = lane;
    r->settled = run;
    r->job.done = on_settled;
    submit(r, LANE_WRITE, run_nothing);
}

static tda_status whole_number(struct request *q, const char *name, int64_t low, int64_t high, int64_t otherwise, uint64_t *ret,
                               struct error *e) {
    struct json v = request_param(q, name);
    int64_t n = otherwise;
    if (json_type(v) && (!json_i64(v, &n) || n < low || n > high)) {
        error_set(e, TDA_E_INVALID, "invalid_param", "%s must be a whole number from %lld to %lld", name, (long long)low,
                  (long long)high);
        error_field(e, "%s", name);
        return TDA_E_INVALID;
    }
    *ret = (uint64_t)n;
    return TDA_OK;
}

/* ---- writing rows ---- */

static void put_time(struct jw *w, const char *key, int64_t ms) {
    char text[32];
    clock_format_wall(ms, text, sizeof text);
    jw_put_z(w, key, text);
}

static void put_sums(struct jw *w, const struct usage_sums *u) {
    jw_put_u64(w, "turns", u->turns);
    jw_put_u64(w, "calls", u->calls);
    jw_put_u64(w, "input", u->input);
    jw_put_u64(w, "output", u->output);
    jw_put_u64(w, "cache_read", u->cache_read);
    jw_put_u64(w, "cache_write", u->cache_write);
    jw_put_u64(w, "reasoning", u->reasoning);
    jw_put_u64(w, "unknown_calls", u->unknown);
    jw_put_bool(w, "known", u->unknown == 0);
}

static void put_session(struct jw *w, const struct session_row *row) {
    jw_put_str(w, "session", row->id);
    jw_put_str(w, "user", row->user);
    jw_put_str(w, "title", row->title);
    jw_put_bool(w, "follow", !row->context.p);
    if (row->context.p) jw_put_raw(w, "context", row->context);
    put_time(w, "created", row->created_ms);
    put_time(w, "updated", row->updated_ms);
    jw_put_u64(w, "turns", row->turns);
    jw_open_object(w, "usage");
    put_sums(w, &row->usage);
    jw_end_object(w);
}

static void put_turn(struct jw *w, const struct turn_row *row) {
    jw_put_u64(w, "n", row->n);
    put_time(w, "at", row->at_ms);
    jw_put_str(w, "provider", row->provider);
    jw_put_str(w, "model", row->model);
    jw_put_str(w, "mcp_server", row->mcp_server);
    jw_put_str(w, "profile", row->profile);
    jw_put_str(w, "stop", row->stop);
    if (row->key.p) jw_put_str(w, "idempotency_key", row->key);
    jw_open_object(w, "usage");
    put_sums(w, &row->usage);
    jw_end_object(w);
    jw_put_raw(w, "calls", row->calls);
    jw_put_raw(w, "messages", row->messages);
}

/* ---- create, rename, delete ---- */

static tda_status take_title(struct session_request *r, bool needed, struct error *e) {
    struct json v = request_param(r->q, "title");
    r->title = json_type(v) ? json_str(v) : TDA_STR("");
    bool good = r->title.n <= TITLE_MAX && (r->title.n || !needed);
    for (size_t i = 0; i < r->title.n && good; i++) good = (unsigned char)r->title.p[i] >= ' ' && r->title.p[i] != 0x7f;
    if (good) return TDA_OK;
    error_set(e, TDA_E_INVALID, "invalid_param", "title must be one line of at most %d bytes", TITLE_MAX);
    error_field(e, "title");
    return TDA_E_INVALID;
}

static void copy_field(const struct snapshot *s, const struct ctx_field *f, struct jw *w) {
    tda_str v = snapshot_get(s, f->key);
    if (!v.p || f->kind == CTX_LIVE) return;
    if (f->kind == CTX_OBJECT)
        jw_put_raw(w, f->name, v);
    else
        jw_put_str(w, f->name, v);
}

/* What is inherited: the fields; credentials stay with the user. */
static tda_status inherit(struct session_request *r, struct error *e) {
    struct request *q = r->q;
    struct snapshot *s GUARD(snapshot_unref_p) = NULL;
    struct jw w;
    tda_status status = contexts_peek(router_options(q->router)->contexts, &q->principal, q->user, &s, e);
    if (status) return status;
    jw_init(&w, &r->line);
    jw_begin_object(&w);
    for (size_t i = 0; i < CTX_FIELDS; i++) copy_field(s, &ctx_fields[i], &w);
    jw_end_object(&w);
    r->row.context = buf_str(&r->line);
    return r->line.status ? error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory") : TDA_OK;
}

static tda_status run_create(struct store_job *j, struct store *s) {
    return s->ops->create(s, &CONTAINER_OF(j, struct session_request, job)->row, &j->error);
}

void session_create(struct request *q) {
    struct error e = {.retry_ms = -1};
    bool follow = router_config(q->router)->sessions_context == 0;
    struct session_request *r = prepare(q, &e);
    json_bool(request_param(q, "follow"), &follow);
    if (!r || take_title(r, false, &e) || (!follow && inherit(r, &e))) {
        if (r) buf_fini(&r->line);
        request_reply(q, &e);
        return;
    }
    session_id_new(r->new_id);
    r->row.id = tda_str_of(r->new_id);
    r->row.user = q->user;
    r->row.title = r->title;
    r->row.created_ms = r->row.updated_ms = clock_wall_ms();
    jw_put_str(&q->out, "session", r->row.id);
    jw_put_bool(&q->out, "follow", follow);
    submit(r, LANE_WRITE, run_create);
}

/* Whose sessions may be read: absent, everybody's. A write to another's is told apart from one to none only where he may be read.
 */
static tda_str readable(const struct session_request *r) {
    return router_config(r->q->router)->sessions_filter ? r->job.user : (tda_str){0};
}

static void find_owner(void *arg, const struct session_row *row, tda_str cursor) {
    struct session_request *r = arg;
    (void)cursor;
    r->own = tda_str_eq(row->user, r->job.user);
}

static tda_status judge_write(struct session_request *r, struct store *s, struct error *e) {
    tda_status status = s->ops->get(s, readable(r), r->id, find_owner, r, e);
    if (status || r->own) return status;
    error_set(e, TDA_E_DENIED, "session_read_only", "this session belongs to another user: it can be read, not written");
    error_field(e, "session");
    return TDA_E_DENIED;
}

static tda_status run_rename(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    return s->ops->rename(s, j->user, r->id, r->title, &j->error);
}

static tda_status run_delete(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    return s->ops->remove(s, j->user, r->id, &j->error);
}

static tda_status run_judge(struct store_job *j, struct store *s) {
    return judge_write(CONTAINER_OF(j, struct session_request, job), s, &j->error);
}

/* From the reader to the writer: on the reader's thread. */
static void go_on(struct session_request *r, const char *key, tda_status (*run)(struct store_job *j, struct store *s)) {
    if (r->job.status) {
        on_done(&r->job);
        return;
    }
    jw_put_bool(&r->q->out, key, true);
    r->job.done = on_done;
    submit(r, LANE_WRITE, run);
}

static void on_judged_rename(struct store_job *j) {
    go_on(CONTAINER_OF(j, struct session_request, job), "renamed", run_rename);
}

static void on_judged_delete(struct store_job *j) {
    go_on(CONTAINER_OF(j, struct session_request, job), "deleted", run_delete);
}

void session_rename(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct session_request *r = prepare(q, &e);
    if (!r || take_title(r, true, &e)) {
        request_reply(q, &e);
        return;
    }
    r->job.done = on_judged_rename;
    submit(r, LANE_READ, run_judge);
}

void session_delete(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct session_request *r = prepare(q, &e);
    if (!r) {
        request_reply(q, &e);
        return;
    }
    r->job.done = on_judged_delete;
    submit(r, LANE_READ, run_judge);
}

/* ---- list ---- */

static void list_one(void *arg, const struct session_row *row, tda_str cursor) {
    struct session_request *r = arg;
    if (r->n++ == r->limit) { /* one more than asked for says that there is more */
        r->more = true;
        return;
    }
    jw_begin_object(&r->q->out);
    put_session(&r->q->out, row);
    jw_end_object(&r->q->out);
    buf_clear(&r->line);
    buf_add_str(&r->line, cursor);
}

static tda_status run_list(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    struct jw *w = &r->q->out;
    jw_open_array(w, "sessions");
    r->query.user = readable(r);
    tda_status status = s->ops->list(s, &r->query, list_one, r, &j->error);
    jw_end_array(w);
    if (r->more) jw_put_str(w, "cursor", buf_str(&r->line));
    return status;
}

static tda_status take_sort(struct request *q, enum session_sort *ret, struct error *e) {
    static const char *const words[] = {"updated", "created", "title"};
    struct json v = request_param(q, "sort");
    *ret = SORT_UPDATED;
    if (!json_type(v)) return TDA_OK;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (tda_str_eq(json_str(v), tda_str_of(words[i]))) {
            *ret = (enum session_sort)i;
            return TDA_OK;
        }
    error_set(e, TDA_E_INVALID, "invalid_param", "sort must be updated, created or title");
    error_field(e, "sort");
    return TDA_E_INVALID;
}

void session_list(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct session_request *r = prepare(q, &e);
    if (!r || take_sort(q, &r->query.sort, &e) || whole_number(q, "limit", 1, LIST_MAX, LIST_DEFAULT, &r->limit, &e)) {
        request_reply(q, &e);
        return;
    }
    r->query.search = json_str(request_param(q, "search"));
    r->query.cursor = json_str(request_param(q, "cursor"));
    r->query.limit = r->limit + 1;
    submit(r, LANE_READ, run_list);
}

/* ---- get, export ---- */

static void write_header(void *arg, const struct session_row *row, tda_str cursor) {
    struct session_request *r = arg;
    struct jw lines, *w = &r->q->out;
    (void)cursor;
    if (!r->as_lines) {
        put_session(w, row);
        return;
    }
    jw_put_str(w, "session", row->id);
    if (r->after) return;
    jw_init(&lines, &r->line);
    jw_begin_object(&lines);
    jw_put_z(&lines, "type", "session");
    put_session(&lines, row);
    jw_end_object(&lines);
    buf_add_char(&r->line, '\n');
}

static bool write_turn(void *arg, const struct turn_row *row) {
    struct session_request *r = arg;
    r->bytes += row->messages.n;
    if (r->n == r->limit || (r->n && r->bytes > PAGE_BYTES)) {
        r->more = true;
        return false;
    }
    r->n++;
    r->last = row->n;
    struct jw lines, *w = &r->q->out;
    if (r->as_lines) {
        jw_init(&lines, &r->line);
        w = &lines;
    }
    jw_begin_object(w);
    if (r->as_lines) jw_put_z(w, "type", "turn");
    put_turn(w, row);
    jw_end_object(w);
    if (r->as_lines) buf_add_char(&r->line, '\n');
    return true;
}

static tda_status run_get(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    struct jw *w = &r->q->out;
    tda_status status = s->ops->get(s, readable(r), r->id, write_header, r, &j->error);
    if (status) return status;
    if (!r->as_lines) jw_open_array(w, "history");
    status = s->ops->turns(s, readable(r), r->id, r->after, false, write_turn, r, &j->error);
    if (!r->as_lines) jw_end_array(w);
    if (r->as_lines) jw_put_str(w, "lines", buf_str(&r->line));
    if (r->more) jw_put_u64(w, "next", r->last);
    return status ? status : r->line.status;
}

static void get(struct request *q, bool as_lines) {
    struct error e = {.retry_ms = -1};
    struct session_request *r = prepare(q, &e);
    if (!r || whole_number(q, "after", 0, INT64_MAX / 2, 0, &r->after, &e) ||
        whole_number(q, "limit", 1, TURNS_MAX, TURNS_DEFAULT, &r->limit, &e)) {
        request_reply(q, &e);
        return;
    }
    r->as_lines = as_lines;
    submit(r, LANE_READ, run_get);
}

void session_get(struct request *q) {
    get(q, false);
}

void session_export(struct request *q) {
    get(q, true);
}

/* ---- usage ---- */

static void write_usage(void *arg, const struct usage_row *row) {
    struct session_request *r = arg;
    struct jw *w = &r->q->out;
    char day[32];
    clock_format_wall(row->day * DAY_MS, day, sizeof day);
    day[10] = 0;
    jw_begin_object(w);
    jw_put_z(w, "day", day);
    jw_put_str(w, "provider", row->provider);
    jw_put_str(w, "model", row->model);
    put_sums(w, &row->sums);
    jw_end_object(w);
    usage_sums_add(&r->total, &row->sums);
}

static tda_status run_usage(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    struct jw *w = &r->q->out;
    jw_open_array(w, "usage");
    tda_status status = s->ops->usage(s, j->user, r->from_day, write_usage, r, &j->error);
    jw_end_array(w);
    jw_open_object(w, "total");
    put_sums(w, &r->total);
    jw_end_object(w);
    return status;
}

void usage_get(struct request *q) {
    struct error e = {.retry_ms = -1};
    uint64_t days = 0;
    struct session_request *r = prepare(q, &e);
    if (!r || whole_number(q, "days", 1, DAYS_MAX, DAYS_DEFAULT, &days, &e)) {
        request_reply(q, &e);
        return;
    }
    r->from_day = clock_wall_ms() / DAY_MS + 1 - (int64_t)days;
    submit_settled(r, LANE_READ, run_usage);
}

/* ---- backup ---- */

static tda_status run_backup(struct store_job *j, struct store *s) {
    struct session_request *r = CONTAINER_OF(j, struct session_request, job);
    return s->ops->backup(s, r->path, &j->error);
}

void store_backup(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct session_request *r = prepare(q, &e);
    if (r) {
        r->path = arena_dup(&q->arena, json_str(request_param(q, "path")));
        if (!r->path) error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    }
    if (e.status) {
        request_reply(q, &e);
        return;
    }
    jw_put_z(&q->out, "path", r->path);
    submit_settled(r, LANE_ASIDE, run_backup);
}

/* ---- user.delete ---- */

struct erasing {
    struct store_job job;
    struct request *q;
    struct removed removed;
    bool had_context;
    uint64_t tokens;
};

static void reply_erased(struct erasing *x, const struct error *e) {
    struct jw *w = &x->q->out;
    jw_put_bool(w, "deleted", true);
    jw_put_bool(w, "context", x->had_context);
    jw_put_u64(w, "tokens", x->tokens);
    jw_put_u64(w, "sessions", x->removed.sessions);
    jw_put_u64(w, "usage_rows", x->removed.usage_days);
    request_reply(x->q, e);
}

static tda_status run_erase(struct store_job *j, struct store *s) {
    struct erasing *x = CONTAINER_OF(j, struct erasing, job);
    return s->ops->erase(s, j->user, &x->removed, &j->error);
}

static void on_erased(struct store_job *j) {
    struct erasing *x = CONTAINER_OF(j, struct erasing, job);
    struct error e = j->error;
    reply_erased(x, j->status ? &e : NULL);
}

static void erase_stored(struct erasing *x) {
    struct sessions *sessions = router_options(x->q->router)->agent->sessions;
    struct error e = {.retry_ms = -1};
    x->job = (struct store_job){.run = run_erase, .done = on_erased};
    if (!sessions)
        reply_erased(x, NULL);
    else if (sessions_submit(sessions, &x->q->principal, x->q->user, LANE_WRITE, &x->job, &e))
        request_reply(x->q, &e);
}

static void on_tokens_saved(void *arg, tda_status status, const char *note) {
    struct erasing *x = arg;
    struct error e = {.retry_ms = -1};
    if (!status) {
        erase_stored(x);
        return;
    }
    tokens_not_saved(&e, status, note);
    error_hint(&e, "the user's tokens are refused from now on, but would be good again after a restart: ask for it again");
    request_reply(x->q, &e);
}

/* Nothing of this user runs any more, and nothing begins until this has been answered. */
static void erase(struct request *q) {
    const struct router_options *o = router_options(q->router);
    struct error e = {.retry_ms = -1};
    struct erasing *x = arena_alloc(&q->arena, sizeof *x);
    if (!x) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        request_reply(q, &e);
        return;
    }
    *x = (struct erasing){.q = q};
    x->had_context = !contexts_is_shared(o->contexts) && contexts_delete(o->contexts, &q->principal, q->user, NULL) == TDA_OK;
    router_forget(q->router, q->user, true);
    servers_forget_user(o->loops[contexts_loop(o->contexts, q->user)], q->user);
    pins_erase(o->agent, q->user);
    if (o->agent->limits) limits_forget(o->agent->limits, q->user);
    tda_status s = identity_revoke_user(o->identity, q->user, &x->tokens, &e);
    if (!s && !identity_keeps_tokens(o->identity)) {
        erase_stored(x);
        return;
    }
    if (!s) s = jobs_run_now(o->jobs, TDA_STR("token_save"), on_tokens_saved, x, &e);
    if (s) request_reply(q, &e);
}

void user_delete(struct request *q) {
    struct error e = {.retry_ms = -1};
    if (q->user.n) {
        router_when_alone(q, erase);
        return;
    }
    error_set(&e, TDA_E_INVALID, "user_required", "user is missing: who is to be erased?");
    error_field(&e, "user");
    request_reply(q, &e);
}
