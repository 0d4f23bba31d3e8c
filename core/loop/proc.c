/* A flow over a child process: lines of its stdout as items, lines of its stderr beside them, bytes to its stdin. The process
 * itself is child.c's. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/child.h"

enum { SEND_QUEUE = 1 << 20, READ_SIZE = 64 << 10, STDERR_LINE = 4096, ROUNDS_MAX = 16, LAST_WORDS_MAX = 4 << 20 };

struct pipe_end {
    struct watch watch;
    struct framer *framer; /* NULL: stdin */
    bool open, watched;
};

struct proc_flow {
    struct flow flow;
    struct child *child; /* NULL: it has ended, or is on its own */
    struct pipe_end in, out, err;
    struct buf queue; /* for stdin */
    int64_t max_line; /* what was set when it began: framers and queue are made for it */
    bool close_asked, was_full, paused;
    char name[64];
    bool exec_failed, exited;
    int exit_status;
    struct task last; /* tells the end of one that was paused when it came */
    bool last_queued;
};

static struct proc_flow *proc_of(struct flow *f) {
    return CONTAINER_OF(f, struct proc_flow, flow);
}

/* ---- descriptors ---- */

static void close_end(struct proc_flow *p, struct pipe_end *end) {
    if (!end->open) return;
    if (end->watched) watch_remove(p->flow.loop, &end->watch);
    close(end->watch.fd);
    end->open = end->watched = false;
}

static void watch_end(struct proc_flow *p, struct pipe_end *end, bool wanted, uint32_t events) {
    if (!end->open || end->watched == wanted) return;
    if (wanted)
        end->watched = watch_add(p->flow.loop, &end->watch, events) == TDA_OK;
    else {
        watch_remove(p->flow.loop, &end->watch);
        end->watched = false;
    }
}

static void close_ends(struct proc_flow *p) {
    close_end(p, &p->in);
    close_end(p, &p->out);
    close_end(p, &p->err);
}

/* The flow is over for us; the child, if there is one, ends in the background. */
static void let_go(struct proc_flow *p) {
    close_ends(p);
    if (p->child) child_disown(p->child);
    p->child = NULL;
}

/* ---- reading ---- */

static bool out_line(void *arg, tda_str name UNUSED, tda_str id UNUSED, tda_str line) {
    struct proc_flow *p = arg;
    return flow_emit(&p->flow, &(struct tda_flow_event){.kind = TDA_FLOW_ITEM, .data = line, .retry_ms = -1});
}

static bool err_line(void *arg, tda_str name UNUSED, tda_str id UNUSED, tda_str line) {
    struct proc_flow *p = arg;
    return flow_emit(&p->flow, &(struct tda_flow_event){.kind = TDA_FLOW_STDERR, .data = line});
}

/* A line of stderr that is too long is cut, not an error: it is for people. */
static tda_status feed_err(struct proc_flow *p, tda_str bytes) {
    tda_status s = framer_feed(p->err.framer, bytes, err_line, p);
    if (s != TDA_E_LIMIT) return s;
    framer_free(p->err.framer);
    p->err.framer = NULL;
    return framer_new(TDA_FRAME_LINES, STDERR_LINE, &p->err.framer);
}

/* False: the flow is over. */
static bool take_bytes(struct proc_flow *p, struct pipe_end *end, tda_str bytes) {
    tda_status s = end == &p->err ? feed_err(p, bytes) : framer_feed(end->framer, bytes, out_line, p);
    if (p->flow.ended || s == TDA_E_CANCELLED) return false;
    if (!s) return true;
    let_go(p);
    if (s == TDA_E_LIMIT)
        flow_fail(&p->flow, TDA_C_TOO_LARGE, "%s sent a line of more than %lld bytes (mcp.max_line)", p->name,
                  (long long)p->max_line);
    else
        flow_fail(&p->flow, TDA_C_INTERNAL, "a line of %s cannot be kept: %s", p->name, status_text(s));
    return false;
}

