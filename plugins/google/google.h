/* Google's Gemini API: the plugin's inside page.
 *
 *   google.c    note; address, credential; which operation asks what
 *   request.c   request -> body: tools, generationConfig, extra
 *   messages.c  conversation -> "systemInstruction" and "contents"
 *   answer.c    events of a stream, or a whole answer -> parts
 *   models.c    VALIDATE, MODELS, COUNT
 *   errors.c    errors' words, quotas, how long to wait */
#ifndef GOOGLE_H
#define GOOGLE_H

#include "codec/codec.h"

enum stage {
    STAGE_CHAT = 1,
    STAGE_COUNT,
    STAGE_MODELS,
    STAGE_VALIDATE_MODEL, /* GET models/MODEL */
    STAGE_VALIDATE_LIST,  /* GET models: without a model, at least the key */
    STAGE_VALIDATE_CHAT   /* an answer of one token */
};

struct call {
    struct codec codec;   /* first */
    struct text base_url; /* with the version */
    bool is_home;         /* base_url is Google's own host */
    uint32_t pages;       /* of the model list, so far */
    char reason[48];      /* finishReason; empty: none yet */
};

/* ---- google.c ---- */

/* {base}/models/MODEL and what follows it: ":generateContent". A body makes it a POST. */
void ask_model(struct call *c, enum stage stage, const char *then, tda_str body, bool stream);
/* {base}/models?... ; `token` (may be absent) is added, encoded. */
void ask_list(struct call *c, enum stage stage, const char *query, tda_str token);
/* "models/gemini-x" from that or from "gemini-x"; `encoded` as steps of a path. */
void add_model(struct text *out, tda_str model, bool encoded);

/* ---- request.c, messages.c ---- */

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body);       /* false: the call has ended */
bool request_body_count(struct call *c, const struct tda_request *r, tda_str *ret_body); /* of countTokens */
bool request_body_probe(struct call *c, tda_str *ret_body); /* one token, to see whether the model answers */
tda_status contents_write(const struct codec *c, tda_json_writer *w, const struct tda_request *r);

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
