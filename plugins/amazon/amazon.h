/* Amazon Bedrock: the plugin's inside page.
 *
 *   amazon.c    note; credentials; which operation asks what
 *   address.c   region, base_url, and what the name of a model says
 *   request.c   request -> body of converse and count-tokens: tools, sampling, extra
 *   messages.c  conversation -> "system" and "messages"
 *   answer.c    events of a stream, or a whole answer -> parts
 *   invoke.c    Anthropic's own messages by InvokeModel, in place of Converse
 *   models.c    VALIDATE, MODELS, COUNT
 *   errors.c    errors' words */
#ifndef AMAZON_H
#define AMAZON_H

#include "anthropic/claude.h"

enum { REGION_SIZE = 40 };

enum stage {
    STAGE_CHAT = 1,
    STAGE_COUNT,
    STAGE_VALIDATE,
    STAGE_MODELS,  /* GET foundation-models */
    STAGE_PROFILES /* GET inference-profiles, page by page */
};

struct call {
    struct codec codec; /* first */
    char region[REGION_SIZE];
    struct text base_url; /* empty: AWS's own hosts, by the region */
    uint32_t pages;       /* of the profiles, so far */
    bool passing_over;    /* the running block of a stream is a tool's that runs at the service */
    bool invoke;          /* asked by InvokeModel */
    struct claude claude; /* then: what the answer has said */
    char reason[48];      /* Converse: stopReason; empty: none yet */
    tda_str exception;    /* in a stream: its name, and its text where that is no JSON; while they are read */
    tda_str exception_text;
};

/* ---- amazon.c ---- */

void ask_model(struct call *c, enum stage stage, const char *verb, tda_str body, bool stream);
void ask_list(struct call *c, enum stage stage, const char *path, tda_str step); /* step, encoded, behind the path; may be absent */

/* ---- address.c ---- */

bool address(struct call *c); /* fills in region and base_url; false: the call has ended */
/* "arn:aws:bedrock:R:ACCOUNT:inference-profile/us.anthropic.claude-x" -> "anthropic"; absent: the name does not say it. */
tda_str model_vendor(tda_str model);
bool model_is_arn(tda_str model);

/* ---- request.c, messages.c ---- */

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body); /* false: the call has ended */
bool request_body_count(struct call *c, const struct tda_request *r, tda_str *ret_body);
bool request_body_probe(struct call *c, tda_str *ret_body); /* a few tokens, to see whether the model answers */
tda_status messages_write(struct codec *c, tda_json_writer *w, const struct tda_request *r);

/* ---- answer.c ---- */

void stream_item(struct codec *c, tda_str name, tda_str kind, tda_str data);
void stream_end(struct call *c);   /* the connection has ended well */
void stream_whole(struct call *c); /* the body is the whole answer */

/* ---- invoke.c ---- */

/* Sets `invoke` by the setting api; false: the call has ended, for it cannot be. */
bool invoke_choose(struct call *c);
bool invoke_body(struct call *c, const struct tda_request *r, tda_str *ret_body); /* likewise */
void invoke_chunk(struct call *c, tda_json root);                                 /* an event of a stream */

/* ---- models.c ---- */

void models_start(struct call *c, uint32_t op);
void models_answered(struct call *c); /* the answer of this stage is complete */

/* ---- errors.c ---- */

void read_error(const struct codec *c, tda_json root, struct said *ret);
uint32_t judge_error(const struct codec *c, const struct said *s, uint32_t by_status);

#endif
