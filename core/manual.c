#include "manual.h"

#include <stdio.h>

#include "base/roff.h"
#include "config/config.h"
#include "config/value.h"
#include "route/route.h"

enum { PAGE_MAX = 1 << 20 };

static const char tdad_head[] =
    "## SYNOPSIS\n\n"
    "`tdad` [`--config` FILE] [`--set` PATH=VALUE ...] [`--check` | `--explain`[=json]]\n\n"
    "## DESCRIPTION\n\n"
    "A daemon that hosts agents of large language models for many users in one process. Each user has his own provider, model, "
    "credentials and MCP servers. Clients ask over nng sockets in JSON-RPC 2.0, see tda-protocol(7); tda(1) is one.\n\n"
    "It stays in the foreground, writes its log to standard error, and needs no rights of root's. Settings come from "
    "their defaults, a file (tda.yaml(5)), the environment and the command line; the last wins.\n\n"
    "## OPTIONS\n\n";

static const char tdad_tail[] =
    "## EXIT STATUS\n\n"
    "| status | meaning |\n|---|---|\n"
    "| 0 | stopped as asked |\n"
    "| 1 | failed, at the start or while running |\n"
    "| 2 | wrong usage |\n"
    "| 78 | the configuration is not usable; every error of it was printed |\n\n"
    "## FILES\n\n"
    "| file | meaning |\n|---|---|\n"
    "| `/etc/tda/tda.yaml` | what the service reads |\n"
    "| `/run/tda/tda.sock` | where it listens |\n"
    "| `/var/lib/tda` | what outlives it: sessions and usage, the shared context |\n\n"
    "Started by a user, the two last are `$XDG_RUNTIME_DIR/tda/tda.sock` and `$XDG_STATE_HOME/tda`; in a unit, its "
    "`$RUNTIME_DIRECTORY` and `$STATE_DIRECTORY`.\n\n"
    "## SECURITY\n\n"
    "The daemon moves its environment out of sight, leaves no core, and cannot be traced or read by other processes of "
    "its user. A key belongs into the environment, a file, or a systemd credential, and is named in the configuration as "
    "`${env:NAME}`, `${file:PATH}` or `${credential:NAME}`. The unit `tda.service` is hardened; its comments say what each line "
    "costs.\n\n"
    "## SEE ALSO\n\n"
    "tda(1), tda.yaml(5), tda-protocol(7), systemd.exec(5)\n";

static const char yaml_head[] =
    "## DESCRIPTION\n\n"
    "A map of settings in YAML, read by tdad(8) at its start. What is not said has its default. An unknown name, a wrong "
    "type, a bad unit and a value out of range are errors with file, line and column; all of a file's errors are shown at "
    "once, by `tdad --config FILE --check`. What came of it, and from where, says `tdad --config FILE --explain`.\n\n"
    "A dot in a name stands for a level: `log.level` is\n\n"
    "```\n"
    "log:\n"
    "  level: debug\n"
    "```\n\n"
    "Times have a unit (250ms, 300s, 24h, 7d), sizes may (4096, 64KiB, 16MiB), numbers may end with k, M or G.\n\n"
    "`${env:NAME}`, `${file:PATH}` and `${credential:NAME}` stand for a value that does not belong into the file, in settings of "
    "providers and in a server's `env`; `${credential:NAME}` is what systemd's LoadCredential= gives. `${user_hash}` in a server's "
    "arguments and environment is a hash of the user, so that each has a process and files of his own.\n\n"
    "## SETTINGS\n\n";

static const char yaml_tail[] = "\n## EXAMPLE\n\n"
                                "```\n"
                                "contexts: { persistence: false }\n"
                                "providers:\n"
                                "  openai: { api_key: \"${credential:openai}\" }\n"
                                "mcp_servers:\n"
                                "  shop: { command: [mcp-sqlite, /usr/share/tda/sample.db] }\n"
                                "profiles:\n"
                                "  QUICK: { provider: openai, model: gpt-5-nano, tools: [query] }\n"
                                "```\n\n"
                                "More lie in `/usr/share/doc/tda/examples`.\n\n"
                                "## SEE ALSO\n\n"
                                "tdad(8), tda(1)\n";

/* ---- pages, as Markdown ---- */

static void page_variables(struct buf *out) {
    buf_add_z(out, "\n## ENVIRONMENT\n\n| variable | sets | meaning |\n|---|---|---|\n"
                   "| `TDA_CONFIG` | | the file to read, without --config |\n"
                   "| `TDA_LISTEN` | listen | addresses, with commas between |\n"
                   "| `TDA_PLUGINS` | plugins.load | plugins, with commas between |\n");
    for (size_t i = 0; i < n_settings; i++)
        buf_addf(out, "| `%s` | %s | %s |\n", settings[i].variable, settings[i].path, settings[i].help);
    buf_add_z(out,
              "\nProviders' own variables (OPENAI_API_KEY and the like) are in each plugin's note: `tda plugin info FILE`.\n\n");
}

