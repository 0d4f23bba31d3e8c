/* A refusal -> class, code, text, and how long to wait.
 *
 * The body is {"error": {message, type, param, code}} at OpenAI. Others say {"error": "text"}, {"message": ...}, {"detail": ...},
 * an array around one of these, or send a web page of some proxy; every one of them ends as a readable text. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "openai.h"

static const struct tda_json_api *json(void) {
    return openai_json;
}

/* ---- how long to wait ---- */

static int64_t bounded_ms(double ms) {
    if (!(ms > 0)) return 0;
    return ms > RETRY_MAX_MS ? RETRY_MAX_MS : (int64_t)(ms + 0.5);
}

/* Digits, with a fraction; false for anything else. */
static bool read_number(tda_str s, double *ret) {
    char text[32];
    if (s.n == 0 || s.n >= sizeof text) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.') return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *ret = strtod(text, NULL);
    return true;
}

/* The digits of s from `at` on; -1 when one is none. */
static int digits(const char *s, size_t at, size_t n) {
    int value = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s[i] < '0' || s[i] > '9') return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7): every field has its place. Not strptime: that follows the locale. */
static bool read_date(tda_str s, time_t *ret) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (s.n != strlen("Sun, 06 Nov 1994 08:49:37 GMT")) return false;
    struct tm tm = {.tm_mday = digits(s.p, 5, 2), .tm_year = digits(s.p, 12, 4), .tm_mon = -1};
    tm.tm_hour = digits(s.p, 17, 2);
    tm.tm_min = digits(s.p, 20, 2);
    tm.tm_sec = digits(s.p, 23, 2);
    for (int i = 0; i < 12; i++)
        if (memcmp(s.p + 8, months + (size_t)i * 3, 3) == 0) tm.tm_mon = i;
    if (tm.tm_mday < 0 || tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0) return false;
    tm.tm_year -= 1900;
    *ret = timegm(&tm);
    return *ret != (time_t)-1;
}

int64_t errors_retry_after_ms(tda_str value) {
    double ms;
    return read_number(value, &ms) ? bounded_ms(ms) : -1;
}

/* Against the service's own clock where it gives one: ours may be wrong. */
int64_t errors_retry_after(tda_str value, tda_str date) {
    double seconds;
    time_t then, now;
    if (read_number(value, &seconds)) return bounded_ms(seconds * 1000);
    if (!read_date(value, &then)) return -1;
    if (!read_date(date, &now)) now = time(NULL);
    return bounded_ms(difftime(then, now) * 1000);
}

/* ---- words ---- */

static const struct {
    const char *word;
    uint32_t cls;
} words[] = {
    {"context_length_exceeded", TDA_C_CONTEXT_FULL},
    {"exceed_context_size_error", TDA_C_CONTEXT_FULL},
    {"insufficient_quota", TDA_C_QUOTA},
    {"content_filter", TDA_C_FILTER},
    {"content_policy_violation", TDA_C_FILTER},
    {"invalid_api_key", TDA_C_AUTH},
    {"authentication_error", TDA_C_AUTH},
    {"permission_error", TDA_C_PERMISSION},
    {"model_not_found", TDA_C_NOT_FOUND},
    {"not_found_error", TDA_C_NOT_FOUND},
    {"rate_limit_exceeded", TDA_C_RATE},
    {"rate_limit_error", TDA_C_RATE},
    {"overloaded", TDA_C_OVERLOADED},
    {"overloaded_error", TDA_C_OVERLOADED},
    {"server_error", TDA_C_UPSTREAM},
    {"api_error", TDA_C_UPSTREAM},
    {"timeout", TDA_C_TIMEOUT},
    {"invalid_request_error", TDA_C_REQUEST},
};

struct said {
    tda_str code, type, message;
};

static uint32_t class_of_word(tda_str word) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (text_equal_nocase(word, words[i].word)) return words[i].cls;
    return TDA_C_OK;
}

/* The code is the finer word; the type counts where the code says nothing. */
static uint32_t class_of_words(const struct said *s) {
    uint32_t cls = class_of_word(s->code);
    return cls ? cls : class_of_word(s->type);
}

