/* Writing: the writer's connection, in groups. Every operation stands in a savepoint of its own. */
#include "session/sqlite_impl.h"

#define SUMS "calls, unknown, input, output, cache_read, cache_write, reasoning"
#define ADD_SUMS(from)                                                                                                             \
    "calls=calls+" from "calls, unknown=unknown+" from "unknown, input=input+" from "input, output=output+" from                   \
    "output, cache_read=cache_read+" from "cache_read, cache_write=cache_write+" from "cache_write, reasoning=reasoning+" from     \
    "reasoning"

/* Just after the user's other sessions: the one used last is the first of the list, and the last that retention takes, whatever the
 * wall clock did. */
#define AFTER(user, n)                                                                                                             \
    "ifnull((SELECT o.updated_ms+1 FROM sessions o WHERE o.user=" user " AND o.n<>" n " ORDER BY o.updated_ms DESC LIMIT 1), 0)"

const char *const write_sql[WRITE_STATEMENTS] = {
    [W_BEGIN] = "BEGIN IMMEDIATE",
    [W_COMMIT] = "COMMIT",
    [W_ROLLBACK] = "ROLLBACK",
    [W_SAVE] = "SAVEPOINT operation",
    [W_RELEASE] = "RELEASE operation",
    [W_UNDO] = "ROLLBACK TO operation",
    [W_COUNT_SESSIONS] = "SELECT count(*) FROM sessions WHERE user=?1",
    [W_CREATE] = ("INSERT INTO sessions(id, user, title, context, created_ms, updated_ms) VALUES(?1, ?2, ?3, ?4, ?5,"
                  " max(?5, " AFTER("?2", "-1") "))"),
    [W_FIND] = "SELECT n, turns FROM sessions WHERE id=?1 AND user=?2",
    [W_APPEND] = ("INSERT INTO turns(session, turn, at_ms, provider, model, mcp_server, profile, stop, each_call, messages, " SUMS
                  ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"),
    [W_TOUCH] = ("UPDATE sessions SET turns=?2, updated_ms=max(updated_ms, ?3, " AFTER(
        "sessions.user", "?1") "),"
                               " title=CASE title WHEN '' THEN ifnull(?4, '') ELSE title END, calls=calls+?5, unknown=unknown+?6, "
                               "input=input+?7, output=output+?8, cache_read=cache_read+?9,"
                               " cache_write=cache_write+?10, reasoning=reasoning+?11 WHERE n=?1"),
    [W_KEY] = "INSERT INTO keys(user, key, turn, at_ms, digest, reply) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [W_USAGE] = ("INSERT INTO usage(user, day, provider, model, turns, " SUMS
                 ") VALUES(?1, ?2, ifnull(?3, ''), ifnull(?4, ''), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
                 " ON CONFLICT DO UPDATE SET turns=turns+excluded.turns, " ADD_SUMS("excluded.")),
    [W_RENAME] = "UPDATE sessions SET title=?3 WHERE id=?1 AND user=?2",
    [W_REMOVE] = "DELETE FROM sessions WHERE id=?1 AND user=?2",
    [W_ERASE_SESSIONS] = "DELETE FROM sessions WHERE user=?1",
    [W_ERASE_KEYS] = "DELETE FROM keys WHERE user=?1",
    [W_ERASE_PINS] = "DELETE FROM pins WHERE user=?1",
    [W_ERASE_USAGE] = "DELETE FROM usage WHERE user=?1",
    [W_RETAIN_AGE] = "DELETE FROM sessions WHERE n IN (SELECT n FROM sessions WHERE updated_ms<?1 LIMIT ?2)",
    [W_RETAIN_COUNT] = ("DELETE FROM sessions WHERE n IN (SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY user ORDER BY"
                        " updated_ms DESC, n DESC) AS place FROM sessions) WHERE place>?1 LIMIT ?2)"),
    [W_RETAIN_KEYS] = "DELETE FROM keys WHERE at_ms<?1",
    [W_RETAIN_USAGE] = "DELETE FROM usage WHERE day<?1",
    [W_PIN] = ("INSERT INTO pins(user, server, tool, digest, at_ms) VALUES(?1, ?2, ?3, ?4, ?5)"
               " ON CONFLICT DO UPDATE SET digest=excluded.digest, at_ms=excluded.at_ms"),
    [W_PIN_FIRST] = ("INSERT OR IGNORE INTO pins(user, server, tool, digest, at_ms) SELECT ?1, ?2, ?3, ?4, ?5"
                     " WHERE NOT EXISTS(SELECT 1 FROM pins WHERE user=?1 AND server=?2 AND tool='')"),
};

/* ---- groups ---- */

/* Runs a bound statement that returns no rows. */
static bool run(struct sqlite_store *s, enum write_statement which) {
    int code = sqlite3_step(s->write[which]);
    statement_end(s->write[which]);
    return code == SQLITE_DONE;
}

tda_status sqlite_begin(struct store *base, struct error *e) {
    struct sqlite_store *s = store_of(base);
    return run(s, W_BEGIN) ? TDA_OK : sqlite_failed(s->writer, "the session store takes no writes", e);
}

/* Who waits for his turn's acknowledgement does not wait for a reader or a backup too: it is tried again after the next group. */
static void shrink_log(struct sqlite_store *s) {
    sqlite3_busy_timeout(s->writer, 0);
    if (sqlite3_wal_checkpoint_v2(s->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK) s->shrink = false;
    sqlite3_busy_timeout(s->writer, BUSY_MS);
}

/* A disk that is full or breaks may end the transaction in the middle. Then nothing of it is kept, and what came after would be
 * kept by itself, and be done once more when the group is. */
static tda_status in_group(struct sqlite_store *s, struct error *e) {
    if (!sqlite3_get_autocommit(s->writer)) return TDA_OK;
    return error_set(e, TDA_E_IO, "store_failed", "the session store took the group back");
}

tda_status sqlite_commit(struct store *base, struct error *e) {
    struct sqlite_store *s = store_of(base);
    tda_status status = in_group(s, e);
    if (status) return status;
    if (!run(s, W_COMMIT)) return sqlite_failed(s->writer, "it was not stored", e);
    if (s->shrink) shrink_log(s);
    return TDA_OK;
}

void sqlite_rollback(struct store *base) {
    struct sqlite_store *s = store_of(base);
    if (!sqlite3_get_autocommit(s->writer)) run(s, W_ROLLBACK);
}

/* Ends an operation: as it began when it failed. */
static tda_status settle(struct sqlite_store *s, tda_status status) {
    if (status && !sqlite3_get_autocommit(s->writer)) run(s, W_UNDO);
    if (!sqlite3_get_autocommit(s->writer)) run(s, W_RELEASE);
    return status;
}

static tda_status enter(struct sqlite_store *s, struct error *e) {
    tda_status status = in_group(s, e);
    return status || run(s, W_SAVE) ? status : sqlite_failed(s->writer, "it was not stored", e);
}

/* ---- operations ---- */

static void bind_sums(sqlite3_stmt *q, int at, const struct usage_sums *u) {
    const uint64_t values[] = {u->calls, u->unknown, u->input, u->output, u->cache_read, u->cache_write, u->reasoning};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) bind_u64(q, at + (int)i, values[i]);
}

static tda_status has_room(struct sqlite_store *s, tda_str user, struct error *e) {
    sqlite3_stmt *q = s->write[W_COUNT_SESSIONS];
    bind_str(q, 1, user);
    bool counted = sqlite3_step(q) == SQLITE_ROW;
    uint64_t n = counted ? column_u64(q, 0) : 0;
    statement_end(q);
    if (!counted) return sqlite_failed(s->writer, "the session was not made", e);
    if (n < s->o.limits.sessions_per_user) return TDA_OK;
    error_set(e, TDA_E_LIMIT, "too_many_sessions", "this user has %llu sessions, which is the limit", (unsigned long long)n);
    error_hint(e, "delete some; the operator's limit is sessions.per_user");
    return TDA_E_LIMIT;
}

tda_status sqlite_create(struct store *base, const struct session_row *row, struct error *e) {
    struct sqlite_store *s = store_of(base);
    tda_status status = in_group(s, e);
    if (!status) status = has_room(s, row->user, e);
    if (status) return status;
    sqlite3_stmt *q = s->write[W_CREATE];
    bind_str(q, 1, row->id);
    bind_str(q, 2, row->user);
    bind_str(q, 3, row->title);
    bind_str(q, 4, row->context);
    sqlite3_bind_int64(q, 5, row->created_ms);
    if (run(s, W_CREATE)) return TDA_OK;
    if (sqlite3_extended_errcode(s->writer) == SQLITE_CONSTRAINT_UNIQUE)
        return error_set(e, TDA_E_EXISTS, "session_exists", "there is a session with this id already");
    return sqlite_failed(s->writer, "the session was not made", e);
}

static tda_status no_session(struct error *e) {
    error_set(e, TDA_E_NOT_FOUND, "session_not_found", "there is no such session of this user");
    error_field(e, "session");
    error_hint(e, "session.list shows them, session.create makes one");
    return TDA_E_NOT_FOUND;
}

static tda_status find(struct sqlite_store *s, const struct turn_row *row, int64_t *ret_n, uint64_t *ret_turns, struct error *e) {
    sqlite3_stmt *q = s->write[W_FIND];
    bind_str(q, 1, row->session);
    bind_str(q, 2, row->user);
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        *ret_n = sqlite3_column_int64(q, 0);
        *ret_turns = column_u64(q, 1);
    }
    statement_end(q);
    if (code == SQLITE_DONE) return no_session(e);
    if (code != SQLITE_ROW) return sqlite_failed(s->writer, "the turn was not stored", e);
    if (*ret_turns < s->o.limits.turns_per_session) return TDA_OK;
    error_set(e, TDA_E_LIMIT, "session_full", "this session has %llu turns, which is the limit", (unsigned long long)*ret_turns);
    error_hint(e, "begin another session; the operator's limit is sessions.turns");
    return TDA_E_LIMIT;
}

