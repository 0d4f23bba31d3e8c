/* tda(1), from the tables of commands and options. */
#include <stdio.h>

#include "base/roff.h"
#include "tda.h"

enum { PAGE_MAX = 1 << 20 };

static const char head[] =
    "## SYNOPSIS\n\n"
    "`tda` [OPTIONS] COMMAND [ARGUMENTS]\n\n"
    "## DESCRIPTION\n\n"
    "Asks, configures and looks after a tdad(8). What it prints is a table for people, with `--json` the result "
    "for programs. Keys come from a file, a variable or the terminal, never from the command line, which every "
    "user of the machine can read.\n\n"
    "## OPTIONS\n\n";

static const char tail[] =
    "## ENVIRONMENT\n\n"
    "| variable | meaning |\n|---|---|\n"
    "| `TDA_SOCKET` | where the daemon listens; without it the user's own, else the machine's, /run/tda/tda.sock |\n"
    "| `TDA_USER` | on whose behalf |\n"
    "| `NO_COLOR` | no colours |\n\n"
    "## EXIT STATUS\n\n"
    "| status | meaning |\n|---|---|\n"
    "| 0 | done |\n| 1 | the request failed |\n| 2 | wrong usage |\n| 3 | there is no daemon |\n| 4 | no reply in time |\n\n"
    "## SEE ALSO\n\n"
    "tdad(8), tda.yaml(5), tda-protocol(7)\n";

static void add_command(const struct command *c, struct buf *out) {
    buf_addf(out, "### %s %s\n\n%s\n", c->name, c->arguments, c->help);
    if (c->options) buf_addf(out, "\n```\n%s```\n", c->options);
    buf_addf(out, "\n```\nexample: %s\n```\n\n", c->example);
}

void print_manual(void) {
    struct buf markdown, page;
    buf_init(&markdown, PAGE_MAX);
    buf_init(&page, PAGE_MAX);
    buf_add_z(&markdown, head);
    add_options(&markdown);
    buf_add_z(&markdown, "\n## COMMANDS\n\n");
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].help) add_command(&commands[i], &markdown);
    buf_add_z(&markdown, tail);
    roff_page("tda", 1, "client of tdad", buf_str(&markdown), &page);
    fwrite(page.p, 1, page.n, stdout);
    buf_fini(&markdown);
    buf_fini(&page);
}
