/* Inside of the MCP adapter. One struct session for each connection (it is the connection's state), one struct pending for each
 * call (the call's state); all on the loop's thread. */
#ifndef MCP_H
#define MCP_H

#include "tda/plugin.h"

enum { IN_FLIGHT_MAX = 256, PAGES_MAX = 1000, QUEUE_MAX = 4 << 20, GARBAGE_MAX = 100, STDERR_KEPT = 240 };

enum phase { PHASE_NONE, PHASE_GREETING, PHASE_READY, PHASE_OVER };

struct pending {
    struct pending *next;
    tda_call call;
    int64_t id; /* of the JSON-RPC request; 0: none is out */
    uint32_t op;
    uint32_t pages;
    char *cursor; /* of the page asked for last; NULL: the first */
};

struct session {
    tda_conn conn;
    tda_flow flow;
    enum phase phase;
    int64_t last_id, greeting_id;
    struct pending *pending;
    uint32_t n_pending;
    uint32_t garbage; /* lines on stdout that were no JSON-RPC */
    uint32_t has_tools, has_prompts, has_resources, has_completions;
    char *queue; /* what the pipe had no room for */
    size_t queue_n;
    char last_words[STDERR_KEPT]; /* of stderr, for "the server ended" */
};

extern const struct tda_host *mcp_host;
extern const struct tda_json_api *mcp_json;

/* ---- wire.c ---- */

/* A request or notification up to and with its params object, which is left open: fields follow, then wire_send. id 0: a
 * notification. NULL when memory is out. */
tda_json_writer *wire_begin(struct session *s, int64_t id, const char *method);
tda_status wire_send(struct session *s, tda_json_writer *w);                                        /* closes params and message */
tda_status wire_answer(struct session *s, tda_json id, int64_t error_code, const char *error_text); /* 0: an empty result */
tda_status wire_flush(struct session *s);                                                           /* there is room again */
void put_text(tda_json_writer *w, const char *key, tda_str value);

/* ---- session.c ---- */

tda_status session_connect(void *self, tda_conn conn, const struct tda_server *server);
void session_flow(void *self, tda_conn conn, const struct tda_flow_event *event);
void session_wake(void *self, tda_conn conn, uint64_t token);
void session_close(void *self, tda_conn conn);
void session_drop(void *self, tda_conn conn);
/* The server breaks the protocol: the connection ends. */
void session_fail(struct session *s, uint32_t cls, const char *text);

/* ---- calls.c ---- */

tda_status calls_start(void *self, tda_conn conn, tda_call call, const struct tda_adapter_request *request);
void calls_cancel(void *self, tda_conn conn, tda_call call);
void calls_drop(void *self, tda_conn conn, tda_call call);
void calls_answer(struct session *s, tda_json message); /* a response with an id of ours */
void calls_progress(struct session *s, tda_json params);

/* ---- content.c ---- */

/* Emits what a result holds; false when it is not of the right form. */
int content_items(tda_call call, uint32_t op, tda_json result);
int content_tool_result(tda_call call, tda_json result);

#endif
