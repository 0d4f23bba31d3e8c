/* `tda chat` at a terminal: lines in, turns out, and a few commands. */
#include "chat.h"

#include <stdio.h>

#include "line.h"

enum { INPUT_MAX = 64 << 20, SESSIONS_SHOWN = 10 };

/* ---- calls ---- */

void chat_params(struct jw *w, struct buf *out) {
    buf_init(out, INPUT_MAX);
    jw_init(w, out);
    jw_begin_object(w);
}

bool chat_call(struct chat *c, const char *method, struct jw *w, struct json_doc **ret) {
    struct tda_client_error e;
    char *result GUARD(free_p) = NULL;
    jw_end_object(w);
    buf_add_char(w->out, 0);
    enum tda_client_status s = tda_client_call(c->client, method, w->out->p, &result, &e);
    buf_fini(w->out);
    if (s) rpc_failed(c->o, c->client, &e);
    return !s && !json_parse(tda_str_of(result), 0, ret, NULL);
}

/* With one text as its only parameter, or none. */
static bool call(struct chat *c, const char *method, const char *name, const char *value, struct json_doc **ret) {
    struct buf params;
    struct jw w;
    chat_params(&w, &params);
    if (value) jw_put_z(&w, name, value);
    return chat_call(c, method, &w, ret);
}

static bool lacks(bool has, const char *what) {
    if (!has) printf("this daemon has no %s\n", what);
    return !has;
}

/* ---- commands ---- */

static void show_status(struct chat *c) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!call(c, "status", NULL, NULL, &doc)) return;
    struct json root = json_root(doc);
    tda_str provider = json_str(json_key(root, TDA_STR("provider"))), server = json_str(json_key(root, TDA_STR("mcp_server")));
    if (!provider.n) {
        puts("not configured yet: tda configure --provider NAME --model ID");
        return;
    }
    print_word(stdout, "provider ", provider);
    print_word(stdout, ", model ", json_str(json_key(root, TDA_STR("model"))));
    if (server.n) print_word(stdout, ", MCP server ", server);
    if (c->profile[0]) printf(", profile %s", c->profile);
    if (c->session[0]) printf(", session %s", c->session);
    putchar('\n');
}

static void show_rows(struct json rows, const char *const *columns, size_t n) {
    struct table t;
    table_begin(&t, n);
    for (size_t i = 0; i < n; i++) table_cell(&t, tda_str_of(columns[i]));
    for (struct json row = json_first(rows); json_type(row); row = json_next(row))
        for (size_t i = 0; i < n; i++) table_value(&t, json_key(row, tda_str_of(columns[i])));
    table_print(&t);
}

