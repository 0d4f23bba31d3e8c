/* Inside of the test host: what tda/test.h promises, and what the checker looks at besides.
 *
 *   module.c   a file becomes a plugin: note, dlopen, entry, boot, tables; instances on threads
 *   table.c    struct tda_host: each function finds the handle's owner, checks, and writes down what is wrong
 *   subject.c  what calls and connections share: callbacks, timers, wakes, the order in which deferred things happen
 *   call.c, conn.c, flow.c   the three kinds of handle
 *   record.c   faults, copies of events, transcripts
 *
 * Handles and "tda.json/1" are the host's own (core/plugin/handles.c, json_ext.c), and so are the framers. */
#ifndef KIT_H
#define KIT_H

#include <pthread.h>

#include "base/arena.h"
#include "plugin/plugin_impl.h"
#include "tda/test.h"

/* Settings have key 0, credentials this one, fields of the context their own. */
enum { KIT_SECRET = UINT16_MAX };
enum { CONTEXT_KEYS = TDA_CTX_SERVER_CONFIGS + 1 };

enum { FAULTS_MAX = 64, VALUES_MAX = 64, KIT_TIMERS_MAX = 16, SETTLE_MAX = 10000, TRANSCRIPT_MAX = 64 << 20, LENT_BYTE = 0xDD };

/* ---- a plugin's file, once in a process ---- */

/* As the host loads it (core/plugin/load.c), but from any owner. `host` is the table that the entry gets. The error is a sentence.
 */
tda_status kit_load(const char *file, const struct tda_host *host, struct loaded *ret, struct error *e);
/* The file as loaded with kit_host_table; the second time the same one, since an entry runs once in a process. */
tda_status kit_module(const char *file, const struct loaded **ret, struct error *e);
/* An instance of `m` on this thread: open has been called. */
tda_status kit_open(const struct loaded *m, struct tda_test **ret, struct error *e);
extern const struct tda_host kit_host_table;

/* ---- what is held against a plugin ---- */

struct kit_fault {
    char *text;
    unsigned times;
};

