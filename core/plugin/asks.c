/* Questions to users: a server's own (TDA_CONN_ASK), and the host's on the way to a server (an authorisation). Each goes to one who
 * waits for this connection - the call it is for, else the latest that can be asked, else one that waits for it to become ready -
 * and is answered once: by the user, or, when nobody can be asked or the one who was asked is gone, with `cancel`; the host's own
 * then without a word, for it may ask another. */
#include "plugin/plugin_impl.h"

#define CANCEL_JSON "{\"action\":\"cancel\"}"

enum { ASKS_MAX = 8, ASK_ID_MAX = 128, ASK_JSON_MAX = 64 << 10 };

struct ask {
    SLIST_ENTRY(ask) entry;
    uint64_t number;
    char *id;              /* the server's; NULL: the host's own */
    struct asker *asker;   /* who was asked; NULL: nobody (any more), it is answered soon */
    ask_answered answered; /* the host's own */
    void *arg;
};

static _Atomic uint64_t last_number;
static const tda_str cancelled = {CANCEL_JSON, sizeof CANCEL_JSON - 1};

/* ---- who is asked ---- */

static struct asker *usable(struct asker *a) {
    return a->on_ask ? a : NULL;
}

static struct asker *find_asker(struct conn *c, const struct call *about) {
    struct call *call;
    struct waiter *w;
    for (call = LIST_FIRST(&c->calls); call; call = LIST_NEXT(call, of_conn))
        if (!call->finished && (!about || call == about) && usable(&call->asker)) return &call->asker;
    if (about) return NULL;
    for (w = LIST_FIRST(&c->waiters); w; w = LIST_NEXT(w, entry))
        if (!w->told && usable(&w->asker)) return &w->asker;
    return NULL;
}

bool conn_can_ask(struct conn *c) {
    return find_asker(c, NULL) != NULL;
}

/* The user's time is not the server's. */
static void clock_stops(struct conn *c, struct asker *a) {
    a->open++;
    if (a->call)
        call_waits_for_user(a->call);
    else
        conn_ready_clock(c, false);
}

static void clock_goes_on(struct conn *c, struct asker *a) {
    if (--a->open) return;
    if (a->call)
        call_user_answered(a->call);
    else
        conn_ready_clock(c, true);
}

/* ---- one question ---- */

static struct ask *ask_new(struct conn *c, tda_str id) {
    struct ask *a = c->n_asks < ASKS_MAX ? calloc(1, sizeof *a) : NULL;
    if (!a) return NULL;
    if (id.p && !(a->id = str_dup(id))) {
        free(a);
        return NULL;
    }
    a->number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    SLIST_INSERT_HEAD(&c->asks, a, entry);
    c->n_asks++;
    return a;
}

static void let_go(struct conn *c, struct ask *a) {
    struct asker *asker = a->asker;
    if (!asker) return;
    a->asker = NULL;
    asker->on_over(asker->arg, a->number);
    clock_goes_on(c, asker);
}

static void ask_free(struct conn *c, struct ask *a) {
    let_go(c, a);
    SLIST_REMOVE(&c->asks, a, ask, entry);
    c->n_asks--;
    free(a->id);
    free(a);
}

/* A question is taken off before its answer is told: the one who hears it may ask the next. */
static void answer(struct conn *c, struct ask *a, tda_str json) {
    struct ask told = *a;
    const struct tda_adapter *plugin = c->owner.plugin->loaded.adapter;
    a->id = NULL;
    ask_free(c, a);
    if (told.answered) {
        told.answered(told.arg, json);
    } else if (c->state < CONN_ENDED && plugin->answer) {
        plugin_enter(&c->owner);
        plugin->answer(c->owner.self, c->owner.handle, tda_str_of(told.id), json);
        plugin_leave();
    }
    free(told.id);
}

/* False: there is nobody to ask. */
static bool put(struct conn *c, struct ask *a, const struct call *about, tda_str json) {
    struct asker *asker = find_asker(c, about);
    struct question q = {.number = a->number, .json = json, .conn = c, .is_authorization = a->answered != NULL};
    if (!asker || !asker->on_ask(asker->arg, &q)) return false;
    a->asker = asker;
    clock_stops(c, asker);
    return true;
}

