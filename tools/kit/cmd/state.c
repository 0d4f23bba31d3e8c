/* What a plugin must leave as it was, because it is the whole process's: descriptors, threads, environment, folder, signals. */
#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

enum { SIGNALS = 32, PATH_SIZE = 4096, RUNTIME_FDS = 8 };

struct state {
    char *environment;
    char cwd[PATH_SIZE];
    struct sigaction actions[SIGNALS];
    sigset_t mask;
    mode_t umask;
    unsigned threads, fds;
};

static int any(const struct dirent *d) {
    return d->d_name[0] != '.';
}

unsigned count_entries(const char *dir) {
    struct dirent **names;
    int n = scandir(dir, &names, any, alphasort);
    for (int i = 0; i < n; i++) free(names[i]);
    if (n >= 0) free(names);
    return n > 0 ? (unsigned)n : 0;
}

size_t memory_in_use(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static char *copy_environment(void) {
    struct buf b;
    buf_init(&b, 16 << 20);
    for (char **e = environ; e && *e; e++) buf_addf(&b, "%s\n", *e);
    buf_add_char(&b, 0);
    return buf_take(&b, NULL);
}

struct state *state_take(void) {
    struct state *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->environment = copy_environment();
    if (!getcwd(s->cwd, sizeof s->cwd)) s->cwd[0] = 0;
    for (int i = 1; i < SIGNALS; i++) sigaction(i, NULL, &s->actions[i]);
    sigprocmask(SIG_SETMASK, NULL, &s->mask);
    s->umask = umask(0);
    umask(s->umask);
    s->threads = count_entries("/proc/self/task");
    s->fds = count_entries("/proc/self/fd");
    return s;
}

/* The first variable that is not as it was. */
static void compare_environment(const struct state *was, const struct state *is, struct result *r) {
    size_t at = 0;
    if (!was->environment || !is->environment || strcmp(was->environment, is->environment) == 0) return;
    while (was->environment[at] && was->environment[at] == is->environment[at]) at++;
    while (at && is->environment[at - 1] != '\n') at--;
    const char *name = is->environment[at] ? is->environment + at : was->environment + at;
    found(r, FAILURE, "it changes the environment (%.*s): that is the whole daemon's; never call setenv or putenv",
          (int)(strcspn(name, "=\n") < 60 ? strcspn(name, "=\n") : 60), name);
}

static void compare_signals(const struct state *was, const struct state *is, struct result *r) {
    for (int i = 1; i < SIGNALS; i++)
        if (was->actions[i].sa_handler != is->actions[i].sa_handler || was->actions[i].sa_flags != is->actions[i].sa_flags)
            found(r, FAILURE, "it changes what happens at %s: signals are the host's; never call signal or sigaction",
                  strsignal(i));
    if (memcmp(&was->mask, &is->mask, sizeof was->mask) != 0)
        found(r, FAILURE, "it changes the thread's signal mask: signals are the host's; never call sigprocmask");
}

void state_compare(struct state *was, const struct note *note, struct result *r) {
    struct state *is = state_take();
    if (was && is) {
        compare_environment(was, is, r);
        compare_signals(was, is, r);
        if (is->threads > was->threads && !note->threads)
            found(r, FAILURE,
                  "it starts threads (%u more than before): work on the loop that calls, be a blocking provider, or say `threads` "
                  "in the note",
                  is->threads - was->threads);
        if (is->fds > was->fds) /* a language's runtime has a few of its own, once */
            found(r, note->threads && is->fds - was->fds <= RUNTIME_FDS ? NOTE : FAILURE,
                  "it leaves %u file descriptors open: close what was opened, at the latest in drop", is->fds - was->fds);
        if (strcmp(was->cwd, is->cwd) != 0)
            found(r, FAILURE, "it changes the current folder to %.100s: that is the whole daemon's", is->cwd);
        if (was->umask != is->umask)
            found(r, FAILURE, "it changes the umask to %03o: that is the whole daemon's", (unsigned)is->umask);
    }
    if (is) free(is->environment);
    if (was) free(was->environment);
    free(is);
    free(was);
}