static bool insert_turn(struct sqlite_store *s, int64_t session, uint64_t turn, const struct turn_row *row) {
    sqlite3_stmt *q = s->write[W_APPEND];
    sqlite3_bind_int64(q, 1, session);
    bind_u64(q, 2, turn);
    sqlite3_bind_int64(q, 3, row->at_ms);
    bind_str(q, 4, row->provider);
    bind_str(q, 5, row->model);
    bind_str(q, 6, row->mcp_server);
    bind_str(q, 7, row->profile);
    bind_str(q, 8, row->stop);
    bind_str(q, 9, row->calls.p ? row->calls : TDA_STR("[]"));
    bind_str(q, 10, row->messages);
    bind_sums(q, 11, &row->usage);
    return run(s, W_APPEND);
}

static bool touch_session(struct sqlite_store *s, int64_t session, uint64_t turn, const struct turn_row *row) {
    sqlite3_stmt *q = s->write[W_TOUCH];
    sqlite3_bind_int64(q, 1, session);
    bind_u64(q, 2, turn);
    sqlite3_bind_int64(q, 3, row->at_ms);
    bind_str(q, 4, row->title);
    bind_sums(q, 5, &row->usage);
    return run(s, W_TOUCH);
}

static bool insert_key(struct sqlite_store *s, int64_t turn, const struct turn_row *row) {
    if (!row->key.p) return true;
    sqlite3_stmt *q = s->write[W_KEY];
    bind_str(q, 1, row->user);
    bind_str(q, 2, row->key);
    sqlite3_bind_int64(q, 3, turn);
    sqlite3_bind_int64(q, 4, row->at_ms);
    sqlite3_bind_blob(q, 5, row->digest, sizeof row->digest, SQLITE_STATIC);
    bind_str(q, 6, row->reply);
    return run(s, W_KEY);
}

