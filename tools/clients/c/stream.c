/* A task read by long polls. The daemon frees events up to `after`, so a poll that is repeated loses nothing and doubles nothing:
 * events are handed out by their number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { WAIT_MS = 20000, GRACE_MS = 15000 }; /* a reply to a poll that is later than that will not come: the way is dead */

struct tda_client_stream {
    struct tda_client *client;
    char task[64];
    char *common; /* ",\"user\":...", when the params said so */
    int64_t after, dropped;
    char *reply;      /* of the last poll; `events` and `end` lie in it */
    struct span rest; /* its events that were not handed out yet */
    bool ended;
    char *event, *result;
};

/* ---- task.submit ---- */

/* user, auth and idempotency_key belong to the submission, the rest to the method. *ret_common: those that each poll needs too. */
static char *write_submit(const char *method, struct span params, char **ret_common) {
    struct span key, v;
    char *submit = NULL, *own = NULL;
    size_t n;
    FILE *outer = open_memstream(ret_common, &n), *inner = open_memstream(&own, &n);
    bool is_common, is_key;
    const char *comma = "", *idempotency = "";
    struct span idempotency_key = scan_member(params, "idempotency_key");
    while (outer && inner && scan_next_member(&params, &key, &v)) {
        is_common = scan_is(key, "user") || scan_is(key, "auth");
        is_key = scan_is(key, "idempotency_key");
        if (is_common) fprintf(outer, ",%.*s:%.*s", (int)key.n, key.p, (int)v.n, v.p);
        if (is_common || is_key) continue;
        fprintf(inner, "%s%.*s:", comma, (int)key.n, key.p);
        fwrite(v.p, 1, v.n, inner);
        comma = ",";
    }
    bool ok = outer && inner;
    ok = (!outer || fclose(outer) == 0) && ok;
    ok = (!inner || fclose(inner) == 0) && ok;
    if (idempotency_key.p) idempotency = ",\"idempotency_key\":";
    if (ok && asprintf(&submit, "{\"method\":\"%s\",\"params\":{%s}%s%s%.*s}", method, own, *ret_common, idempotency,
                       (int)idempotency_key.n, idempotency_key.p ? idempotency_key.p : "") < 0)
        submit = NULL;
    free(own);
    return submit;
}

static enum tda_client_status submit(struct tda_client_stream *s, const char *text, struct tda_client_error *e) {
    char *reply = NULL;
    enum tda_client_status status = client_call(s->client, "task.submit", text, s->client->timeout_ms, &reply, e);
    if (status) return status;
    scan_string(scan_member(scan_text(reply), "task"), s->task, sizeof s->task);
    free(reply);
    return TDA_CLIENT_OK;
}

enum tda_client_status tda_client_stream_open(struct tda_client *c, const char *method, const char *params,
                                              struct tda_client_stream **ret, struct tda_client_error *e) {
    struct tda_client_stream *s = calloc(1, sizeof *s);
    if (!s) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    s->client = c;
    char *text = write_submit(method, scan_text(params), &s->common);
    enum tda_client_status status = text ? submit(s, text, e) : client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    free(text);
    if (status)
        tda_client_stream_free(s);
    else
        *ret = s;
    return status;
}

/* ---- task.poll ---- */

/* A call about the task. */
static enum tda_client_status about(struct tda_client_stream *s, const char *method, const char *more, int64_t timeout_ms,
                                    char **ret, struct tda_client_error *e) {
    char *params;
    if (asprintf(&params, "{\"task\":\"%s\"%s%s}", s->task, more, s->common) < 0)
        return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    enum tda_client_status status = client_call(s->client, method, params, timeout_ms, ret, e);
    free(params);
    return status;
}

static enum tda_client_status poll_once(struct tda_client_stream *s, struct tda_client_error *e) {
    char more[64], *reply = NULL;
    snprintf(more, sizeof more, ",\"after\":%lld,\"wait_ms\":%d", (long long)s->after, WAIT_MS);
    enum tda_client_status status = about(s, "task.poll", more, WAIT_MS + GRACE_MS, &reply, e);
    if (status) return status;
    free(s->reply);
    s->reply = reply;
    struct span root = scan_text(reply);
    s->rest = scan_member(root, "events");
    s->dropped += scan_number(scan_member(root, "dropped"), 0);
    struct span state = scan_member(root, "state");
    s->ended = !scan_is(state, "pending") && !scan_is(state, "running");
    return TDA_CLIENT_OK;
}

static enum tda_client_status end(struct tda_client_stream *s, struct tda_client_error *e) {
    struct span root = scan_text(s->reply), error = scan_member(root, "error");
    if (error.p) return client_refused(s->client, error, e);
    if (scan_is(scan_member(root, "state"), "cancelled"))
        return client_fail(e, TDA_CLIENT_REFUSED, "cancelled", "the task was cancelled");
    free(s->result);
    s->result = scan_dup(scan_member(root, "result"));
    return TDA_CLIENT_OK;
}

enum tda_client_status tda_client_stream_next(struct tda_client_stream *s, const char **ret_event, struct tda_client_error *e) {
    struct span event;
    *ret_event = NULL;
    for (;;) {
        while (scan_next(&s->rest, &event)) {
            int64_t n = scan_number(scan_member(event, "n"), s->after + 1);
            if (n <= s->after) continue;
            s->after = n;
            free(s->event);
            s->event = scan_dup(event);
            *ret_event = s->event;
            return s->event ? TDA_CLIENT_OK : client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
        }
        if (s->ended) return end(s, e);
        enum tda_client_status status = poll_once(s, e);
        if (status) return status;
    }
}

enum tda_client_status tda_client_stream_cancel(struct tda_client_stream *s, struct tda_client_error *e) {
    struct tda_client_error own;
    char *reply = NULL;
    enum tda_client_status status = about(s, "task.cancel", "", s->client->timeout_ms, &reply, &own);
    if (!status) free(reply);
    if (status == TDA_CLIENT_REFUSED && strcmp(own.kind, "already_finished") == 0) status = TDA_CLIENT_OK;
    if (status && e) *e = own;
    return status;
}

const char *tda_client_stream_task(const struct tda_client_stream *s) {
    return s->task;
}

const char *tda_client_stream_result(const struct tda_client_stream *s) {
    return s->result;
}

int64_t tda_client_stream_dropped(const struct tda_client_stream *s) {
    return s->dropped;
}

void tda_client_stream_free(struct tda_client_stream *s) {
    if (!s) return;
    free(s->common);
    free(s->reply);
    free(s->event);
    free(s->result);
    free(s);
}
