/* One conversation, played to the plugin. Every delivery is an event with a number; at the event that the plan names, something
 * else happens instead. */
#include <stdatomic.h>
#include <stdio.h>

#include "cmd.h"

enum { STEPS_MAX = 20000, BYTES_AT_ONCE = 48 };

struct player {
    struct tda_test *t;
    const struct plan *plan;
    struct tda_test_conn *conn;
    struct tda_test_call *call;
    unsigned events;
    size_t n_answered, offset; /* answers begun; bytes of bodies played */
    uint64_t random;
    bool stopped;
};

size_t fixture_bytes(const struct fixture *f) {
    size_t n = 0;
    for (size_t i = 0; i < f->n_answers; i++) n += f->answers[i].body.n;
    return n;
}

static uint64_t next_random(uint64_t *x) { /* xorshift64* */
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return *x * 2685821657736338717u;
}

/* ---- what happens instead ---- */

static void stop(struct player *p, struct tda_test_flow *f) {
    p->stopped = true;
    switch (p->plan->stop) {
    case STOP_CANCEL:
        if (p->call && !tda_test_done(p->call)) tda_test_cancel(p->call);
        break;
    case STOP_DEADLINE:
        if (p->call && !tda_test_done(p->call)) tda_test_time_out(p->call);
        break;
    case STOP_BREAK:
        if (f && f->open && f->request.kind == TDA_FLOW_SERVER)
            tda_test_exit(f, 128 + 9);
        else if (f && f->open)
            tda_test_fail(f, TDA_C_NETWORK, "the connection was reset");
        break;
    case STOP_END:
        if (f && f->open) tda_test_end(f);
        break;
    case STOP_CLOSE:
        if (p->conn) tda_test_conn_close(p->conn);
        break;
    case STOP_NONE: break;
    }
}

/* False: the plan was to do something else now, which is done. */
static bool next_event(struct player *p, struct tda_test_flow *f) {
    p->events++;
    if (p->plan->stop == STOP_NONE || p->events != p->plan->stop_at) return true;
    stop(p, f);
    return false;
}

/* ---- bodies ---- */

static size_t piece_size(struct player *p, tda_str rest) {
    const char *end;
    switch (p->plan->pieces) {
    case CUT_AT:
        if (p->offset < p->plan->cut_at && p->plan->cut_at < p->offset + rest.n) return p->plan->cut_at - p->offset;
        return rest.n;
    case BYTES: return 1;
    case LINES: end = memchr(rest.p, '\n', rest.n); return end ? (size_t)(end - rest.p) + 1 : rest.n;
    case RANDOM: {
        size_t n = 1 + next_random(&p->random) % BYTES_AT_ONCE;
        return n < rest.n ? n : rest.n;
    }
    case WHOLE: break;
    }
    return rest.n;
}

static void play_bytes(struct player *p, struct tda_test_flow *f, tda_str rest) {
    while (rest.n && f->open && !p->stopped) {
        size_t n = piece_size(p, rest);
        if (!next_event(p, f)) return;
        tda_test_bytes(f, (tda_str){rest.p, n});
        p->offset += n;
        rest = (tda_str){rest.p + n, rest.n - n};
    }
}

static void play_answer(struct player *p, struct tda_test_flow *f) {
    static const struct answer none = {.status = 404};
    const struct fixture *x = p->plan->fixture;
    const struct answer *a = p->n_answered < x->n_answers ? &x->answers[p->n_answered] : &none;
    p->n_answered++;
    if (!next_event(p, f)) return;
    tda_test_status(f, a->status, a->headers);
    play_bytes(p, f, a->body);
    if (p->stopped || !f->open || !next_event(p, f)) return;
    if (a->fail_cls)
        tda_test_fail(f, a->fail_cls, "the fixture says so");
    else
        tda_test_end(f);
}

/* ---- processes ---- */

