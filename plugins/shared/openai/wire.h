/* OpenAI's Chat Completions and Responses, for every plugin whose service speaks them: openai, azure, friendli. A plugin adds its
 * dialect: where the service is, and which credential and headers it wants.
 *
 *   wire.c      which operation asks what; address, credential and headers by the dialect; errors' words
 *   request.c   request -> body: tools, sampling, extra
 *   responses_request.c, responses_answer.c   the same for Responses
 *   messages.c  conversation -> "messages"
 *   stream.c    events of a stream, or a whole answer -> chunks; is it complete?
 *   answer.c    chunks -> parts
 *   models.c    VALIDATE and MODELS */
#ifndef OPENAI_WIRE_H
#define OPENAI_WIRE_H

#include "codec/codec.h"

enum stage {
    STAGE_CHAT = 1,
    STAGE_MODELS,
    STAGE_VALIDATE_MODEL, /* GET models/MODEL */
    STAGE_VALIDATE_LIST,  /* GET models */
    STAGE_VALIDATE_CHAT   /* a chat of one token */
};

struct call {
    struct codec codec;   /* first */
    bool is_openai;       /* base_url is OpenAI's own host */
    bool responses;       /* asked by the Responses API */
    bool has_args;        /* Responses: the running call's arguments came in fragments */
    bool refused;         /* the model declined in a `refusal` */
    char reason[48];      /* finish_reason; empty: none yet */
    struct text base_url; /* what paths are joined to */
    struct text query;    /* "?api-version=...", behind every path; usually empty */
    struct text name;     /* what the body calls the model, where that is another name; usually empty */
    struct text models;   /* path of the list of models; empty: models */
};

enum { DIALECT_HEADERS_MAX = 8 };

enum dialect_models {
    DIALECT_LISTS,  /* GET models tells which there are */
    DIALECT_NO_LIST /* a chat of one token is all that tells whether a model is there */
};

struct dialect {
    /* Settings -> base_url and the other members of c above; false: the call has ended. */
    bool (*address)(struct call *c);
    /* The credential, and the headers that this call wants; returns their number. */
    uint32_t (*headers)(const struct call *c, struct tda_auth *auth, tda_kv headers[DIALECT_HEADERS_MAX]);
    enum dialect_models (*models)(const struct call *c);
    const char *max_tokens; /* what the service calls it in Chat Completions */
};

extern const struct dialect dialect; /* each plugin defines it */

/* ---- wire.c: the codec_ops that all have in common ---- */

void wire_start(struct codec *c, const struct tda_request *r);
void wire_answered(struct codec *c);
void wire_read_error(const struct codec *c, tda_json root, struct said *ret);
uint32_t wire_judge(const struct codec *c, const struct said *s, uint32_t by_status);
void wire_fini(struct codec *c);
extern const char *const wire_request_ids[];

#define WIRE_SERVICE(id, advice)                                                                                                   \
    {                                                                                                                              \
        .name = id, .address_advice = advice, .request_id_headers = wire_request_ids, .start = wire_start, .item = stream_item,    \
        .answered = wire_answered, .read_error = wire_read_error, .judge = wire_judge, .fini = wire_fini                           \
    }

/* path as in "chat/completions"; name (may be absent) is added as one encoded step. A body makes it a POST. */
tda_str wire_model(const struct call *c); /* what the service calls the model */
void wire_ask(struct call *c, const char *path, tda_str name, tda_str body, bool stream);

/* ---- request.c, messages.c ---- */

bool request_body(struct call *c, const struct tda_request *r, tda_str *ret_body); /* false: the call has ended */
bool request_body_probe(struct call *c, tda_str *ret_body);                        /* one token, to see whether the model answers */
tda_status messages_write(const struct call *c, tda_json_writer *w, const struct tda_request *r);

/* What is written, and the first failure of it. */
struct out {
    tda_json_writer *w;
    tda_status status;
};
void image_url_write(struct out *o, tda_str key, const struct tda_part *image); /* an address, or data: with the bytes */
void result_text_write(struct out *o, tda_str key,
                       const struct tda_part *result); /* its texts; a failed one begins with "Error: " */
bool model_reasons(tda_str model);                     /* one of OpenAI's reasoning models, by its name */

/* ---- responses_request.c, responses_answer.c ---- */

bool responses_body(struct call *c, const struct tda_request *r, tda_str *ret_body); /* false: the call has ended */
void responses_item(struct call *c, tda_str data);
void responses_end(struct call *c);
void responses_whole(struct call *c);

/* ---- stream.c, answer.c ---- */

void stream_item(struct codec *c, tda_str event, tda_str id, tda_str data);
void stream_end(struct call *c);   /* the connection has ended well */
void stream_whole(struct call *c); /* the body is the whole answer */
/* member: "delta" in a stream, "message" in a whole answer. */
void answer_read(struct call *c, tda_json root, const char *member);
uint32_t answer_stop(const struct call *c); /* enum tda_stop */

/* ---- models.c ---- */

void models_start(struct call *c);
void models_answered(struct call *c); /* the answer of this stage is complete */

#endif