static bool insert_usage(struct sqlite_store *s, const struct usage_row *row) {
    sqlite3_stmt *q = s->write[W_USAGE];
    bind_str(q, 1, row->user);
    sqlite3_bind_int64(q, 2, row->day);
    bind_str(q, 3, row->provider);
    bind_str(q, 4, row->model);
    bind_u64(q, 5, row->sums.turns);
    bind_sums(q, 6, &row->sums);
    return run(s, W_USAGE);
}

static tda_status append(struct sqlite_store *s, const struct turn_row *row, struct error *e) {
    int64_t session = 0;
    uint64_t turns = 0;
    struct usage_row usage = {.user = row->user,
                              .provider = row->provider,
                              .model = row->model,
                              .day = row->at_ms / (24 * 3600 * INT64_C(1000)),
                              .sums = row->usage};
    tda_status status = find(s, row, &session, &turns, e);
    if (status) return status;
    bool done = insert_turn(s, session, turns + 1, row);
    int64_t turn = sqlite3_last_insert_rowid(s->writer);
    if (done && touch_session(s, session, turns + 1, row) && insert_usage(s, &usage)) {
        if (insert_key(s, turn, row)) return TDA_OK;
        if (sqlite3_extended_errcode(s->writer) == SQLITE_CONSTRAINT_PRIMARYKEY)
            return error_set(e, TDA_E_EXISTS, "idempotency_conflict", "this idempotency_key has been used for another turn");
    }
    return sqlite_failed(s->writer, "the turn was not stored", e);
}

tda_status sqlite_append(struct store *base, const struct turn_row *row, struct error *e) {
    struct sqlite_store *s = store_of(base);
    tda_status status = enter(s, e);
    return status ? status : settle(s, append(s, row, e));
}

