/* Anthropic's Messages API: the plugin's inside page.
 *
 *   anthropic.c  note; address, credential and headers; which operation asks what
 *   models.c     VALIDATE, MODELS, COUNT
 *
 * The messages themselves are shared/anthropic's. */
#ifndef ANTHROPIC_H
#define ANTHROPIC_H

#include "anthropic/claude.h"

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
    struct claude claude;
    struct text base_url;
    bool is_home;   /* base_url is Anthropic's own host */
    uint32_t pages; /* of the model list, so far */
};

/* ---- anthropic.c ---- */

/* path as in "messages"; `step` (may be absent) is added to it, encoded. A body makes it a POST. */
void ask(struct call *c, enum stage stage, const char *path, tda_str step, tda_str body, bool stream);

/* ---- models.c ---- */

void models_start(struct call *c, uint32_t op);
void models_answered(struct call *c); /* the answer of this stage is complete */

#endif
