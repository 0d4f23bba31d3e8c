/* Words for the shell: commands, and what may follow them. Never asks the daemon. The shells ask us each time, so that what they
 * know is never older than the program. */
#include <stdio.h>

#include "tda.h"

static const char bash_script[] =
    "_tda() {\n"
    "  local IFS=$'\\n'\n"
    "  COMPREPLY=($(compgen -W \"$(tda __complete \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "}\n"
    "complete -o default -F _tda tda\n";

static const char zsh_script[] = "#compdef tda\n"
                                 "_tda() {\n"
                                 "  local -a known\n"
                                 "  known=(${(f)\"$(tda __complete ${words[2,CURRENT-1]})\"})\n"
                                 "  compadd -a known || _files\n"
                                 "}\n"
                                 "if [[ ${funcstack[1]} = _tda ]]; then _tda \"$@\"; else compdef _tda tda; fi\n";

static const char fish_script[] = "complete -c tda -a '(tda __complete (commandline -opc)[2..-1])'\n";

static const struct shell {
    const char *name, *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static int print_script(const struct options *o) {
    for (size_t i = 0; o->n_words == 2 && i < ARRAY_LEN(shells); i++) {
        if (strcmp(shells[i].name, o->words[1]) != 0) continue;
        fputs(shells[i].script, stdout);
        return EXIT_OK;
    }
    return usage("complete bash, zsh or fish: other shells are not known");
}

/* The long options in a command's help. */
static void print_options(const char *text) {
    for (const char *p = text; p && (p = strstr(p, "--")); p += 2) {
        size_t n = 2 + strcspn(p + 2, " =.,\n");
        if (n > 2) printf("%.*s\n", (int)n, p);
    }
}

int cmd_complete(const struct options *o) {
    if (strcmp(o->words[0], "complete") == 0) return print_script(o);
    const struct command *c = NULL;
    for (int i = 1; i < o->n_words && !c; i++) c = command_find(o->words[i]);
    if (!c) {
        for (size_t i = 0; i < n_commands; i++)
            if (commands[i].help) puts(commands[i].name);
    } else if (strcmp(c->name, "context") == 0) {
        puts("get\nset\nlist\ndelete");
    } else if (strcmp(c->name, "sessions") == 0) {
        puts("list\nnew\nshow\nexport\nrename\ndelete");
    } else if (strcmp(c->name, "user") == 0) {
        puts("delete");
    } else if (strcmp(c->name, "profile") == 0) {
        puts("list\nput\ndelete\ndefault");
    } else if (strcmp(c->name, "mcp") == 0) {
        puts("list\nprobe\nlogs\nrestart\ntools\ncall\napprove\nprompts\nresources");
    } else if (strcmp(c->name, "jobs") == 0) {
        puts("run");
    } else if (strcmp(c->name, "plugins") == 0) {
        puts("load");
    } else if (strcmp(c->name, "complete") == 0) {
        puts("bash\nzsh\nfish");
    } else if (strcmp(c->name, "token") == 0) {
        puts("create\nlist\nrevoke");
    }
    puts("--socket\n--user\n--token-file\n--ca\n--json\n--timeout\n--quiet\n--help");
    if (c) print_options(c->options);
    return EXIT_OK;
}
