/* Reading: the reader's connection, which cannot write. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "session/sqlite_impl.h"

enum { SQL_MAX = 2048, CURSOR_MAX = 2048, SEARCH_MAX = 4096, OPS_BETWEEN_LOOKS = 10000 };

#define SUMS(t) t "calls, " t "unknown, " t "input, " t "output, " t "cache_read, " t "cache_write, " t "reasoning"
#define SESSION "SELECT s.n, s.id, s.user, s.title, s.context, s.created_ms, s.updated_ms, s.turns, " SUMS("s.") " FROM sessions s"
#define TURN                                                                                                                       \
    "SELECT s.id, s.user, t.turn, t.at_ms, t.provider, t.model, t.mcp_server, t.profile, t.stop, t.each_call, t.messages, " SUMS(  \
        "t.") ", k.key, k.digest, k.reply FROM sessions s JOIN turns t ON t.session=s.n LEFT JOIN keys k ON k.turn=t.n"

const char *const read_sql[READ_STATEMENTS] = {
    [R_GET] = SESSION " WHERE s.id=?1 AND s.user=ifnull(?2, s.user)",
    [R_TURNS] = TURN " WHERE s.id=?1 AND t.turn>?2 AND s.user=ifnull(?3, s.user) ORDER BY t.turn",
    [R_TURNS_BACK] = TURN " WHERE s.id=?1 AND t.turn>?2 AND s.user=ifnull(?3, s.user) ORDER BY t.turn DESC",
    [R_KEYED] = TURN " WHERE k.user=?1 AND k.key=?2",
    [R_USAGE] = ("SELECT user, day, provider, model, turns, " SUMS("") " FROM usage WHERE user=?1 AND day>=?2"
                                                                       " ORDER BY day, provider, model"),
    [R_DAY] = ("SELECT user, day, NULL, NULL, sum(turns), sum(calls), sum(unknown), sum(input), sum(output), sum(cache_read),"
               " sum(cache_write), sum(reasoning) FROM usage WHERE day=?1 GROUP BY user"),
    [R_PINS] = "SELECT tool, digest, at_ms FROM pins WHERE user=?1 AND server=?2",
};

/* ---- a reading has its time ---- */

static int out_of_time(void *arg) {
    struct sqlite_store *s = arg;
    return clock_now_ns() > s->until_ns;
}

static void start_clock(struct sqlite_store *s) {
    s->until_ns = clock_now_ns() + s->o.read_timeout_ns;
    sqlite3_progress_handler(s->reader, OPS_BETWEEN_LOOKS, out_of_time, s);
}

static tda_status end(struct sqlite_store *s, sqlite3_stmt *q, int code, struct error *e) {
    tda_status status = code == SQLITE_DONE || code == SQLITE_ROW ? TDA_OK : sqlite_failed(s->reader, "sessions cannot be read", e);
    statement_end(q);
    return status;
}

/* ---- rows ---- */

static void take_sums(sqlite3_stmt *q, int at, struct usage_sums *u) {
    uint64_t *const members[] = {&u->calls, &u->unknown, &u->input, &u->output, &u->cache_read, &u->cache_write, &u->reasoning};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) *members[i] = column_u64(q, at + (int)i);
}

static void take_session(sqlite3_stmt *q, struct session_row *r) {
    *r = (struct session_row){.id = column_str(q, 1),
                              .user = column_str(q, 2),
                              .title = column_str(q, 3),
                              .context = column_str(q, 4),
                              .created_ms = sqlite3_column_int64(q, 5),
                              .updated_ms = sqlite3_column_int64(q, 6),
                              .turns = column_u64(q, 7)};
    take_sums(q, 8, &r->usage);
    r->usage.turns = r->turns;
}

static void take_turn(sqlite3_stmt *q, struct turn_row *r) {
    *r = (struct turn_row){.session = column_str(q, 0),
                           .user = column_str(q, 1),
                           .n = column_u64(q, 2),
                           .at_ms = sqlite3_column_int64(q, 3),
                           .provider = column_str(q, 4),
                           .model = column_str(q, 5),
                           .mcp_server = column_str(q, 6),
                           .profile = column_str(q, 7),
                           .stop = column_str(q, 8),
                           .calls = column_str(q, 9),
                           .messages = column_str(q, 10),
                           .key = column_str(q, 18),
                           .reply = column_str(q, 20)};
    take_sums(q, 11, &r->usage);
    r->usage.turns = 1;
    if (sqlite3_column_bytes(q, 19) == DIGEST_SIZE) memcpy(r->digest, sqlite3_column_blob(q, 19), DIGEST_SIZE);
}