/* Once for each text. [any] */
void kit_fault(struct tda_test *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Said by a thread that has no instance: kept for the process. */
void kit_fault_elsewhere(const char *text);
const char *kit_fault_from_elsewhere(void); /* NULL: none */

/* ---- subjects: calls and connections ---- */

struct kit_timer {
    uint64_t token;
    int64_t at_ms;
    uint64_t order; /* among those of the same time */
};

struct subject {
    struct owner owner; /* first: handles.c and json_ext.c know it */
    struct tda_test *test;
    struct tda_test_flow *flows, **flows_end;
    unsigned n_flows, n_open;
    struct kit_timer timers[KIT_TIMERS_MAX];
    unsigned n_timers, n_wakes;
    struct arena memory;
    struct buf transcript;
    struct tda_event last; /* kind and index of the event that the transcript ends with; kind 0: something else */
};

struct kit_event {
    struct kit_event *next;
    struct tda_event event;
};

struct tda_test_call {
    struct subject subject; /* first */
    LIST_ENTRY(tda_test_call) entry;
    struct tda_test_conn *conn; /* NULL: of a provider */
    uint32_t op;
    char *put[CONTEXT_KEYS]; /* what VALIDATE set, by key: of the candidate, not of the user */
    bool started, finished, done, cancelled, timed_out, missing_secret;
    struct tda_result result;
    struct kit_event *events, **events_end;
    size_t n_events;
    struct buf text;
};

enum { ASKS_OPEN_MAX = 8 };

struct tda_test_conn {
    struct subject subject; /* first */
    LIST_ENTRY(tda_test_conn) entry;
    uint32_t state;            /* READY, FAILED, CLOSED */
    char *url;                 /* NULL: a process */
    char *asks[ASKS_OPEN_MAX]; /* ids of its open questions */
    bool closing, done;
    void *object;
    void (*object_drop)(void *self, void *object);
};

struct tda_test_flow {
    struct tda_test_flow *next;
    struct subject *subject;
    uint64_t handle;
    struct tda_flow_request request;
    struct tda_auth auth;
    struct framer *framer;
    int32_t status;
    bool by_type; /* framed once the answer's type is known */
    bool open, answered, stdin_closed, owes_writable;
    struct buf sent; /* to a process */
    size_t taken;
    char *line;
};

struct kit_value {
    char *name, *value;
    uint32_t key;
};

struct kit_wake {
    struct kit_wake *next;
    tda_handle handle;
    uint64_t token;
};

struct kit_spent {
    const char *callback;
    int64_t wall_ns, cpu_ns, waited; /* waited: how often the thread gave up its processor by itself */
};

struct tda_test {
    struct plugin_loop pl; /* of handles.c and json_ext.c */
    const struct loaded *module;
    struct plugins plugins; /* of handles.c: nothing but counters */
    void *provider_self, *adapter_self;
    struct kit_value values[VALUES_MAX];
    size_t n_values;
    char *address; /* of kit_setting */
    LIST_HEAD(kit_calls, tda_test_call) calls;
    LIST_HEAD(kit_conns, tda_test_conn) conns;
    pthread_mutex_t lock; /* of wakes and faults: wake is [any] */
    struct kit_wake *wakes, **wakes_end;
    struct kit_fault faults[FAULTS_MAX];
    size_t n_faults;
    uint32_t server_era, server_asks;
    int64_t now_ms;
    uint64_t order;
    uint64_t emits, refuse_at; /* number of the emit that is refused; 0: none */
    tda_status refuse_status;
    bool on_worker;  /* run of a blocking provider is under way */
    bool send_again; /* flow_send answers AGAIN once */
    void *object;
    void (*object_drop)(void *self, void *object);
    const char *callback; /* that runs; NULL: none */
    int64_t entered_wall_ns, used_read_ns, used_cpu_ns;
    long used_waits;
    struct kit_spent longest;
    bool gives_way; /* after each callback, so that what runs beside it comes between */
    uint64_t callbacks, drops, starts;
};

tda_status subject_init(struct subject *s, enum handle_kind kind, struct tda_test *t, size_t state_size);
void subject_quiet(struct subject *s); /* flows aborted, timers off, handle ended, state gone */
void subject_fini(struct subject *s);
tda_status subject_timer(struct subject *s, uint64_t token, uint32_t ms);
tda_status subject_wake(tda_handle h, uint64_t token);
bool subject_waits(const struct subject *s);         /* for a flow, a timer or a wake */
int64_t kit_next_timer_ms(const struct tda_test *t); /* -1: none */
void kit_here(struct tda_test *t);
/* The instance of the calling thread, or NULL. */
struct tda_test *kit_current(void);
/* Where the name of the running callback is written to as well, 32 bytes: for who looks on from another process. NULL: nowhere. */
extern char *kit_mark;
void kit_enter(struct tda_test *t, const char *callback);
void kit_leave(struct tda_test *t);
/* Wakes, ends and drops, until nothing is left to do. */
void kit_settle(struct tda_test *t);

/* ---- call.c ---- */

tda_status call_take_event(struct tda_test_call *c, const struct tda_event *event);
tda_status call_take_finish(struct tda_test_call *c, const struct tda_result *result);
void call_end(struct tda_test_call *c, uint32_t cls, const char *text);
void call_deliver(struct tda_test_call *c, const struct tda_flow_event *event);
void call_woken(struct tda_test_call *c, uint64_t token);
bool calls_settle(struct tda_test *t); /* did something happen? */
struct tda_test_call *call_new(struct tda_test *t, struct tda_test_conn *conn, size_t state_size);
tda_status call_begun(struct tda_test_call *c, tda_status s);

/* ---- conn.c ---- */

tda_status conn_take(struct tda_test_conn *c, const struct tda_conn_event *event);
void conn_deliver(struct tda_test_conn *c, const struct tda_flow_event *event);
void conn_woken(struct tda_test_conn *c, uint64_t token);
void conn_force(struct tda_test_conn *c); /* closed, whatever it waits for */
bool conns_settle(struct tda_test *t);
void conn_forget(struct tda_test_conn *c);

/* ---- flow.c ---- */

tda_status flow_begin(struct subject *s, const struct tda_flow_request *r, tda_flow *ret);
struct tda_test_flow *flow_find(struct subject *s, tda_flow h);
bool flows_settle(struct tda_test *t);
void flow_abort_one(struct tda_test_flow *f);
void flow_free(struct tda_test_flow *f);

/* ---- record.c ---- */

const char *kit_value(const struct tda_test *t, const char *name, uint32_t key);
/* What host->setting gives: the user's, of base_url first the member of the context that the note names, else the note's default.
 * Until the next call of this. */
const char *kit_setting(struct tda_test *t, const struct setting_rule *r);
const struct setting_rule *kit_rule(const struct tda_test *t, tda_str name);
void record_event(struct subject *s, const struct tda_event *e);
void record_line(struct subject *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void record_text(struct subject *s, const char *name, tda_str text); /* ` name="text"`, when there is one */
tda_status record_copy(struct arena *a, const struct tda_event *e, struct tda_event *ret);
const char *class_name(uint32_t cls);
const char *event_name(uint32_t kind);
bool is_lent_memory(tda_str s); /* does it hold what a callback's memory is filled with afterwards? */

#endif
