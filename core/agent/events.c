#include "agent/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "agent/answer.h"
#include "agent/toolbox.h"

enum { EVENT_MAX = 1 << 20, SHOWN_MAX = 16 << 10, WARNING_MAX = 400, URL_MAX = 8192 };

struct event {
    struct work *work;
    struct buf text;
    struct jw w;
};

static bool begin(struct event *ev, struct work *w, const char *type) {
    if (!w->event) return false;
    ev->work = w;
    buf_init(&ev->text, EVENT_MAX);
    jw_init(&ev->w, &ev->text);
    jw_begin_object(&ev->w);
    jw_put_z(&ev->w, "type", type);
    return true;
}

/* One that is too large or finds no memory is not sent: the reply does not depend on it. */
static void send(struct event *ev) {
    jw_end_object(&ev->w);
    if (!ev->text.status) ev->work->event(ev->work, buf_str(&ev->text));
    buf_fini(&ev->text);
}

/* Never cut inside a character. */
static bool shorten(tda_str *text, size_t max) {
    if (text->n <= max) return false;
    text->n = max;
    while (text->n && ((unsigned char)text->p[text->n] & 0xC0) == 0x80) text->n--;
    return true;
}

static void put_clean(struct jw *w, const char *key, tda_str text) {
    struct buf clean;
    buf_init(&clean, text.n * 3 + 1);
    text_sanitise(text, &clean);
    jw_put_str(w, key, clean.n ? buf_str(&clean) : TDA_STR(""));
    buf_fini(&clean);
}

void event_start(struct work *w) {
    struct event ev;
    if (!begin(&ev, w, "start")) return;
    jw_put_str(&ev.w, "provider", snapshot_get(w->snapshot, TDA_CTX_PROVIDER));
    jw_put_str(&ev.w, "model", snapshot_get(w->snapshot, TDA_CTX_MODEL));
    if (snapshot_profile(w->snapshot)[0]) jw_put_z(&ev.w, "profile", snapshot_profile(w->snapshot));
    send(&ev);
}

/* Bytes at the end that begin a character and do not end it. */
static uint32_t unfinished(tda_str s) {
    for (uint32_t n = 1; n <= 3 && n <= s.n; n++) {
        unsigned char c = (unsigned char)s.p[s.n - n];
        if (c < 0x80 || c > 0xF4) return 0;
        if (c >= 0xC0) return (c >= 0xF0 ? 4u : c >= 0xE0 ? 3u : 2u) > n ? n : 0;
    }
    return 0;
}

/* What is left over of another kind of text never gets its rest: it is no character. */
static void join_rest(struct text_rest *rest, bool thinking, tda_str text, struct buf *whole) {
    if (rest->thinking == thinking) buf_add(whole, rest->bytes, rest->n);
    buf_add_str(whole, text);
    *rest = (struct text_rest){.thinking = thinking, .n = unfinished(buf_str(whole))};
    if (whole->status) return;
    whole->n -= rest->n;
    if (rest->n) memcpy(rest->bytes, whole->p + whole->n, rest->n);
}

bool event_text(struct work *w, struct text_rest *rest, bool thinking, tda_str text) {
    struct event ev;
    struct buf clean, whole;
    if (!w->event) return false;
    buf_init(&whole, text.n + sizeof rest->bytes);
    join_rest(rest, thinking, text, &whole);
    buf_init(&clean, whole.n * 3 + 1);
    text_sanitise(buf_str(&whole), &clean);
    buf_fini(&whole);
    bool any = clean.n && begin(&ev, w, thinking ? "thinking" : "text");
    if (any) {
        jw_put_str(&ev.w, "text", buf_str(&clean));
        send(&ev);
    }
    buf_fini(&clean);
    return any;
}

void event_tool_call(struct work *w, tda_str id, tda_str tool, tda_str server, tda_str args) {
    struct event ev;
    if (!begin(&ev, w, "tool_call")) return;
    jw_put_str(&ev.w, "id", id);
    jw_put_str(&ev.w, "tool", tool);
    jw_put_str(&ev.w, "server", server);
    if (args.n <= SHOWN_MAX && json_check(args, 0, NULL) == TDA_OK) {
        jw_put_raw(&ev.w, "args", args);
    } else {
        shorten(&args, SHOWN_MAX);
        jw_put_str(&ev.w, "args", args);
    }
    send(&ev);
}

void event_tool_result(struct work *w, const struct tda_part *result, tda_str tool) {
    struct event ev;
    struct buf all;
    bool cut = false;
    if (!begin(&ev, w, "tool_result")) return;
    buf_init(&all, SHOWN_MAX * 2);
    for (uint32_t i = 0; i < result->n_parts && !cut; i++) {
        tda_str text = result->parts[i]->text;
        cut = shorten(&text, SHOWN_MAX > all.n ? SHOWN_MAX - all.n : 0);
        if (all.n && text.n) buf_add_char(&all, '\n');
        buf_add_str(&all, text);
    }
    jw_put_str(&ev.w, "id", result->id);
    jw_put_str(&ev.w, "tool", tool);
    jw_put_bool(&ev.w, "is_error", result->is_error);
    put_clean(&ev.w, "text", buf_str(&all));
    if (cut) jw_put_bool(&ev.w, "cut", true);
    buf_fini(&all);
    send(&ev);
}