static void take_usage(sqlite3_stmt *q, struct usage_row *r) {
    *r = (struct usage_row){
        .user = column_str(q, 0), .day = sqlite3_column_int64(q, 1), .provider = column_str(q, 2), .model = column_str(q, 3)};
    r->sums.turns = column_u64(q, 4);
    take_sums(q, 5, &r->sums);
}

/* ---- the list ---- */

/* holds(text, word): the word is in the text, whatever the case of its letters. LIKE takes the product of the two lengths, and
 * looks at no clock meanwhile: one user's search would stop everybody's reading. */
static void holds(sqlite3_context *c, int n, sqlite3_value **args) {
    const struct sqlite_store *s = sqlite3_user_data(c);
    const char *text = (const char *)sqlite3_value_text(args[0]), *word = (const char *)sqlite3_value_text(args[1]);
    (void)n;
    if (clock_now_ns() > s->until_ns)
        sqlite3_result_error_code(c, SQLITE_INTERRUPT);
    else
        sqlite3_result_int(c, text && word && strcasestr(text, word));
}

tda_status search_prepare(struct sqlite_store *s, struct error *e) {
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    if (sqlite3_create_function(s->reader, "holds", 2, flags, s, holds, NULL, NULL) == SQLITE_OK) return TDA_OK;
    return sqlite_failed(s->reader, "the session store cannot be opened", e);
}

static const struct sort {
    char letter; /* of its cursors */
    const char *column, *order;
    char after;
} sorts[] = {[SORT_UPDATED] = {'u', "s.updated_ms", " DESC", '<'},
             [SORT_CREATED] = {'c', "s.created_ms", " DESC", '<'},
             [SORT_TITLE] = {'t', "s.title", "", '>'}};

static void write_cursor(enum session_sort sort, int64_t n, const struct session_row *row, struct buf *out) {
    buf_clear(out);
    buf_addf(out, "%c%lld-", sorts[sort].letter, (long long)n);
    if (sort == SORT_TITLE)
        buf_add_str(out, row->title);
    else
        buf_addf(out, "%lld", (long long)(sort == SORT_UPDATED ? row->updated_ms : row->created_ms));
}

/* "u17-1764000000000": the place of one row in this order. */
static tda_status bind_cursor(sqlite3_stmt *q, const struct session_query *query, struct error *e) {
    const char *p = query->cursor.p, *stop = p + query->cursor.n;
    int64_t n = 0, value = 0;
    bool good = query->cursor.n < CURSOR_MAX && query->cursor.n > 3 && *p++ == sorts[query->sort].letter;
    for (; good && p < stop && *p >= '0' && *p <= '9' && n < INT64_MAX / 16; p++) n = n * 10 + (*p - '0');
    good = good && p < stop && *p++ == '-';
    tda_str rest = good ? (tda_str){p, (size_t)(stop - p)} : (tda_str){0};
    for (; good && query->sort != SORT_TITLE && p < stop; p++) {
        good = *p >= '0' && *p <= '9' && value < INT64_MAX / 16;
        value = value * 10 + (*p - '0');
    }
    if (!good) {
        error_field(e, "cursor");
        error_set(e, TDA_E_INVALID, "invalid_param", "this cursor is not one that a list in this order gave");
        error_field(e, "cursor");
        return TDA_E_INVALID;
    }
    sqlite3_bind_int64(q, 4, n);
    if (query->sort == SORT_TITLE)
        bind_str(q, 5, rest);
    else
        sqlite3_bind_int64(q, 5, value);
    return TDA_OK;
}

/* From fixed pieces: what a caller gave is bound, never part of the text. */
static void list_sql(const struct session_query *q, char *sql) {
    const struct sort *o = &sorts[q->sort];
    size_t n = (size_t)snprintf(sql, SQL_MAX, SESSION " WHERE 1");
    if (q->user.p) n += (size_t)snprintf(sql + n, SQL_MAX - n, " AND s.user=?1");
    if (q->search.p)
        n += (size_t)snprintf(sql + n, SQL_MAX - n,
                              " AND (holds(s.title, ?2) OR EXISTS(SELECT 1 FROM turns t WHERE t.session=s.n AND"
                              " holds(t.messages, ?2)))");
    if (q->cursor.p) n += (size_t)snprintf(sql + n, SQL_MAX - n, " AND (%s, s.n) %c (?5, ?4)", o->column, o->after);
    snprintf(sql + n, SQL_MAX - n, " ORDER BY %s%s, s.n%s LIMIT ?3", o->column, o->order, o->order);
}

static tda_status bind_list(sqlite3_stmt *q, const struct session_query *query, struct error *e) {
    if (query->search.n > SEARCH_MAX) return error_set(e, TDA_E_LIMIT, "too_large", "the search is too long");
    if (query->user.p) bind_str(q, 1, query->user);
    if (query->search.p) bind_str(q, 2, query->search);
    bind_u64(q, 3, query->limit);
    return query->cursor.p ? bind_cursor(q, query, e) : TDA_OK;
}

