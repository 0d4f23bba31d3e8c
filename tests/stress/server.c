/* Clients send whole bursts to a front door that takes one request at a time from each connection, so that its reading chain rests
 * and is woken all the time, from another thread: each request is handed up once and answered once, in order. For TSan.
 *
 * usage: stress_server [AMOUNT]   20 times the requests of each client; default 100000, or TDA_STRESS */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "config/config.h"
#include "server/server.h"

enum { CLIENTS = 4, HEAD = 9, BODY = 4 + 8, FRAME = HEAD + BODY, BURST = 512, STOPS = 100 };

static long requests = 5000; /* of each client */
static char path[108];
static _Atomic long handed_up, wrong, bad_replies;

struct job {
    struct job *next;
    struct server_request *request;
    char text[8];
};

/* The repliers' queue. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct job *jobs;
static bool over;

static void on_request(void *arg UNUSED, struct server_request *r, const struct peer *peer UNUSED, tda_str text) {
    struct job *j = calloc(1, sizeof *j);
    if (!j) abort();
    atomic_fetch_add(&handed_up, 1);
    if (text.n == sizeof j->text)
        memcpy(j->text, text.p, text.n);
    else
        atomic_fetch_add(&wrong, 1);
    j->request = r;
    pthread_mutex_lock(&lock);
    j->next = jobs;
    jobs = j;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static void on_oversize(void *arg, struct server_request *r, const struct peer *peer, uint64_t claimed UNUSED) {
    on_request(arg, r, peer, TDA_STR("too much"));
    atomic_fetch_add(&wrong, 1);
}

static void *replier(void *arg UNUSED) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!jobs && !over) pthread_cond_wait(&wake, &lock);
        struct job *j = jobs;
        if (j) jobs = j->next;
        pthread_mutex_unlock(&lock);
        if (!j) return NULL;
        server_reply(j->request, (tda_str){j->text, sizeof j->text});
        free(j);
    }
}

/* ---- clients ---- */

static void put_frame(unsigned char *out, uint64_t number) {
    memset(out, 0, FRAME);
    out[0] = 1; /* an ipc frame */
    out[HEAD - 1] = BODY;
    out[HEAD] = 0x80; /* the request id, which ends the backtrace */
    memcpy(out + HEAD + 4, &number, sizeof number);
}

static void *sender(void *arg) {
    static const unsigned char greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    unsigned char burst[BURST * FRAME];
    int fd = (int)(intptr_t)arg;
    if (send(fd, greeting, sizeof greeting, 0) != sizeof greeting) abort();
    for (long at = 0; at < requests;) {
        size_t n = 0;
        for (; n < BURST && at < requests; n++) put_frame(burst + n * FRAME, (uint64_t)at++);
        if (send(fd, burst, n * FRAME, MSG_NOSIGNAL) != (ssize_t)(n * FRAME)) return NULL; /* the reader will tell */
    }
    return NULL;
}

static void *client(void *arg UNUSED) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    unsigned char got[FRAME], want[FRAME];
    pthread_t thread;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa)) abort();
    if (pthread_create(&thread, NULL, sender, (void *)(intptr_t)fd)) abort();
    bool ok = recv(fd, got, 8, MSG_WAITALL) == 8;
    for (long i = 0; i < requests && ok; i++) {
        put_frame(want, (uint64_t)i);
        ok = recv(fd, got, FRAME, MSG_WAITALL) == FRAME && memcmp(got, want, FRAME) == 0;
    }
    if (!ok) atomic_fetch_add(&bad_replies, 1);
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd);
    return NULL;
}

/* ---- clients that come and go while it stops ---- */

static void *passer_by(void *arg UNUSED) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path) + 1);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool there = fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0;
        if (fd >= 0) close(fd);
        if (!there) return NULL;
    }
}

static int stop_among_passers_by(const struct config *config, const struct server_ops *ops) {
    pthread_t passers[CLIENTS];
    struct error e;
    struct server *s;
    if (server_start(config, ops, NULL, &s, &e)) return 1;
    for (size_t i = 0; i < CLIENTS; i++)
        if (pthread_create(&passers[i], NULL, passer_by, NULL)) return 1;
    usleep(3000);
    server_stop_listening(s);
    server_stop(s, NS_PER_S);
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(passers[i], NULL);
    return 0;
}

/* ---- all of it ---- */

static int run(struct server *s) {
    pthread_t clients[CLIENTS], repliers[2];
    for (size_t i = 0; i < ARRAY_LEN(repliers); i++)
        if (pthread_create(&repliers[i], NULL, replier, NULL)) return 1;
    for (size_t i = 0; i < CLIENTS; i++)
        if (pthread_create(&clients[i], NULL, client, NULL)) return 1;
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(clients[i], NULL);
    pthread_mutex_lock(&lock);
    over = true;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < ARRAY_LEN(repliers); i++) pthread_join(repliers[i], NULL);
    server_stop_listening(s);
    server_stop(s, NS_PER_S);
    long want = requests * CLIENTS;
    printf("%ld requests, %ld handed up, %ld of a wrong size, %ld clients with a wrong reply\n", want, handed_up, wrong,
           bad_replies);
    return handed_up == want && !wrong && !bad_replies ? 0 : 1;
}

int main(int argc, char **argv) {
    static const struct server_ops ops = {.request = on_request, .oversize = on_oversize};
    char dir[] = "/tmp/tda-stress-XXXXXX", url[128];
    char *urls[] = {url, NULL};
    struct error e;
    struct server *s;
    const char *asked = argc > 1 ? argv[1] : getenv("TDA_STRESS");
    if (asked) requests = strtol(asked, NULL, 10) / 20;
    if (requests < 1 || hash_init() || !mkdtemp(dir)) return 2;
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(url, sizeof url, "ipc://%s", path);
    struct config config = {.listen = urls,
                            .limits_connections = 2 * CLIENTS,
                            .limits_message = 1 << 20,
                            .limits_conn_requests = 1,
                            .limits_conn_bytes = 1 << 20,
                            .limits_conn_handshake = 60LL * NS_PER_S};
    if (server_start(&config, &ops, NULL, &s, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    int failed = run(s);
    config.limits_connections = 1000;
    for (int i = 0; i < STOPS && !failed; i++) failed = stop_among_passers_by(&config, &ops);
    rmdir(dir);
    return failed;
}
