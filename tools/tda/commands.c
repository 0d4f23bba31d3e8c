#include <stdio.h>

#include "tda.h"

#define OPT_ASK                                                                                                                    \
    "  -v, --verbose          say which provider, model, server and tools served it (on stderr)\n"                                 \
    "      --session ID       go on in this session (tda sessions); ask only\n"                                                    \
    "      --idempotency-key KEY  the same key again gets the same answer, and does nothing twice\n"
#define OPT_SESSIONS                                                                                                               \
    "list (the default): the last used first\n"                                                                                    \
    "      --search TEXT      only those whose title or messages hold it\n"                                                        \
    "      --sort ORDER       updated, created or title\n"                                                                         \
    "      --limit N          at most so many (default 50)\n"                                                                      \
    "      --cursor CURSOR    go on where the last list ended\n"                                                                   \
    "new: prints the id, for ask --session\n"                                                                                      \
    "      --inherit          served by the present context, whatever configure does later\n"                                      \
    "show prints what was said, export JSON lines: the session, then a line for each turn.\n"                                      \
    "\nmore examples:\n"                                                                                                           \
    "  s=$(tda --user alice sessions new \"Orders\")\n"                                                                            \
    "  tda --user alice --session $s ask \"How many orders are there?\"\n"                                                         \
    "  tda --user alice sessions show $s\n"                                                                                        \
    "  tda --user alice sessions export $s > orders.jsonl\n"
#define OPT_PROVIDER                                                                                                               \
    "      --provider NAME    as `tda plugins` and the operator's configuration name them\n"                                       \
    "      --model ID\n"                                                                                                           \
    "      --key-file FILE    file that holds the API key (- is stdin)\n"                                                          \
    "      --key-env VAR      variable that holds the API key\n"                                                                   \
    "      --credential NAME=FILE  another credential, by its name\n"                                                              \
    "      --credential-env NAME=VARIABLE  likewise, from a variable: token=FRIENDLI_TOKEN\n"                                      \
    "      --base-url URL     another address of the service\n"                                                                    \
    "      --mcp-server NAME  one of the operator's MCP servers\n"                                                                 \
    "      --field NAME=VALUE another field: aws_region=eu-west-1\n"
#define OPT_CONFIGURE OPT_PROVIDER "Without a key or credential, those given before stay.\n"
#define OPT_PROFILE                                                                                                                \
    OPT_PROVIDER "      --tools A,B        the tools it may use; without this, all\n"                                              \
                 "      --prompts A,B      likewise prompts\n"                                                                     \
                 "What a profile does not say is the context's. `default -` sets no default.\n"

#define OPT_MCP                                                                                                                    \
    "list (the default): the servers there are, and how the user's connections to them fare\n"                                     \
    "probe: connects, and says what the server is, what it has, and how long that took\n"                                          \
    "  NAME                   a server that the daemon knows; without it the context's\n"                                          \
    "  URL                    any server: asked by a daemon of your own, which ends with the command\n"                            \
    "  -- COMMAND ARGUMENTS   likewise one to be started; `env NAME=VALUE COMMAND` gives it variables\n"                           \
    "logs: what was last said on stderr, in the server's protocol, and by the host\n"                                              \
    "  -f, --follow           go on as it comes\n"                                                                                 \
    "      --lines N          the last so many lines (default 100)\n"                                                              \
    "restart: closes the user's connections, and tries again what is parked; the next use starts it\n"                             \
    "tools, prompts, resources: what the context's server has; prompts NAME fills one in, resources URI reads one\n"               \
    "      --server NAME      fail unless that is the context's server\n"                                                          \
    "      --limit N, --cursor C  so many of a list, and what comes next\n"                                                        \
    "call: calls a tool, like call-tool\n"                                                                                         \
    "approve: takes tools as they are now, one or all, where the operator has them pinned\n"                                       \
    "\nmore examples:\n"                                                                                                           \
    "  tda mcp probe -- npx -y @modelcontextprotocol/server-everything\n"                                                          \
    "  tda mcp probe https://mcp.example.com/mcp\n"                                                                                \
    "  tda --user alice mcp logs sales -f\n"                                                                                       \
    "  tda --user alice mcp tools --server sales\n"                                                                                \
    "  tda --user alice mcp call query '{\"sql\": \"SELECT 1\"}'\n"                                                                \
    "  tda --user alice mcp prompts summary topic=orders\n"                                                                        \
    "  tda --user alice mcp resources file:///srv/report.txt\n"
#define OPT_TOKEN                                                                                                                  \
    "Whoever comes by tcp, tls+tcp, ws or wss is known by a token; it is shown once, and kept as a hash.\n"                        \
    "create prints it: for --user USER, to act for him alone; or\n"                                                                \
    "      --service          for a program that names its users\n"                                                                \
    "      --operator         with --service: and may do what is the operator's (plugins, backup, jobs, tokens)\n"                 \
    "      --expires TIME     30d, 12h, 90m; without it, never\n"                                                                  \
    "      --label TEXT       for the list\n"                                                                                      \
    "      --store FILE       make, list or revoke in the daemon's file (identity.tokens), while no daemon runs:\n"                \
    "                         so the first one is made, for a daemon does not listen on tcp without any\n"                         \
    "\nmore examples:\n"                                                                                                           \
    "  tda token create --service --label \"web front end\" > front.token\n"                                                       \
    "  tda token create --service --store /var/lib/tda/tokens.db > first.token\n"                                                  \
    "  tda token list\n"                                                                                                           \
    "  tda token revoke 0a1b2c3d4e5f\n"                                                                                            \
    "  TDA_SOCKET=tls+tcp://tda.example.org:7701 tda --token-file alice.token ask \"Which tables are there?\"\n"

