#include <stdarg.h>
#include <stdio.h>

#include "tda.h"

enum { TIMEOUT_S = 600, TIMEOUT_MAX_S = 86400 };

enum kind { FLAG, TEXT, LIST, SECONDS };

static const struct option_row {
    const char *name;
    char letter;
    enum kind kind;
    size_t offset, count_offset;
    const char *help; /* NULL: told with its command */
} rows[] = {
#define AT(field) offsetof(struct options, field)
    {"socket", 's', TEXT, AT(socket), 0, "URL        where the daemon listens (default $TDA_SOCKET, or the daemon's own default)"},
    {"user", 'u', TEXT, AT(user), 0, "USER       on whose behalf (default $TDA_USER)"},
    {"token-file", 0, TEXT, AT(token_file), 0,
     "FILE  holds a token, for tcp, tls+tcp, ws and wss (default $TDA_TOKEN_FILE, or the token itself in $TDA_TOKEN)"},
    {"ca", 0, TEXT, AT(ca), 0,
     "FILE          authorities that the daemon's certificate is judged by (default $TDA_CA, or the system's)"},
    {"json", 'j', FLAG, AT(json), 0, "           the result as JSON, for programs; an error as JSON on stderr"},
    {"timeout", 't', SECONDS, AT(timeout_s), 0, "SECONDS    longest wait for a reply (default 600)"},
    {"quiet", 'q', FLAG, AT(quiet), 0, "           no progress"},
    {"help", 'h', FLAG, AT(help), 0, "           this, or with a command its own help"},
    {"version", 'V', FLAG, AT(version), 0, "           version of the client"},
    {"verbose", 'v', FLAG, AT(verbose), 0, NULL},
    {"provider", 0, TEXT, AT(provider), 0, NULL},
    {"model", 0, TEXT, AT(model), 0, NULL},
    {"base-url", 0, TEXT, AT(base_url), 0, NULL},
    {"key-file", 0, TEXT, AT(key_file), 0, NULL},
    {"key-env", 0, TEXT, AT(key_env), 0, NULL},
    {"credential", 0, LIST, AT(credentials), AT(n_credentials), NULL},
    {"credential-env", 0, LIST, AT(credential_envs), AT(n_credential_envs), NULL},
    {"field", 0, LIST, AT(fields), AT(n_fields), NULL},
    {"tools", 0, TEXT, AT(tools), 0, NULL},
    {"prompts", 0, TEXT, AT(prompts), 0, NULL},
    {"mcp-server", 0, TEXT, AT(mcp_server), 0, NULL},
    {"idempotency-key", 0, TEXT, AT(idempotency_key), 0, NULL},
    {"session", 0, TEXT, AT(session), 0, NULL},
    {"search", 0, TEXT, AT(search), 0, NULL},
    {"sort", 0, TEXT, AT(sort), 0, NULL},
    {"server", 0, TEXT, AT(server), 0, NULL},
    {"limit", 0, TEXT, AT(limit), 0, NULL},
    {"cursor", 0, TEXT, AT(cursor), 0, NULL},
    {"days", 0, TEXT, AT(days), 0, NULL},
    {"follow", 'f', FLAG, AT(follow), 0, NULL},
    {"lines", 0, TEXT, AT(lines), 0, NULL},
    {"inherit", 0, FLAG, AT(inherit), 0, NULL},
    {"service", 0, FLAG, AT(service), 0, NULL},
    {"operator", 0, FLAG, AT(operator_right), 0, NULL},
    {"expires", 0, TEXT, AT(expires), 0, NULL},
    {"label", 0, TEXT, AT(label), 0, NULL},
    {"store", 0, TEXT, AT(store), 0, NULL},
#undef AT
};

int usage(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("tda: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\ntry: tda --help\n", stderr);
    return EXIT_USAGE;
}

static const struct option_row *find(const char *name, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0) return &rows[i];
    return NULL;
}

static int unknown_option(const char *name) {
    const char *names[ARRAY_LEN(rows)];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) names[i] = rows[i].name;
    if (strncmp(name, "key", 3) == 0 && (name[3] == 0 || name[3] == '='))
        return usage("a key on the command line can be read by every user of this machine; use --key-file FILE, --key-env "
                     "VARIABLE, or type it when asked");
    if (strcmp(name, "token") == 0 || strncmp(name, "token=", 6) == 0)
        return usage("a token on the command line can be read by every user of this machine; use --token-file FILE, or TDA_TOKEN");
    const char *near = nearest_word(tda_str_of(name), names, ARRAY_LEN(rows));
    return near ? usage("there is no option --%s; did you mean --%s?", name, near) : usage("there is no option --%s", name);
}

