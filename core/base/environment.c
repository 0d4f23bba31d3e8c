#include "base/environment.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"

tda_status environment_move(void) {
    size_t n = 0, bytes = 0;
    for (; environ && environ[n]; n++) bytes += strlen(environ[n]) + 1;
    bytes += (n + 1) * sizeof *environ;
    char **list = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (list == MAP_FAILED) return TDA_E_NOMEM;
    madvise(list, bytes, MADV_DONTDUMP);
    (void)!mlock(list, bytes); /* RLIMIT_MEMLOCK may forbid it */
    char *at = (char *)(list + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(environ[i]) + 1;
        memcpy(at, environ[i], size);
        wipe(environ[i], size);
        list[i] = at;
        at += size;
    }
    environ = list;
    return TDA_OK;
}
