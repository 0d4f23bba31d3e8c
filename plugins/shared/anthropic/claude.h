/* Anthropic's messages, for every plugin whose service speaks them: anthropic, and amazon by InvokeModel. The plugin knows where
 * the service is and how it is reached; what goes there and what comes back is here.
 *
 *   request.c    request -> body: tools, thinking, sampling, extra
 *   messages.c   conversation -> "system" and "messages"
 *   answer.c     events of a stream, or a whole answer -> parts
 *   errors.c     errors' words
 *
 * The plugin has a setting max_tokens. */
#ifndef ANTHROPIC_CLAUDE_H
#define ANTHROPIC_CLAUDE_H

#include "codec/codec.h"

/* A redacted_thinking block is a THINKING part without text whose blob begins with this. A signature is base64: it has no ':'. */
#define REDACTED_MARK "redacted:"

/* What an answer has said so far. */
struct claude {
    uint64_t input, created, read, output; /* tokens, as the service counts; TDA_UNKNOWN */
    char reason[48];                       /* stop_reason; empty: none yet */
};

void claude_init(struct claude *a);

/* ---- request.c: false: the call has ended ---- */

/* `version` absent: the body says the model, and whether to stream. Else the address says them, and the body the version. */
bool claude_body(struct codec *c, const struct tda_request *r, tda_str version, tda_str *ret_body);
bool claude_body_count(struct codec *c, const struct tda_request *r, tda_str *ret_body); /* of messages/count_tokens */
bool claude_body_probe(struct codec *c, tda_str version, tda_str *ret_body); /* one token, to see whether the model answers */

/* ---- messages.c ---- */

tda_status claude_messages(const struct codec *c, tda_json_writer *w, const struct tda_request *r);

/* ---- answer.c ---- */

void claude_event(struct codec *c, struct claude *a, tda_str event, tda_str data); /* one of a stream; its name may be absent */
void claude_end(struct codec *c);                     /* the connection has ended well, and the stream was not complete */
void claude_whole(struct codec *c, struct claude *a); /* the body is the whole answer */
bool claude_is_answer(struct codec *c);               /* the body is one, whatever it says */

/* ---- errors.c ---- */

void claude_read_error(tda_json root, struct said *ret);
uint32_t claude_judge(const struct said *s, uint32_t by_status);

#endif
