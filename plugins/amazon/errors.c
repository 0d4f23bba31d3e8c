/* {"message"} with the type in a header, "ThrottlingException:http://...", or as {"__type":
 * "com.amazon.coral#ThrottlingException"}; in a stream an exception with that name, and the same body. */
#include "amazon.h"

static tda_str bare(tda_str type) {
    const char *end = type.n ? memchr(type.p, ':', type.n) : NULL;
    if (end) type.n = (size_t)(end - type.p);
    const char *mark = type.n ? memchr(type.p, '#', type.n) : NULL;
    if (mark) type = (tda_str){mark + 1, type.n - (size_t)(mark + 1 - type.p)};
    return type;
}

void read_error(const struct codec *c, tda_json root, struct said *s) {
    const struct call *call = (const struct call *)c;
    if (json()->type(json()->key(root, TDA_STR("error"))) == TDA_JSON_OBJECT) { /* Anthropic's own, within a chunk */
        claude_read_error(root, s);
        return;
    }
    s->type = bare(call->exception.n ? call->exception : tda_str_of(c->reply.error_type));
    if (!s->type.n) s->type = bare(member(root, "__type"));
    s->message = member(root, "message");
    if (!s->message.n) s->message = member(root, "Message");
    if (!s->message.n) s->message = call->exception_text;
}

static const struct word_class words[] = {
    {"AccessDeniedException", TDA_C_PERMISSION},
    {"ConflictException", TDA_C_UPSTREAM},
    {"ExpiredTokenException", TDA_C_AUTH},
    {"IncompleteSignatureException", TDA_C_AUTH},
    {"InternalFailure", TDA_C_UPSTREAM},
    {"InternalServerException", TDA_C_UPSTREAM},
    {"InvalidClientTokenId", TDA_C_AUTH},
    {"InvalidSignatureException", TDA_C_AUTH},
    {"MissingAuthenticationTokenException", TDA_C_AUTH},
    {"ModelErrorException", TDA_C_UPSTREAM},
    {"ModelNotReadyException", TDA_C_OVERLOADED},
    {"ModelStreamErrorException", TDA_C_UPSTREAM},
    {"ModelTimeoutException", TDA_C_TIMEOUT},
    {"ResourceNotFoundException", TDA_C_NOT_FOUND},
    {"ServiceQuotaExceededException", TDA_C_QUOTA},
    {"ServiceUnavailableException", TDA_C_OVERLOADED},
    {"ThrottlingException", TDA_C_RATE},
    {"UnrecognizedClientException", TDA_C_AUTH},
    {"ValidationException", TDA_C_REQUEST},
};

static bool says(const struct said *s, const char *const *parts) {
    for (; *parts; parts++)
        if (text_has_nocase(s->message, *parts)) return true;
    return false;
}

/* What no type tells: ValidationException and AccessDeniedException stand for a good deal. */
static uint32_t refine(const struct said *s, uint32_t cls) {
    static const char *const full[] = {"input is too long", "prompt is too long",     "too many input tokens",
                                       "context window",    "maximum context length", NULL};
    static const char *const model[] = {"model identifier is invalid", NULL};
    static const char *const key[] = {"API Key", "security token", "bearer token", NULL};
    static const char *const lasting[] = {"per day", "per month", NULL};
    if (cls == TDA_C_REQUEST && says(s, full)) return TDA_C_CONTEXT_FULL;
    if (cls == TDA_C_REQUEST && says(s, model)) return TDA_C_NOT_FOUND;
    if (cls == TDA_C_PERMISSION && says(s, key)) return TDA_C_AUTH;
    if (cls == TDA_C_RATE && says(s, lasting)) return TDA_C_QUOTA;
    return cls;
}

uint32_t judge_error(const struct codec *c, const struct said *s, uint32_t by_status) {
    uint32_t by_type = word_class_find(words, sizeof words / sizeof words[0], s->type);
    if (!by_type && ((const struct call *)c)->invoke) return claude_judge(s, by_status);
    return refine(s, by_type ? by_type : by_status);
}
