/* What the provider plugins of this tree share: one call from its request to its end. A plugin adds how its service is asked and
 * what its answers mean (struct codec_ops); everything around that is here, once.
 *
 *   codec.c   what the host calls: start, flow events, wake, cancel, drop
 *   http.c    settings -> address and headers; opens the flow; reads the answer's head
 *   parts.c   text, thinking and tool calls of an answer, numbered and in order -> SDK events
 *   out.c     events to the host; the end of a call
 *   errors.c  a refusal, or an error inside an answer -> class, code, text, and how long to wait
 *   write.c   JSON members in one line each; the caller's `extra`
 *   turns.c   the conversation as turns of user and assistant
 *   text.c    growing bytes with a maximum; words
 *
 * Everything belongs to one call and to its loop; nothing is shared, nothing is locked. [loop] throughout. It is linked into each
 * plugin: nothing in here has anything that a plugin of yours would not have. */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>

#include "tda/plugin.h"

enum {
    REQUEST_MAX = 64 << 20,     /* bytes of a body, and of one text in it                                            */
    BODY_MAX = 32 << 20,        /* of a whole answer                                                                 */
    ERROR_BODY_MAX = 64 << 10,  /* of a refusal's body; the rest is not read                                         */
    TOOL_CALLS_MAX = 128,       /* in one answer                                                                     */
    TOOL_TEXT_MAX = 4 << 20,    /* of a tool call's id, or of arguments that came before its name                    */
    URL_PART_MAX = 4096,        /* base_url; a model's name                                                          */
    URL_MAX = 4 * URL_PART_MAX, /* with the name encoded                                                             */
    RETRY_MAX_MS = 24 * 3600 * 1000
};

extern const struct tda_host *codec_host;
extern const struct tda_json_api *codec_json;

static inline const struct tda_json_api *json(void) {
    return codec_json;
}

/* ---- text.c ---- */

/* The first failure (E_LIMIT, E_NOMEM) stays in status; what is added later is dropped. Zeroed is empty. */
struct text {
    char *p;
    size_t n, cap;
    tda_status status;
};

void text_add(struct text *t, tda_str s, size_t max);
void text_add_z(struct text *t, const char *s, size_t max);
/* One step of a URL's path: all but RFC 3986's unreserved characters percent-encoded, so that "org/model" stays one step. */
void text_add_step(struct text *url, tda_str name);
tda_str text_str(const struct text *t); /* never absent */
void text_clear(struct text *t);        /* keeps the memory */
void text_fini(struct text *t);

/* Copies what fits into out as one line of clean text: control bytes and runs of space become one space, cut between characters. */
void line_copy(char *out, size_t size, tda_str s);
bool text_has_nocase(tda_str s, const char *part);
bool text_equal_nocase(tda_str s, const char *word);
/* Digits, with a fraction; false for anything else. */
bool text_number(tda_str s, double *ret);

/* ---- a call ---- */

/* How the call ends. */
struct fault {
    uint32_t cls; /* enum tda_class */
    int64_t retry_ms;
    int32_t http_status;
    char code[96];
    char text[480];
};

/* What the answer's headers said. */
struct reply {
    int32_t status; /* 0: no answer yet */
    int64_t retry_ms;
    bool must_not_retry; /* x-should-retry: false */
    char content_type[64];
    char error_type[96]; /* x-amzn-errortype */
};

/* What an error says of itself. Absent: not said. */
struct said {
    tda_str code, type, message;
    int64_t retry_ms; /* -1: not said */
    tda_json root;    /* all of it, for judge; NONE when it was no JSON */
};

struct tool {
    int64_t key;   /* the service's index */
    uint32_t part; /* ours, once `open` */
    bool open;     /* PART_START was emitted */
    bool closed;   /* PART_STOP was emitted */
    struct text id;
    struct text early; /* arguments that came before the name */
};

