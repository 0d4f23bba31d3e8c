/* The client: one table of commands, from which parsing, help and completion come. */
#ifndef TDA_COMMAND_H
#define TDA_COMMAND_H

#include <stdio.h>

#include "tda/client.h"
#include "json/json.h"

#define CLIENT_VERSION "0.1.0"

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_TIMEOUT = 4 };

enum { REPEATED_MAX = 16, WORDS_MAX = 32 };

/* What the command line says. Pointers into argv. */
struct options {
    const char *socket, *user;
    bool json, quiet, verbose, help, version, inherit, follow;
    int64_t timeout_s;
    const char *provider, *model, *base_url, *key_file, *key_env, *mcp_server, *idempotency_key, *session, *tools, *prompts;
    const char *search, *sort, *limit, *cursor, *days, *server, *lines;
    const char *token_file, *ca, *store, *expires, *label;
    bool service, operator_right;
    const char *credentials[REPEATED_MAX]; /* NAME=FILE */
    size_t n_credentials;
    const char *credential_envs[REPEATED_MAX]; /* NAME=VARIABLE */
    size_t n_credential_envs;
    const char *fields[REPEATED_MAX]; /* NAME=VALUE */
    size_t n_fields;
    const char *words[WORDS_MAX + 1]; /* the command and its arguments */
    int n_words;
    int after_dashes; /* so many words stood before "--"; 0: there was none, or nothing before it */
};

struct command {
    const char *name, *arguments, *help, *example;
    int (*run)(const struct options *o);
    const char *options; /* words of its own options, for help and completion */
};
extern const struct command commands[];
extern const size_t n_commands;
const struct command *command_find(const char *name);
int unknown_command(const char *name);

/* options.c: -1: go on, else the exit code. */
int options_parse(int argc, char **argv, struct options *o);
void print_help(void);
void add_options(struct buf *out); /* those of every command, as a table in Markdown */
void print_command_help(const struct command *c);
int usage(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* manual.c: tda(1). */
void print_manual(void);

/* rpc.c: one call. Takes `params`, a whole JSON object. On OK the caller frees the document, which is the result; errors are
 * printed. */
int rpc_call(const struct options *o, const char *method, struct buf *params, struct json_doc **ret_doc, struct json *ret_result);
/* For more than one: a client that the caller closes, and what to print and to exit with when one of its calls fails. */
int rpc_open(const struct options *o, bool (*waiting)(void *arg, int64_t waited_ms), struct tda_client **ret);
int rpc_failed(const struct options *o, const struct tda_client *c, const struct tda_client_error *e);
bool rpc_answer_shown(void); /* the last turn's text stands on the terminal already */
const char *default_socket(void);
/* Params under construction: begins the object, with the user when there is one. */
void params_begin(struct jw *w, struct buf *out, const struct options *o);
/* Ends it, calls, and with --json prints the result. EXIT_OK with *ret_doc NULL: printed already. */
int params_call(const struct options *o, const char *method, struct jw *w, struct json_doc **ret_doc, struct json *ret_result);

/* questions.c: if this event of a task asks its user something, he is asked, and his answer sent. False: it does not. */
bool question_answer(const struct options *o, struct tda_client *c, const char *task, const char *event);

/* print.c: text from the daemon cannot move the terminal's cursor or colour it. */
void print_text(tda_str text);
void print_word(FILE *f, const char *before, tda_str word);
void print_raw(tda_str json);
void print_value(struct json v); /* text bare, the rest as JSON, absent as "-" */
void print_error(struct json error);
bool is_colourful(int fd);
/* Rows of cells, aligned when they are all known. */
struct table {
    struct buf cells;
    size_t columns, n;
};
void table_begin(struct table *t, size_t columns);
void table_cell(struct table *t, tda_str text);
void table_value(struct table *t, struct json v);
void table_print(struct table *t); /* the first row is the heading; frees */

/* cmd_plugin.c: becomes the program for authors of plugins, which reads options of its own. Returns when that is not there. */
int run_plugin_tool(char **argv);
/* cmd_configure.c: provider, model, address, server, credentials and fields of the command line; EXIT_USAGE after a message. */
int put_configuration(struct jw *w, const struct options *o);

/* cmd_show.c: one object a row, its members by name as columns. */
void print_rows(struct json rows, const char *const *columns, size_t n);
/* cmd_mcp.c, for a daemon of our own: an MCP server of it, NULL: the context's. */
int mcp_probe(const struct options *o, const char *server);
int mcp_logs(const struct options *o, const char *server);
/* private.c: starts one that knows this server alone, probes, and ends it. */
int mcp_probe_url(const struct options *o, const char *url);
int mcp_probe_command(const struct options *o, const char *const *argv);

/* commands */
int cmd_plugin(const struct options *o);
int cmd_ask(const struct options *o);
int cmd_chat(const struct options *o);
int chat_interactive(const struct options *o); /* chat.c */
int cmd_call(const struct options *o);
int cmd_call_tool(const struct options *o);
int cmd_configure(const struct options *o);
int cmd_context(const struct options *o);
int cmd_profile(const struct options *o);
int cmd_status(const struct options *o);
int cmd_tools(const struct options *o);
int cmd_mcp(const struct options *o);
int mcp_tools(const struct options *o); /* cmd_catalogue.c */
int mcp_approve(const struct options *o);
int mcp_prompts(const struct options *o);
int mcp_resources(const struct options *o);
int mcp_call(const struct options *o); /* cmd_ask.c */
int cmd_jobs(const struct options *o);
int cmd_models(const struct options *o);
int cmd_plugins(const struct options *o);
int cmd_stats(const struct options *o);
int cmd_top(const struct options *o);
int cmd_ping(const struct options *o);
int cmd_methods(const struct options *o);
int cmd_info(const struct options *o);
int cmd_sessions(const struct options *o);
int cmd_usage(const struct options *o);
int cmd_backup(const struct options *o);
int cmd_user(const struct options *o);
int cmd_token(const struct options *o);
int cmd_complete(const struct options *o);
int cmd_help(const struct options *o);

/* The whole of stdin, or of a file; {NULL,0} after an error that was printed. The caller frees. */
tda_str read_all(const char *path_or_dash, size_t max);

#endif
