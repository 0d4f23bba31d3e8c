/* Anthropic's Messages API: the plugin's inside page.
 *
 *   anthropic.c  note; address, credential and headers; which operation asks what
 *   request.c    request -> body: tools, thinking, sampling, extra
 *   messages.c   conversation -> "system" and "messages"
 *   answer.c     events of a stream, or a whole answer -> parts
 *   models.c     VALIDATE, MODELS, COUNT
 *   errors.c     errors' words */
#ifndef ANTHROPIC_H
#define ANTHROPIC_H

#include "codec/codec.h"

/* A redacted_thinking block is a THINKING part without text whose blob begins with this. A signature is base64: it has no ':'. */
#define REDACTED_MARK "redacted:"

enum stage {
    STAGE_CHAT = 1,
    STAGE_COUNT,
    STAGE_MODELS,
    STAGE_VALIDATE_MODEL, /* GET models/MODEL */
    STAGE_VALIDATE_LIST,  /* GET models: without a model, at least the key */
    STAGE_VALIDATE_CHAT   /* a message of one token */
};

struct call {
    struct codec codec; /* first */
    struct text base_url;
    bool is_home;                          /* base_url is Anthropic's own host */
    uint32_t pages;                        /* of the model list, so far */
    uint64_t input, created, read, output; /* tokens, as the service counts; TDA_UNKNOWN */
    char reason[48];                       /* stop_reason; empty: none yet */
};

/* ---- anthropic.c ---- */

/* path as in "messages"; `step` (may be absent) is added to it, encoded. A body makes it a POST. */
void ask(struct call *c, enum stage stage, const char *path, tda_str step, tda_str body, bool stream);

/* ---- request.c, messages.c ---- */

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body);       /* false: the call has ended */
bool request_body_count(struct call *c, const struct tda_request *r, tda_str *ret_body); /* of messages/count_tokens */
bool request_body_probe(struct call *c, tda_str *ret_body); /* one token, to see whether the model answers */
tda_status messages_write(const struct codec *c, tda_json_writer *w, const struct tda_request *r);

/* ---- answer.c ---- */

void stream_item(struct codec *c, tda_str event, tda_str id, tda_str data);
void stream_end(struct call *c);   /* the connection has ended well */
void stream_whole(struct call *c); /* the body is the whole answer */

/* ---- models.c ---- */

void models_start(struct call *c, uint32_t op);
void models_answered(struct call *c); /* the answer of this stage is complete */

/* ---- errors.c ---- */

void read_error(const struct codec *c, tda_json root, struct said *ret);
uint32_t judge_error(const struct codec *c, const struct said *s, uint32_t by_status);

#endif
