/* {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message", "details": [{"@type": ".../google.rpc.ErrorInfo", ...}]}};
 * some endpoints put an array around it. What a status leaves open stands in the details: a wrong key is a 400 with ErrorInfo, a
 * used-up day and a full minute are both 429, and how long to wait is a RetryInfo, not a header. */
#include "google.h"

static tda_json error_of(tda_json root) {
    if (json()->type(root) == TDA_JSON_ARRAY) root = json()->first(root);
    return json()->key(root, TDA_STR("error"));
}

/* The detail whose type ends with that name. */
static tda_json detail(tda_json error, const char *name) {
    tda_json list = json()->key(error, TDA_STR("details"));
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        if (text_has_nocase(member(v, "@type"), name)) return v;
    return (tda_json){NULL, 0};
}

/* "37s", "7.250s" */
static int64_t read_delay(tda_str s) {
    double seconds;
    if (s.n < 2 || s.p[s.n - 1] != 's' || !text_number((tda_str){s.p, s.n - 1}, &seconds)) return -1;
    return errors_bounded_ms(seconds * 1000);
}

void read_error(const struct codec *c, tda_json root, struct said *s) {
    tda_json error = error_of(root);
    (void)c;
    s->type = member(error, "status");
    s->code = member(detail(error, "google.rpc.ErrorInfo"), "reason");
    s->message = json()->str(error).n ? json()->str(error) : member(error, "message");
    s->retry_ms = read_delay(member(detail(error, "google.rpc.RetryInfo"), "retryDelay"));
}

static const struct word_class words[] = {
    {"INVALID_ARGUMENT", TDA_C_REQUEST},
    {"FAILED_PRECONDITION", TDA_C_REQUEST},
    {"OUT_OF_RANGE", TDA_C_REQUEST},
    {"UNAUTHENTICATED", TDA_C_AUTH},
    {"PERMISSION_DENIED", TDA_C_PERMISSION},
    {"NOT_FOUND", TDA_C_NOT_FOUND},
    {"RESOURCE_EXHAUSTED", TDA_C_RATE},
    {"UNAVAILABLE", TDA_C_OVERLOADED},
    {"DEADLINE_EXCEEDED", TDA_C_TIMEOUT},
    {"INTERNAL", TDA_C_UPSTREAM},
    {"UNKNOWN", TDA_C_UPSTREAM},
    {"ABORTED", TDA_C_UPSTREAM},
    {"CANCELLED", TDA_C_UPSTREAM},
};

/* A limit per day, or one of 0: no waiting that a caller would want helps. */
static bool is_lasting(tda_json violation) {
    tda_str id = member(violation, "quotaId");
    return text_has_nocase(id, "PerDay") || text_has_nocase(id, "PerMonth") ||
           tda_str_eq(member(violation, "quotaValue"), TDA_STR("0"));
}

/* The same text, "You exceeded your current quota", stands in both; without any detail it is believed. */
static bool says_quota(const struct said *s) {
    tda_json list = json()->key(detail(error_of(s->root), "google.rpc.QuotaFailure"), TDA_STR("violations"));
    for (tda_json v = json()->first(list); json()->type(v); v = json()->next(v))
        if (is_lasting(v)) return true;
    if (text_has_nocase(s->message, "credits") || text_has_nocase(s->message, "spend")) return true;
    return !json()->type(list) && s->retry_ms < 0 && text_has_nocase(s->message, "exceeded your current quota");
}

static uint32_t refine_request(const struct said *s) {
    if (tda_str_eq(s->code, TDA_STR("API_KEY_INVALID")) || text_has_nocase(s->message, "API key not valid") ||
        text_has_nocase(s->message, "API key expired"))
        return TDA_C_AUTH;
    if (text_has_nocase(s->message, "token count") && text_has_nocase(s->message, "exceeds the maximum")) return TDA_C_CONTEXT_FULL;
    return TDA_C_REQUEST;
}

uint32_t judge_error(const struct codec *c, const struct said *s, uint32_t by_status) {
    uint32_t by_word = word_class_find(words, sizeof words / sizeof words[0], s->type);
    bool vague = by_status == TDA_C_REQUEST || by_status == TDA_C_UPSTREAM || by_status == TDA_C_OK;
    uint32_t cls = vague && by_word ? by_word : by_status;
    (void)c;
    if (cls == TDA_C_REQUEST) return refine_request(s);
    if (cls == TDA_C_RATE && says_quota(s)) return TDA_C_QUOTA;
    return cls;
}
