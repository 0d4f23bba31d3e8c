/* What happened in a task and has not been fetched yet. One owner, on its loop.
 *
 * Events are numbered from 1. What the reader has seen (`after`) is freed, so asking again for the same is harmless. Bounded in
 * number and bytes: the oldest go, and a reader who comes too late is told how many he missed. Texts that nobody has looked at yet
 * are joined, so a slow reader gets fewer and longer ones. */
#ifndef ROUTE_EVENT_QUEUE_H
#define ROUTE_EVENT_QUEUE_H

#include "json/json.h"

struct queued_event;

struct event_queue {
    struct queued_event *first, *last;
    uint64_t next;   /* number of the next one */
    uint64_t looked; /* highest that a reader was given */
    size_t n, bytes, max_n, max_bytes;
};

void event_queue_init(struct event_queue *q, size_t max_n, size_t max_bytes);
void event_queue_fini(struct event_queue *q);
/* A JSON object {"type": ...}. One that alone is larger than the bound is dropped, and counts as such. */
void event_queue_add(struct event_queue *q, tda_str json);
void event_queue_free_to(struct event_queue *q, uint64_t after);
bool event_queue_has(const struct event_queue *q, uint64_t after); /* is there, or was there, one with a higher number? */
/* "events": [{"n": 7, "type": ...}], "next": 7, and "dropped": 3 when some after `after` are gone. */
void event_queue_write(struct event_queue *q, uint64_t after, struct jw *w);

#endif