static int set(struct options *o, const struct option_row *r, const char *value) {
    char *base = (char *)o, *end;
    if (r->kind == FLAG) {
        *(bool *)(base + r->offset) = true;
    } else if (r->kind == TEXT) {
        memcpy(base + r->offset, &value, sizeof value);
    } else if (r->kind == SECONDS) {
        long long v = strtoll(value, &end, 10);
        if (end == value || *end || v < 1 || v > TIMEOUT_MAX_S)
            return usage("--%s wants whole seconds from 1 to 86400, not \"%s\"", r->name, value);
        o->timeout_s = v;
    } else {
        size_t n;
        memcpy(&n, base + r->count_offset, sizeof n);
        if (n == REPEATED_MAX) return usage("--%s is given too often", r->name);
        memcpy(base + r->offset + n * sizeof value, &value, sizeof value);
        n++;
        memcpy(base + r->count_offset, &n, sizeof n);
    }
    return -1;
}

/* "--name value", "--name=value", "-n value". *i moves on over a value of its own. */
static int take_option(int argc, char **argv, int *i, struct options *o) {
    const char *arg = argv[*i], *eq = NULL;
    const struct option_row *r = NULL;
    if (arg[1] == '-') {
        eq = strchr(arg, '=');
        r = find(arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
        if (!r) return unknown_option(arg + 2);
    } else {
        for (size_t k = 0; k < ARRAY_LEN(rows); k++)
            if (rows[k].letter && rows[k].letter == arg[1] && !arg[2]) r = &rows[k];
        if (!r) return usage("there is no option %s", arg);
    }
    if (r->kind == FLAG) return eq ? usage("--%s takes no value", r->name) : set(o, r, NULL);
    if (eq) return set(o, r, eq + 1);
    if (*i + 1 == argc) return usage("--%s wants a value", r->name);
    return set(o, r, argv[++*i]);
}

int options_parse(int argc, char **argv, struct options *o) {
    bool only_words = false;
    *o = (struct options){.socket = getenv("TDA_SOCKET"),
                          .user = getenv("TDA_USER"),
                          .token_file = getenv("TDA_TOKEN_FILE"),
                          .ca = getenv("TDA_CA"),
                          .timeout_s = TIMEOUT_S};
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            o->after_dashes = o->n_words;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            int code = take_option(argc, argv, &i, o);
            if (code >= 0) return code;
        } else if (o->n_words == WORDS_MAX) {
            return usage("too many words; put a text in quotes");
        } else {
            o->words[o->n_words++] = argv[i];
            only_words |= o->n_words == 1 && strcmp(argv[i], "__complete") == 0;
        }
    }
    if (!o->socket || !o->socket[0]) o->socket = default_socket();
    if (o->user && !o->user[0]) o->user = NULL;
    return -1;
}

void print_help(void) {
    puts("tda: ask, configure and look after a tdad\n\nusage: tda [OPTIONS] COMMAND [ARGUMENTS]\n\ncommands:");
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].help) printf("  %-12s %s\n", commands[i].name, commands[i].help);
    puts("\noptions:");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].help)
            printf("  %c%c%c --%-10s %s\n", rows[i].letter ? '-' : ' ', rows[i].letter ? rows[i].letter : ' ',
                   rows[i].letter ? ',' : ' ', rows[i].name, rows[i].help);
    puts("\nexamples:\n"
         "  tda --user alice configure --provider offline --model offline-1 --mcp-server sales\n"
         "  tda --user alice ask \"How many orders are there?\"\n"
         "  tda --user alice ask '@FAST How many orders are there?'\n"
         "  tda --user alice --json status | jq .provider\n"
         "\nexit codes: 0 done, 1 the request failed, 2 wrong usage, 3 no daemon there, 4 no reply in time\n"
         "more on one command: tda help COMMAND");
}

void add_options(struct buf *out) {
    buf_add_z(out, "| option | meaning |\n|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].help) continue;
        size_t n = strcspn(rows[i].help, " ");
        buf_addf(out, "| `-%c`, `--%s` %.*s | %s |\n", rows[i].letter, rows[i].name, (int)n, rows[i].help,
                 rows[i].help + n + strspn(rows[i].help + n, " "));
    }
}

void print_command_help(const struct command *c) {
    printf("usage: tda [OPTIONS] %s %s\n\n%s\n", c->name, c->arguments, c->help ? c->help : "");
    if (c->options) printf("\n%s", c->options);
    printf("\nexample:\n  %s\n", c->example);
}