static void put_number(struct jw *w, const char *key, struct json v) {
    if (json_type(v) == TDA_JSON_NUMBER) jw_put_raw(w, key, json_raw(v));
}

void event_progress(struct work *w, tda_str id, const char *tool, tda_str text, tda_str json) {
    struct event ev;
    struct json_doc *doc GUARD(json_free_p) = NULL;
    if (!begin(&ev, w, "progress")) return;
    if (id.n) jw_put_str(&ev.w, "id", id);
    jw_put_z(&ev.w, "tool", tool);
    if (json_parse(json, 0, &doc, NULL)) doc = NULL;
    put_number(&ev.w, "progress", json_key(json_root(doc), TDA_STR("progress")));
    put_number(&ev.w, "total", json_key(json_root(doc), TDA_STR("total")));
    shorten(&text, SHOWN_MAX);
    if (text.n) put_clean(&ev.w, "text", text);
    send(&ev);
}

void event_tools_changed(struct work *w, const struct toolbox *t) {
    struct event ev;
    if (!begin(&ev, w, "tools_changed")) return;
    jw_put_z(&ev.w, "server", t->catalogue->server);
    jw_open_array(&ev.w, "tools");
    for (size_t i = 0; i < t->catalogue->n; i++) {
        enum pin_state pin = toolbox_pin(t, &t->catalogue->tools[i]);
        if (pin == PIN_OK) continue;
        jw_begin_object(&ev.w);
        jw_put_z(&ev.w, "name", t->catalogue->tools[i].name);
        jw_put_z(&ev.w, "pinned", pin_state_name(pin));
        jw_end_object(&ev.w);
    }
    jw_end_array(&ev.w);
    send(&ev);
}

void event_resource_updated(struct work *w, tda_str uri) {
    struct event ev;
    if (!begin(&ev, w, "resource_updated")) return;
    shorten(&uri, SHOWN_MAX);
    jw_put_str(&ev.w, "uri", uri);
    send(&ev);
}

void event_usage(struct work *w, const struct tda_usage *u, const double *cost) {
    struct event ev;
    if (!begin(&ev, w, "usage")) return;
    jw_key(&ev.w, TDA_STR("usage"));
    usage_write(u, &ev.w);
    if (cost) {
        jw_key(&ev.w, TDA_STR("cost"));
        jw_f64(&ev.w, *cost);
    }
    send(&ev);
}

void event_retry(struct work *w, uint32_t attempt, int64_t wait_ms, uint32_t cls) {
    struct event ev;
    if (!begin(&ev, w, "retry")) return;
    jw_put_i64(&ev.w, "attempt", attempt);
    jw_put_i64(&ev.w, "wait_ms", wait_ms);
    jw_put_z(&ev.w, "kind", class_kind(cls));
    send(&ev);
}

void event_warning(struct work *w, const char *fmt, ...) {
    struct event ev;
    char text[WARNING_MAX];
    va_list ap;
    if (!begin(&ev, w, "warning")) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jw_put_z(&ev.w, "text", text);
    send(&ev);
}

/* A page to visit is a web page, and nothing else that a terminal or a browser might open. */
static bool is_page(tda_str url) {
    return url.n > 8 && url.n < URL_MAX && (memcmp(url.p, "https://", 8) == 0 || memcmp(url.p, "http://", 7) == 0);
}

static void put_question(struct event *ev, const struct question *q, struct json asked) {
    struct json schema = json_key(asked, TDA_STR("schema"));
    tda_str url = json_str(json_key(asked, TDA_STR("url")));
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)q->number);
    jw_put_z(&ev->w, "request", number);
    jw_put_z(&ev->w, "kind", q->is_authorization ? "authorization" : url.n ? "url" : "form");
    jw_put_z(&ev->w, "server", conn_server_name(q->conn));
    put_clean(&ev->w, "message", json_str(json_key(asked, TDA_STR("message"))));
    if (url.n)
        jw_put_str(&ev->w, "url", url);
    else if (json_type(schema) == TDA_JSON_OBJECT)
        jw_put_raw(&ev->w, "schema", json_raw(schema));
}

bool event_ask(struct work *w, const struct question *q) {
    struct json_doc *doc GUARD(json_free_p) = NULL;
    struct event ev;
    if (json_parse(q->json, 0, &doc, NULL)) return false;
    tda_str url = json_str(json_key(json_root(doc), TDA_STR("url")));
    if ((url.p && !is_page(url)) || !begin(&ev, w, "ask")) return false;
    put_question(&ev, q, json_root(doc));
    bool sent = !ev.text.status;
    send(&ev);
    return sent;
}

void event_ask_over(struct work *w, uint64_t number) {
    struct event ev;
    char text[24];
    if (!begin(&ev, w, "ask_over")) return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    jw_put_z(&ev.w, "request", text);
    send(&ev);
}

void event_end(struct work *w, const char *stop, const struct error *e) {
    struct event ev;
    if (!begin(&ev, w, "end")) return;
    jw_put_z(&ev.w, "stop", !e ? stop : e->status == TDA_E_CANCELLED ? "cancelled" : "error");
    if (e && e->kind[0]) jw_put_z(&ev.w, "kind", e->kind);
    send(&ev);
}
