/* agent.run with `session`: the history comes from the store, and the turn is in the store before its reply goes out.
 *
 *   reader: same key? --yes--> its reply, nothing runs
 *     | no
 *     v
 *   reader: session, its newest turns --> loop: the turn --> writer: append, commit --> loop: reply
 *
 * The turn itself does not know: it finds the past in its work and leaves what it added there. One turn at a time in a session.
 * What was not committed is an error for the caller, and no part of it is in the store. */
#include "agent/account.h"
#include "agent/answer.h"
#include "agent/message.h"
#include "agent/title.h"
#include "base/clock.h"

struct session_turn {
    struct account account;
    struct jw *out; /* the caller's, while `reply` stands in its place */
    struct session_entry entry;
    bool entered, cancelled, untitled;
    tda_str id, key;
    unsigned char digest[DIGEST_SIZE]; /* of the params, when there is a key */
    struct store_job job;
    struct task back; /* from the store's threads to the loop */

    struct json_doc **past; /* newest first, as they are read */
    uint32_t n_past, cap_past;
    size_t past_bytes;
    struct json_doc *context; /* what the session inherited; NULL: it follows */
    struct snapshot *derived; /* made from it */
    bool conflict, stored;    /* the key is there: with other params; with these */
    struct buf stored_meta;

    struct buf reply, messages, calls;
    struct jw reply_w;
    struct json_doc *reply_doc;
    struct turn_row row;
    char title[TITLE_MAX + 1];
    struct title by_model;
};

static void finish(struct session_turn *t, const struct error *e) {
    struct work *w = t->account.work;
    struct sessions *ss = w->agent->sessions;
    struct snapshot *derived = t->derived; /* `t` goes with the work's arena, in done */
    if (t->entered) sessions_leave(ss, &t->entry);
    if (t->account.reserved) sessions_unreserve(ss);
    for (uint32_t i = 0; i < t->n_past; i++) json_free(t->past[i]);
    free(t->past);
    json_free(t->context);
    json_free(t->reply_doc);
    struct buf *const bufs[] = {&t->stored_meta, &t->reply, &t->messages, &t->calls};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) buf_fini(bufs[i]);
    w->cancel = NULL;
    w->past = NULL;
    w->n_past = 0;
    w->out = t->out;
    w->done = t->account.done;
    w->done(w, e);
    snapshot_unref(derived);
}

static void fail(struct session_turn *t, tda_status status, const char *kind, const char *text) {
    struct error e = {.retry_ms = -1};
    error_set(&e, status, kind, "%s", text);
    finish(t, &e);
}

static void go_back(struct store_job *j) {
    struct session_turn *t = CONTAINER_OF(j, struct session_turn, job);
    loop_post(t->account.work->loop, &t->back);
}

/* ---- reading [reader] ---- */

static void write_label(struct jw *w, const char *name, tda_str v) {
    if (v.n) jw_put_str(w, name, v);
}

static void write_stored_meta(const struct turn_row *row, struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    jw_begin_object(&w);
    write_label(&w, "provider", row->provider);
    write_label(&w, "model", row->model);
    write_label(&w, "mcp_server", row->mcp_server);
    write_label(&w, "profile", row->profile);
    jw_put_raw(&w, "calls", row->calls);
    jw_put_bool(&w, "stored", true);
    jw_end_object(&w);
}

static bool on_keyed(void *arg, const struct turn_row *row) {
    struct session_turn *t = arg;
    t->conflict = memcmp(row->digest, t->digest, DIGEST_SIZE) != 0 || !tda_str_eq(row->session, t->id);
    if (t->conflict) return false;
    t->stored = true;
    buf_add_str(&t->reply, row->reply);
    write_stored_meta(row, &t->stored_meta);
    return false;
}

static tda_status look_for_key(struct session_turn *t, struct store *s, struct error *e) {
    tda_status status = s->ops->keyed(s, t->job.user, t->key, on_keyed, t, e);
    if (status == TDA_E_NOT_FOUND) return TDA_OK;
    if (status) return status;
    if (t->conflict) {
        error_set(e, TDA_E_CONFLICT, "idempotency_conflict", "this idempotency_key was used with other parameters");
        error_field(e, "idempotency_key");
        error_hint(e, "use a new key for a new request");
        return TDA_E_CONFLICT;
    }
    return t->reply.status || t->stored_meta.status ? TDA_E_NOMEM : TDA_OK;
}

struct loaded {
    struct session_turn *turn;
    bool own;
    uint64_t turns;
};

static void on_session(void *arg, const struct session_row *row, tda_str cursor) {
    struct loaded *l = arg;
    (void)cursor;
    l->own = tda_str_eq(row->user, l->turn->job.user);
    l->turns = row->turns;
    l->turn->untitled = row->title.n == 0;
    if (l->own && row->context.p) json_parse(row->context, 0, &l->turn->context, NULL);
}

