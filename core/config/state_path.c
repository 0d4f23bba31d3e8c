/* Where the daemon keeps what outlives it. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

void state_path(const char *given, const char *file, char *out, size_t size) {
    const char *service = getenv("STATE_DIRECTORY"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    out[0] = 0;
    if (strcmp(given, "none") == 0) return;
    if (given[0])
        snprintf(out, size, "%s", given);
    else if (service && service[0] == '/')
        snprintf(out, size, "%s/%s", service, file); /* systemd's StateDirectory= */
    else if (geteuid() == 0)
        snprintf(out, size, "/var/lib/tda/%s", file);
    else if (state && state[0] == '/')
        snprintf(out, size, "%s/tda/%s", state, file);
    else if (home && home[0] == '/')
        snprintf(out, size, "%s/.local/state/tda/%s", home, file);
    for (char *slash = out[0] ? strchr(out + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(out, 0700);
        *slash = '/';
    }
}
