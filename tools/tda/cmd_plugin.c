/* `tda plugin ...` is a program of its own, tda-plugin: it loads files that nobody vouches for, and the client stays small. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "tda.h"

int run_plugin_tool(char **argv) {
    static const char *const places[] = {"tda-plugin", "../libexec/tda/tda-plugin"};
    char self[PATH_MAX], path[PATH_MAX + 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        if (access(path, X_OK) == 0) execv(path, argv);
    }
    fprintf(
        stderr,
        "tda: tda-plugin, the program for authors of plugins, is not installed beside this one (%s)\n     on Debian: libtda-dev\n",
        self);
    return EXIT_FAILED;
}

/* Options stood before the word. */
int cmd_plugin(const struct options *o) {
    return usage("plugin comes first: tda plugin %s", o->n_words > 1 ? o->words[1] : "--help");
}
