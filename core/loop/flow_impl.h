/* Inside of core/loop: what HTTP flows and child processes have in common. */
#ifndef LOOP_FLOW_IMPL_H
#define LOOP_FLOW_IMPL_H

#include "loop/flow.h"

struct flow_ops {
    tda_status (*send)(struct flow *f, tda_str bytes);
    tda_status (*close_send)(struct flow *f);
    void (*stop)(struct flow *f);
    void (*pause)(struct flow *f, bool paused);
    /* Give up the exchange; no event may come after this. `destroy` follows, deferred. */
    void (*abort)(struct flow *f);
    void (*destroy)(struct flow *f);
};

/* First member of struct http_flow and struct proc_flow. On its loop's list of open flows, so that loop_stop can abort them. */
struct flow {
    const struct flow_ops *ops;
    struct loop *loop;
    flow_event_fn fn;
    void *arg;
    struct flow *prev, *next;
    struct task gone; /* deferred destroy */
    uint32_t lane;    /* whose turns its descriptors take */
    bool ended;       /* END, FAIL or abort: no further event */
};

void flow_init(struct flow *f, struct loop *l, uint32_t lane, const struct flow_ops *ops, flow_event_fn fn, void *arg);
/* Hand an event to the owner unless the flow has ended. END and FAIL end it and defer its destroy. Returns false when the flow has
 * ended (also when the owner aborted it in the callback): touch it no more. */
bool flow_emit(struct flow *f, struct tda_flow_event *event);
bool flow_fail(struct flow *f, uint32_t cls, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* loop.c: epoll, curl and launcher of a loop, for http.c and proc.c. */
struct http_engine; /* http.c: the curl multi of one loop */
struct http_engine *loop_http(struct loop *l);
struct launcher *loop_launcher(struct loop *l);
tda_status http_engine_new(struct loop *l, struct http_engine **ret);
void http_engine_free(struct http_engine *e);

/* Framing of a byte stream. frame.c. */
struct framer;
typedef bool (*framer_item_fn)(void *arg, tda_str name, tda_str id, tda_str data); /* false: stop, the owner is gone */
tda_status framer_new(uint32_t framing, size_t max_item, struct framer **ret);
void framer_free(struct framer *f);
/* Feed bytes in any cut. E_LIMIT: an item longer than max_item; E_CANCELLED: the callback returned false; E_PROTOCOL: see
 * framer_why. */
tda_status framer_feed(struct framer *f, tda_str bytes, framer_item_fn fn, void *arg);
/* End of stream: an unterminated last line of NDJSON or LINES is an item; an unterminated SSE event is dropped, as the standard
 * says. */
tda_status framer_end(struct framer *f, framer_item_fn fn, void *arg);
int64_t framer_retry_ms(const struct framer *f); /* [in the callback] what the SSE event says; -1: it does not */
const char *framer_why(const struct framer *f);  /* what is wrong with the stream, after E_PROTOCOL */

/* TDA_FRAME_AWS_EVENTSTREAM. frame_aws.c. */
struct eventstream;
tda_status eventstream_new(size_t max_item, struct eventstream **ret);
void eventstream_free(struct eventstream *s);
tda_status eventstream_feed(struct eventstream *s, tda_str bytes, framer_item_fn fn, void *arg);
tda_status eventstream_end(struct eventstream *s);
const char *eventstream_why(const struct eventstream *s);
uint32_t eventstream_crc(tda_str bytes);

#endif
