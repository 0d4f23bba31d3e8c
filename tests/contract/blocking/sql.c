/* A blocking provider: the question is SQL, the answer its rows, read from the SQLite file that the operator names. SQLite waits
 * for other processes' locks, so it runs on a worker.
 *
 *   loop                    cancel: sets the flag                 drop
 *   worker  run: open, step, emit a row, step, looks at the flag, finish
 *
 * What both threads touch is the flag in the state. */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id sql\n"
                "version 1.0.0\n"
                "provides tda.provider/1\n"
                "config file text r - the SQLite file\n");

enum { RETRY_US = 2000, LOOK_AFTER = 10000 /* steps of SQLite's machine */ };

static const struct tda_host *host;
static atomic_uint runs, drops, cancels; /* of this process, for "how many": plugins of your own need no such thing */

struct state {
    atomic_int cancelled;
};

static tda_status emit(tda_call call, uint32_t kind, const char *text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.part_kind = TDA_PART_TEXT;
    event.text = tda_str_of(text);
    event.stop = TDA_STOP_END_TURN;
    return host->emit(call, &event);
}

static tda_status finish(tda_call call, uint32_t cls, const char *text) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.cls = cls;
    result.retry_ms = -1;
    result.text = tda_str_of(text);
    return host->finish(call, &result);
}

/* SQLite asks: wait on for a lock? */
static int still_waiting(void *arg, int tries) {
    const struct state *state = (const struct state *)arg;
    (void)tries;
    if (atomic_load(&state->cancelled)) return 0;
    usleep(RETRY_US);
    return 1;
}

/* And, while it works: stop? */
static int is_cancelled(void *arg) {
    const struct state *state = (const struct state *)arg;
    return atomic_load(&state->cancelled);
}

static int open_file(struct state *state, tda_str file, sqlite3 **ret) {
    char path[1024];
    snprintf(path, sizeof path, "%.*s", (int)file.n, file.p);
    int rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY, NULL);
    if (rc != SQLITE_OK) return rc;
    sqlite3_progress_handler(*ret, LOOK_AFTER, is_cancelled, state);
    return sqlite3_busy_handler(*ret, still_waiting, state);
}

/* One row as a line of text, until there is none or nobody listens. */
static int emit_rows(tda_call call, sqlite3_stmt *stmt) {
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            if (emit(call, TDA_EV_TEXT, text ? text : "NULL")) return SQLITE_INTERRUPT;
            if (emit(call, TDA_EV_TEXT, i + 1 < sqlite3_column_count(stmt) ? "|" : "\n")) return SQLITE_INTERRUPT;
        }
    return rc;
}

static void answer(tda_call call, struct state *state, tda_str file, tda_str sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int rc = open_file(state, file, &db);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(db, sql.p, (int)sql.n, &stmt, NULL);
    emit(call, TDA_EV_PART_START, "");
    if (rc == SQLITE_OK) rc = stmt ? emit_rows(call, stmt) : SQLITE_DONE;
    emit(call, TDA_EV_PART_STOP, "");
    emit(call, TDA_EV_STOP, "");
    finish(call, rc == SQLITE_DONE ? TDA_C_OK : TDA_C_REQUEST, rc == SQLITE_DONE ? "" : sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void answer_counts(tda_call call) {
    char text[96];
    snprintf(text, sizeof text, "%u runs, %u drops, %u cancels", atomic_load(&runs), atomic_load(&drops), atomic_load(&cancels));
    emit(call, TDA_EV_TEXT, text);
    finish(call, TDA_C_OK, "");
}

static tda_status run(void *self, tda_call call, const struct tda_request *request) {
    struct state *state = (struct state *)host->state(call);
    const struct tda_msg *last = request->n_msgs ? request->msgs[request->n_msgs - 1] : NULL;
    tda_str file = TDA_STR("");
    (void)self;
    atomic_fetch_add(&runs, 1);
    if (host->setting(call, TDA_STR("file"), &file)) return finish(call, TDA_C_REQUEST, "the setting `file` is missing");
    if (request->op != TDA_OP_CHAT || !last || !last->n_parts) return finish(call, TDA_C_OK, "");
    if (tda_str_eq(last->parts[0]->text, TDA_STR("how many")))
        answer_counts(call);
    else
        answer(call, state, file, last->parts[0]->text);
    return TDA_OK;
}

static void cancel(void *self, tda_call call) {
    struct state *state = (struct state *)host->state(call);
    (void)self;
    atomic_fetch_add(&cancels, 1);
    atomic_store(&state->cancelled, 1);
}

static void drop(void *self, tda_call call) {
    (void)self, (void)call;
    atomic_fetch_add(&drops, 1);
}

static const struct tda_provider provider = {.size = sizeof provider,
                                             .flags = TDA_P_BLOCKING,
                                             .call_state_size = sizeof(struct state),
                                             .cancel = cancel,
                                             .drop = drop,
                                             .run = run};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "sql", "1.0.0", NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    if (!TDA_HAS(h, struct tda_host, setting) || h->abi_major != TDA_ABI_MAJOR) return NULL;
    host = h;
    return &plugin;
}
