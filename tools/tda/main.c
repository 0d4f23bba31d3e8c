#include <stdio.h>

#include "tda.h"

static int unknown_command(const char *name) {
    const char *names[32];
    size_t n = 0;
    for (size_t i = 0; i < n_commands && n < ARRAY_LEN(names); i++)
        if (commands[i].help) names[n++] = commands[i].name;
    const char *near = nearest_word(tda_str_of(name), names, n);
    return near ? usage("there is no command \"%s\"; did you mean %s?", name, near) : usage("there is no command \"%s\"", name);
}

int main(int argc, char **argv) {
    struct options o;
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
    code = c->run(&o);
    if (fflush(stdout) == 0) return code;
    fputs("tda: the output could not be written\n", stderr);
    return EXIT_FAILED;
}
