#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "chat.h"

enum { PROGRESS_AFTER_MS = 1000, SHOWN_MAX = 300 };

static volatile sig_atomic_t interrupted;
static bool at_line_start = true, progress_shown;

static void on_interrupt(int sig) {
    (void)sig;
    interrupted = 1;
}

void chat_catch_interrupts(void) {
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
}

static void end_progress(void) {
    if (progress_shown) fputs("\r\033[K", stdout);
    progress_shown = false;
}

bool chat_waiting(void *arg, int64_t waited_ms) {
    static const char wheel[] = "|/-\\";
    (void)arg;
    if (interrupted) {
        interrupted = 0;
        return false;
    }
    if (at_line_start && isatty(1) && waited_ms >= PROGRESS_AFTER_MS) {
        printf("\r%c %lld s, Ctrl-C cancels ", wheel[waited_ms / 200 % 4], (long long)(waited_ms / 1000));
        fflush(stdout);
        progress_shown = true;
    }
    return true;
}

/* ---- events ---- */

static void colour(const char *code) {
    if (is_colourful(1)) printf("\033[%sm", code);
}

static void new_line(void) {
    end_progress();
    if (!at_line_start) putchar('\n');
    at_line_start = true;
}

static void say(const char *code, tda_str text) {
    end_progress();
    colour(code);
    print_word(stdout, "", text);
    colour("0");
    if (text.n) at_line_start = text.p[text.n - 1] == '\n';
}

/* A line of its own: before, then so much of the text, on one line. */
static void say_line(const char *code, const char *before, tda_str name, tda_str text) {
    char shown[SHOWN_MAX + 4];
    size_t n = text.n < SHOWN_MAX ? text.n : SHOWN_MAX;
    while (n && n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80) n--; /* no half character */
    for (size_t i = 0; i < n; i++) shown[i] = text.p[i] == '\n' || text.p[i] == '\t' ? ' ' : text.p[i];
    bool cut = n < text.n;
    for (size_t i = 0; i < 3 && cut; i++) shown[n++] = '.';
    new_line();
    colour(code);
    print_word(stdout, before, name);
    print_word(stdout, name.n && n ? " " : "", (tda_str){shown, n});
    colour("0");
    putchar('\n');
}

static void show_result(struct json event) {
    bool is_error = false;
    json_bool(json_key(event, TDA_STR("is_error")), &is_error);
    say_line(is_error ? "31" : "2", is_error ? "  ! " : "  = ", TDA_STR(""), json_str(json_key(event, TDA_STR("text"))));
}

static void ask(struct chat *c, struct tda_client_stream *s, const char *json) {
    new_line();
    fflush(stdout);
    question_answer(c->o, c->client, tda_client_stream_task(s), json);
}

static void show_event(struct chat *c, struct tda_client_stream *s, const char *json) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (json_parse(tda_str_of(json), 0, &doc, NULL)) return;
    struct json event = json_root(doc);
    tda_str type = json_str(json_key(event, TDA_STR("type"))), text = json_str(json_key(event, TDA_STR("text")));
    if (tda_str_eq(type, TDA_STR("text")))
        say("0", text);
    else if (tda_str_eq(type, TDA_STR("thinking")))
        say("2", text);
    else if (tda_str_eq(type, TDA_STR("tool_call")))
        say_line("36", "> ", json_str(json_key(event, TDA_STR("tool"))), json_raw(json_key(event, TDA_STR("args"))));
    else if (tda_str_eq(type, TDA_STR("tool_result")))
        show_result(event);
    else if (tda_str_eq(type, TDA_STR("ask")))
        ask(c, s, json);
    else if (tda_str_eq(type, TDA_STR("warning")))
        say_line("33", "! ", TDA_STR(""), text);
    else if (tda_str_eq(type, TDA_STR("retry")))
        say_line("33", "! trying again: ", json_str(json_key(event, TDA_STR("kind"))), TDA_STR(""));
    fflush(stdout);
}

/* ---- one turn ---- */

static void failed(struct chat *c, const struct tda_client_error *e) {
    new_line();
    fflush(stdout);
    if (strcmp(e->kind, "cancelled") == 0)
        puts("(cancelled)");
    else
        rpc_failed(c->o, c->client, e);
}

/* After Ctrl-C. False: no longer waited for. */
static bool cancel(struct chat *c, struct tda_client_stream *s) {
    struct tda_client_error e;
    if (!tda_client_stream_cancel(s, &e)) return true;
    failed(c, &e);
    return false;
}

static void show_stream(struct chat *c, struct tda_client_stream *s) {
    struct tda_client_error e;
    const char *event;
    bool cancelled = false;
    for (;;) {
        enum tda_client_status status = tda_client_stream_next(s, &event, &e);
        if (!status && event) show_event(c, s, event);
        bool stop = status == TDA_CLIENT_INTERRUPTED || (!status && interrupted);
        interrupted = 0;
        if (stop && !cancelled) {
            cancelled = true;
            if (!cancel(c, s)) return;
        } else if (stop || status) {
            failed(c, &e);
            return;
        } else if (!event) {
            return;
        }
    }
}

static void streamed(struct chat *c, const char *params) {
    struct tda_client_stream *s;
    struct tda_client_error e;
    if (tda_client_stream_open(c->client, "agent.run", params, &s, &e)) {
        failed(c, &e);
        return;
    }
    show_stream(c, s);
    if (tda_client_stream_dropped(s)) say_line("33", "! some of what happened was not shown", TDA_STR(""), TDA_STR(""));
    tda_client_stream_free(s);
}

static void whole(struct chat *c, const char *params) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct tda_client_error e;
    char *result GUARD(free_p) = NULL;
    if (tda_client_call(c->client, "agent.run", params, &result, &e))
        failed(c, &e);
    else if (!json_parse(tda_str_of(result), 0, &doc, NULL))
        say("0", json_str(json_key(json_root(doc), TDA_STR("text"))));
}

void chat_turn(struct chat *c, tda_str text) {
    struct buf params;
    struct jw w;
    interrupted = 0;
    chat_params(&w, &params);
    jw_put_str(&w, "input", text);
    if (c->session[0]) jw_put_z(&w, "session", c->session);
    if (c->profile[0]) jw_put_z(&w, "profile", c->profile);
    jw_end_object(&w);
    buf_add_char(&params, 0);
    if (params.status)
        fputs("tda: the question is too large\n", stderr);
    else
        (c->has_tasks ? streamed : whole)(c, params.p);
    buf_fini(&params);
    new_line();
    fflush(stdout);
}
