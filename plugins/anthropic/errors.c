/* {"type": "error", "error": {"type", "message", "details": {"error_code"}}}: the same in a refusal's body and in a stream. The
 * types stand for one status each, so that an error says the same in both places. */
#include "anthropic.h"

void read_error(const struct codec *c, tda_json root, struct said *s) {
    tda_json error = json()->key(root, TDA_STR("error"));
    (void)c;
    if (json()->type(error) != TDA_JSON_OBJECT) {
        s->message = json()->str(error); /* a gateway's */
        error = root;
    }
    s->code = json()->str(json()->get(error, "details.error_code"));
    s->type = member(error, "type");
    if (!s->message.n) s->message = member(error, "message");
}

static const struct word_class words[] = {
    {"invalid_request_error", TDA_C_REQUEST}, {"authentication_error", TDA_C_AUTH},   {"billing_error", TDA_C_QUOTA},
    {"permission_error", TDA_C_PERMISSION},   {"not_found_error", TDA_C_NOT_FOUND},   {"conflict_error", TDA_C_UPSTREAM},
    {"request_too_large", TDA_C_TOO_LARGE},   {"rate_limit_error", TDA_C_RATE},       {"api_error", TDA_C_UPSTREAM},
    {"timeout_error", TDA_C_TIMEOUT},         {"overloaded_error", TDA_C_OVERLOADED},
};

static bool says(const struct said *s, const char *const *parts) {
    for (; *parts; parts++)
        if (text_has_nocase(s->message, *parts) || text_has_nocase(s->code, *parts)) return true;
    return false;
}

/* What no type of the service's tells. A spend limit of one's own, and a balance that is used up, come as invalid_request_error
 * too. */
static uint32_t class_of_text(const struct said *s) {
    static const char *const full[] = {"prompt is too long", "exceed context limit", "context window", NULL};
    static const char *const quota[] = {"credit balance", "API usage limit", "spend limit", "spending limit", "billing", NULL};
    if (says(s, full)) return TDA_C_CONTEXT_FULL;
    return says(s, quota) ? TDA_C_QUOTA : TDA_C_OK;
}

/* A status that says one thing only is believed; behind 400, 5xx and inside a stream the type and the text are finer. */
uint32_t judge_error(const struct codec *c, const struct said *s, uint32_t by_status) {
    uint32_t by_type = word_class_find(words, sizeof words / sizeof words[0], s->type), by_text = class_of_text(s);
    bool vague = by_status == TDA_C_REQUEST || by_status == TDA_C_UPSTREAM || by_status == TDA_C_OK;
    uint32_t cls = vague && by_type ? by_type : by_status;
    (void)c;
    if (by_text && (cls == TDA_C_REQUEST || cls == TDA_C_OK)) return by_text;
    if (by_text == TDA_C_QUOTA && cls == TDA_C_RATE) return by_text;
    return cls;
}
