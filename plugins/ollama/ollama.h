/* Ollama's own API: the plugin's inside page.
 *
 *   ollama.c   note, what is asked for which operation, errors
 *   request.c  request -> body of /api/chat
 *   answer.c   lines of a stream, or a whole answer -> parts */
#ifndef OLLAMA_H
#define OLLAMA_H

#include "codec/codec.h"

enum stage {
    STAGE_CHAT = 1,
    STAGE_MODELS,   /* GET api/tags */
    STAGE_VALIDATE, /* POST api/show */
    STAGE_VALIDATE_LIST
};

struct call {
    struct codec codec; /* first */
    struct text base_url;
};

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body); /* false: the call has ended */

void answer_line(struct codec *c, tda_str name, tda_str id, tda_str line); /* one line of a stream */
void answer_whole(struct codec *c);                                        /* the body is the whole answer */

#endif
