#include "route/tasks.h"

#include <pthread.h>
#include <stdio.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/hash.h"

/* Off the table when it has no task; gone with the last task that was its. */
struct task_owner {
    struct ref ref;
    UT_hash_handle hh;
    struct task_entry *tasks; /* oldest first */
    uint64_t ended;
    size_t user_n;
    char user[];
};

struct tasks {
    pthread_mutex_t lock; /* of everything below but the first four */
    const struct config *config;
    uint32_t boot;
    char boot_text[9];
    _Atomic uint64_t serial;
    struct task_entry *table;
    struct task_owner *owners;
    struct task_entry *oldest, *newest; /* ended ones */
    uint64_t running, ended, bytes;
};

tda_status tasks_new(const struct config *c, struct tasks **ret) {
    struct tasks *ts = calloc(1, sizeof *ts);
    if (!ts) return TDA_E_NOMEM;
    pthread_mutex_init(&ts->lock, NULL);
    ts->config = c;
    random_bytes(&ts->boot, sizeof ts->boot);
    snprintf(ts->boot_text, sizeof ts->boot_text, "%08x", ts->boot);
    *ret = ts;
    return TDA_OK;
}

const char *tasks_boot(const struct tasks *ts) {
    return ts->boot_text;
}

const char *task_state_name(int state) {
    static const char *const names[] = {"pending", "running", "complete", "error", "cancelled"};
    return names[state];
}

static void owner_unref(struct task_owner *o) {
    if (o && ref_drop(&o->ref)) free(o);
}

void task_unref(struct task_entry *t) {
    if (!t || !ref_drop(&t->ref)) return;
    owner_unref(t->owner);
    event_queue_fini(&t->events);
    free(t->body);
    free(t);
}

/* ---- under the lock ---- */

static struct task_owner *owner_find(struct tasks *ts, tda_str user) {
    struct task_owner *o = NULL;
    HASH_FIND(hh, ts->owners, user.p, user.n, o);
    return o;
}

/* With a reference, for a task of his. */
static struct task_owner *owner_of(struct tasks *ts, tda_str user) {
    struct task_owner *o = owner_find(ts, user);
    if (o) ref_take(&o->ref);
    if (o) return o;
    o = calloc(1, sizeof *o + user.n + 1);
    if (!o) return NULL;
    ref_init(&o->ref);
    memcpy(o->user, user.p, user.n);
    o->user_n = user.n;
    HASH_ADD(hh, ts->owners, user, user.n, o);
    if (o->hh.tbl) return o;
    free(o);
    return NULL;
}

static void owner_leave(struct tasks *ts, struct task_owner *o) {
    if (o->tasks) return;
    HASH_DEL(ts->owners, o);
}

static void list_ended(struct tasks *ts, struct task_entry *t) {
    t->older = ts->newest;
    if (ts->newest) ts->newest->newer = t;
    ts->newest = t;
    if (!ts->oldest) ts->oldest = t;
    ts->ended++;
    t->owner->ended++;
}

static void unlist_ended(struct tasks *ts, struct task_entry *t) {
    if (t->older) t->older->newer = t->newer;
    if (t->newer) t->newer->older = t->older;
    if (ts->oldest == t) ts->oldest = t->newer;
    if (ts->newest == t) ts->newest = t->older;
    ts->ended--;
    t->owner->ended--;
    ts->bytes -= t->counted;
    t->counted = 0;
}

/* Off the table. Its reference is the caller's: dropped outside of the lock, where it may free much. */
static void take_off(struct tasks *ts, struct task_entry *t) {
    struct task_owner *o = t->owner;
    HASH_DEL(ts->table, t);
    if (t->ended_ns)
        unlist_ended(ts, t);
    else
        ts->running--;
    DL_DELETE2(o->tasks, t, own_prev, own_next);
    t->listed = false;
    owner_leave(ts, o);
}

/* Those that were taken off, linked by `newer`, until the lock is gone. */
static void push(struct task_entry **gone, struct tasks *ts, struct task_entry *t) {
    take_off(ts, t);
    t->newer = *gone;
    *gone = t;
}

static uint64_t release(struct task_entry *gone) {
    uint64_t n = 0;
    for (struct task_entry *next; gone; gone = next, n++) {
        next = gone->newer;
        task_unref(gone);
    }
    return n;
}

static struct task_entry *oldest_ended(const struct task_owner *o) {
    struct task_entry *t = o->tasks;
    while (t && !t->ended_ns) t = t->own_next;
    return t;
}

