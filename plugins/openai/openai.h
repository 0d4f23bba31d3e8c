/* OpenAI Chat Completions, and the many services that speak the same: the plugin's inside page.
 *
 *   openai.c    note, entry, what the host calls; which operation gets which event
 *   http.c      settings -> address, headers, credential; opens the flow; reads the answer's headers
 *   request.c   request -> body: tools, sampling, extra
 *   messages.c  conversation -> "messages"
 *   stream.c    events of a stream, or a whole answer -> chunks; is it complete?
 *   answer.c    chunks -> SDK events
 *   errors.c    status, headers, error bodies -> class, code, text
 *   models.c    VALIDATE and MODELS
 *   out.c       events to the host; those that it cannot take now are kept
 *   text.c      growing bytes with a maximum
 *
 * Everything belongs to one call and to its loop; nothing is shared, nothing is locked. [loop] throughout. */
#ifndef OPENAI_H
#define OPENAI_H

#include <stdbool.h>

#include "tda/plugin.h"

#define OPENAI_BASE_URL "https://api.openai.com/v1"

enum {
    REQUEST_MAX = 64 << 20,     /* bytes of a body, and of one text in it                                            */
    BODY_MAX = 32 << 20,        /* of a whole answer                                                                 */
    ERROR_BODY_MAX = 64 << 10,  /* of a refusal's body; the rest is not read                                         */
    HELD_MAX = 64 << 20,        /* of events that wait for the consumer                                              */
    TOOL_CALLS_MAX = 128,       /* in one answer                                                                     */
    TOOL_TEXT_MAX = 4 << 20,    /* of a tool call's id, or of arguments that came before its name                    */
    URL_PART_MAX = 4096,        /* base_url; a model's name */
    URL_MAX = 4 * URL_PART_MAX, /* with the name encoded */
    RETRY_MAX_MS = 24 * 3600 * 1000
};

extern const struct tda_host *openai_host;
extern const struct tda_json_api *openai_json;

/* ---- text.c ---- */

/* The first failure (E_LIMIT, E_NOMEM) stays in status; what is added later is dropped. Zeroed is empty. */
struct text {
    char *p;
    size_t n, cap;
    tda_status status;
};

void text_add(struct text *t, tda_str s, size_t max);
void text_add_z(struct text *t, const char *s, size_t max);
tda_str text_str(const struct text *t); /* never absent */
void text_clear(struct text *t);        /* keeps the memory */
void text_fini(struct text *t);

/* Copies what fits into out as one line of clean text: control bytes and runs of space become one space, cut between characters. */
void line_copy(char *out, size_t size, tda_str s);
bool text_has_nocase(tda_str s, const char *part);
bool text_equal_nocase(tda_str s, const char *word);

/* ---- a call ---- */

enum stage {
    STAGE_CHAT = 1,
    STAGE_MODELS,
    STAGE_VALIDATE_MODEL, /* GET models/MODEL */
    STAGE_VALIDATE_LIST,  /* GET models */
    STAGE_VALIDATE_CHAT   /* a chat of one token */
};

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
};

struct tool {
    int64_t key;   /* the service's index */
    uint32_t part; /* ours, once `open` */
    bool open;     /* PART_START was emitted */
    struct text id;
    struct text early; /* arguments that came before the name */
};

struct answer {
    bool started;       /* START was emitted */
    bool closed;        /* STOP was emitted */
    bool refused;       /* the model declined in a `refusal` */
    uint32_t n_parts;   /* numbers given out */
    uint32_t open_kind; /* of the running text or thinking part; 0: none */
    uint32_t open_part;
    uint32_t n_tools;
    struct tool *tools; /* TOOL_CALLS_MAX of them, made when the first comes */
    char reason[48];    /* finish_reason; empty: none yet */
    bool has_usage;
    struct tda_usage usage;
};

struct held;

struct call {
    tda_call handle;
    tda_flow flow;
    uint32_t stage; /* enum stage */
    bool streaming;
    bool is_openai; /* base_url is OpenAI's own host */
    bool over;      /* finish was said, or waits behind held events */
    bool finished;  /* finish was said to the host */
    bool done;      /* [DONE] came */
    struct text base_url;
    struct text model;
    struct text body; /* of an answer that is not a stream */
    struct reply reply;
    struct answer answer;
    struct fault fault;
    char request_id[128];
    struct held *held, **held_end;
    size_t held_bytes;
};

/* Ends the call; the first end counts. The text says what, where and what to do. */
void call_fail(struct call *c, uint32_t cls, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void call_fail_memory(struct call *c);
void call_succeed(struct call *c);
/* Ends the call with c->fault, which the caller has filled in. */
void call_end(struct call *c);

/* ---- out.c ---- */

void out_event(struct call *c, const struct tda_event *e);
void out_flush(struct call *c); /* the consumer has caught up */
void out_fini(struct call *c);

/* ---- http.c ---- */

bool http_prepare(struct call *c); /* settings -> c->base_url, c->is_openai; false: the call has ended */
/* path as in "chat/completions"; name (may be absent) is added as one percent-encoded step. A failure ends the call. */
void http_open(struct call *c, const char *path, tda_str name, tda_str body);
void http_read_headers(struct call *c, const struct tda_flow_event *e);

/* ---- request.c, messages.c ---- */

/* E_INVALID: c->fault says why. ret_body lives until the callback returns. */
tda_status request_body(struct call *c, const struct tda_request *r, tda_str *ret_body);
tda_status request_body_probe(struct call *c, tda_str *ret_body); /* one token, to see whether the model answers */
tda_status messages_write(const struct call *c, tda_json_writer *w, const struct tda_request *r);

/* ---- stream.c, answer.c ---- */

void stream_item(struct call *c, tda_str event, tda_str data);
void stream_end(struct call *c);   /* the connection has ended well */
void stream_whole(struct call *c); /* c->body is the whole answer */
/* member: "delta" in a stream, "message" in a whole answer. */
void answer_read(struct call *c, tda_json root, const char *member);
void answer_close(struct call *c);
void answer_fini(struct answer *a);

/* ---- errors.c ---- */

void errors_from_reply(struct call *c);                 /* status and c->body -> c->fault, and ends the call */
void errors_from_event(struct call *c, tda_json error); /* an error inside a stream or a 200 answer: likewise */
int64_t errors_retry_after(tda_str value, tda_str date);
int64_t errors_retry_after_ms(tda_str value);

/* ---- models.c ---- */

void models_start(struct call *c);
void models_answered(struct call *c); /* the answer of this stage is complete */

#endif
