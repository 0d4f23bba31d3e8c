#include "route/event_queue.h"

#include <stdio.h>

enum { JOIN_MAX = 8 << 10 };

struct queued_event {
    struct queued_event *next;
    uint64_t number;
    size_t n, cap;
    char *json;
};

void event_queue_init(struct event_queue *q, size_t max_n, size_t max_bytes) {
    *q = (struct event_queue){.next = 1, .max_n = max_n, .max_bytes = max_bytes};
}

static size_t cost_of(const struct queued_event *e) {
    return sizeof *e + e->cap;
}

static void drop_first(struct event_queue *q) {
    struct queued_event *e = q->first;
    q->first = e->next;
    if (!q->first) q->last = NULL;
    q->n--;
    q->bytes -= cost_of(e);
    free(e->json);
    free(e);
}

void event_queue_fini(struct event_queue *q) {
    while (q->first) drop_first(q);
}

void event_queue_free_to(struct event_queue *q, uint64_t after) {
    while (q->first && q->first->number <= after) drop_first(q);
}

bool event_queue_has(const struct event_queue *q, uint64_t after) {
    return q->next > after + 1;
}

static void make_room(struct event_queue *q) {
    while (q->first && (q->n > q->max_n || q->bytes > q->max_bytes)) drop_first(q);
}

/* How both kinds of text begin; they end with "\"}". 0: none of them. */
static size_t text_begins(tda_str json) {
    static const char *const heads[] = {"{\"type\":\"text\",\"text\":\"", "{\"type\":\"thinking\",\"text\":\""};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t n = strlen(heads[i]);
        if (json.n >= n + 2 && memcmp(json.p, heads[i], n) == 0) return n;
    }
    return 0;
}

static bool reserve(struct event_queue *q, struct queued_event *e, size_t n) {
    size_t cap = e->cap;
    while (cap < n) cap *= 2;
    char *grown = cap == e->cap ? e->json : realloc(e->json, cap);
    if (!grown) return false;
    q->bytes += cap - e->cap;
    e->json = grown;
    e->cap = cap;
    return true;
}

/* Appends a text to the last one, if that is of the same kind and nobody has seen it. */
static bool join(struct event_queue *q, tda_str json) {
    struct queued_event *e = q->last;
    size_t head = text_begins(json);
    if (!e || !head || e->number <= q->looked || e->n + json.n > JOIN_MAX) return false;
    if (text_begins((tda_str){e->json, e->n}) != head || !reserve(q, e, e->n + json.n)) return false;
    e->n -= 2;
    memcpy(e->json + e->n, json.p + head, json.n - head);
    e->n += json.n - head;
    return true;
}

static struct queued_event *event_new(uint64_t number, tda_str json) {
    struct queued_event *e = malloc(sizeof *e);
    char *copy = e ? malloc(json.n) : NULL;
    if (!copy) {
        free(e);
        return NULL;
    }
    memcpy(copy, json.p, json.n);
    *e = (struct queued_event){.number = number, .n = json.n, .cap = json.n, .json = copy};
    return e;
}

void event_queue_add(struct event_queue *q, tda_str json) {
    if (json.n < 2) return;
    if (!join(q, json)) {
        uint64_t number = q->next++;
        struct queued_event *e = sizeof *e + json.n <= q->max_bytes ? event_new(number, json) : NULL;
        if (!e) return; /* the gap in the numbers tells */
        if (q->last)
            q->last->next = e;
        else
            q->first = e;
        q->last = e;
        q->n++;
        q->bytes += cost_of(e);
    }
    make_room(q);
}

/* ---- reading ---- */

static void write_event(const struct queued_event *e, struct jw *w) {
    struct buf text;
    buf_init(&text, e->n + 40);
    buf_addf(&text, "{\"n\":%llu%s", (unsigned long long)e->number, e->n > 2 ? "," : "");
    buf_add(&text, e->json + 1, e->n - 1);
    if (!text.status) jw_raw(w, buf_str(&text));
    buf_fini(&text);
}

void event_queue_write(struct event_queue *q, uint64_t after, struct jw *w) {
    uint64_t given = 0;
    jw_open_array(w, "events");
    for (const struct queued_event *e = q->first; e; e = e->next) {
        if (e->number <= after) continue;
        write_event(e, w);
        given++;
    }
    jw_end_array(w);
    uint64_t last = q->next - 1, next = last > after ? last : after;
    if (next > q->looked) q->looked = next;
    jw_put_u64(w, "next", next);
    if (next - after > given) jw_put_u64(w, "dropped", next - after - given);
}