/* The newest is kept however large it is: its result is whole or not there at all. */
static void make_room(struct tasks *ts, struct task_owner *o, struct task_entry **gone) {
    const struct config *c = config_now(ts->config);
    for (struct task_entry *t; o->ended > (uint64_t)c->tasks_per_user && (t = oldest_ended(o));) push(gone, ts, t);
    while (ts->oldest && ts->oldest != ts->newest &&
           (ts->ended > (uint64_t)c->tasks_entries || ts->bytes > (uint64_t)c->tasks_bytes))
        push(gone, ts, ts->oldest);
}

static void take_old(struct tasks *ts, struct task_entry **gone) {
    int64_t limit = clock_now_ns() - config_now(ts->config)->tasks_keep;
    while (ts->oldest && ts->oldest->ended_ns < limit) push(gone, ts, ts->oldest);
}

/* ---- public ---- */

void tasks_free(struct tasks *ts) {
    struct task_entry *gone = NULL;
    if (!ts) return;
    while (ts->table) push(&gone, ts, ts->table);
    release(gone);
    pthread_mutex_destroy(&ts->lock);
    free(ts);
}

static bool insert(struct tasks *ts, struct task_entry *t, tda_str user) {
    struct task_owner *o = owner_of(ts, user);
    if (!o) return false;
    HASH_ADD(hh, ts->table, number, sizeof t->number, t);
    if (!t->hh.tbl) {
        owner_leave(ts, o);
        owner_unref(o);
        return false;
    }
    t->owner = o;
    t->listed = true;
    DL_APPEND2(o->tasks, t, own_prev, own_next);
    ts->running++;
    return true;
}

static void write_id(char out[TASK_ID_SIZE], uint32_t boot, uint64_t number) {
    snprintf(out, TASK_ID_SIZE, "t-%08x-%llu", boot, (unsigned long long)number);
}

tda_status tasks_add(struct tasks *ts, tda_str user, const char *method, struct loop *l, struct request *q, bool submitted,
                     struct task_entry **ret) {
    struct task_entry *t = calloc(1, sizeof *t);
    if (!t) return TDA_E_NOMEM;
    ref_init(&t->ref);
    ref_take(&t->ref); /* the table's and the caller's */
    t->tasks = ts;
    t->number = atomic_fetch_add(&ts->serial, 1) + 1;
    t->method = method;
    t->loop = l;
    t->submitted = submitted;
    t->request = q;
    t->began_ns = clock_now_ns();
    write_id(t->id, ts->boot, t->number);
    event_queue_init(&t->events, (size_t)config_now(ts->config)->tasks_events, (size_t)config_now(ts->config)->tasks_event_bytes);
    pthread_mutex_lock(&ts->lock);
    bool ok = insert(ts, t, user);
    pthread_mutex_unlock(&ts->lock);
    if (!ok) {
        free(t);
        return TDA_E_NOMEM;
    }
    *ret = t;
    return TDA_OK;
}

static tda_status not_found(struct error *e) {
    error_set(e, TDA_E_NOT_FOUND, "not_found", "there is no such task");
    error_field(e, "task");
    error_hint(e, "results are kept for tasks.keep after the end; task.list shows what there is");
    return TDA_E_NOT_FOUND;
}

/* Is it the way we write them: t-BOOT-NUMBER? Whatever is read must come out the same. */
static bool read_id(tda_str id, uint32_t *boot, uint64_t *number) {
    char text[TASK_ID_SIZE], again[TASK_ID_SIZE], *end;
    if (id.n >= sizeof text || id.n < 3) return false;
    memcpy(text, id.p, id.n);
    text[id.n] = 0;
    *boot = (uint32_t)strtoul(text + 2, &end, 16);
    *number = *end ? strtoull(end + 1, NULL, 10) : 0;
    write_id(again, *boot, *number);
    return strcmp(text, again) == 0;
}

tda_status tasks_find(struct tasks *ts, const struct principal *who, tda_str user, tda_str id, struct task_entry **ret,
                      struct error *e) {
    uint32_t boot = 0;
    uint64_t number = 0;
    struct task_entry *t = NULL;
    bool his = false;
    tda_status s = principal_may(who, user, e);
    if (s) return s;
    if (!id.p || !read_id(id, &boot, &number)) return not_found(e);
    if (boot != ts->boot) {
        error_set(e, TDA_E_NOT_FOUND, "task_lost", "this task is of an earlier life of the daemon, and ended with it");
        error_field(e, "task");
        error_hint(e, "submit it again");
        return TDA_E_NOT_FOUND;
    }
    pthread_mutex_lock(&ts->lock);
    HASH_FIND(hh, ts->table, &number, sizeof number, t);
    his = t && tda_str_eq(user, (tda_str){t->owner->user, t->owner->user_n});
    if (his) ref_take(&t->ref);
    pthread_mutex_unlock(&ts->lock);
    if (!t) return not_found(e);
    if (!his) {
        error_set(e, TDA_E_DENIED, "denied", "this task is another user's");
        error_field(e, "task");
        return TDA_E_DENIED;
    }
    *ret = t;
    return TDA_OK;
}

