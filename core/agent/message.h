/* Conversations: from a caller's JSON to the SDK's model, and a history that grows during a turn. All memory is the arena's. */
#ifndef AGENT_MESSAGE_H
#define AGENT_MESSAGE_H

#include "base/arena.h"
#include "tda/message.h"
#include "json/json.h"

struct history {
    struct arena *arena;
    tda_str tag; /* "<provider>/<model>" of the snapshot that serves: opaque blobs with another tag are left out */
    const struct tda_msg **msgs;
    uint32_t n, cap;
    const struct json *past; /* a session's turns before this one, oldest first: lists of messages */
    uint32_t n_past;
    uint32_t own; /* where this turn's messages begin: behind system and past */
};

tda_status history_add(struct history *h, const struct tda_msg *m);
/* {"role": "user", "content": "text" | [parts]}; parts as answer_write writes them, and image, json, tool_result. */
tda_status history_add_json(struct history *h, struct json message, size_t index, struct error *e);
tda_status history_add_text(struct history *h, uint32_t role, tda_str text);

/* Each TOOL_USE and TOOL_RESULT gets the name that `rename` gives it; {NULL,0}: out of memory. */
tda_status history_rename_tools(struct history *h, tda_str (*rename)(void *arg, tda_str name), void *arg);

void message_write(const struct tda_msg *m, struct jw *w); /* as history_add_json reads it */

/* params.messages, or params.input; params.system and the past before it. E_INVALID says which member is wrong. */
tda_status history_from_params(struct history *h, struct json params, struct error *e);

/* Sampling, stop, reasoning, extra, stream, tool_choice of params into r. */
tda_status request_from_params(struct tda_request *r, struct json params, struct arena *arena, struct error *e);

#endif
