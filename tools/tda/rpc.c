/* Calls of the commands, over libtda-client: progress, exit codes, errors for people. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "tda.h"

enum { PROGRESS_AFTER_MS = 2000, TOKEN_MAX = 4096 };

/* One's own daemon, else the machine's where that may be used. */
const char *default_socket(void) {
    static const char system_socket[] = "ipc:///run/tda/tda.sock";
    static char url[256];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0) return system_socket;
    if (runtime && runtime[0] == '/')
        snprintf(url, sizeof url, "ipc://%s/tda/tda.sock", runtime);
    else
        snprintf(url, sizeof url, "ipc:///tmp/tda-%u/tda.sock", (unsigned)geteuid());
    bool own = access(url + strlen("ipc://"), F_OK) == 0;
    return own || access(system_socket + strlen("ipc://"), W_OK) ? url : system_socket;
}

/* ---- while somebody waits: a line on stderr that says how long; Ctrl-C and --timeout of a turn, which may last for many polls
 * ---- */

static struct {
    bool shows, shown;
    int64_t began_ms, limit_ms;
} wait;
static volatile sig_atomic_t interrupted;

/* What a turn says, as it comes, for somebody who looks on. */
static struct {
    bool shows, shown;
    bool in_line; /* the last line has no end yet */
} answer;

static void on_interrupt(int sig) {
    interrupted = sig;
}

static bool watch(void *arg, int64_t waited_ms) {
    static const char wheel[] = "|/-\\";
    (void)arg;
    waited_ms = clock_now_ns() / NS_PER_MS - wait.began_ms;
    if (wait.shows && !answer.in_line && waited_ms >= PROGRESS_AFTER_MS) {
        fprintf(stderr, "\r%c waiting, %lld s ", wheel[waited_ms / 200 % 4], (long long)(waited_ms / 1000));
        fflush(stderr);
        wait.shown = true;
    }
    return !interrupted && waited_ms < wait.limit_ms;
}

static void end_progress(void) {
    if (wait.shown) fputs("\r\033[K", stderr);
    wait.shown = false;
}

/* ---- an answer as it comes ---- */

static void end_line(void) {
    if (answer.in_line) putchar('\n');
    answer.in_line = false;
    fflush(stdout);
}

static void show_answer(const char *event_json) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!answer.shows || json_parse(tda_str_of(event_json), 0, &doc, NULL)) return;
    struct json event = json_root(doc);
    tda_str text = json_str(json_key(event, TDA_STR("text")));
    if (!tda_str_eq(json_str(json_key(event, TDA_STR("type"))), TDA_STR("text"))) {
        end_line(); /* what follows a tool's result is another paragraph */
    } else if (text.n) {
        print_word(stdout, "", text);
        answer.shown = true;
        answer.in_line = text.p[text.n - 1] != '\n';
        fflush(stdout);
    }
}

bool rpc_answer_shown(void) {
    return answer.shown;
}

/* ---- one call ---- */

int rpc_failed(const struct options *o, const struct tda_client *c, const struct tda_client_error *e) {
    const char *raw = c && e->status == TDA_CLIENT_REFUSED ? tda_client_error_json(c) : "";
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (raw[0] && o->json) {
        fprintf(stderr, "%s\n", raw); /* for programs: the same, whole */
    } else if (raw[0] && !json_parse(tda_str_of(raw), 0, &doc, NULL)) {
        print_error(json_root(doc));
    } else {
        print_word(stderr, "tda: ", tda_str_of(e->message));
        fputc('\n', stderr);
        if (e->hint[0]) print_word(stderr, "     ", tda_str_of(e->hint));
        if (e->hint[0]) fputc('\n', stderr);
    }
    switch (e->status) {
    case TDA_CLIENT_UNREACHABLE:
        if (strcmp(e->kind, "unreachable") == 0) fputs("     or say where it is: tda --socket URL, TDA_SOCKET\n", stderr);
        return EXIT_UNREACHABLE;
    case TDA_CLIENT_PROTOCOL: return EXIT_UNREACHABLE;
    case TDA_CLIENT_TIMEOUT: fputs("     --timeout waits longer\n", stderr); return EXIT_TIMEOUT;
    default: return EXIT_FAILED;
    }
}

/* The file, which was asked for, comes before the variable. The caller frees *ret; NULL: no token. */
static int read_token(const struct options *o, char **ret) {
    const char *given = getenv("TDA_TOKEN");
    tda_str text = o->token_file && o->token_file[0] ? read_all(o->token_file, TOKEN_MAX) : (tda_str){0};
    if (o->token_file && o->token_file[0] && !text.p) return EXIT_USAGE;
    *ret = (char *)(uintptr_t)text.p;
    while (text.n && strchr(" \r\n", text.p[text.n - 1])) (*ret)[--text.n] = 0;
    if (!*ret && given && given[0]) *ret = str_dup(tda_str_of(given));
    return EXIT_OK;
}