static void write_one(const struct task_entry *t, int64_t now, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "task", t->id);
    jw_put_z(w, "method", t->method);
    jw_put_z(w, "state", task_state_name(atomic_load(&t->state)));
    jw_put_bool(w, "submitted", t->submitted);
    jw_put_i64(w, "age_ms", (now - t->began_ns) / NS_PER_MS);
    int64_t ended = atomic_load(&t->ended_ns);
    if (ended) jw_put_i64(w, "ended_ms", (now - ended) / NS_PER_MS);
    jw_end_object(w);
}

/* References are taken under the lock, the text is made outside. */
tda_status tasks_write(struct tasks *ts, const struct principal *who, tda_str user, uint64_t limit, struct jw *w, struct error *e) {
    tda_status s = principal_may(who, user, e);
    if (s) return s;
    struct task_entry **found = calloc(limit ? limit : 1, sizeof *found);
    if (!found) return error_set(e, TDA_E_NOMEM, "out_of_memory", "out of memory");
    uint64_t n = 0;
    int64_t now = clock_now_ns();
    jw_open_array(w, "tasks");
    pthread_mutex_lock(&ts->lock);
    struct task_owner *o = owner_find(ts, user);
    for (struct task_entry *t = o && o->tasks ? o->tasks->own_prev : NULL; t && n < limit; t = t == o->tasks ? NULL : t->own_prev) {
        ref_take(&t->ref);
        found[n++] = t;
    }
    pthread_mutex_unlock(&ts->lock);
    for (uint64_t i = 0; i < n; i++) {
        write_one(found[i], now, w);
        task_unref(found[i]);
    }
    jw_end_array(w);
    free(found);
    return TDA_OK;
}

uint64_t tasks_clean(struct tasks *ts) {
    struct task_entry *gone = NULL;
    pthread_mutex_lock(&ts->lock);
    take_old(ts, &gone);
    pthread_mutex_unlock(&ts->lock);
    return release(gone);
}

uint64_t tasks_forget(struct tasks *ts, tda_str user, bool running) {
    struct task_entry *gone = NULL, *next;
    uint64_t n = 0;
    pthread_mutex_lock(&ts->lock);
    struct task_owner *o = owner_find(ts, user);
    for (struct task_entry *t = o ? o->tasks : NULL; t; t = next) {
        bool runs = !t->ended_ns;
        next = t->own_next; /* taking off the last one frees the owner */
        if (runs && !running) continue;
        push(&gone, ts, t);
    }
    pthread_mutex_unlock(&ts->lock);
    for (; gone; gone = next, n++) {
        next = gone->newer;
        gone->forget = (struct task){.run = task_forget, .line.lane = loop_lane(user)}; /* with the table's reference */
        loop_post(gone->loop, &gone->forget);
    }
    return n;
}

void tasks_stats(struct tasks *ts, struct task_stats *ret) {
    pthread_mutex_lock(&ts->lock);
    *ret = (struct task_stats){.running = ts->running, .ended = ts->ended, .bytes = ts->bytes};
    pthread_mutex_unlock(&ts->lock);
}

/* ---- the end of one ---- */

void tasks_ended(struct tasks *ts, struct task_entry *t, enum task_state state) {
    struct task_entry *gone = NULL;
    pthread_mutex_lock(&ts->lock);
    atomic_store(&t->state, state);
    if (t->listed && !t->submitted) {
        push(&gone, ts, t);
    } else if (t->listed) {
        t->ended_ns = clock_now_ns();
        t->counted = sizeof *t + t->body_n + t->events.bytes;
        ts->running--;
        ts->bytes += t->counted;
        list_ended(ts, t);
        take_old(ts, &gone);
        if (t->listed) make_room(ts, t->owner, &gone);
    }
    pthread_mutex_unlock(&ts->lock);
    release(gone);
}

void tasks_recount(struct tasks *ts, struct task_entry *t) {
    pthread_mutex_lock(&ts->lock);
    if (t->listed && t->ended_ns) {
        ts->bytes -= t->counted;
        t->counted = sizeof *t + t->body_n + t->events.bytes;
        ts->bytes += t->counted;
    }
    pthread_mutex_unlock(&ts->lock);
}