static void add_reply(struct buf *out, const char *reply, const char *line) {
    const char *id = strstr(line, "\"id\":");
    size_t n = 0;
    if (id) {
        id += 5;
        n = strcspn(id, id[0] == '"' ? "," : ",}");
    }
    for (const char *mark; (mark = strstr(reply, "$id")); reply = mark + 3) {
        buf_add(out, reply, (size_t)(mark - reply));
        buf_add(out, id ? id : "null", id ? n : 4);
    }
    buf_add_z(out, reply);
}

static const char *find_reply(const struct fixture *f, const char *line) {
    for (size_t i = 0; i < f->n_rules; i++)
        if (strstr(line, f->rules[i].word)) return f->rules[i].reply;
    return NULL;
}

/* Answers what the plugin has written. */
static bool serve(struct player *p, struct tda_test_flow *f) {
    bool any = false;
    for (const char *line; f->open && !p->stopped && (line = tda_test_next_line(f));) {
        const char *reply = find_reply(p->plan->fixture, line);
        struct buf out;
        any = true;
        if (!reply) continue;
        buf_init(&out, 16 << 20);
        add_reply(&out, reply, line);
        play_bytes(p, f, buf_str(&out));
        buf_fini(&out);
    }
    return any;
}

/* ---- all of it ---- */

static struct tda_test_flow *open_flow(const struct subject *s, bool answered) {
    struct tda_test_flow *f = s ? s->flows : NULL;
    while (f && !(f->open && f->answered == answered)) f = f->next;
    return f;
}

/* One thing that can happen now; false: nothing can. */
static bool step_once(struct player *p) {
    struct subject *of_call = p->call && !tda_test_done(p->call) ? &p->call->subject : NULL;
    struct subject *of_conn = p->conn && !p->conn->done ? &p->conn->subject : NULL;
    struct tda_test_flow *f = open_flow(of_call, false);
    if (!f) f = open_flow(of_conn, false);
    if (f && f->request.kind == TDA_FLOW_SERVER) {
        if (serve(p, f)) return true;
        f = NULL;
    }
    if (f) {
        play_answer(p, f);
        return true;
    }
    int64_t at = kit_next_timer_ms(p->t);
    if (at < 0) return false;
    f = open_flow(of_conn, false);
    if (next_event(p, f)) tda_test_advance(p->t, at - p->t->now_ms);
    return true;
}

static bool is_over(const struct player *p) {
    if (p->call) return tda_test_done(p->call);
    return p->conn && p->conn->state != 0;
}

static void run(struct player *p) {
    for (int i = 0; i < STEPS_MAX && !is_over(p); i++)
        if (!step_once(p)) return;
}

/* A service that falls silent: in the host a deadline ends it. */
static void give_up(struct player *p) {
    if (!p->call || tda_test_done(p->call)) return;
    tda_test_time_out(p->call);
    if (!tda_test_done(p->call)) kit_fault(p->t, "a call is not at its end after cancel");
}

void set_user(struct tda_test *t, const struct fixture *f, bool on) {
    for (size_t i = 0; i < f->n_settings; i++) {
        const struct kit_value *v = &f->settings[i];
        if (v->key)
            tda_test_context(t, v->key, on ? v->value : NULL);
        else
            tda_test_setting(t, v->name, on ? v->value : NULL);
    }
}

static void set_up(struct tda_test *t, const struct plan *p) {
    const struct fixture *f = p->fixture;
    if (!p->as_it_is) set_user(t, f, true);
    t->refuse_at = p->refuse_at ? t->emits + p->refuse_at : 0;
    t->refuse_status = p->refuse_status;
    t->send_again = p->send_again;
}

static void start_provider(struct player *p) {
    const struct fixture *f = p->plan->fixture;
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = tda_str_of(f->ask ? f->ask : "Say hello")};
    const struct tda_part *parts[] = {&part};
    struct tda_msg msg = {.size = sizeof msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = parts};
    const struct tda_msg *msgs[] = {&msg};
    struct tda_request r = {.size = sizeof r, .op = f->op, .model = tda_str_of(f->model ? f->model : "model-1"), .msgs = msgs};
    r.n_msgs = 1;
    r.stream = f->stream;
    r.deadline_ms = 60000;
    p->call = tda_test_start(p->t, p->plan->request ? p->plan->request : &r);
    run(p);
}

