/* A process that reads and writes lines: stdin and stdout, one message a line. */
#include <stdio.h>
#include <stdlib.h>

#include "conn.h"

static tda_status open_process(struct conn *c) {
    struct tda_flow_request request;
    if (!c->pipe.flow) {
        memset(&request, 0, sizeof request);
        request.size = sizeof request;
        request.kind = TDA_FLOW_SERVER;
        request.framing = TDA_FRAME_LINES;
        free(c->pipe.queue);
        c->pipe = (struct pipe){0};
        tda_status status = mcp_host->flow_open(c->handle, &request, &c->pipe.flow);
        if (status) return status;
    }
    era_opened(c);
    return TDA_OK;
}

/* ---- writing ---- */

/* Behind what waits already, or as all that waits. */
static tda_status enqueue(struct pipe *p, tda_str line) {
    if (line.n > QUEUE_MAX - p->queue_n) return TDA_E_LIMIT;
    char *queue = (char *)realloc(p->queue, p->queue_n + line.n);
    if (!queue) return TDA_E_NOMEM;
    memcpy(queue + p->queue_n, line.p, line.n);
    p->queue = queue;
    p->queue_n += line.n;
    return TDA_OK;
}

static tda_status send_line(struct conn *c, struct exchange *x, tda_str text) {
    struct pipe *p = &c->pipe;
    char *line = (char *)malloc(text.n + 1);
    if (!line) return TDA_E_NOMEM;
    memcpy(line, text.p, text.n);
    line[text.n] = '\n';
    tda_str whole = {line, text.n + 1};
    tda_status status = p->queue_n ? TDA_E_AGAIN : mcp_host->flow_send(c->handle, p->flow, whole);
    if (status == TDA_E_AGAIN) status = enqueue(p, whole);
    free(line);
    if (!status && x && x->is_notification) exchange_done(x, &(struct outcome){.retry_ms = -1});
    return status;
}

/* Line by line, as they came: the host takes no more at once than one line may have. */
static tda_status flush(struct conn *c) {
    struct pipe *p = &c->pipe;
    size_t sent = 0;
    tda_status status = TDA_OK;
    while (!status && sent < p->queue_n) {
        const char *line = p->queue + sent, *end = (const char *)memchr(line, '\n', p->queue_n - sent);
        tda_str whole = {line, end ? (size_t)(end - line) + 1 : p->queue_n - sent};
        status = mcp_host->flow_send(c->handle, p->flow, whole);
        if (!status) sent += whole.n;
    }
    if (sent) memmove(p->queue, p->queue + sent, p->queue_n - sent);
    p->queue_n -= sent;
    if (status == TDA_E_AGAIN) return TDA_OK;
    free(p->queue);
    p->queue = NULL;
    p->queue_n = 0;
    return status;
}

/* ---- reading ---- */

static void keep_last_words(struct pipe *p, tda_str line) {
    size_t n = line.n < STDERR_KEPT - 1 ? line.n : STDERR_KEPT - 1;
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) p->last_words[i] = (unsigned char)line.p[i] < ' ' ? ' ' : line.p[i];
    p->last_words[n] = 0;
}

static void ended(struct conn *c, int32_t status) {
    struct pipe *p = &c->pipe;
    int by_signal = status > 128;
    p->flow = 0;
    if (era_process_ended(c)) return;
    conn_fail(c, TDA_C_NETWORK, "the server %s %d%s%s", by_signal ? "was ended by signal" : "ended with exit code",
              (int)(by_signal ? status - 128 : status), p->last_words[0] ? "; its last line on stderr: " : "", p->last_words);
}

static void flow(struct conn *c, const struct tda_flow_event *event) {
    if (event->flow != c->pipe.flow) return;
    switch (event->kind) {
    case TDA_FLOW_ITEM:
        if (event->data.n) receive_item(c, event->data, NULL);
        break;
    case TDA_FLOW_STDERR:
        keep_last_words(&c->pipe, event->data);
        mcp_host->log(c->handle, TDA_LOG_DEBUG, event->data);
        break;
    case TDA_FLOW_WRITABLE:
        if (flush(c)) conn_fail(c, TDA_C_NETWORK, "the server does not take what is written to it");
        break;
    case TDA_FLOW_END: ended(c, event->status); break;
    case TDA_FLOW_FAIL:
        c->pipe.flow = 0;
        conn_fail(c, event->cls, "%.*s", CUT(event->text, 500));
        break;
    default: break;
    }
}

/* ---- the rest ---- */

static void release(struct conn *c, struct exchange *x, int is_answered) {
    (void)c;
    (void)x;
    (void)is_answered;
}

/* The host waits, then signals the process; its end closes the connection. */
static void close_process(struct conn *c) {
    if (c->pipe.flow)
        mcp_host->flow_close_send(c->handle, c->pipe.flow);
    else
        conn_end(c);
}

const struct transport transport_stdio = {.name = "stdio",
                                          .open = open_process,
                                          .send = send_line,
                                          .release = release,
                                          .settle = conn_ready,
                                          .flow = flow,
                                          .close = close_process};