static bool end_of_stream(struct proc_flow *p, struct pipe_end *end) {
    close_end(p, end);
    framer_end(end->framer, end == &p->err ? err_line : out_line, p);
    return !p->flow.ended;
}

/* Up to `max` bytes of what is there now. False: the flow is over. */
static bool read_some(struct proc_flow *p, struct pipe_end *end, size_t max) {
    static _Thread_local char bytes[READ_SIZE];
    for (size_t got = 0; got < max && end->open && !p->paused;) {
        ssize_t n = read(end->watch.fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) return end_of_stream(p, end);
        got += (size_t)n;
        if (!take_bytes(p, end, (tda_str){bytes, (size_t)n})) return false;
    }
    return true;
}

static void out_ready(struct watch *w, uint32_t events UNUSED) {
    struct proc_flow *p = CONTAINER_OF(w, struct proc_flow, out.watch);
    read_some(p, &p->out, ROUNDS_MAX * (size_t)READ_SIZE);
}

static void err_ready(struct watch *w, uint32_t events UNUSED) {
    struct proc_flow *p = CONTAINER_OF(w, struct proc_flow, err.watch);
    read_some(p, &p->err, READ_SIZE);
}

/* ---- writing ---- */

static void in_closed(struct proc_flow *p) {
    buf_fini(&p->queue);
    close_end(p, &p->in);
}

static void write_some(struct proc_flow *p) {
    while (p->queue.n && p->in.open) {
        ssize_t n = write(p->in.watch.fd, p->queue.p, p->queue.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) {
            in_closed(p); /* its end will tell */
            return;
        }
        buf_drop_front(&p->queue, (size_t)n);
    }
    if (!p->queue.n && p->close_asked) in_closed(p);
    watch_end(p, &p->in, p->queue.n > 0, EPOLLOUT);
    if (p->was_full && p->queue.n < SEND_QUEUE / 2) {
        p->was_full = false;
        flow_emit(&p->flow, &(struct tda_flow_event){.kind = TDA_FLOW_WRITABLE});
    }
}

static void in_ready(struct watch *w, uint32_t events UNUSED) {
    write_some(CONTAINER_OF(w, struct proc_flow, in.watch));
}

static tda_status proc_send(struct flow *f, tda_str bytes) {
    struct proc_flow *p = proc_of(f);
    if (!p->in.open || p->close_asked) return TDA_E_CLOSED;
    if ((int64_t)bytes.n > p->max_line) return TDA_E_LIMIT;
    if (p->queue.n >= SEND_QUEUE) {
        p->was_full = true;
        return TDA_E_AGAIN;
    }
    tda_status s = buf_add_str(&p->queue, bytes);
    p->queue.status = TDA_OK; /* nothing of it is there: the next one may fit */
    if (s) return s;
    watch_end(p, &p->in, true, EPOLLOUT); /* written from there: nothing is told from inside of this call */
    return TDA_OK;
}

static tda_status proc_close_send(struct flow *f) {
    struct proc_flow *p = proc_of(f);
    p->close_asked = true;
    if (!p->queue.n) in_closed(p);
    return TDA_OK;
}

static void proc_stop(struct flow *f) {
    proc_close_send(f);
    if (proc_of(f)->child) child_stop(proc_of(f)->child);
}

/* Never told from inside of this call: not lines, and not the end. */
static void proc_pause(struct flow *f, bool paused) {
    struct proc_flow *p = proc_of(f);
    p->paused = paused;
    watch_end(p, &p->out, !paused, EPOLLIN);
    watch_end(p, &p->err, !paused, EPOLLIN);
    if (paused || !p->exited || p->last_queued) return;
    p->last_queued = true;
    loop_defer(f->loop, &p->last);
}

/* ---- the end ---- */

static void child_exec_failed(void *arg, int error) {
    struct proc_flow *p = arg;
    p->exec_failed = true;
    let_go(p);
    bool no_room = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
    /* The rest is a program that is not there, or is none: nobody's permission to ask was refused. */
    flow_fail(&p->flow, no_room ? TDA_C_INTERNAL : TDA_C_NOT_FOUND, "%s cannot be started: %s", p->name, strerror(error));
}

