#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

enum { TIMEOUT_MS = 600000, RECONNECT_MS = 10000, BACKOFF_MS = 50, BACKOFF_MAX_MS = 2000, KEY_SIZE = 33 };

/* ---- errors ---- */

enum tda_client_status client_fail(struct tda_client_error *e, enum tda_client_status status, const char *kind, const char *fmt,
                                   ...) {
    va_list ap;
    if (!e) return status;
    *e = (struct tda_client_error){.status = status, .retry_ms = -1};
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    return status;
}

void client_hint(struct tda_client_error *e, const char *fmt, ...) {
    va_list ap;
    if (!e) return;
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
}

enum tda_client_status client_refused(struct tda_client *c, struct span error, struct tda_client_error *e) {
    free(c->refusal);
    c->refusal = scan_dup(error);
    if (!e) return TDA_CLIENT_REFUSED;
    struct span data = scan_member(error, "data");
    *e = (struct tda_client_error){.status = TDA_CLIENT_REFUSED, .code = (int32_t)scan_number(scan_member(error, "code"), 0)};
    scan_string(scan_member(error, "message"), e->message, sizeof e->message);
    scan_string(scan_member(data, "kind"), e->kind, sizeof e->kind);
    scan_string(scan_member(data, "field"), e->field, sizeof e->field);
    scan_string(scan_member(data, "hint"), e->hint, sizeof e->hint);
    e->retry_ms = scan_number(scan_member(data, "retry_ms"), -1);
    return TDA_CLIENT_REFUSED;
}

const char *tda_client_error_json(const struct tda_client *c) {
    return c->refusal ? c->refusal : "";
}

/* ---- the request's text ---- */

static void put_text(FILE *f, const char *name, const char *value) {
    fprintf(f, "\"%s\":\"", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fprintf(f, "\\%c", *value);
        else if ((unsigned char)*value < 0x20)
            fprintf(f, "\\u%04x", (unsigned)*value);
        else
            putc(*value, f);
    }
    putc('"', f);
}

static const char *add(FILE *f, const char *comma, struct span params, const char *name, const char *value) {
    if (!value || scan_member(params, name).p) return comma;
    fputs(comma, f);
    put_text(f, name, value);
    return ",";
}

char *client_request(const struct tda_client *c, const char *method, struct span params, const char *key, size_t *ret_n) {
    char *text = NULL;
    FILE *f = open_memstream(&text, ret_n);
    if (!f) return NULL;
    fputs("{\"jsonrpc\":\"2.0\",\"id\":1,", f);
    put_text(f, "method", method);
    fputs(",\"params\":{", f);
    const char *comma = add(f, "", params, "user", c->user);
    comma = add(f, comma, params, "auth", c->auth);
    comma = add(f, comma, params, "idempotency_key", key);
    if (params.n && scan_value(params.p + 1, params.n - 1).p) fputs(comma, f);
    if (params.n) fwrite(params.p + 1, 1, params.n - 1, f);
    fputs(params.n ? "}" : "}}", f);
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}