/* The answer as far as it has come. */
struct parts {
    bool started;       /* START was emitted */
    bool closed;        /* STOP was emitted */
    uint32_t n;         /* numbers given out */
    uint32_t open_kind; /* of the running text or thinking part; 0: none */
    uint32_t open_part;
    uint32_t n_tools;
    struct tool *tools; /* TOOL_CALLS_MAX of them, made when the first comes */
};

struct codec_ops;

/* The first member of a plugin's own struct for a call, in host->state(call). */
struct codec {
    const struct codec_ops *ops;
    tda_call handle;
    tda_flow flow;
    uint32_t op;    /* enum tda_op */
    uint32_t stage; /* the plugin's own; which of its requests is under way */
    bool streaming; /* items of a 2xx answer go to ops->item as they come; else the answer is collected in `body` */
    bool over;      /* the end was said */
    bool whole;     /* the answer is whole; only the connection's end is missing */
    bool has_usage;
    struct tda_usage usage; /* sent with the end of the answer */
    struct text model;
    struct text body; /* of an answer that is not a stream, or of a refusal */
    struct reply reply;
    struct parts parts;
    struct fault fault;
    char request_id[128];
};

/* One service. All but `judge`, `wake` and `fini` are required. */
struct codec_ops {
    const char *name;           /* the plugin's id, for texts */
    const char *address_advice; /* what to look at when the service does not know the address: "does base_url end with /v1?" */
    const char *const *request_id_headers; /* NULL-terminated, lower case: where the answer's id stands, best first */

    /* Begin: make the request and codec_send it, or end the call. `model` is set. */
    void (*start)(struct codec *c, const struct tda_request *r);
    /* One item of a stream (framing). */
    void (*item)(struct codec *c, tda_str name, tda_str id, tda_str data);
    /* The answer is complete: a refusal, a whole answer in `body`, or the end of a stream. codec_is_success tells the first. */
    void (*answered)(struct codec *c);
    /* An error's JSON (absent when it was none) -> what it says. */
    void (*read_error)(const struct codec *c, tda_json root, struct said *ret);
    /* The class of an error, finer than by_status (what HTTP alone says; OK inside an answer); OK: nothing finer. */
    uint32_t (*judge)(const struct codec *c, const struct said *said, uint32_t by_status);
    void (*fini)(struct codec *c);
};

/* The functions of struct tda_provider, and boot: a plugin's provider table names them (CODEC_PROVIDER). `codec_start` finds the
 * ops in codec_service, which each plugin defines. */
extern const struct codec_ops codec_service;
tda_status codec_boot(void);
tda_status codec_start(void *self, tda_call call, const struct tda_request *r);
void codec_on_flow(void *self, tda_call call, const struct tda_flow_event *e);
void codec_on_wake(void *self, tda_call call, uint64_t token);
void codec_cancel(void *self, tda_call call);
void codec_drop(void *self, tda_call call);

#define CODEC_PROVIDER(call_struct)                                                                                                \
    {                                                                                                                              \
        .size = sizeof(struct tda_provider), .call_state_size = sizeof(call_struct), .start = codec_start,                         \
        .on_flow = codec_on_flow, .on_wake = codec_on_wake, .cancel = codec_cancel, .drop = codec_drop                             \
    }

/* The rest of a plugin: its tables and its entry. */
#define CODEC_PLUGIN(id, version, call_struct)                                                                                     \
    static const struct tda_provider provider = CODEC_PROVIDER(call_struct);                                                       \
    static const void *interface(tda_str which) {                                                                                  \
        return tda_str_eq(which, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;                                                     \
    }                                                                                                                              \
    static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, id, version, codec_boot, interface};                    \
    TDA_PLUGIN_ENTRY(const struct tda_host *host) {                                                                                \
        if (host->abi_major != TDA_ABI_MAJOR || !TDA_HAS(host, struct tda_host, flow_abort)) return NULL;                          \
        codec_host = host;                                                                                                         \
        return &plugin;                                                                                                            \
    }                                                                                                                              \
    _Static_assert(sizeof(call_struct) <= 64 << 10, "state of a call is at most 64 KiB")