static void show_tools(struct chat *c, const char *arg) {
    static const char *const columns[] = {"name", "description"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    (void)arg;
    if (call(c, "tools.list", c->has_profiles && c->profile[0] ? "profile" : NULL, c->profile[0] ? c->profile : NULL, &doc))
        show_rows(json_key(json_root(doc), TDA_STR("tools")), columns, ARRAY_LEN(columns));
}

static void use_model(struct chat *c, const char *arg) {
    static const char *const columns[] = {"id", "name"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf params;
    struct jw w;
    if (!arg[0]) {
        show_status(c);
        if (call(c, "models.list", NULL, NULL, &doc))
            show_rows(json_key(json_root(doc), TDA_STR("models")), columns, ARRAY_LEN(columns));
        return;
    }
    chat_params(&w, &params);
    jw_open_object(&w, "fields");
    jw_put_z(&w, "model", arg);
    jw_end_object(&w);
    if (chat_call(c, "context.set", &w, &doc)) show_status(c);
}

static void use_profile(struct chat *c, const char *arg) {
    static const char *const columns[] = {"tag", "default", "provider", "model"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (lacks(c->has_profiles, "profiles")) return;
    if (strcmp(arg, "-") == 0) {
        c->profile[0] = 0;
        puts("no profile");
    } else if (arg[0]) {
        snprintf(c->profile, sizeof c->profile, "%s", arg[0] == '@' ? arg + 1 : arg);
        printf("from now on @%s; /profile - for none\n", c->profile);
    } else if (call(c, "profile.list", NULL, NULL, &doc)) {
        show_rows(json_key(json_root(doc), TDA_STR("profiles")), columns, ARRAY_LEN(columns));
    }
}

static bool new_session(struct chat *c) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf params;
    struct jw w;
    chat_params(&w, &params);
    jw_put_bool(&w, "follow", true); /* /model counts for the next question */
    if (!chat_call(c, "session.create", &w, &doc)) return false;
    snprintf(c->session, sizeof c->session, "%.*s", STR_FMT(json_str(json_key(json_root(doc), TDA_STR("session")))));
    return true;
}

static void list_sessions(struct chat *c) {
    static const char *const columns[] = {"session", "title", "turns"};
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct buf params;
    struct jw w;
    chat_params(&w, &params);
    jw_put_i64(&w, "limit", SESSIONS_SHOWN);
    if (chat_call(c, "session.list", &w, &doc))
        show_rows(json_key(json_root(doc), TDA_STR("sessions")), columns, ARRAY_LEN(columns));
    if (c->session[0]) printf("this one is %s\n", c->session);
}

static void use_session(struct chat *c, const char *arg) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (lacks(c->has_sessions, "sessions")) return;
    if (!arg[0])
        list_sessions(c);
    else if (strcmp(arg, "new") == 0)
        c->session[0] = 0; /* made with the first question */
    else if (call(c, "session.get", "session", arg, &doc))
        snprintf(c->session, sizeof c->session, "%s", arg);
}

static void quit_chat(struct chat *c, const char *arg) {
    (void)arg;
    c->quit = true;
}

static void show_help(struct chat *c, const char *arg);

static const struct chat_command {
    const char *name, *arguments, *help;
    void (*run)(struct chat *c, const char *arg);
} chat_commands[] = {
    {"/model", "[ID]", "the models there are; or use one", use_model},
    {"/profile", "[TAG|-]", "the profiles there are; or ask under one, or none", use_profile},
    {"/tools", "", "tools of the MCP server", show_tools},
    {"/session", "[ID|new]", "the last sessions; or go on with one, or begin one", use_session},
    {"/help", "", "this", show_help},
    {"/quit", "", "leave; as Ctrl-D", quit_chat},
};
static const char *const command_words[] = {"/model", "/profile", "/tools", "/session", "/help", "/quit", NULL};

static void show_help(struct chat *c, const char *arg) {
    (void)c, (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(chat_commands); i++)
        printf("%-9s %-9s %s\n", chat_commands[i].name, chat_commands[i].arguments, chat_commands[i].help);
    puts("@TAG text asks one question under a profile. Ctrl-C cancels an answer, or empties the line.");
}

static void run_command(struct chat *c, const char *line) {
    size_t n = strcspn(line, " ");
    const char *arg = line + n + strspn(line + n, " ");
    for (size_t i = 0; i < ARRAY_LEN(chat_commands); i++) {
        if (strlen(chat_commands[i].name) != n || strncmp(line, chat_commands[i].name, n) != 0) continue;
        chat_commands[i].run(c, arg);
        return;
    }
    const char *near = nearest_word((tda_str){line, n}, command_words, ARRAY_LEN(command_words) - 1);
    printf("there is no %.*s; %s%s\n", (int)n, line, near ? "did you mean " : "/help lists what there is", near ? near : "");
}

/* ---- the conversation ---- */

static bool learn_methods(struct chat *c) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!call(c, "host.methods", NULL, NULL, &doc)) return false;
    for (struct json m = json_first(json_key(json_root(doc), TDA_STR("methods"))); json_type(m); m = json_next(m)) {
        tda_str name = json_str(json_key(m, TDA_STR("name")));
        c->has_tasks |= tda_str_eq(name, TDA_STR("task.submit"));
        c->has_sessions |= tda_str_eq(name, TDA_STR("session.create"));
        c->has_profiles |= tda_str_eq(name, TDA_STR("profile.list"));
    }
    return true;
}

static void welcome(struct chat *c) {
    show_status(c);
    if (!c->has_tasks) puts("this daemon has no tasks: answers come whole, and Ctrl-C leaves them to it");
    if (!c->has_sessions) puts("this daemon has no sessions: each question stands alone");
    puts("/help lists commands, Ctrl-D leaves");
}

static void ask(struct chat *c, const char *text) {
    if (c->has_sessions && !c->session[0] && !new_session(c)) {
        c->has_sessions = false;
        puts("each question stands alone");
    }
    chat_turn(c, tda_str_of(text));
}

int chat_interactive(const struct options *o) {
    struct chat c = {.o = o};
    int code = rpc_open(o, chat_waiting, &c.client);
    if (code) return code;
    struct line *line = learn_methods(&c) ? line_open("> ", command_words) : NULL;
    if (line) {
        const char *text;
        chat_catch_interrupts();
        welcome(&c);
        while (!c.quit && (text = line_read(line))) {
            text += strspn(text, " ");
            if (text[0] == '/')
                run_command(&c, text);
            else if (text[0])
                ask(&c, text);
            fflush(stdout);
        }
    }
    code = line ? EXIT_OK : EXIT_FAILED;
    line_close(line);
    tda_client_close(c.client);
    return code;
}
