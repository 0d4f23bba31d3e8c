/* A call that a worker runs (TDA_P_BLOCKING). The call itself stays on its loop; the worker has a copy of the request, and what it
 * emits comes to the loop through a bounded queue, in order:
 *
 *   loop    blocking_start ............ drain ... drain .............. returned: drop, once
 *   worker            run: emit, emit ... emit waits for room ... finish ... returns
 *
 * The loop may answer the caller (deadline, cancel) while run is still going on. Then emit and finish are refused, and all that run
 * may look at - request, state, snapshot - stays until it has returned.
 *
 * `lock` guards the queue and the three flags. What of the call a worker reads is written before the job is added and not again:
 * handle, owner's plugin, self, state, snapshot, entry, user and request_id. */
#include "plugin/plugin_impl.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/hash.h"

enum { QUEUE_EVENTS = 64, QUEUE_BYTES = 1 << 20 };

struct item {
    STAILQ_ENTRY(item) next;
    size_t bytes;
    bool is_finish;
    struct tda_event event;
    struct tda_usage usage;
    struct tda_result result;
    char texts[];
};

struct blocking {
    struct call *call;
    struct worker_job job;
    struct arena arena;
    struct tda_request request;
    struct task drain, returned;
    tda_status run_status;

    pthread_mutex_t lock;
    pthread_cond_t room;
    STAILQ_HEAD(item_queue, item) queue;
    size_t n, bytes;
    bool posted;     /* drain is on its way */
    bool begun;      /* run was called */
    tda_status over; /* not OK: what emit and finish answer from now on */
};

static _Thread_local struct blocking *current; /* the call that this worker runs */

struct call *blocking_call(tda_handle h) {
    return current && h && current->call->owner.handle == h ? current->call : NULL;
}

/* ---- items ---- */

static struct item *item_new(size_t bytes) {
    struct item *i = calloc(1, sizeof *i + bytes);
    if (i) i->bytes = bytes;
    return i;
}

/* Into the item's room, which `at` walks through. */
static void take_text(struct item *i, size_t *at, tda_str *s) {
    if (!s->p) return;
    char *to = i->texts + *at;
    if (s->n) memcpy(to, s->p, s->n);
    *at += s->n;
    s->p = to;
}

static struct item *item_of_event(const struct tda_event *event) {
    struct tda_event e = {0};
    memcpy(&e, event, event->size < sizeof e ? event->size : sizeof e);
    struct item *i = item_new(e.id.n + e.name.n + e.text.n + e.raw.n + e.json.n);
    if (!i) return NULL;
    size_t at = 0;
    tda_str *texts[] = {&e.id, &e.name, &e.text, &e.raw, &e.json};
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) take_text(i, &at, texts[k]);
    if (e.usage) {
        i->usage = *e.usage;
        e.usage = &i->usage;
    }
    e.part = NULL; /* adapters' */
    e.size = sizeof e;
    i->event = e;
    return i;
}

static struct item *item_of_result(const struct tda_result *result) {
    struct tda_result r = *result;
    struct item *i = item_new(r.code.n + r.text.n + r.request_id.n);
    if (!i) return NULL;
    size_t at = 0;
    tda_str *texts[] = {&r.code, &r.text, &r.request_id};
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) take_text(i, &at, texts[k]);
    r.size = sizeof r;
    i->result = r;
    i->is_finish = true;
    return i;
}

/* ---- on the worker ---- */

static bool is_full(const struct blocking *b, const struct item *i) {
    return b->n >= QUEUE_EVENTS || (b->n && b->bytes + i->bytes > QUEUE_BYTES);
}

/* The end waits for no room: it is one item. */
static tda_status hand_over(struct blocking *b, struct item *i) {
    if (!i) return TDA_E_NOMEM;
    pthread_mutex_lock(&b->lock);
    while (!i->is_finish && !b->over && is_full(b, i)) pthread_cond_wait(&b->room, &b->lock);
    tda_status s = b->over;
    bool post = !s && !b->posted;
    if (!s) {
        STAILQ_INSERT_TAIL(&b->queue, i, next);
        b->n++;
        b->bytes += i->bytes;
        b->posted = true;
        if (i->is_finish) b->over = TDA_E_STALE;
    }
    pthread_mutex_unlock(&b->lock);
    if (post) loop_post(b->call->owner.pl->loop, &b->drain);
    if (s) free(i);
    return s;
}

