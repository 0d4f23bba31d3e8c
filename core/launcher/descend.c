#include "launcher/descend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENVIRON_MAX = 256 << 10, LIST_MAX = 64 << 10 };

static ssize_t read_file(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    if (fd < 0) return -1;
    for (ssize_t got; n + 1 < size && (got = read(fd, out + n, size - 1 - n)) > 0;) n += (size_t)got;
    close(fd);
    out[n] = 0;
    return (ssize_t)n;
}

/* The last counts: the launcher adds its own behind what was asked for. */
static bool mark_of(pid_t pid, uint64_t *ret_id) {
    static char environ_text[ENVIRON_MAX];
    static const char name[] = "TDA_CHILD=";
    char path[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    ssize_t n = read_file(path, environ_text, sizeof environ_text);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(environ_text + i) + 1) {
        if (strncmp(environ_text + i, name, sizeof name - 1) != 0) continue;
        *ret_id = strtoull(environ_text + i + sizeof name - 1, NULL, 10);
        found = true;
    }
    return found;
}

/* fn for each direct child; their number. Single-threaded, so /proc/self/task/TID has them all. */
static int each_child(void (*fn)(pid_t pid, const void *arg), const void *arg) {
    static char list[LIST_MAX];
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    if (read_file(path, list, sizeof list) < 0) return 0;
    char *rest = list;
    for (char *word; (word = strsep(&rest, " ")); n++) {
        pid_t pid = (pid_t)strtol(word, NULL, 10);
        if (pid <= 0) break;
        fn(pid, arg);
    }
    return n;
}

static void kill_one(pid_t pid) {
    pid_t group = getpgid(pid);
    if (group > 0 && group != getpgrp()) kill(-group, SIGKILL);
    kill(pid, SIGKILL);
}

static void kill_if_marked(pid_t pid, const void *arg) {
    const uint64_t *id = arg;
    uint64_t its;
    if (mark_of(pid, &its) && its == *id) kill_one(pid);
}

void kill_marked(uint64_t id) {
    each_child(kill_if_marked, &id);
}

struct known {
    bool (*fn)(pid_t pid, uint64_t id);
};

static void kill_if_stray(pid_t pid, const void *arg) {
    const struct known *known = arg;
    uint64_t id;
    if (mark_of(pid, &id) && !known->fn(pid, id)) kill_one(pid);
}

void kill_strays(bool (*known)(pid_t pid, uint64_t id)) {
    each_child(kill_if_stray, &(struct known){known});
}

static void kill_any(pid_t pid, const void *arg) {
    (void)arg;
    kill_one(pid);
}

void kill_all(void) {
    for (;;) {
        each_child(kill_any, NULL);
        pid_t pid = waitpid(-1, NULL, 0); /* what they leave behind comes to us: look again */
        if (pid < 0 && errno == ECHILD) return;
    }
}
