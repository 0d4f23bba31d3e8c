/* The answer of one model call, put together from its events. One owner, on its loop. */
#ifndef AGENT_ANSWER_H
#define AGENT_ANSWER_H

#include "base/arena.h"
#include "base/buf.h"
#include "tda/message.h"
#include "json/json.h"

struct answer_part {
    uint32_t index; /* the provider's number */
    uint32_t kind;
    struct buf text;
    struct buf opaque;
    tda_str id, name; /* in the arena */
};

struct answer {
    struct arena *arena; /* borrowed: ids, names, the finished message */
    size_t max_bytes;
    size_t bytes;
    bool too_large; /* more came than max_bytes: the call is to be given up */
    struct answer_part *parts;
    size_t n_parts, cap_parts;
    struct tda_usage usage;
    bool has_usage;
    uint32_t stop; /* enum tda_stop; 0: not said */
    tda_str stop_raw, id, model;
};

void answer_init(struct answer *a, struct arena *arena, size_t max_bytes);
void answer_reset(struct answer *a); /* for another attempt */
void answer_fini(struct answer *a);
void answer_event(struct answer *a, const struct tda_event *event);

size_t answer_tool_uses(const struct answer *a);
/* An ASSISTANT message over the parts, in the arena, its texts copied there; `tag` marks opaque blobs ("openai/gpt-x"). */
const struct tda_msg *answer_message(const struct answer *a, tda_str tag);
/* Clean text of all TEXT parts. */
tda_status answer_text(const struct answer *a, struct buf *out);
/* "text": ..., "parts": [...], "stop": ...; opaque blobs with `tag`, so that the caller can send the parts back as they are. */
void answer_write(const struct answer *a, tda_str tag, struct jw *w);

void usage_add(struct tda_usage *sum, const struct tda_usage *u, bool first);
void usage_write(const struct tda_usage *u, struct jw *w); /* an object; unknown is null */
const char *stop_name(uint32_t stop);                      /* "end_turn" */

#endif