/* What is in the pipes, then the end. One who pauses meanwhile gets the rest when he goes on. */
static void last_words(struct proc_flow *p) {
    if (p->paused) return;
    if (!read_some(p, &p->err, LAST_WORDS_MAX) || !read_some(p, &p->out, LAST_WORDS_MAX)) return;
    if (p->paused) return;
    if (p->out.open && !end_of_stream(p, &p->out)) return;
    if (p->err.open && !end_of_stream(p, &p->err)) return;
    close_ends(p);
    if (p->exit_status < 0)
        flow_fail(&p->flow, TDA_C_INTERNAL, "%s was lost with the process that started it", p->name);
    else
        flow_emit(&p->flow, &(struct tda_flow_event){.kind = TDA_FLOW_END, .status = p->exit_status});
}

static void run_last(struct task *t) {
    struct proc_flow *p = CONTAINER_OF(t, struct proc_flow, last);
    p->last_queued = false;
    if (!p->flow.ended) last_words(p);
}

static void child_exited(void *arg, int status) {
    struct proc_flow *p = arg;
    p->child = NULL;
    p->exited = true;
    p->exit_status = status;
    last_words(p);
}

static void proc_abort(struct flow *f) {
    let_go(proc_of(f));
}

static void proc_destroy(struct flow *f) {
    struct proc_flow *p = proc_of(f);
    let_go(p);
    framer_free(p->out.framer);
    framer_free(p->err.framer);
    buf_fini(&p->queue);
    free(p);
}

static const struct flow_ops proc_ops = {proc_send, proc_close_send, proc_stop, proc_pause, proc_abort, proc_destroy};
static const struct child_events proc_child_events = {child_exec_failed, child_exited};

/* ---- opening ---- */

static struct proc_flow *proc_new(struct loop *l, const struct proc_spec *spec) {
    struct proc_flow *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    const char *slash = strrchr(spec->argv[0], '/');
    snprintf(p->name, sizeof p->name, "%s", slash ? slash + 1 : spec->argv[0]);
    p->last.run = run_last;
    p->max_line = loop_config(l)->mcp_max_line;
    buf_init(&p->queue, SEND_QUEUE + (size_t)p->max_line);
    if (framer_new(TDA_FRAME_LINES, (size_t)p->max_line, &p->out.framer) == TDA_OK &&
        framer_new(TDA_FRAME_LINES, STDERR_LINE, &p->err.framer) == TDA_OK)
        return p;
    framer_free(p->out.framer);
    free(p);
    return NULL;
}

tda_status flow_open_proc(struct loop *l, const struct proc_spec *spec, flow_event_fn fn, void *arg, struct flow **ret_flow,
                          struct error *e) {
    int fds[3];
    struct child *child;
    if (!l->launcher || loop_stopping(l)) return error_set(e, TDA_E_CANCELLED, NULL, "the host is stopping");
    struct proc_flow *p = proc_new(l, spec);
    if (!p) return error_set(e, TDA_E_NOMEM, NULL, "out of memory");
    tda_status s = child_start(l, spec, fds, &child, e);
    if (s) {
        framer_free(p->out.framer);
        framer_free(p->err.framer);
        free(p);
        return s;
    }
    flow_init(&p->flow, l, spec->lane, &proc_ops, fn, arg);
    p->child = child;
    p->in.watch = (struct watch){.fd = fds[0], .line.lane = spec->lane, .ready = in_ready};
    p->out.watch = (struct watch){.fd = fds[1], .line.lane = spec->lane, .ready = out_ready};
    p->err.watch = (struct watch){.fd = fds[2], .line.lane = spec->lane, .ready = err_ready};
    p->in.open = p->out.open = p->err.open = true;
    watch_end(p, &p->out, true, EPOLLIN);
    watch_end(p, &p->err, true, EPOLLIN);
    child_listen(child, &proc_child_events, p);
    *ret_flow = &p->flow;
    return TDA_OK;
}