static bool on_past(void *arg, const struct turn_row *row) {
    struct session_turn *t = arg;
    t->past_bytes += row->messages.n;
    if (t->past_bytes > (size_t)t->account.work->agent->config->sessions_history && t->n_past) return false;
    if (t->n_past == t->cap_past) {
        uint32_t cap = t->cap_past ? t->cap_past * 2 : 16;
        struct json_doc **past = realloc(t->past, cap * sizeof *past);
        if (!past) return false;
        t->past = past;
        t->cap_past = cap;
    }
    return json_parse(row->messages, 0, &t->past[t->n_past], NULL) == TDA_OK && ++t->n_past;
}

/* Another user's session is as good as none, or may be read: written it is by its owner alone. */
static tda_str readable(const struct session_turn *t) {
    return t->account.work->agent->config->sessions_filter ? t->job.user : (tda_str){0};
}

static tda_status read_only(struct error *e) {
    error_set(e, TDA_E_DENIED, "session_read_only", "this session belongs to another user: it can be read, not written");
    error_hint(e, "session.create makes one of your own");
    error_field(e, "session");
    return TDA_E_DENIED;
}

/* Said before the model is paid; the store says it again. */
static tda_status full(const struct loaded *l, struct error *e) {
    if (l->turns < (uint64_t)l->turn->account.work->agent->config->sessions_turns) return TDA_OK;
    error_set(e, TDA_E_LIMIT, "session_full", "this session has %llu turns, which is the limit", (unsigned long long)l->turns);
    error_hint(e, "begin another session; the operator's limit is sessions.turns");
    return TDA_E_LIMIT;
}

static tda_status load(struct store_job *j, struct store *s) {
    struct session_turn *t = CONTAINER_OF(j, struct session_turn, job);
    struct loaded l = {.turn = t};
    if (t->key.p) {
        tda_status status = look_for_key(t, s, &j->error);
        if (status || t->stored) return status;
    }
    tda_status status = s->ops->get(s, readable(t), t->id, on_session, &l, &j->error);
    if (!status && !l.own) status = read_only(&j->error);
    if (!status) status = full(&l, &j->error);
    return status ? status : s->ops->turns(s, j->user, t->id, 0, true, on_past, t, &j->error);
}

/* ---- storing ---- */

/* The members of what was stored or captured, into the caller's result. */
static void copy_reply(struct session_turn *t) {
    for (struct json v = json_first(json_root(t->reply_doc)); json_type(v); v = json_next(v)) {
        jw_key(t->out, json_name(v));
        jw_raw(t->out, json_raw(v));
    }
}

/* The turn is not kept, but its tokens were used. */
static void store_usage_at_least(struct session_turn *t) {
    struct usage_sums sums = account_sums(t->account.work);
    t->account.reserved = sessions_reserve(t->account.work->agent->sessions, NULL) == TDA_OK;
    account_store_usage(&t->account, &sums);
}

static void on_stored(struct task *task) {
    struct session_turn *t = CONTAINER_OF(task, struct session_turn, back);
    struct error e = t->job.error;
    if (!t->job.status) copy_reply(t);
    if (t->job.status) store_usage_at_least(t);
    finish(t, t->job.status ? &e : NULL);
}

static tda_status store(struct store_job *j, struct store *s) {
    return s->ops->append(s, &CONTAINER_OF(j, struct session_turn, job)->row, &j->error);
}

static tda_str first_question(const struct work *w) {
    for (uint32_t i = 0; i < w->n_record; i++)
        for (uint32_t k = 0; k < w->record[i]->n_parts; k++)
            if (w->record[i]->role == TDA_ROLE_USER && w->record[i]->parts[k]->kind == TDA_PART_TEXT)
                return w->record[i]->parts[k]->text;
    return TDA_STR("");
}

static void write_row(struct session_turn *t, const struct usage_sums *sums) {
    const struct work *w = t->account.work;
    struct jw jw;
    jw_init(&jw, &t->messages);
    jw_begin_array(&jw);
    for (uint32_t i = 0; i < w->n_record; i++)
        if (w->record[i]->role != TDA_ROLE_SYSTEM) message_write(w->record[i], &jw);
    jw_end_array(&jw);
    jw_init(&jw, &t->calls);
    jw_begin_array(&jw);
    for (const struct call_usage *c = w->meta.calls; c; c = c->next) usage_write(&c->usage, &jw);
    jw_end_array(&jw);
    if (!t->title[0]) session_title_from(first_question(w), t->title);
    t->row = (struct turn_row){.session = t->id,
                               .user = w->user,
                               .title = tda_str_of(t->title),
                               .at_ms = clock_wall_ms(),
                               .profile = tda_str_of(snapshot_profile(w->snapshot)),
                               .provider = snapshot_get(w->snapshot, TDA_CTX_PROVIDER),
                               .model = snapshot_get(w->snapshot, TDA_CTX_MODEL),
                               .mcp_server = snapshot_get(w->snapshot, TDA_CTX_MCP_SERVER_NAME),
                               .stop = json_str(json_get(json_root(t->reply_doc), "stop")),
                               .messages = buf_str(&t->messages),
                               .calls = buf_str(&t->calls),
                               .usage = *sums,
                               .key = t->key,
                               .reply = buf_str(&t->reply)};
    memcpy(t->row.digest, t->digest, DIGEST_SIZE);
}