/* ---- the server's ---- */

static struct ask *find_id(struct conn *c, tda_str id) {
    struct ask *a = SLIST_FIRST(&c->asks);
    while (a && (!a->id || !tda_str_eq(tda_str_of(a->id), id))) a = SLIST_NEXT(a, entry);
    return a;
}

tda_status ask_take(struct conn *c, const struct tda_conn_event *event) {
    if (!TDA_HAS(event, struct tda_conn_event, id) || !event->id.n || event->id.n > ASK_ID_MAX) return TDA_E_INVALID;
    if (conn_is_shared(c)) return TDA_E_DENIED; /* whom? what it is about may be another's */
    if (memchr(event->id.p, 0, event->id.n) || find_id(c, event->id)) return TDA_E_INVALID;
    if (event->json.n > ASK_JSON_MAX || json_check(event->json, 0, NULL)) return TDA_E_INVALID;
    struct call *about = event->call ? handle_get(event->call, HANDLE_CALL) : NULL;
    if (event->call && (!about || about->conn != c)) return TDA_E_STALE;
    struct ask *a = ask_new(c, event->id);
    if (!a) return TDA_E_LIMIT;
    if (!put(c, a, about, event->json)) conn_queue_step(c); /* the answer follows, never from inside */
    return TDA_OK;
}

tda_status ask_over(struct conn *c, const struct tda_conn_event *event) {
    struct ask *a = TDA_HAS(event, struct tda_conn_event, id) ? find_id(c, event->id) : NULL;
    if (!a) return TDA_E_NOT_FOUND;
    ask_free(c, a);
    return TDA_OK;
}

/* ---- the host's own ---- */

tda_status conn_ask(struct conn *c, struct call *about, tda_str json, ask_answered fn, void *arg, uint64_t *ret_number) {
    if (c->state >= CONN_ENDED) return TDA_E_CLOSED;
    struct ask *a = ask_new(c, (tda_str){0});
    if (!a) return TDA_E_LIMIT;
    a->answered = fn;
    a->arg = arg;
    *ret_number = a->number;
    if (put(c, a, about, json)) return TDA_OK;
    ask_free(c, a);
    return TDA_E_NOT_FOUND;
}

void conn_ask_cancel(struct conn *c, uint64_t number) {
    struct ask *a = SLIST_FIRST(&c->asks);
    while (a && a->number != number) a = SLIST_NEXT(a, entry);
    if (a) ask_free(c, a);
}

/* ---- answers, and ends ---- */

tda_status conn_answer(struct conn *c, uint64_t number, tda_str json) {
    struct ask *a = SLIST_FIRST(&c->asks);
    while (a && a->number != number) a = SLIST_NEXT(a, entry);
    if (!a || !a->asker) return TDA_E_NOT_FOUND;
    answer(c, a, json);
    return TDA_OK;
}

void asks_leave(struct conn *c, struct asker *asker) {
    struct ask *a;
    for (a = SLIST_FIRST(&c->asks); a; a = SLIST_NEXT(a, entry)) {
        if (a->asker != asker) continue;
        let_go(c, a);
        conn_queue_step(c);
    }
}

static void answer_for_nobody(struct conn *c, struct ask *a) {
    tda_str nothing = {0};
    answer(c, a, a->answered ? nothing : cancelled);
}

/* From the start after each: the one who hears may end others. */
void asks_step(struct conn *c) {
    struct ask *a = SLIST_FIRST(&c->asks);
    while (a) {
        bool nobody = !a->asker;
        if (nobody) answer_for_nobody(c, a);
        a = nobody ? SLIST_FIRST(&c->asks) : SLIST_NEXT(a, entry);
    }
}

void asks_end(struct conn *c) {
    struct ask *a;
    while ((a = SLIST_FIRST(&c->asks))) answer_for_nobody(c, a);
}