tda_status blocking_emit(struct call *c, const struct tda_event *event) {
    if (event->size < offsetof(struct tda_event, id)) return TDA_E_INVALID;
    return hand_over(c->blocking, item_of_event(event));
}

tda_status blocking_finish(struct call *c, const struct tda_result *result) {
    if (!TDA_HAS(result, struct tda_result, request_id)) return TDA_E_INVALID;
    return hand_over(c->blocking, item_of_result(result));
}

static void work(struct worker_job *j) {
    struct blocking *b = CONTAINER_OF(j, struct blocking, job);
    struct owner *o = &b->call->owner;
    struct loop *l = o->pl->loop;
    pthread_mutex_lock(&b->lock);
    b->begun = !b->over;
    pthread_mutex_unlock(&b->lock);
    if (b->begun) {
        current = b;
        b->run_status = o->plugin->loaded.provider->run(o->self, o->handle, &b->request);
        current = NULL;
        scratch_clear();
    }
    loop_post(l, &b->returned); /* b may be gone */
}

/* ---- on the loop ---- */

static void drain(struct blocking *b) {
    struct item_queue taken = STAILQ_HEAD_INITIALIZER(taken);
    pthread_mutex_lock(&b->lock);
    STAILQ_CONCAT(&taken, &b->queue);
    b->n = b->bytes = 0;
    b->posted = false;
    pthread_cond_signal(&b->room);
    pthread_mutex_unlock(&b->lock);
    for (struct item *i; (i = STAILQ_FIRST(&taken));) {
        STAILQ_REMOVE_HEAD(&taken, next);
        if (i->is_finish)
            call_finish(b->call, &i->result);
        else
            call_emit(b->call, &i->event);
        free(i);
    }
}

static void on_drain(struct task *t) {
    drain(CONTAINER_OF(t, struct blocking, drain));
}

static void on_returned(struct task *t) {
    struct blocking *b = CONTAINER_OF(t, struct blocking, returned);
    call_run_returned(b->call, b->run_status);
}

bool blocking_end(struct call *c, tda_status why) {
    struct blocking *b = c->blocking;
    pthread_mutex_lock(&b->lock);
    if (!b->over) b->over = why;
    bool begun = b->begun;
    pthread_cond_signal(&b->room);
    pthread_mutex_unlock(&b->lock);
    if (!begun && !c->run_over) c->run_over = workers_remove(c->owner.pl->plugins->workers, &b->job);
    return begun;
}

tda_status blocking_start(struct call *c, const struct tda_request *request, int64_t *ret_retry_ms) {
    struct blocking *b = calloc(1, sizeof *b);
    if (!b) return TDA_E_NOMEM;
    b->call = c;
    const char *user = c->owner.user;
    b->job = (struct worker_job){.label = c->owner.plugin->label, .run = work};
    b->job.owner = user[0] ? hash_keyed(tda_str_of(user)) : 0; /* the shared context is nobody's */
    b->drain = (struct task){.run = on_drain, .line.lane = c->owner.lane};
    b->returned = (struct task){.run = on_returned, .line.lane = c->owner.lane};
    STAILQ_INIT(&b->queue);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->room, NULL);
    arena_init(&b->arena, SIZE_MAX / 2); /* as large as the request, which has its bound */
    c->blocking = b;
    tda_status s = request_copy(request, &b->arena, &b->request);
    return s ? s : workers_add(c->owner.pl->plugins->workers, &b->job, ret_retry_ms);
}

void blocking_free(struct blocking *b) {
    if (!b) return;
    for (struct item *i; (i = STAILQ_FIRST(&b->queue));) {
        STAILQ_REMOVE_HEAD(&b->queue, next);
        free(i);
    }
    arena_fini(&b->arena);
    pthread_cond_destroy(&b->room);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