static void settle(struct work *w, const struct error *e) {
    struct session_turn *t = w->account;
    struct usage_sums sums = account_sums(w);
    account_count(&t->account, &sums);
    w->cancel = NULL;
    if (e) {
        account_store_usage(&t->account, &sums);
        finish(t, e);
        return;
    }
    jw_put_str(&t->reply_w, "session", t->id);
    jw_end_object(&t->reply_w);
    bool whole = !t->reply.status && json_parse(buf_str(&t->reply), 0, &t->reply_doc, NULL) == TDA_OK;
    if (whole) write_row(t, &sums);
    if (!whole || t->messages.status || t->calls.status) {
        account_store_usage(&t->account, &sums);
        fail(t, TDA_E_LIMIT, "reply_too_large", "the turn is too large to be kept");
        return;
    }
    t->job = (struct store_job){.run = store, .done = go_back};
    t->back = (struct task){.run = on_stored, .line.lane = loop_lane(t->account.work->user)};
    t->account.reserved = false;
    sessions_write_reserved(w->agent->sessions, &t->job);
}

/* ---- a title by the model, once, before the turn is stored ---- */

static void on_title(struct work *w, tda_str said) {
    struct session_turn *t = w->account;
    if (said.n) session_title_from(said, t->title);
    title_fini(&t->by_model);
    settle(w, NULL);
}

static void on_title_cancel(struct work *w) {
    title_cancel(&((struct session_turn *)w->account)->by_model);
}

static void on_turn_done(struct work *w, const struct error *e) {
    struct session_turn *t = w->account;
    if (e || !t->untitled || !w->agent->config->sessions_title) {
        settle(w, e);
        return;
    }
    w->cancel = on_title_cancel;
    title_ask(&t->by_model, w, first_question(w), on_title);
}

/* ---- whose context ---- */

static bool same_fields(const struct snapshot *s, struct json fields) {
    for (size_t i = 0; i < CTX_FIELDS; i++) {
        const struct ctx_field *f = &ctx_fields[i];
        struct json v = json_key(fields, tda_str_of(f->name));
        tda_str now = snapshot_get(s, f->key), then = f->kind == CTX_OBJECT ? json_raw(v) : json_str(v);
        if (f->kind == CTX_LIVE || (f->key == TDA_CTX_SERVER_CONFIGS && !json_type(v))) continue;
        if (!tda_str_eq(now, then)) return false;
    }
    return true;
}

static tda_status set_fields(struct draft *d, struct json fields, struct error *e) {
    tda_status s = draft_set(d, TDA_CTX_PROVIDER, json_str(json_key(fields, TDA_STR("provider"))), e);
    for (size_t i = 0; i < CTX_FIELDS && !s; i++) {
        const struct ctx_field *f = &ctx_fields[i];
        struct json v = json_key(fields, tda_str_of(f->name));
        tda_str then = f->kind == CTX_OBJECT ? json_raw(v) : json_str(v);
        if (f->kind == CTX_LIVE || f->key == TDA_CTX_PROVIDER || tda_str_eq(draft_get(d, f->key), then)) continue;
        s = draft_set(d, f->key, then, e);
    }
    return s;
}

/* The user's credentials stay where they were given for this provider and address; for another there are none, and its plugin says
 * so. */
static tda_status derive(struct session_turn *t, struct error *e) {
    struct work *w = t->account.work;
    struct json fields = json_root(t->context);
    const struct provider_entry *p;
    char origin[ORIGIN_SIZE];
    struct draft *d;
    if (same_fields(w->snapshot, fields)) return TDA_OK;
    tda_str user = contexts_is_shared(w->agent->contexts) ? TDA_STR("") : w->user;
    tda_status s = draft_new(w->agent->contexts, user, w->snapshot, &d);
    if (s) return error_set(e, s, NULL, "%s", status_text(s));
    s = set_fields(d, fields, e);
    if (!s) s = plugins_provider(w->agent->plugins, draft_get(d, TDA_CTX_PROVIDER), &p, e);
    if (!s) s = plugins_origin(w->agent->plugins, p, draft_snapshot(d), origin, e);
    if (!s) s = draft_bind(d, origin);
    if (!s) s = draft_preview(d, &t->derived);
    if (s && !e->status) error_set(e, s, NULL, "the session's context cannot be made: %s", status_text(s));
    draft_free(d);
    return s;
}