static void page_tdad(const char *usage, struct buf *out) {
    buf_add_z(out, tdad_head);
    buf_addf(out, "```\n%s```\n", usage);
    page_variables(out);
    buf_add_z(out, tdad_tail);
}

static void page_yaml(const char *usage UNUSED, struct buf *out) {
    buf_add_z(out, yaml_head);
    config_reference(out);
    buf_add_z(out, yaml_tail);
}

static void page_protocol(const char *usage UNUSED, struct buf *out) {
    route_reference(out);
    buf_add_z(out, "\n## SEE ALSO\n\ntda(1), tdad(8)\n");
}

static const struct man_page {
    const char *word, *name, *summary;
    unsigned section;
    void (*write)(const char *usage, struct buf *out);
} man_pages[] = {
    {"tdad.8", "tdad", "host agents of language models for many users", 8, page_tdad},
    {"tda.yaml.5", "tda.yaml", "configuration of tdad", 5, page_yaml},
    {"tda-protocol.7", "tda-protocol", "the protocol between tdad and its clients", 7, page_protocol},
};

static void write_man(const struct man_page *p, const char *usage, struct buf *out) {
    struct buf markdown;
    buf_init(&markdown, PAGE_MAX);
    p->write(usage, &markdown);
    roff_page(p->name, p->section, p->summary, buf_str(&markdown), out);
    buf_fini(&markdown);
}

/* ---- completions ---- */

/* What --reference takes. */
static const char *const words[] = {"settings", "methods", "tdad.8", "tda.yaml.5", "tda-protocol.7", "bash", "zsh", "fish", NULL};
static const char *const long_names[] = {"config", "set", "check", "explain", "reference", "version", "help", NULL};

static void add_paths(const char *before, const char *after, struct buf *out) {
    for (size_t i = 0; i < n_settings; i++) buf_addf(out, "%s%s=%s", before, settings[i].path, after);
}

static void add_words(const char *const *list, const char *prefix, struct buf *out) {
    for (size_t i = 0; list[i]; i++) buf_addf(out, "%s%s%s", i ? " " : "", prefix, list[i]);
}

static void write_bash(struct buf *out) {
    buf_add_z(out, "_tdad() {\n  local words\n  case ${COMP_WORDS[COMP_CWORD-1]} in\n  -s | --set) words=\"");
    add_paths("", " ", out);
    buf_add_z(out, "\"; compopt -o nospace ;;\n  --reference) words=\"");
    add_words(words, "", out);
    buf_add_z(out, "\" ;;\n  -c | --config) words= ;;\n  *) words=\"");
    add_words(long_names, "--", out);
    buf_add_z(out, "\" ;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
                   "complete -o default -F _tdad tdad\n");
}

static void write_zsh(struct buf *out) {
    buf_add_z(out, "#compdef tdad\nlocal -a paths\npaths=(");
    add_paths(" '", "'", out);
    buf_add_z(out, ")\n_arguments \\\n  '(-c --config)'{-c,--config}'[YAML to read]:file:_files' \\\n"
                   "  '*'{-s,--set}'[a setting]:setting:compadd -S \"\" -a paths' \\\n  '--check[check everything]' \\\n"
                   "  '--explain=-[what is in force]::format:(json)' \\\n  '--reference[a reference]:what:(");
    add_words(words, "", out);
    buf_add_z(out, ")' \\\n  '(-V --version)'{-V,--version}'[the version]' \\\n  '(-h --help)'{-h,--help}'[help]'\n");
}

static void write_fish(struct buf *out) {
    buf_add_z(out, "complete -c tdad -s c -l config -r -F -d 'YAML to read'\n"
                   "complete -c tdad -s s -l set -x -d 'a setting' -a '");
    add_paths("", " ", out);
    buf_add_z(out, "'\ncomplete -c tdad -l reference -x -d 'a reference' -a '");
    add_words(words, "", out);
    buf_add_z(out, "'\ncomplete -c tdad -l check -f -d 'check everything'\ncomplete -c tdad -l explain -f -d 'what is in force'\n"
                   "complete -c tdad -s V -l version -f -d 'the version'\ncomplete -c tdad -s h -l help -f -d 'help'\n");
}

/* ---- all ---- */

static const struct plain {
    const char *word;
    void (*write)(struct buf *out);
} plains[] = {
    {"settings", config_reference}, {"methods", route_reference}, {"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};

static tda_status write_word(const char *word, const char *usage, struct buf *out) {
    for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
        if (strcmp(plains[i].word, word) != 0) continue;
        plains[i].write(out);
        return TDA_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(man_pages); i++) {
        if (strcmp(man_pages[i].word, word) != 0) continue;
        write_man(&man_pages[i], usage, out);
        return TDA_OK;
    }
    add_words(words, "", out);
    return TDA_E_NOT_FOUND;
}

tda_status manual_print(const char *word, const char *usage) {
    struct buf out;
    buf_init(&out, PAGE_MAX);
    tda_status s = write_word(word, usage, &out);
    if (s)
        fprintf(stderr, "tdad: --reference wants one of %.*s, not: %s\ntry: tdad --help\n", STR_FMT(buf_str(&out)), word);
    else
        fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
    return s;
}