static tda_status run_list(struct sqlite_store *s, sqlite3_stmt *q, const struct session_query *query, session_visit visit,
                           void *arg, struct error *e) {
    struct buf cursor;
    struct session_row row;
    int code;
    buf_init(&cursor, CURSOR_MAX);
    start_clock(s);
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        take_session(q, &row);
        write_cursor(query->sort, sqlite3_column_int64(q, 0), &row, &cursor);
        visit(arg, &row, buf_str(&cursor));
    }
    buf_fini(&cursor);
    return end(s, q, code, e);
}

tda_status sqlite_list(struct store *base, const struct session_query *query, session_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_stmt *q = NULL;
    char sql[SQL_MAX];
    list_sql(query, sql);
    if (sqlite3_prepare_v2(s->reader, sql, -1, &q, NULL)) return sqlite_failed(s->reader, "sessions cannot be listed", e);
    tda_status status = bind_list(q, query, e);
    if (!status) status = run_list(s, q, query, visit, arg, e);
    sqlite3_finalize(q);
    return status;
}

/* ---- one session ---- */

tda_status sqlite_get(struct store *base, tda_str user, tda_str id, session_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_stmt *q = s->read[R_GET];
    struct session_row row;
    bind_str(q, 1, id);
    bind_str(q, 2, user);
    start_clock(s);
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        take_session(q, &row);
        visit(arg, &row, (tda_str){0});
    }
    tda_status status = end(s, q, code, e);
    if (status || code == SQLITE_ROW) return status;
    error_set(e, TDA_E_NOT_FOUND, "session_not_found", "there is no such session of this user");
    error_field(e, "session");
    error_hint(e, "session.list shows them, session.create makes one");
    return TDA_E_NOT_FOUND;
}

static tda_status visit_turns(struct sqlite_store *s, sqlite3_stmt *q, turn_visit visit, void *arg, uint64_t *ret_n,
                              struct error *e) {
    struct turn_row row;
    int code;
    start_clock(s);
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        ++*ret_n;
        take_turn(q, &row);
        if (!visit(arg, &row)) break;
    }
    return end(s, q, code, e);
}

tda_status sqlite_turns(struct store *base, tda_str user, tda_str id, uint64_t after, bool newest_first, turn_visit visit,
                        void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_stmt *q = s->read[newest_first ? R_TURNS_BACK : R_TURNS];
    uint64_t n = 0;
    bind_str(q, 1, id);
    bind_u64(q, 2, after);
    bind_str(q, 3, user);
    return visit_turns(s, q, visit, arg, &n, e);
}

tda_status sqlite_keyed(struct store *base, tda_str user, tda_str key, turn_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_stmt *q = s->read[R_KEYED];
    uint64_t n = 0;
    bind_str(q, 1, user);
    bind_str(q, 2, key);
    tda_status status = visit_turns(s, q, visit, arg, &n, e);
    return status || n ? status : TDA_E_NOT_FOUND;
}

/* ---- usage ---- */

static tda_status visit_usage(struct sqlite_store *s, sqlite3_stmt *q, usage_visit visit, void *arg, struct error *e) {
    struct usage_row row;
    int code;
    start_clock(s);
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        take_usage(q, &row);
        visit(arg, &row);
    }
    return end(s, q, code, e);
}

tda_status sqlite_usage(struct store *base, tda_str user, int64_t from_day, usage_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    bind_str(s->read[R_USAGE], 1, user);
    sqlite3_bind_int64(s->read[R_USAGE], 2, from_day);
    return visit_usage(s, s->read[R_USAGE], visit, arg, e);
}

tda_status sqlite_day(struct store *base, int64_t day, usage_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_bind_int64(s->read[R_DAY], 1, day);
    return visit_usage(s, s->read[R_DAY], visit, arg, e);
}

/* ---- pins ---- */

tda_status sqlite_pins(struct store *base, tda_str user, tda_str server, pin_visit visit, void *arg, struct error *e) {
    struct sqlite_store *s = store_of(base);
    sqlite3_stmt *q = s->read[R_PINS];
    struct pin_row row = {.user = user, .server = server};
    int code;
    bind_str(q, 1, user);
    bind_str(q, 2, server);
    start_clock(s);
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        row.tool = column_str(q, 0);
        row.at_ms = sqlite3_column_int64(q, 2);
        if (sqlite3_column_bytes(q, 1) != DIGEST_SIZE) continue;
        memcpy(row.digest, sqlite3_column_blob(q, 1), DIGEST_SIZE);
        visit(arg, &row);
    }
    return end(s, q, code, e);
}
