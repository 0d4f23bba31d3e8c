#include <stdio.h>

#include "tda.h"

int main(int argc, char **argv) {
    struct options o;
    if (argc > 1 && strcmp(argv[1], "plugin") == 0) return run_plugin_tool(argv + 1);
    int code = options_parse(argc, argv, &o);
    if (code >= 0) return code;
    const struct command *c = o.n_words ? command_find(o.words[0]) : NULL;
    if (o.version) {
        puts("tda " CLIENT_VERSION);
        return EXIT_OK;
    }
    if (o.n_words && !c) return unknown_command(o.words[0]);
    if (o.help && c) {
        print_command_help(c);
        return EXIT_OK;
    }
    if (o.help) {
        print_help();
        return EXIT_OK;
    }
    if (!c) return usage("a command is wanted");
    if (!c->arguments[0] && o.n_words > 1)
        return usage("%s takes no arguments, but there is \"%s\"; tda help %s", c->name, o.words[1], c->name);
    code = c->run(&o);
    if (fflush(stdout) == 0) return code;
    fputs("tda: the output could not be written\n", stderr);
    return EXIT_FAILED;
}
