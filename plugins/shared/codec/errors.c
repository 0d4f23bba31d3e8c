/* A refusal -> class, code, text, and how long to wait. What the service's JSON says, its plugin reads; a body that is none (a web
 * page of some proxy, plain text, nothing) ends as a readable text all the same. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec.h"

/* ---- how long to wait ---- */

int64_t errors_bounded_ms(double ms) {
    if (!(ms > 0)) return 0;
    return ms > RETRY_MAX_MS ? RETRY_MAX_MS : (int64_t)(ms + 0.5);
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
    return text_number(value, &ms) ? errors_bounded_ms(ms) : -1;
}

/* Against the service's own clock where it gives one: ours may be wrong. */
int64_t errors_retry_after(tda_str value, tda_str date) {
    double seconds;
    time_t then, now;
    if (text_number(value, &seconds)) return errors_bounded_ms(seconds * 1000);
    if (!read_date(value, &then)) return -1;
    if (!read_date(date, &now)) now = time(NULL);
    return errors_bounded_ms(difftime(then, now) * 1000);
}

/* ---- classes ---- */

uint32_t word_class_find(const struct word_class *words, size_t n, tda_str word) {
    for (size_t i = 0; i < n && word.n; i++)
        if (text_equal_nocase(word, words[i].word)) return words[i].cls;
    return TDA_C_OK;
}

static uint32_t class_of_status(int64_t status) {
    switch (status) {
    case 401: return TDA_C_AUTH;
    case 402: return TDA_C_QUOTA;
    case 403: return TDA_C_PERMISSION;
    case 404:
    case 405: return TDA_C_NOT_FOUND;
    case 408: return TDA_C_TIMEOUT;
    case 409: return TDA_C_UPSTREAM; /* a conflict inside the service: it passes */
    case 413: return TDA_C_TOO_LARGE;
    case 429: return TDA_C_RATE;
    case 503:
    case 529: return TDA_C_OVERLOADED;
    default: break;
    }
    if (status >= 500) return TDA_C_UPSTREAM;
    if (status >= 400) return TDA_C_REQUEST;
    return TDA_C_PROTOCOL; /* a redirect, which is never followed, or no final answer at all */
}

static uint32_t judge(const struct codec *c, const struct said *s, uint32_t by_status) {
    uint32_t cls = c->ops->judge ? c->ops->judge(c, s, by_status) : (uint32_t)TDA_C_OK;
    return cls ? cls : by_status;
}

/* ---- texts ---- */

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

static void describe_body(const struct codec *c, struct fault *f) {
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

static void add_advice(const struct codec *c, struct fault *f, bool understood) {
    size_t n = strlen(f->text);
    const char *advice = NULL;
    if (c->reply.status >= 300 && c->reply.status < 400) advice = "it redirects, which is not followed; give the final address";
    if ((f->cls == TDA_C_NOT_FOUND) && !understood) advice = c->ops->address_advice;
    if (advice) snprintf(f->text + n, sizeof f->text - n, "; %s", advice);
}

static void fill(struct fault *f, const struct said *s) {
    line_copy(f->code, sizeof f->code, s->code.n ? s->code : s->type);
    if (s->message.n) line_copy(f->text, sizeof f->text, s->message);
}

void errors_not_json(struct codec *c, const char *what) {
    call_fail(c, TDA_C_PROTOCOL, "%s is not what %s answers with (content-type \"%s\"): %s", what, c->ops->name,
              c->reply.content_type, c->ops->address_advice);
}

/* ---- the two ways an error comes ---- */

void errors_from_reply(struct codec *c) {
    struct said said = {.retry_ms = -1};
    if (c->over) return;
    if (json()->parse(c->handle, text_str(&c->body), &said.root)) said.root = (tda_json){NULL, 0};
    c->ops->read_error(c, said.root, &said);
    struct fault *f = &c->fault;
    *f = (struct fault){.cls = judge(c, &said, class_of_status(c->reply.status)), .retry_ms = c->reply.retry_ms};
    f->http_status = c->reply.status;
    if (f->retry_ms < 0) f->retry_ms = said.retry_ms;
    if (c->reply.must_not_retry) f->retry_ms = -1;
    /* The service knows that waiting does not help; of the classes, QUOTA says so. */
    if (c->reply.must_not_retry && f->cls == TDA_C_RATE) f->cls = TDA_C_QUOTA;
    fill(f, &said);
    if (!f->text[0]) describe_body(c, f);
    add_advice(c, f, said.message.n > 0);
    call_end(c);
}

void errors_from_event(struct codec *c, tda_json root) {
    struct said said = {.retry_ms = -1, .root = root};
    double status = 0;
    if (c->over) return;
    c->ops->read_error(c, root, &said);
    bool numbered = text_number(said.code, &status) && status >= 400 && status < 600;
    uint32_t cls = judge(c, &said, numbered ? class_of_status((int64_t)status) : (uint32_t)TDA_C_OK);
    c->fault =
        (struct fault){.cls = cls ? cls : (uint32_t)TDA_C_UPSTREAM, .retry_ms = said.retry_ms, .http_status = c->reply.status};
    fill(&c->fault, &said);
    if (!c->fault.text[0])
        snprintf(c->fault.text, sizeof c->fault.text, "the service broke the answer off with an error without a text");
    call_end(c);
}