/* ---- the way in ---- */

static void answer_stored(struct session_turn *t) {
    if (json_parse(buf_str(&t->reply), 0, &t->reply_doc, NULL)) {
        fail(t, TDA_E_INTERNAL, "store_damaged", "what was stored for this idempotency_key cannot be read");
        return;
    }
    copy_reply(t);
    jw_put_raw(t->out, "meta", buf_str(&t->stored_meta));
    t->account.work->meta.written = true;
    finish(t, NULL);
}

static void run_turn(struct session_turn *t) {
    struct work *w = t->account.work;
    struct json *past = arena_alloc(w->arena, (t->n_past + 1) * sizeof *past);
    if (!past) {
        fail(t, TDA_E_LIMIT, "request_too_large", "the session needs more memory than one request may have");
        return;
    }
    for (uint32_t i = 0; i < t->n_past; i++) past[i] = json_root(t->past[t->n_past - 1 - i]);
    w->past = past;
    w->n_past = t->n_past;
    w->records = true;
    jw_init(&t->reply_w, &t->reply);
    jw_begin_object(&t->reply_w);
    w->out = &t->reply_w;
    w->done = on_turn_done;
    if (t->derived) w->snapshot = t->derived;
    turn_run(w);
}

static void on_loaded(struct task *task) {
    struct session_turn *t = CONTAINER_OF(task, struct session_turn, back);
    struct work *w = t->account.work;
    struct error e = t->job.error;
    w->cancel = NULL;
    if (t->job.status) {
        finish(t, &e);
    } else if (t->stored) {
        answer_stored(t);
    } else if (t->cancelled) {
        fail(t, TDA_E_CANCELLED, "cancelled", "cancelled");
    } else if (!w->snapshot) {
        error_set(&e, TDA_E_NOT_FOUND, "not_configured", "this user is not configured");
        error_hint(&e, "call configure with provider, model and credentials");
        finish(t, &e);
    } else if (t->context && !snapshot_profile(w->snapshot)[0] && derive(t, &e)) { /* a profile said for this turn counts first */
        finish(t, &e);
    } else {
        run_turn(t);
    }
}

static void on_cancel(struct work *w) {
    struct session_turn *t = w->account;
    t->cancelled = true;
}

static void no_sessions(struct work *w) {
    struct error e = {.retry_ms = -1};
    error_set(&e, TDA_E_UNSUPPORTED, "sessions_off", "this host keeps no sessions");
    error_field(&e, "session");
    error_hint(&e, "the operator's setting is sessions.path");
    w->done(w, &e);
}

/* Of what was asked; a token is no part of that. Out of memory: a digest that fits to nothing. */
static void digest_params(struct json params, unsigned char out[DIGEST_SIZE]) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    bool with_token = json_type(json_key(params, TDA_STR("auth")));
    if (with_token) json_without(params, "auth", &text);
    hash_digest(with_token ? buf_str(&text) : json_raw(params), out);
    buf_fini(&text);
}

static void begin(struct session_turn *t, struct work *w) {
    size_t most = (size_t)w->agent->config->calls_max_answer * 4 + (1 << 20);
    *t = (struct session_turn){.account = {.work = w, .done = w->done}, .out = w->out};
    t->id = json_str(json_key(w->params, TDA_STR("session")));
    t->key = w->idempotency_key.p ? w->idempotency_key : json_str(json_key(w->params, TDA_STR("idempotency_key")));
    if (t->key.p) digest_params(w->given, t->digest);
    struct buf *const bufs[] = {&t->stored_meta, &t->reply, &t->messages, &t->calls};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) buf_init(bufs[i], most);
}

void session_turn(struct work *w) {
    struct error e = {.retry_ms = -1};
    struct sessions *ss = w->agent->sessions;
    struct session_turn *t = arena_alloc(w->arena, sizeof *t);
    if (!ss) {
        no_sessions(w);
        return;
    }
    if (!t) {
        error_set(&e, TDA_E_NOMEM, "out_of_memory", "out of memory");
        w->done(w, &e);
        return;
    }
    begin(t, w);
    w->account = t;
    tda_status s = account_begin(&t->account, &e);
    if (!s) s = sessions_enter(ss, &t->entry, w->user, t->id, &e);
    t->entered = !s;
    t->job = (struct store_job){.run = load, .done = go_back};
    t->back = (struct task){.run = on_loaded, .line.lane = loop_lane(t->account.work->user)};
    w->cancel = on_cancel;
    if (!s) s = sessions_submit(ss, w->principal, w->user, LANE_READ, &t->job, &e);
    if (s) finish(t, &e);
}
