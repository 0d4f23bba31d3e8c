/* A closed-loop client, the same for everybody: K requests in flight, a new one for each answer.
 *
 * usage: bench_load sp  PATH-OF-SOCKET K N BODY     one ipc connection, REQ/REP of nng
 *        bench_load http PORT K N BODY [HEADERS]    K keep-alive connections, POST /v1/chat/completions; more lines of headers
 * In sp, "MARK-00000" in BODY becomes the request's own number, and an answer without it, or with another's, is counted as wrong.
 * prints {"rps": ..., "p50_us": ..., "p99_us": ..., "wrong": ...} */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { K_MAX = 8192, BUFFER = 4 << 20 };

static long started, finished, total, wrong;
static int k;
static double *times;
static double begun[K_MAX];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done < 0) die("send");
        p += done;
        n -= (size_t)done;
    }
}

static void answered(int slot) {
    times[finished++] = now() - begun[slot];
}

/* ---- SP over ipc: the request's id says its slot ---- */

static size_t sp_frame(char *out, int slot, const char *body, size_t n) {
    size_t at = 0;
    unsigned long long size = n + 4;
    out[at++] = 1;
    for (int i = 0; i < 8; i++) out[at++] = (char)(size >> (56 - 8 * i));
    out[at++] = (char)0x80;
    out[at++] = 0;
    out[at++] = (char)(slot >> 8);
    out[at++] = (char)slot;
    memcpy(out + at, body, n);
    char *mark = memmem(out + at, n, "MARK-00000", 10);
    if (mark) {
        char digits[8];
        snprintf(digits, sizeof digits, "%05d", slot % 100000);
        memcpy(mark + 5, digits, 5);
    }
    return at + n;
}

/* Every mark in the answer is the request's own, and there is one. */
static void check_marks(int slot, const char *p, size_t n) {
    char own[16];
    long marks = 0, good = 0;
    snprintf(own, sizeof own, "MARK-%05d", slot % 100000);
    for (const char *end = p + n; (p = memmem(p, (size_t)(end - p), "MARK-", 5)); p++, marks++)
        good += end - p >= 10 && memcmp(p, own, 10) == 0;
    wrong += marks == 0 || marks != good;
}

static void run_sp(const char *path, const char *body) {
    static char in[BUFFER], out[BUFFER];
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = strlen(body), have = 0, out_n = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa)) die(path);
    send_all(fd, "\0SP\0\0\x30\0\0", 8);
    while (have < 8) {
        ssize_t got = read(fd, in + have, 8 - have);
        if (got <= 0) die("handshake");
        have += (size_t)got;
    }
    have = 0;
    double t = now();
    for (int slot = 0; slot < k; slot++, started++) {
        begun[slot] = t;
        out_n += sp_frame(out + out_n, slot, body, n);
    }
    send_all(fd, out, out_n);
    while (finished < total) {
        ssize_t got = read(fd, in + have, sizeof in - have);
        if (got <= 0) die("read");
        have += (size_t)got;
        size_t at = 0;
        out_n = 0;
        while (have - at >= 13) {
            unsigned long long size = 0;
            for (int i = 1; i < 9; i++) size = size << 8 | (unsigned char)in[at + (size_t)i];
            if (have - at < 9 + size) break;
            int slot = (unsigned char)in[at + 11] << 8 | (unsigned char)in[at + 12];
            answered(slot);
            if (strstr(body, "MARK-00000")) check_marks(slot, in + at + 13, size - 4);
            at += 9 + size;
            if (started < total) {
                begun[slot] = now();
                out_n += sp_frame(out + out_n, slot, body, n);
                started++;
            }
            if (out_n > BUFFER / 2) {
                send_all(fd, out, out_n);
                out_n = 0;
            }
        }
        memmove(in, in + at, have - at);
        have -= at;
        if (out_n) send_all(fd, out, out_n);
    }
}

/* ---- HTTP/1.1 ---- */

struct connection {
    char in[16384];
    size_t have;
};

static size_t whole_answer(struct connection *c) {
    c->in[c->have] = 0;
    char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "content-length:");
    if (!end || !length) return 0;
    size_t size = (size_t)(end - c->in) + 4 + strtoul(length + 15, NULL, 10);
    return c->have >= size ? size : 0;
}

static void run_http(int port, const char *body, const char *headers) {
    static struct connection connections[K_MAX];
    static struct pollfd fds[K_MAX];
    static char request[BUFFER];
    size_t n = (size_t)snprintf(
        request, sizeof request,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n"
        "content-length: %zu\r\n%s\r\n%s",
        strlen(body), headers, body);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < k; i++) {
        int one = 1;
        fds[i] = (struct pollfd){socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0};
        if (connect(fds[i].fd, (struct sockaddr *)&sa, sizeof sa)) die("connect");
        setsockopt(fds[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        begun[i] = now();
        send_all(fds[i].fd, request, n);
        started++;
    }
    while (finished < total) {
        if (poll(fds, (nfds_t)k, -1) < 0) die("poll");
        for (int i = 0; i < k; i++) {
            struct connection *c = &connections[i];
            if (!fds[i].revents) continue;
            ssize_t got = read(fds[i].fd, c->in + c->have, sizeof c->in - 1 - c->have);
            if (got <= 0) die("read");
            c->have += (size_t)got;
            if (!whole_answer(c)) continue;
            c->have = 0;
            answered(i);
            if (started < total) {
                begun[i] = now();
                send_all(fds[i].fd, request, n);
                started++;
            } else {
                fds[i].events = 0;
            }
        }
    }
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 6 && argc != 7) return 2;
    k = (int)strtol(argv[3], NULL, 10);
    total = strtol(argv[4], NULL, 10);
    if (k < 1 || k > K_MAX || total < k) return 2;
    times = calloc((size_t)total + K_MAX, sizeof *times);
    double t = now();
    if (strcmp(argv[1], "sp") == 0)
        run_sp(argv[2], argv[5]);
    else
        run_http((int)strtol(argv[2], NULL, 10), argv[5], argc > 6 ? argv[6] : "");
    t = now() - t;
    qsort(times, (size_t)finished, sizeof *times, by_time);
    printf("{\"rps\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"wrong\": %ld}\n", (double)finished / t, times[finished / 2] * 1e6,
           times[finished * 99 / 100] * 1e6, wrong);
    return 0;
}