static bool says_quota(const struct said *s) {
    static const char *const parts[] = {"insufficient_quota", "billing", "credit", "spend"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (text_has_nocase(s->code, parts[i]) || text_has_nocase(s->type, parts[i])) return true;
    return false;
}

/* Servers of one's own have no code for it. */
static bool says_context_full(const struct said *s) {
    return class_of_words(s) == TDA_C_CONTEXT_FULL || text_has_nocase(s->message, "maximum context length") ||
           text_has_nocase(s->message, "exceeds the available context size");
}

/* ---- status ---- */

static uint32_t class_of_400(const struct said *s) {
    uint32_t cls = class_of_words(s);
    if (says_context_full(s)) return TDA_C_CONTEXT_FULL;
    return cls == TDA_C_FILTER || cls == TDA_C_AUTH || cls == TDA_C_NOT_FOUND ? cls : TDA_C_REQUEST;
}

static uint32_t class_of_500(int64_t status, const struct said *s) {
    if (says_context_full(s)) return TDA_C_CONTEXT_FULL;
    bool overloaded = status == 503 || status == 529 || class_of_words(s) == TDA_C_OVERLOADED;
    return overloaded ? TDA_C_OVERLOADED : TDA_C_UPSTREAM;
}

static uint32_t class_of_status(int64_t status, const struct said *s) {
    switch (status) {
    case 401: return TDA_C_AUTH;
    case 402: return TDA_C_QUOTA;
    case 403: return TDA_C_PERMISSION;
    case 404:
    case 405: return TDA_C_NOT_FOUND;
    case 408: return TDA_C_TIMEOUT;
    case 409: return TDA_C_UPSTREAM; /* a conflict inside the service: it passes */
    case 413: return TDA_C_TOO_LARGE;
    case 429: return says_quota(s) ? TDA_C_QUOTA : TDA_C_RATE;
    default: break;
    }
    if (status >= 500) return class_of_500(status, s);
    if (status >= 400) return class_of_400(s);
    return TDA_C_PROTOCOL; /* a redirect, which is never followed, or no final answer at all */
}

/* ---- texts ---- */

static tda_json unwrap(tda_json root) {
    return json()->type(root) == TDA_JSON_ARRAY ? json()->first(root) : root;
}

static tda_str word_of(tda_json v) {
    tda_str s = json()->str(v);
    return s.p || json()->type(v) != TDA_JSON_NUMBER ? s : json()->raw(v);
}

static void read_said(tda_json root, struct said *s) {
    tda_json error = json()->key(root, TDA_STR("error")), v;
    if (json()->type(error) != TDA_JSON_OBJECT) {
        s->message = json()->str(error);
        error = root;
    }
    s->code = word_of(json()->key(error, TDA_STR("code")));
    s->type = json()->str(json()->key(error, TDA_STR("type")));
    if (!s->message.n) s->message = json()->str(json()->key(error, TDA_STR("message")));
    if (s->message.n) return;
    v = json()->key(error, TDA_STR("detail"));
    s->message = json()->str(v).p ? json()->str(v) : json()->raw(v);
}

/* What a web page says: its title, or its beginning without the tags. */
static void page_text(char *out, size_t size, tda_str page) {
    struct text plain = {0};
    bool in_tag = false;
    for (size_t i = 0; i < page.n && plain.n < 200; i++) {
        if (page.p[i] == '<') {
            bool title_ends = page.n - i >= 8 && text_equal_nocase((tda_str){page.p + i, 8}, "</title>");
            if (title_ends) break;
            in_tag = true;
            text_add_z(&plain, " ", 4096);
        } else if (page.p[i] == '>') {
            in_tag = false;
        } else if (!in_tag) {
            text_add(&plain, (tda_str){page.p + i, 1}, 4096);
        }
    }
    line_copy(out, size, text_str(&plain));
    text_fini(&plain);
}

static void describe_body(const struct call *c, struct fault *f) {
    char excerpt[256];
    tda_str body = text_str(&c->body);
    while (body.n && (body.p[0] == ' ' || body.p[0] == '\n' || body.p[0] == '\r' || body.p[0] == '\t')) body.p++, body.n--;
    bool page = body.n && body.p[0] == '<';
    if (page)
        page_text(excerpt, sizeof excerpt, body);
    else
        line_copy(excerpt, sizeof excerpt, body);
    if (excerpt[0])
        snprintf(f->text, sizeof f->text, "the service answered %d with %s: %s", c->reply.status, page ? "a web page" : "a text",
                 excerpt);
    else
        snprintf(f->text, sizeof f->text, "the service answered %d and said no more", c->reply.status);
}

static void add_advice(const struct call *c, struct fault *f, bool understood) {
    size_t n = strlen(f->text);
    const char *advice = NULL;
    if (c->reply.status >= 300 && c->reply.status < 400)
        advice = "it redirects, which is not followed; give the final address as base_url";
    if ((f->cls == TDA_C_NOT_FOUND) && !understood) advice = "does base_url end with /v1?";
    if (advice) snprintf(f->text + n, sizeof f->text - n, "; %s", advice);
}

static void fill(struct fault *f, const struct said *s) {
    line_copy(f->code, sizeof f->code, s->code.n ? s->code : s->type);
    if (s->message.n) line_copy(f->text, sizeof f->text, s->message);
}

/* ---- the two ways an error comes ---- */

void errors_from_reply(struct call *c) {
    struct said said = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    tda_json root;
    if (c->over) return;
    bool parsed = json()->parse(c->handle, text_str(&c->body), &root) == TDA_OK;
    if (parsed) read_said(unwrap(root), &said);
    struct fault *f = &c->fault;
    *f = (struct fault){.cls = class_of_status(c->reply.status, &said), .retry_ms = c->reply.retry_ms};
    f->http_status = c->reply.status;
    if (c->reply.must_not_retry) f->retry_ms = -1;
    /* The service knows that waiting does not help; of the classes, QUOTA says so. */
    if (c->reply.must_not_retry && f->cls == TDA_C_RATE) f->cls = TDA_C_QUOTA;
    fill(f, &said);
    if (!f->text[0]) describe_body(c, f);
    add_advice(c, f, said.message.n > 0);
    call_end(c);
}

void errors_from_event(struct call *c, tda_json root) {
    struct said said = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    double status = 0;
    if (c->over) return;
    read_said(unwrap(root), &said);
    uint32_t cls = class_of_words(&said);
    if (says_quota(&said)) cls = TDA_C_QUOTA;
    if (!cls && read_number(said.code, &status) && status >= 400 && status < 600) cls = class_of_status((int64_t)status, &said);
    if (says_context_full(&said)) cls = TDA_C_CONTEXT_FULL;
    c->fault = (struct fault){.cls = cls ? cls : (uint32_t)TDA_C_UPSTREAM, .retry_ms = -1, .http_status = c->reply.status};
    fill(&c->fault, &said);
    if (!c->fault.text[0])
        snprintf(c->fault.text, sizeof c->fault.text, "the service broke the answer off with an error without a text");
    call_end(c);
}
