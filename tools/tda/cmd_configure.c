/* configure: keys come from files, variables or the terminal, never from the command line. */
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/hash.h"
#include "tda.h"

enum { KEY_MAX = 8192 };

static void drop_line_end(tda_str *s) {
    while (s->n && (s->p[s->n - 1] == '\n' || s->p[s->n - 1] == '\r')) s->n--;
}

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig) {
    interrupted = sig;
}

/* From a terminal: asked for, without echo. Ctrl-C ends the wait, and us after the echo is back. */
static tda_str type_key(void) {
    static char line[KEY_MAX];
    struct termios before, silent;
    struct sigaction ours = {.sa_handler = on_interrupt}, old; /* no SA_RESTART: the read must end */
    fputs("API key (not shown): ", stderr);
    if (tcgetattr(0, &before)) return (tda_str){0};
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    sigaction(SIGINT, &ours, &old);
    tcsetattr(0, TCSAFLUSH, &silent);
    char *got = fgets(line, sizeof line, stdin);
    tcsetattr(0, TCSAFLUSH, &before);
    sigaction(SIGINT, &old, NULL);
    fputc('\n', stderr);
    if (interrupted) raise(interrupted);
    return got ? (tda_str){line, strlen(line)} : (tda_str){0};
}

static void put_secret(struct jw *w, tda_str name, tda_str value) {
    drop_line_end(&value);
    jw_key(w, name);
    jw_str(w, value);
}

static int put_file(struct jw *w, tda_str name, const char *path) {
    bool typed = strcmp(path, "-") == 0 && isatty(0);
    tda_str value = typed ? type_key() : read_all(path, KEY_MAX);
    if (!value.p) return EXIT_USAGE;
    put_secret(w, name, value);
    wipe((void *)(uintptr_t)value.p, value.n);
    if (!typed) free((void *)(uintptr_t)value.p);
    return EXIT_OK;
}

static int put_variable(struct jw *w, tda_str name, const char *variable) {
    const char *value = getenv(variable);
    if (!value || !value[0]) return usage("the variable %s, which should hold a credential, is not set", variable);
    put_secret(w, name, tda_str_of(value));
    return EXIT_OK;
}

static int put_credentials(struct jw *w, const struct options *o) {
    int code = EXIT_OK;
    if (!o->key_file && !o->key_env && !o->n_credentials && !o->n_credential_envs) return EXIT_OK;
    jw_open_object(w, "credentials");
    if (o->key_env) code = put_variable(w, TDA_STR("api_key"), o->key_env);
    for (size_t i = 0; i < o->n_credential_envs && !code; i++) {
        const char *eq = strchr(o->credential_envs[i], '=');
        if (!eq) return usage("--credential-env wants NAME=VARIABLE, not \"%s\"", o->credential_envs[i]);
        code = put_variable(w, (tda_str){o->credential_envs[i], (size_t)(eq - o->credential_envs[i])}, eq + 1);
    }
    if (o->key_file && !code) code = put_file(w, TDA_STR("api_key"), o->key_file);
    for (size_t i = 0; i < o->n_credentials && !code; i++) {
        const char *eq = strchr(o->credentials[i], '=');
        if (!eq) return usage("--credential wants NAME=FILE, not \"%s\"", o->credentials[i]);
        code = put_file(w, (tda_str){o->credentials[i], (size_t)(eq - o->credentials[i])}, eq + 1);
    }
    jw_end_object(w);
    return code;
}

static int put_fields(struct jw *w, const struct options *o) {
    for (size_t i = 0; i < o->n_fields; i++) {
        const char *eq = strchr(o->fields[i], '=');
        if (!eq) return usage("--field wants NAME=VALUE, not \"%s\"", o->fields[i]);
        jw_key(w, (tda_str){o->fields[i], (size_t)(eq - o->fields[i])});
        if (eq[1] == '{' && json_check(tda_str_of(eq + 1), 0, NULL) == TDA_OK)
            jw_raw(w, tda_str_of(eq + 1));
        else
            jw_str(w, tda_str_of(eq + 1));
    }
    return EXIT_OK;
}

int put_configuration(struct jw *w, const struct options *o) {
    if (o->provider) jw_put_z(w, "provider", o->provider);
    if (o->model) jw_put_z(w, "model", o->model);
    if (o->base_url) jw_put_z(w, "base_url", o->base_url);
    if (o->mcp_server) {
        jw_open_object(w, "mcp_server");
        jw_put_z(w, "name", o->mcp_server);
        jw_end_object(w);
    }
    int code = put_credentials(w, o);
    return code ? code : put_fields(w, o);
}

int cmd_configure(const struct options *o) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct json result;
    struct buf params;
    struct jw w;
    params_begin(&w, &params, o);
    int code = put_configuration(&w, o);
    if (code) {
        wipe(params.p, params.n);
        buf_fini(&params);
        return code;
    }
    code = params_call(o, "configure", &w, &doc, &result);
    if (code || !doc) return code;
    int64_t tools = 0;
    bool has_tools = json_i64(json_key(result, TDA_STR("tools")), &tools);
    tda_str server = json_str(json_key(result, TDA_STR("mcp_server")));
    print_word(stdout, "", json_str(json_key(result, TDA_STR("status"))));
    print_word(stdout, ": provider ", json_str(json_key(result, TDA_STR("provider"))));
    print_word(stdout, ", model ", json_str(json_key(result, TDA_STR("model"))));
    if (server.n) print_word(stdout, ", MCP server ", server);
    if (has_tools) printf(" with %lld tools", (long long)tools);
    putchar('\n');
    return EXIT_OK;
}
