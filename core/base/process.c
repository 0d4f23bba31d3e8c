#include "base/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t process_resident_bytes(void) {
    char line[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    char *all = fgets(line, sizeof line, f), *resident = all ? strchr(line, ' ') : NULL; /* "size resident ..." in pages */
    fclose(f);
    return resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int is_number(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

void process_each_descriptor(void (*fn)(void *arg, int fd), void *arg) {
    struct dirent **names;
    int n = scandir("/proc/self/fd", &names, is_number, alphasort);
    if (n < 0) return;
    for (int i = 0; i < n; i++) {
        fn(arg, (int)strtol(names[i]->d_name, NULL, 10));
        free(names[i]);
    }
    free(names);
}

static void count(void *arg, int fd) {
    (void)fd;
    ++*(uint64_t *)arg;
}

uint64_t process_descriptors(void) {
    uint64_t n = 0;
    process_each_descriptor(count, &n);
    return n ? n - 1 : 0; /* without the one that looked */
}
