/* A service that streams slowly to thousands at once: each POST gets EVENTS chunks of Chat Completions, one a tick, each with the
 * request's own mark ("MARK-0042 "), so that a mixed-up answer shows. One thread, epoll, keep-alive.
 *
 * usage: bench_sse_upstream TICK_MS [N]  prints its port; ends when stdin does
 *        with N nothing is sent before N streams are open at once; TICK_MS 0: all at once, one chunk and what it used
 * GET /v1/most answers how many streams were open at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 20, FDS = 20000, IN = 8192, MARK = 10 };
static int chunks = EVENTS;

struct stream {
    char in[IN];
    size_t have;
    char mark[MARK + 1];
    int left; /* chunks to come, 0: idle; chunks + 1 at the begin: head and first chunk go with the next tick */
};

static struct stream *streams[FDS];
static int active[FDS], n_active, most;
static bool at_once;
static long awaited; /* streams that must be open before anything is sent */

static void say(int fd, const char *s, size_t n) {
    /* Small writes to a reader on this machine: what does not fit at once means that the reader is lost. */
    if (send(fd, s, n, MSG_NOSIGNAL) != (ssize_t)n) shutdown(fd, SHUT_RDWR);
}

static void chunk(int fd, const char *text) {
    char out[512];
    int n = snprintf(out, sizeof out, "%zx\r\n%s\r\n", strlen(text), text);
    say(fd, out, (size_t)n);
}

static void step(int fd, struct stream *s) {
    char data[400];
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if (s->left == chunks) say(fd, head, sizeof head - 1);
    snprintf(
        data, sizeof data,
        "data: "
        "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s "
        "\"},\"finish_reason\":null}]}\n\n",
        s->mark);
    chunk(fd, data);
    if (--s->left) return;
    chunk(fd, "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: "
              "[DONE]\n\n");
    say(fd, "0\r\n\r\n", 5);
}

static void tick(void) {
    int kept = 0;
    if (n_active < awaited) return;
    awaited = 0;
    for (int i = 0; i < n_active; i++) {
        struct stream *s = streams[active[i]];
        if (!s || !s->left) continue;
        step(active[i], s);
        if (s->left) active[kept++] = active[i];
    }
    n_active = kept;
}

static void answer(int fd, const char *json) {
    char out[512];
    int n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                     strlen(json), json);
    say(fd, out, (size_t)n);
}

static void answer_at_once(int fd, const char *mark) {
    char data[512], out[1024];
    int n = snprintf(data, sizeof data,
                     "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%.*s "
                     "\"},\"finish_reason\":\"stop\"}],"
                     "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n",
                     MARK, mark);
    n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s", n, data);
    say(fd, out, (size_t)n);
}

static void take(int fd, struct stream *s) {
    char most_text[64];
    char *end = strstr(s->in, "\r\n\r\n"), *length = strcasestr(s->in, "content-length:");
    if (!end) return;
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    if (s->have < (size_t)(end - s->in) + 4 + body) return;
    snprintf(most_text, sizeof most_text, "{\"id\":\"m\",\"object\":\"model\",\"most\":%d}", most);
    char *mark = strstr(s->in, "MARK-");
    if (strncmp(s->in, "POST", 4) == 0 && mark && at_once) {
        answer_at_once(fd, mark);
    } else if (strncmp(s->in, "POST", 4) == 0 && mark) {
        snprintf(s->mark, sizeof s->mark, "%.*s", MARK, mark);
        s->left = chunks;
        active[n_active++] = fd;
        if (n_active > most) most = n_active;
    } else {
        answer(fd, most_text);
    }
    s->have = 0;
}

static void readable(int epoll, int fd) {
    struct stream *s = streams[fd];
    ssize_t n = read(fd, s->in + s->have, IN - 1 - s->have);
    if (n > 0) {
        s->have += (size_t)n;
        s->in[s->have] = 0;
        take(fd, s);
        return;
    }
    if (n < 0 && errno == EAGAIN) return;
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
    free(s);
    streams[fd] = NULL;
}

static void welcome(int epoll, int listener) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int one = 1, fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 || fd >= FDS || !(streams[fd] = calloc(1, sizeof *streams[fd]))) {
        if (fd >= 0) close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

static int listen_anywhere(void) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&sa, &n)) exit(1);
    printf("%d\n", ntohs(sa.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    long ms = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    awaited = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (argc > 3) chunks = (int)strtol(argv[3], NULL, 10);
    struct rlimit files = {FDS, FDS};
    struct epoll_event events[256];
    if (argc < 2 || ms < 0 || ms > 10000) return 2;
    at_once = ms == 0;
    setrlimit(RLIMIT_NOFILE, &files);
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), listener = listen_anywhere();
    struct timespec every = {ms / 1000, ms % 1000 * 1000000};
    timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL);
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.fd = timer});
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.fd = 0});
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            unsigned long long ticks;
            int fd = events[i].data.fd;
            if (fd == 0) return 0;
            if (fd == listener)
                welcome(epoll, listener);
            else if (fd != timer)
                readable(epoll, fd);
            else if (read(timer, &ticks, sizeof ticks) == sizeof ticks)
                tick();
        }
    }
}
