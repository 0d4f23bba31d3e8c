/* Many users, one after the other, K at once on one connection: each configures, asks A times, and deletes his context or leaves it
 * to the sweep; each 16th asks his last question in a session. Each has a mark of his own, which must come back in each answer and
 * no other.
 *
 * usage: proof_soak PATH-OF-SOCKET K USERS A
 * prints each second how many requests were answered, then {"requests": ..., "users": ..., "swept": ..., "wrong": ..., "errors":
 * ..., "first_error": ...}; swept: users whose context went before they had asked */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { K_MAX = 4096, BUFFER = 4 << 20, SESSIONS = 16 };

struct user {
    long n;    /* -1: there are no more */
    long step; /* 0 configure, 1 to A questions, A + 1 delete; in a session one more before the last question */
    char session[64];
};

static struct user users[K_MAX];
static long begun, n_users, questions, requests, swept, wrong, errors, done;
static char in[BUFFER], out[BUFFER], first_error[1024];
static size_t have, out_n;

static void die(const char *what) {
    fprintf(stderr, "proof_soak: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void flush(int fd) {
    for (size_t at = 0; at < out_n;) {
        ssize_t n = send(fd, out + at, out_n - at, MSG_NOSIGNAL);
        if (n < 0) die("send");
        at += (size_t)n;
    }
    out_n = 0;
}

/* ---- what a user says ---- */

static bool has_session(const struct user *u) {
    return u->n % SESSIONS == 0;
}

static bool deletes(const struct user *u) {
    return u->n % 2 == 0;
}

static long last_step(const struct user *u) {
    return questions + has_session(u) + deletes(u);
}

static size_t words(const struct user *u, char *p, size_t size) {
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":";
    int n;
    long asked = questions + has_session(u);
    if (u->step == 0)
        n = snprintf(p, size,
                     "%s\"configure\",\"params\":{\"user\":\"u%ld\",\"provider\":\"Fake\",\"model\":\"m\",\"credentials\":{\"api_"
                     "key\":\"key-%ld\"}}}",
                     head, u->n, u->n);
    else if (has_session(u) && u->step == questions)
        n = snprintf(p, size, "%s\"session.create\",\"params\":{\"user\":\"u%ld\"}}", head, u->n);
    else if (has_session(u) && u->step == asked && u->session[0])
        n = snprintf(p, size, "%s\"agent.run\",\"params\":{\"user\":\"u%ld\",\"session\":\"%s\",\"input\":\"MARK-%05ld\"}}", head,
                     u->n, u->session, u->n % 100000);
    else if (u->step <= asked)
        n = snprintf(p, size, "%s\"chat.complete\",\"params\":{\"user\":\"u%ld\",\"input\":\"MARK-%05ld\"}}", head, u->n,
                     u->n % 100000);
    else
        n = snprintf(p, size, "%s\"context.delete\",\"params\":{\"user\":\"u%ld\"}}", head, u->n);
    return (size_t)n;
}

/* One frame of SP over ipc; the request's id says whose it is. */
static void say(int fd, int slot) {
    if (out_n > BUFFER / 2) flush(fd);
    char *p = out + out_n;
    size_t n = words(&users[slot], p + 13, 1024), size = n + 4;
    p[0] = 1;
    for (int i = 0; i < 8; i++) p[1 + i] = (char)(size >> (56 - 8 * i));
    memcpy(p + 9, (char[]){(char)0x80, 0, (char)(slot >> 8), (char)slot}, 4);
    out_n += 13 + n;
}

static void next_user(struct user *u) {
    *u = (struct user){.n = begun < n_users ? begun++ : -1};
}

/* ---- what is answered ---- */

/* Each mark is the user's own, and there is one in an answer to a question. */
static void check_marks(const struct user *u, const char *p, size_t n) {
    char own[32];
    long marks = 0, good = 0;
    snprintf(own, sizeof own, "MARK-%05ld", u->n % 100000);
    for (const char *end = p + n; (p = memmem(p, (size_t)(end - p), "MARK-", 5)); p++, marks++)
        good += end - p >= 10 && memcmp(p, own, 10) == 0;
    bool is_question = u->step > 0 && u->step <= questions + has_session(u) && !(has_session(u) && u->step == questions);
    wrong += marks != good || (is_question && marks == 0);
}

static void keep_session(struct user *u, const char *p, size_t n) {
    static const char name[] = "\"session\":\"";
    const char *at = memmem(p, n, name, sizeof name - 1);
    if (!at) return;
    at += sizeof name - 1;
    const char *end = memchr(at, '"', (size_t)(p + n - at));
    if (end && (size_t)(end - at) < sizeof u->session) memcpy(u->session, at, (size_t)(end - at));
}

static bool failed(const char *p, size_t n) {
    if (!memmem(p, n, "\"error\":{", 9)) return false;
    if (memmem(p, n, "\"not_configured\"", 16)) {
        swept++;
        return true;
    }
    if (!errors++)
        for (size_t i = 0; i < n && i < sizeof first_error - 1; i++) first_error[i] = p[i] == '"' || p[i] == '\\' ? '\'' : p[i];
    return true;
}

static void answered(int fd, int slot, const char *p, size_t n) {
    struct user *u = &users[slot];
    requests++;
    bool ends = failed(p, n);
    if (!ends) check_marks(u, p, n);
    if (!ends && has_session(u) && u->step == questions) keep_session(u, p, n);
    if (ends || u->step++ >= last_step(u)) {
        done++;
        next_user(u);
    }
    if (u->n >= 0) say(fd, slot);
}

static void read_some(int fd) {
    ssize_t got = read(fd, in + have, sizeof in - have);
    if (got <= 0) die("read");
    have += (size_t)got;
    size_t at = 0;
    while (have - at >= 13) {
        unsigned long long size = 0;
        for (int i = 1; i < 9; i++) size = size << 8 | (unsigned char)in[at + (size_t)i];
        if (have - at < 9 + size) break;
        answered(fd, (unsigned char)in[at + 11] << 8 | (unsigned char)in[at + 12], in + at + 13, size - 4);
        at += 9 + size;
    }
    memmove(in, in + at, have - at);
    have -= at;
}

static int open_socket(const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char hello[8];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa)) die(path);
    if (send(fd, "\0SP\0\0\x30\0\0", 8, MSG_NOSIGNAL) != 8 || recv(fd, hello, 8, MSG_WAITALL) != 8) die("handshake");
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int k = (int)strtol(argv[2], NULL, 10), fd = open_socket(argv[1]);
    double said = now();
    n_users = strtol(argv[3], NULL, 10);
    questions = strtol(argv[4], NULL, 10);
    if (k < 1 || k > K_MAX || n_users < k || questions < 1) return 2;
    for (int i = 0; i < k; i++) {
        next_user(&users[i]);
        say(fd, i);
    }
    while (done < n_users) {
        if (out_n) flush(fd);
        read_some(fd);
        if (now() - said < 1) continue;
        said = now();
        printf("%ld\n", requests);
        fflush(stdout);
    }
    printf("{\"requests\": %ld, \"users\": %ld, \"swept\": %ld, \"wrong\": %ld, \"errors\": %ld, \"first_error\": \"%s\"}\n",
           requests, done, swept, wrong, errors, first_error);
    return 0;
}