/* Each play has a server of its own, for an adapter may remember what it found out about one. */
static void start_adapter(struct player *p) {
    static _Atomic unsigned servers;
    const struct fixture *f = p->plan->fixture;
    char name[32];
    snprintf(name, sizeof name, "server%u", atomic_fetch_add(&servers, 1) + 1);
    p->conn = tda_test_connect(p->t, name, f->url);
    if (!p->conn) return;
    run(p);
    if (!p->conn->done && p->conn->state == TDA_CONN_READY) {
        p->call = tda_test_conn_start(p->conn, f->op, f->tool, f->args);
        if (p->call) run(p);
    }
}

static bool is_from_service(const struct fixture *f, tda_str id) {
    for (size_t i = 0; i < f->n_answers; i++)
        if (str_has(f->answers[i].body, id)) return true;
    for (size_t i = 0; i < f->n_rules; i++)
        if (str_has(tda_str_of(f->rules[i].reply), id)) return true;
    return false;
}

/* An id that the service did not give was made up, and may be another the next time. */
static char *mask_ids(char *text, const struct fixture *f) {
    static const char mark[] = " id=\"";
    struct buf out;
    if (!text) return NULL;
    buf_init(&out, TRANSCRIPT_MAX);
    const char *rest = text;
    for (const char *at; (at = strstr(rest, mark));) {
        const char *id = at + sizeof mark - 1;
        size_t n = strcspn(id, "\"\n");
        buf_add(&out, rest, (size_t)(id - rest));
        buf_add_z(&out, is_from_service(f, (tda_str){id, n}) ? "" : "made up:");
        if (is_from_service(f, (tda_str){id, n})) buf_add(&out, id, n);
        rest = id + n;
    }
    buf_add_z(&out, rest);
    free(text);
    return buf_take(&out, NULL);
}

static char *joined(const struct player *p) {
    struct buf out;
    buf_init(&out, TRANSCRIPT_MAX);
    if (p->conn) buf_addf(&out, "%s\n", tda_test_conn_transcript(p->conn));
    if (p->call) buf_add_z(&out, tda_test_transcript(p->call));
    if (!p->call && !p->conn) buf_add_z(&out, "it did not start");
    return buf_take(&out, NULL);
}

static void collect(const struct player *p, struct outcome *ret) {
    ret->transcript = mask_ids(joined(p), p->plan->fixture);
    ret->started = p->call != NULL || p->conn != NULL;
    ret->text = p->call ? str_dup(tda_str_of(tda_test_text(p->call))) : NULL;
    ret->events = p->events;
    ret->bytes = p->offset;
    const struct tda_result *r = p->call ? tda_test_result(p->call) : NULL;
    ret->finished = r != NULL || (p->conn && !p->call);
    if (r) ret->cls = r->cls;
}

void play(struct tda_test *t, const struct plan *plan, struct outcome *ret) {
    struct player p = {.t = t, .plan = plan, .random = plan->random | 1};
    uint64_t emits = t->emits;
    *ret = (struct outcome){0};
    set_up(t, plan);
    if (plan->fixture->of_adapter)
        start_adapter(&p);
    else
        start_provider(&p);
    give_up(&p);
    ret->emits = t->emits - emits;
    if (p.conn) tda_test_conn_close(p.conn);
    collect(&p, ret);
    if (p.call) tda_test_forget(p.call);
    if (p.conn && p.conn->done) conn_forget(p.conn);
    t->refuse_at = 0;
    t->send_again = false;
    if (!plan->as_it_is) set_user(t, plan->fixture, false);
}

void outcome_fini(struct outcome *o) {
    free(o->transcript);
    free(o->text);
    free(o->sent);
    *o = (struct outcome){0};
}