bool codec_is_success(const struct codec *c); /* status 200 to 299 */
/* The body as JSON. Out of memory ends the call; else an answer that is none is left to the caller. */
bool codec_parse_body(struct codec *c, tda_json *ret_root);
/* The answer is whole: close it, then wait a little for the connection's end, so that it can be used again, and end the call. */
void codec_whole(struct codec *c, uint32_t stop, tda_str raw);

/* ---- out.c ---- */

/* One that the host does not take ends the call. */
void out_event(struct codec *c, const struct tda_event *e);
/* A model of a list; the id is its name where it has none. Without an id: nothing. */
void out_model(struct codec *c, tda_str id, tda_str name);

/* Ends the call; the first end counts. The text says what, where and what to do. */
void call_fail(struct codec *c, uint32_t cls, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void call_fail_memory(struct codec *c);
void call_succeed(struct codec *c);
/* Ends the call with c->fault, which the caller has filled in. */
void call_end(struct codec *c);

/* ---- http.c ---- */

struct codec_request {
    tda_str url;
    tda_str body;          /* absent: GET */
    uint32_t framing;      /* of a stream; TDA_FRAME_NONE: the answer is collected */
    const tda_kv *headers; /* those without a value are left out */
    uint32_t n_headers;
    const struct tda_auth *auth;
};

/* A failure ends the call. */
void codec_send(struct codec *c, const struct codec_request *r);
/* An address that was put together; one that did not fit, or had no memory, ends the call: false. */
bool codec_url_is_good(struct codec *c, const struct text *url);
void codec_read_head(struct codec *c, const struct tda_flow_event *e);
tda_str codec_setting(const struct codec *c, tda_str name); /* absent: unset */
tda_str codec_context(const struct codec *c, uint32_t key); /* a field of the user's context; absent: unset */
/* A text member of a context field that is an object: azure_deployment_details.endpoint. Lives until the callback returns. */
tda_str codec_context_member(const struct codec *c, uint32_t key, tda_str member);
/* An address without '/' at its end into `out`. One with a query or fragment, or too long, ends the call: false. */
bool codec_base_url(struct codec *c, tda_str url, struct text *out);
tda_str codec_host_of(tda_str url); /* "https://u@api.example.com:1/v1" -> "api.example.com" */

/* ---- parts.c ---- */

void part_start_answer(struct codec *c, tda_str id, tda_str model); /* START, once */
/* Text or thinking; a part of another kind that runs ends first. Empty text does nothing. */
void part_text(struct codec *c, uint32_t part_kind, tda_str text);
/* A new text or thinking part, even after one of the same kind. */
void part_begin(struct codec *c, uint32_t part_kind);
void part_end(struct codec *c); /* of the running text or thinking part, if there is one */
/* An opaque blob for a part; for the running one: c->parts.open_part while open_kind is set. */
void part_signature(struct codec *c, uint32_t part, tda_str blob);

/* The newest tool call with this key; NULL: none. */
struct tool *tool_find(struct codec *c, int64_t key);
struct tool *tool_new(struct codec *c, int64_t key); /* NULL: the call has ended */
/* Its name is known: PART_START. Without an id one is made, unlike all others of this and earlier turns. */
void tool_open(struct codec *c, struct tool *t, tda_str id, tda_str name);
void tool_args(struct codec *c, struct tool *t, tda_str text); /* kept until the call is open */
void tool_close(struct codec *c, struct tool *t);

/* Ends what runs, sends usage and STOP. A tool call without a name ends the call with PROTOCOL. */
void answer_close(struct codec *c, uint32_t stop, tda_str raw);
void parts_fini(struct parts *p);

/* A token count at `path` of a usage object; TDA_UNKNOWN when it is not there. */
uint64_t count_at(tda_json usage, const char *path);
/* The end of COUNT: where the answer says how many tokens go in, and how many of them come from a cache (NULL: it does not). */
void count_answered(struct codec *c, const char *input, const char *cached);

/* ---- errors.c ---- */

struct word_class {
    const char *word;
    uint32_t cls;
};
/* OK: not among them. Case does not matter. */
uint32_t word_class_find(const struct word_class *words, size_t n, tda_str word);

void errors_from_reply(struct codec *c);                /* status and c->body -> c->fault, and ends the call */
void errors_from_event(struct codec *c, tda_json root); /* an error inside a stream or a 200 answer: likewise */
/* The body of a 2xx answer, or an event, is not what it should be. */
void errors_not_json(struct codec *c, const char *what);
int64_t errors_retry_after(tda_str value, tda_str date);
int64_t errors_retry_after_ms(tda_str value);
int64_t errors_bounded_ms(double ms);

/* ---- write.c ---- */

void put_str(tda_json_writer *w, tda_str key, tda_str value); /* absent is written as "" */
void put_raw(tda_json_writer *w, tda_str key, tda_str value);
void put_bool(tda_json_writer *w, tda_str key, bool value);
void put_u64(tda_json_writer *w, tda_str key, uint64_t value);
void put_f64(tda_json_writer *w, tda_str key, double value);
void put_object(tda_json_writer *w, tda_str key); /* begins one; json()->end_object ends it */
void put_array(tda_json_writer *w, tda_str key);
void put_list(tda_json_writer *w, tda_str key, const tda_str *texts, uint32_t n);
/* A JSON text that must be an object as the value of key; empty or something else: {}. */
void put_object_text(tda_json_writer *w, const struct codec *c, tda_str key, tda_str text);

/* The caller's own members. They win over ours, but for those in `ours` (NULL-terminated), which the codec depends on: E_INVALID,
 * and c->fault says why. */
tda_status extra_read(struct codec *c, const struct tda_request *r, const char *const *ours, tda_json *ret_extra);
bool extra_gives(tda_json extra, tda_str key);
void extra_put(tda_json_writer *w, tda_json extra);
void extra_put_but(tda_json_writer *w, tda_json extra, const char *name); /* all but one, which was merged into ours */
/* The finished body; a failure ends the call: false. `s`: how writing went so far (E_INVALID: c->fault says why). */
bool body_take(struct codec *c, tda_json_writer *w, tda_status s, tda_str *ret_body);

/* ---- turns.c ---- */

/* Most services want user and assistant in turn, and no empty turn: neighbours of one role are written as one,
 *     {"role": "user", "content": [part, part]}
 * and a turn begins with the first part that there is to write. */
struct turns {
    tda_json_writer *w;
    const char *user, *assistant, *parts; /* the service's words: "user", "model", "parts" */
    uint32_t role;                        /* of the turn that is open; 0: none */
};

void turns_part(struct turns *t, uint32_t role); /* a part of that role is about to be written */
void turns_end(struct turns *t);

/* Everything but SYSTEM, in order. Messages of one role that follow one another are gone through twice: for their tool results,
 * which services want right behind the calls (`results`); then for all their parts. */
typedef void (*part_visit)(void *arg, uint32_t role, const struct tda_part *p, bool results);
void turns_each(const struct tda_request *r, part_visit visit, void *arg);
uint32_t system_each(const struct tda_request *r, part_visit visit,
                     void *arg); /* SYSTEM's texts; returns how many. visit or NULL */

/* A chat of next to no tokens, to see whether the model answers. It lives in `p`. */
struct probe {
    struct tda_part part;
    struct tda_msg msg;
    struct tda_request request;
    const struct tda_part *parts[1];
    const struct tda_msg *msgs[1];
};
const struct tda_request *probe_request(const struct codec *c, struct probe *p, uint64_t max_tokens);

/* ---- parts of messages ---- */

bool part_is_text(const struct tda_part *p);  /* TEXT or JSON with something in it */
bool part_has_ink(const struct tda_part *p);  /* and not just space, which some services refuse */
bool part_is_image(const struct tda_part *p); /* with data or an address */
tda_str member(tda_json v, const char *name); /* a text member; absent: none */

#endif