static tda_status change_one(struct sqlite_store *s, enum write_statement which, tda_str user, tda_str id, struct error *e) {
    tda_status status = in_group(s, e);
    if (status) return status;
    bind_str(s->write[which], 1, id);
    bind_str(s->write[which], 2, user);
    if (!run(s, which)) return sqlite_failed(s->writer, "the session was not changed", e);
    return sqlite3_changes(s->writer) ? TDA_OK : no_session(e);
}

tda_status sqlite_rename(struct store *base, tda_str user, tda_str id, tda_str title, struct error *e) {
    bind_str(store_of(base)->write[W_RENAME], 3, title);
    return change_one(store_of(base), W_RENAME, user, id, e);
}

tda_status sqlite_remove(struct store *base, tda_str user, tda_str id, struct error *e) {
    tda_status status = change_one(store_of(base), W_REMOVE, user, id, e);
    if (!status) store_of(base)->shrink = true;
    return status;
}

tda_status sqlite_add_usage(struct store *base, const struct usage_row *row, struct error *e) {
    struct sqlite_store *s = store_of(base);
    tda_status status = in_group(s, e);
    return status || insert_usage(s, row) ? status : sqlite_failed(s->writer, "the usage was not stored", e);
}

/* Counts what a deleting statement took. */
static bool delete_rows(struct sqlite_store *s, enum write_statement which, uint64_t *count) {
    if (!run(s, which)) return false;
    *count += (uint64_t)sqlite3_changes64(s->writer);
    return true;
}

tda_status sqlite_pin(struct store *base, const struct pin_row *row, struct error *e) {
    struct sqlite_store *s = store_of(base);
    enum write_statement which = row->first ? W_PIN_FIRST : W_PIN;
    tda_status status = in_group(s, e);
    if (status) return status;
    bind_str(s->write[which], 1, row->user);
    bind_str(s->write[which], 2, row->server);
    bind_str(s->write[which], 3, row->tool);
    sqlite3_bind_blob(s->write[which], 4, row->digest, DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(s->write[which], 5, row->at_ms);
    return run(s, which) ? TDA_OK : sqlite_failed(s->writer, "the approval was not stored", e);
}

tda_status sqlite_erase(struct store *base, tda_str user, struct removed *ret, struct error *e) {
    struct sqlite_store *s = store_of(base);
    struct removed r = {0};
    uint64_t pins = 0;
    tda_status status = enter(s, e);
    if (status) return status;
    for (int i = W_ERASE_SESSIONS; i <= W_ERASE_USAGE; i++) bind_str(s->write[i], 1, user);
    bool done = delete_rows(s, W_ERASE_KEYS, &r.keys) && delete_rows(s, W_ERASE_SESSIONS, &r.sessions) &&
                delete_rows(s, W_ERASE_USAGE, &r.usage_days) && delete_rows(s, W_ERASE_PINS, &pins);
    if (!done) return settle(s, sqlite_failed(s->writer, "the user was not erased", e));
    s->shrink = true;
    *ret = r;
    return settle(s, TDA_OK);
}

tda_status sqlite_retain(struct store *base, const struct retention *keep, struct removed *ret, struct error *e) {
    struct sqlite_store *s = store_of(base);
    struct removed r = {0};
    tda_status status = enter(s, e);
    if (status) return status;
    sqlite3_bind_int64(s->write[W_RETAIN_AGE], 1, keep->sessions_before_ms);
    sqlite3_bind_int(s->write[W_RETAIN_AGE], 2, RETAIN_STEP);
    bind_u64(s->write[W_RETAIN_COUNT], 1, keep->keep_per_user);
    sqlite3_bind_int(s->write[W_RETAIN_COUNT], 2, RETAIN_STEP);
    sqlite3_bind_int64(s->write[W_RETAIN_KEYS], 1, keep->keys_before_ms);
    sqlite3_bind_int64(s->write[W_RETAIN_USAGE], 1, keep->usage_before_day);
    bool done = delete_rows(s, W_RETAIN_AGE, &r.sessions) &&
                (!keep->keep_per_user || delete_rows(s, W_RETAIN_COUNT, &r.sessions)) && delete_rows(s, W_RETAIN_KEYS, &r.keys) &&
                delete_rows(s, W_RETAIN_USAGE, &r.usage_days);
    statement_end(s->write[W_RETAIN_COUNT]);
    if (!done) return settle(s, sqlite_failed(s->writer, "old sessions were not removed", e));
    s->shrink = s->shrink || r.sessions;
    *ret = r;
    return settle(s, TDA_OK);
}