static int cmd_manual(const struct options *o UNUSED) {
    print_manual();
    return EXIT_OK;
}

const struct command commands[] = {
    {"ask", "TEXT|-", "ask a question; the model may use tools; @TAG at its start runs it under that profile",
     "tda --user alice ask \"How many orders are there?\"\n  tda --user alice ask '@FAST How many orders are there?'", cmd_ask,
     OPT_ASK},
    {"chat", "[TEXT|-]", "talk: lines, answers as they come, /help there; with TEXT one model call without tools",
     "tda --user alice chat", cmd_chat, OPT_ASK},
    {"configure", "", "choose provider, model, credentials and MCP server",
     "tda --user alice configure --provider openai --model gpt-5-mini --key-env OPENAI_API_KEY --mcp-server sales", cmd_configure,
     OPT_CONFIGURE},
    {"context", "get [FIELD] | set FIELD=VALUE... | list | delete", "look at or change a user's context",
     "tda --user alice context get model", cmd_context, NULL},
    {"profile", "list | put TAG OPTIONS | delete TAG | default TAG|-", "look at or change a user's profiles, for ask '@TAG ...'",
     "tda --user alice profile put FAST --provider openai --model gpt-5-mini --key-env OPENAI_API_KEY --tools query\n"
     "  tda --user alice ask '@FAST How many orders are there?'",
     cmd_profile, OPT_PROFILE},
    {"status", "", "is this user configured, and how", "tda --user alice status", cmd_status, NULL},
    {"tools", "", "tools of the user's MCP server", "tda --user alice tools", cmd_tools, NULL},
    {"call-tool", "TOOL [JSON|-]", "call one tool", "tda --user alice call-tool query '{\"sql\": \"SELECT 1\"}'", cmd_call_tool,
     NULL},
    {"call", "METHOD [JSON|-]", "any method, with params as JSON", "tda call host.info", cmd_call, NULL},
    {"sessions", "[list | new [TITLE] | show ID | export ID | rename ID TITLE | delete ID]",
     "conversations that the host remembers", "tda --user alice sessions list --search orders", cmd_sessions, OPT_SESSIONS},
    {"usage", "", "the user's tokens by day, provider and model", "tda --user alice usage --days 7", cmd_usage,
     "      --days N           the last so many UTC days (default 30)\n"},
    {"token", "[list | create --user USER|--service | revoke ID]", "tokens: who may come by tcp, tls+tcp, ws or wss",
     "tda token create --user alice --expires 30d --label laptop > alice.token", cmd_token, OPT_TOKEN},
    {"user", "delete", "erase a user: context, credentials, sessions, usage", "tda --user alice user delete", cmd_user, NULL},
    {"backup", "FILE", "copy all sessions and usage into a new file while the daemon works",
     "tda backup /var/backups/tda-sessions.db", cmd_backup,
     "To restore: stop the daemon, put the copy where sessions.path points, remove its -wal and -shm, start.\n"},
    {"mcp",
     "[list | probe [NAME | URL | -- COMMAND ARGUMENTS] | logs [NAME] | restart [NAME] | tools | call TOOL [JSON|-] | approve "
     "[TOOL]\n"
     "                         | prompts [NAME [ARGUMENT=VALUE...]] | resources [URI | templates]]",
     "MCP servers: their state, a look at one, what it says", "tda --user alice mcp probe sales", cmd_mcp, OPT_MCP},
    {"jobs", "[run NAME]", "maintenance jobs; run one now", "tda jobs run context_cleanup", cmd_jobs, NULL},
    {"models", "[PROVIDER]", "models that the user's provider offers, or another one", "tda --user alice models", cmd_models, NULL},
    {"plugins", "[load NAME|FILE]", "plugins, loaded and refused; load one, or a new version of one", "tda plugins load openai",
     cmd_plugins, NULL},
    {"plugin", "list | info | check | bench | new ...", "for authors of plugins", "tda plugin check ./hello.so", cmd_plugin, NULL},
    {"stats", "", "counters of the daemon", "tda stats", cmd_stats, NULL},
    {"top", "", "the daemon as it works: rates, latency, memory; q ends it", "tda top", cmd_top, NULL},
    {"info", "", "version, mode and addresses of the daemon", "tda info", cmd_info, NULL},
    {"ping", "", "is a daemon there", "tda ping", cmd_ping, NULL},
    {"methods", "", "methods that `call` can call", "tda methods", cmd_methods, NULL},
    {"help", "[COMMAND]", "help on a command", "tda help configure", cmd_help, NULL},
    {"complete", "bash|zsh|fish", "print a completion script for the shell", "source <(tda complete bash)", cmd_complete, NULL},
    {"__manual", "", NULL, "", cmd_manual, NULL},
    {"__complete", "WORDS", NULL, "", cmd_complete, NULL},
};
const size_t n_commands = ARRAY_LEN(commands);

const struct command *command_find(const char *name) {
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

int unknown_command(const char *name) {
    const char *names[ARRAY_LEN(commands)];
    size_t n = 0;
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].help) names[n++] = commands[i].name;
    const char *near = nearest_word(tda_str_of(name), names, n);
    return near ? usage("there is no command \"%s\"; did you mean %s?", name, near) : usage("there is no command \"%s\"", name);
}

int cmd_help(const struct options *o) {
    const struct command *c = o->n_words > 1 ? command_find(o->words[1]) : NULL;
    if (o->n_words > 1 && !c) return unknown_command(o->words[1]);
    if (c)
        print_command_help(c);
    else
        print_help();
    return EXIT_OK;
}
