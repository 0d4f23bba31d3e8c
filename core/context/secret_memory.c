#include "context/secret_memory.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/log.h"

/* Size classes 64, 128, ... 16384: a free list each, fed from chunks that are never given back; users have a cap. */
enum { CLASSES = 9, SMALLEST = 64, CHUNK = 256 << 10 };

struct piece {
    struct piece *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece *free_lists[CLASSES];
static char *chunk;
static size_t chunk_left;
static bool told_unlocked;

static size_t class_of(size_t n) {
    size_t c = 0;
    while (c < CLASSES && ((size_t)SMALLEST << c) < n) c++;
    return c;
}

static int add_chunk(void) {
    void *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return -1;
    madvise(p, CHUNK, MADV_DONTDUMP);
    madvise(p, CHUNK, MADV_WIPEONFORK);
    if (mlock(p, CHUNK) && !told_unlocked) {
        told_unlocked = true;
        log_warn("RLIMIT_MEMLOCK is too low for the secrets there are: some may be swapped out", LOG_Z("reason", strerror(errno)));
    }
    chunk = p;
    chunk_left = CHUNK;
    return 0;
}

void *secret_alloc(size_t n) {
    size_t c = class_of(n), size = (size_t)SMALLEST << c;
    void *p = NULL;
    if (c == CLASSES) return NULL;
    pthread_mutex_lock(&lock);
    if (free_lists[c]) {
        p = free_lists[c];
        free_lists[c] = free_lists[c]->next;
    } else if (chunk_left >= size || add_chunk() == 0) {
        p = chunk;
        chunk += size;
        chunk_left -= size;
    }
    pthread_mutex_unlock(&lock);
    if (p) *(struct piece *)p = (struct piece){0};
    return p;
}

void secret_free(void *p, size_t n) {
    if (!p) return;
    size_t c = class_of(n);
    wipe(p, (size_t)SMALLEST << c);
    pthread_mutex_lock(&lock);
    ((struct piece *)p)->next = free_lists[c];
    free_lists[c] = p;
    pthread_mutex_unlock(&lock);
}