static bool make_key(char key[KEY_SIZE]) {
    unsigned char bytes[KEY_SIZE / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return false;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* What only reads may be asked twice, and a key would only fill the daemon's memory. host.methods says the same. */
static bool only_reads(const char *method) {
    static const char *const endings[] = {".list", ".get", ".poll", ".explain", ".read", ".export"};
    size_t n = strlen(method);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (n > strlen(endings[i]) && strcmp(method + n - strlen(endings[i]), endings[i]) == 0) return true;
    return strncmp(method, "host.", 5) == 0 || strcmp(method, "status") == 0;
}

/* ---- sending it until it is answered ---- */

struct attempt {
    const char *request;
    size_t n;
    bool repeatable, sent;
    char boot[BOOT_SIZE];      /* that it was sent to */
    int64_t deadline_ms;       /* for the reply */
    int64_t lost_ms, pause_ms; /* since when there is no connection; the next wait */
};

static enum tda_client_status once(struct tda_client *c, struct attempt *a, nng_msg **ret, struct tda_client_error *e) {
    enum tda_client_status s = c->connected && !atomic_load(&c->lost) ? TDA_CLIENT_OK : connection_open(c, e);
    if (s) return s;
    a->lost_ms = 0;
    if (a->sent && !a->repeatable && strcmp(a->boot, c->boot) != 0) {
        client_fail(e, TDA_CLIENT_UNKNOWN, "outcome_unknown", "the daemon was restarted while it worked on this");
        client_hint(e, "look whether it was done, then ask again");
        return TDA_CLIENT_UNKNOWN;
    }
    a->sent = true;
    memcpy(a->boot, c->boot, sizeof a->boot);
    int64_t left = a->deadline_ms - client_now_ms();
    if (left <= 0) return client_fail(e, TDA_CLIENT_TIMEOUT, "timeout", "no reply in time");
    s = connection_exchange(c, a->request, a->n, left, ret, e);
    if (s == TDA_CLIENT_UNREACHABLE) connection_close(c);
    return s;
}

/* After a lost connection: waits, longer each time. Not OK: it has been tried for long enough. */
static enum tda_client_status back_off(struct tda_client *c, struct attempt *a, struct tda_client_error *e) {
    int64_t now = client_now_ms();
    if (!a->lost_ms) {
        a->lost_ms = now;
        a->pause_ms = BACKOFF_MS;
    }
    if (now - a->lost_ms >= c->reconnect_ms || now >= a->deadline_ms) return TDA_CLIENT_UNREACHABLE;
    unsigned char jitter = 0;
    if (getrandom(&jitter, 1, 0) != 1) jitter = 128;
    enum tda_client_status s = connection_pause(c, a->pause_ms / 2 + a->pause_ms * jitter / 512, e);
    a->pause_ms = a->pause_ms * 2 < BACKOFF_MAX_MS ? a->pause_ms * 2 : BACKOFF_MAX_MS;
    return s;
}

static enum tda_client_status until_answered(struct tda_client *c, struct attempt *a, nng_msg **ret, struct tda_client_error *e) {
    for (;;) {
        enum tda_client_status s = once(c, a, ret, e);
        if (s != TDA_CLIENT_UNREACHABLE) return s;
        s = back_off(c, a, e);
        if (s) return s;
    }
}

static enum tda_client_status read_reply(struct tda_client *c, nng_msg *msg, char **ret, struct tda_client_error *e) {
    struct span reply = scan_value(nng_msg_body(msg), nng_msg_len(msg));
    struct span error = scan_member(reply, "error"), result = scan_member(reply, "result");
    if (error.p) return client_refused(c, error, e);
    if (!result.p) return client_fail(e, TDA_CLIENT_PROTOCOL, "protocol", "what answers on %s is no tdad", c->url);
    char *text = scan_dup(result);
    if (!text) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    *ret = text;
    return TDA_CLIENT_OK;
}

enum tda_client_status client_call(struct tda_client *c, const char *method, const char *params, int64_t timeout_ms, char **ret,
                                   struct tda_client_error *e) {
    struct tda_client_error ignored;
    char key[KEY_SIZE];
    nng_msg *msg = NULL;
    if (!e) e = &ignored;
    struct span given = scan_text(params);
    struct attempt a = {.repeatable = only_reads(method), .deadline_ms = client_now_ms() + timeout_ms};
    free(c->refusal);
    c->refusal = NULL;
    if (params && (!given.n || given.p[0] != '{' || given.p[given.n - 1] != '}'))
        return client_fail(e, TDA_CLIENT_INVALID, "invalid", "params must be the text of a JSON object");
    if (!a.repeatable && !make_key(key)) return client_fail(e, TDA_CLIENT_INVALID, "invalid", "this machine has no random numbers");
    char *request = client_request(c, method, given, a.repeatable ? NULL : key, &a.n);
    if (!request) return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    a.request = request;
    enum tda_client_status s = until_answered(c, &a, &msg, e);
    explicit_bzero(request, a.n); /* a token, a credential */
    free(request);
    if (s) return s;
    s = read_reply(c, msg, ret, e);
    nng_msg_free(msg);
    return s;
}

enum tda_client_status tda_client_call(struct tda_client *c, const char *method, const char *params, char **ret_result,
                                       struct tda_client_error *e) {
    return client_call(c, method, params, c->timeout_ms, ret_result, e);
}

/* ---- life ---- */

static bool copy(char **to, const char *text) {
    *to = text ? strdup(text) : NULL;
    return !text || *to;
}

enum tda_client_status tda_client_open(const struct tda_client_options *given, struct tda_client **ret,
                                       struct tda_client_error *e) {
    struct tda_client_options o = {0};
    memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    if (!o.url)
        return client_fail(e, TDA_CLIENT_INVALID, "invalid", "an address is wanted: ipc:///path, tcp, tls+tcp or wss://host:port");
    struct tda_client *c = calloc(1, sizeof *c);
    if (!c || !copy(&c->url, o.url) || !copy(&c->user, o.user) || !copy(&c->auth, o.auth) || !copy(&c->ca_file, o.ca_file)) {
        tda_client_close(c);
        return client_fail(e, TDA_CLIENT_NOMEM, "out_of_memory", "out of memory");
    }
    c->timeout_ms = o.timeout_ms > 0 ? o.timeout_ms : TIMEOUT_MS;
    c->reconnect_ms = o.reconnect_ms > 0 ? o.reconnect_ms : RECONNECT_MS;
    c->waiting = o.waiting;
    c->arg = o.arg;
    enum tda_client_status s = connection_open(c, e);
    if (s)
        tda_client_close(c);
    else
        *ret = c;
    return s;
}

void tda_client_close(struct tda_client *c) {
    if (!c) return;
    connection_close(c);
    if (c->auth) explicit_bzero(c->auth, strlen(c->auth));
    free(c->auth);
    free(c->user);
    free(c->url);
    free(c->ca_file);
    free(c->refusal);
    free(c);
}