int rpc_open(const struct options *o, bool (*waiting)(void *arg, int64_t waited_ms), struct tda_client **ret) {
    char *token = NULL;
    int code = read_token(o, &token);
    if (code) return code;
    struct tda_client_options co = {.size = sizeof co,
                                    .url = o->socket,
                                    .user = o->user,
                                    .auth = token,
                                    .timeout_ms = o->timeout_s * 1000,
                                    .waiting = waiting,
                                    .ca_file = o->ca};
    struct tda_client_error e;
    code = tda_client_open(&co, ret, &e) ? rpc_failed(o, NULL, &e) : EXIT_OK;
    if (token) wipe(token, strlen(token));
    free(token);
    return code;
}

/* The turn as a task, which ends with us: Ctrl-C and --timeout cancel it in the daemon. */
static enum tda_client_status run_turn(const struct options *o, struct tda_client *c, const char *method, const char *params,
                                       char **ret, struct tda_client_error *e) {
    struct tda_client_stream *s;
    const char *event = "";
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    enum tda_client_status status = tda_client_stream_open(c, method, params, &s, e);
    if (status) return status;
    wait.limit_ms = o->timeout_s * 1000;
    while (!status && event) {
        status = tda_client_stream_next(s, &event, e);
        if (status || !event) break;
        end_progress();
        show_answer(event);
        int64_t asked_ms = clock_now_ns() / NS_PER_MS;
        if (question_answer(o, c, tda_client_stream_task(s), event)) wait.limit_ms += clock_now_ns() / NS_PER_MS - asked_ms;
    }
    if (status == TDA_CLIENT_INTERRUPTED) {
        snprintf(e->message, sizeof e->message, interrupted ? "cancelled" : "no reply within %lld seconds; cancelled",
                 (long long)o->timeout_s);
        e->status = interrupted ? TDA_CLIENT_INTERRUPTED : TDA_CLIENT_TIMEOUT;
        interrupted = 0;
        wait.limit_ms = INT64_MAX;
        tda_client_stream_cancel(s, NULL);
    }
    end_line();
    if (tda_client_stream_dropped(s)) answer.shown = false;
    if (!status) *ret = str_dup(tda_str_of(tda_client_stream_result(s)));
    tda_client_stream_free(s);
    return status;
}

/* What may ask its user something, where there is one; and turns, which end with us. One with a key of the user's own may be asked
 * for again, so it goes on without us. */
static bool is_turn(const struct options *o, const char *method) {
    static const char *const asking[] = {"configure", "mcp.probe", "tools.list", "tools.call"};
    bool turn = strcmp(method, "agent.run") == 0 || strcmp(method, "chat.complete") == 0;
    for (size_t i = 0; i < ARRAY_LEN(asking) && isatty(0) && isatty(2); i++) turn = turn || strcmp(method, asking[i]) == 0;
    return turn && !o->idempotency_key && strcmp(o->words[0], "call") != 0;
}

static int call_with(const struct options *o, const char *method, const char *params, struct json_doc **ret_doc,
                     struct json *ret_result) {
    struct tda_client *c;
    struct tda_client_error e;
    char *result GUARD(free_p) = NULL;
    wait.shows = !o->quiet && isatty(2);
    wait.began_ms = clock_now_ns() / NS_PER_MS;
    wait.limit_ms = INT64_MAX;
    answer.shows = !o->json && isatty(1);
    int code = rpc_open(o, watch, &c);
    if (code) return code;
    enum tda_client_status s =
        is_turn(o, method) ? run_turn(o, c, method, params, &result, &e) : tda_client_call(c, method, params, &result, &e);
    end_progress();
    code = s ? rpc_failed(o, c, &e) : EXIT_OK;
    tda_client_close(c);
    if (code) return code;
    if (!result || json_parse(tda_str_of(result), 0, ret_doc, NULL)) return usage("what answers on %s is no tdad", o->socket);
    *ret_result = json_root(*ret_doc);
    return EXIT_OK;
}

int rpc_call(const struct options *o, const char *method, struct buf *params, struct json_doc **ret_doc, struct json *ret_result) {
    buf_add_char(params, 0);
    int code = params->status ? usage("the request is too large") : call_with(o, method, params->p, ret_doc, ret_result);
    wipe(params->p, params->n); /* may hold a credential */
    buf_fini(params);
    return code;
}

void params_begin(struct jw *w, struct buf *out, const struct options *o) {
    buf_init(out, 1 << 30);
    jw_init(w, out);
    jw_begin_object(w);
    if (o->user) jw_put_z(w, "user", o->user);
}

int params_call(const struct options *o, const char *method, struct jw *w, struct json_doc **ret_doc, struct json *ret_result) {
    jw_end_object(w);
    int code = rpc_call(o, method, w->out, ret_doc, ret_result);
    if (code || !o->json) return code;
    print_raw(json_raw(*ret_result));
    json_free(*ret_doc);
    *ret_doc = NULL;
    return EXIT_OK;
}
