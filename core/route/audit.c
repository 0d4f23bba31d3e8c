#include "route/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "route/request.h"

enum { LINE_MAX_BYTES = 4096 };

struct audit {
    char *path;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct buf waiting; /* whole lines */
    uint64_t lost;
    bool reopen, stop;

    /* The writer's. */
    int fd;
    struct buf batch;
    bool torn;   /* the file ends within a line */
    bool failed; /* the last write did; the log has been told */
};

/* ---- the writer ---- */

/* Non-blocking, for it may be a pipe whose reader sleeps: the end must not wait for one. */
static int open_end(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
}

static void open_again(struct audit *a) {
    int fd = open_end(a->path);
    if (fd < 0) {
        log_error("the audit log is not opened again, and goes on in the former file", LOG_Z("file", a->path),
                  LOG_Z("reason", strerror(errno)));
        return;
    }
    close(a->fd);
    a->fd = fd;
    a->torn = false;
}

static size_t write_some(int fd, tda_str s) {
    size_t done = 0;
    while (done < s.n) {
        ssize_t n = write(fd, s.p + done, s.n - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    return done;
}

static uint64_t count_lines(tda_str s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += s.p[i] == '\n';
    return n;
}

static bool write_all(struct audit *a, tda_str s, size_t *done) {
    *done = 0;
    if (a->torn && write_some(a->fd, TDA_STR("\n")) == 0) return false;
    a->torn = false;
    *done = write_some(a->fd, s);
    a->torn = *done && s.p[*done - 1] != '\n';
    return *done == s.n;
}

/* How many lines are lost now: those that were and could not be told, and those that could not be written. */
static uint64_t write_batch(struct audit *a, uint64_t lost) {
    char told[48];
    size_t done = 0;
    tda_str all = buf_str(&a->batch);
    snprintf(told, sizeof told, "{\"lost\":%llu}\n", (unsigned long long)lost);
    bool well = !lost || write_all(a, tda_str_of(told), &done);
    if (well) lost = 0;
    done = 0;
    if (well) well = write_all(a, all, &done);
    if (!well && !a->failed)
        log_error("the audit log cannot be written: lines are lost", LOG_Z("file", a->path), LOG_Z("reason", strerror(errno)));
    a->failed = !well;
    return lost + count_lines((tda_str){all.p + done, all.n - done});
}

/* Under the lock on both ends. */
static void write_waiting(struct audit *a) {
    struct buf batch = a->waiting;
    uint64_t lost = a->lost;
    bool reopen = a->reopen;
    a->waiting = a->batch;
    a->batch = batch;
    a->lost = 0;
    a->reopen = false;
    pthread_mutex_unlock(&a->lock);
    if (reopen) open_again(a);
    lost = write_batch(a, lost);
    buf_clear(&a->batch);
    pthread_mutex_lock(&a->lock);
    a->lost += lost;
}

/* Losses alone do not wake it: on a full disk it would never sleep. */
static void *writer(void *arg) {
    struct audit *a = arg;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->waiting.n && !a->reopen && !a->stop) pthread_cond_wait(&a->wake, &a->lock);
        bool last = !a->waiting.n && !a->reopen;
        if (!last || a->lost) write_waiting(a);
        if (last) break;
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- life ---- */

static void free_parts(struct audit *a) {
    if (a->fd >= 0) close(a->fd);
    buf_fini(&a->waiting);
    buf_fini(&a->batch);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}

tda_status audit_open(const char *path, struct audit **ret, struct error *e) {
    *ret = NULL;
    if (!path[0]) return TDA_OK;
    struct audit *a = calloc(1, sizeof *a);
    if (!a) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
    buf_init(&a->waiting, AUDIT_QUEUE_BYTES);
    buf_init(&a->batch, AUDIT_QUEUE_BYTES);
    a->path = str_dup(tda_str_of(path));
    a->fd = open_end(path);
    tda_status s = TDA_OK;
    if (a->fd < 0) {
        s = error_set(e, TDA_E_IO, NULL, "the audit log %s cannot be opened: %s", path, strerror(errno));
        error_hint(e, "audit.path wants a file in a folder that the daemon may write; empty: no audit log");
    } else if (!a->path || pthread_create(&a->thread, NULL, writer, a)) {
        s = error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    }
    if (s) {
        free_parts(a);
        return s;
    }
    pthread_setname_np(a->thread, "tda-audit");
    *ret = a;
    return TDA_OK;
}

void audit_free(struct audit *a) {
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    free_parts(a);
}

/* ---- the way in ---- */

void audit_line(struct audit *a, tda_str line) {
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    if (buf_reserve(&a->waiting, line.n + 1)) {
        a->lost++;
        a->waiting.status = TDA_OK; /* there is room again once it has been written */
    } else {
        buf_add_str(&a->waiting, line);
        buf_add_char(&a->waiting, '\n');
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->lock);
}

void audit_reopen(struct audit *a) {
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    a->reopen = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

/* ---- a request's line ---- */

/* One that nobody stands behind is the peer's on ipc, and nobody's else. */
static void put_who(const struct request *q, struct jw *w) {
    const struct principal *p = &q->principal;
    char who[TOKEN_LABEL_SIZE + TOKEN_ID_SIZE + 8];
    if (p->token[0])
        snprintf(who, sizeof who, "token %s/%s", p->label, p->token);
    else
        snprintf(who, sizeof who, "uid %u", q->caller.uid);
    jw_put_z(w, "who", p->token[0] || q->caller.is_ipc ? who : NULL);
}

/* What was asked for, when it was refused before that was settled. Another text than a user's id is content. */
static tda_str user_of(const struct request *q) {
    tda_str asked = json_str(request_param(q, "user"));
    if (q->user.n) return q->user;
    return asked.p && user_id_valid(asked) ? asked : (tda_str){0};
}

void audit_request(struct audit *a, const struct request *q, const char *outcome) {
    struct buf line;
    struct jw w;
    char when[32];
    if (!a) return;
    buf_init(&line, LINE_MAX_BYTES);
    clock_format_wall(clock_wall_ms(), when, sizeof when);
    jw_init(&w, &line);
    jw_begin_object(&w);
    jw_put_z(&w, "time", when);
    jw_put_z(&w, "request", q->label);
    put_who(q, &w);
    jw_put_z(&w, "method", q->method ? q->method->name : NULL);
    jw_put_str(&w, "user", user_of(q));
    jw_put_z(&w, "outcome", outcome);
    jw_put_i64(&w, "us", (clock_now_ns() - q->began_ns) / 1000);
    jw_end_object(&w);
    audit_line(a, buf_str(&line)); /* cut short by want of memory it is no JSON, yet a line */
    buf_fini(&line);
}
