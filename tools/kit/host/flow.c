/* The other side: what a flow asked for, and the answers that a test plays. What is handed to the plugin lies in memory of its own,
 * which is overwritten when the callback has returned. */
#include <stdio.h>
#include <strings.h>

#include "kit.h"
#include "loop/flow_impl.h"
#include "loop/url.h"

enum { ITEM_MAX = 32 << 20, HEADERS_MAX = 64, AUTH_MAX = 4 };

/* ---- opening: what the host checks ---- */

static bool is_clean(tda_str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0) return false;
    return true;
}

static bool may_talk_to(const struct subject *s, const char *origin) {
    char pattern[ORIGIN_SIZE];
    const struct note *n = &s->test->module->note;
    const struct setting_rule *r = kit_rule(s->test, TDA_STR("base_url"));
    const char *base = r ? kit_setting(s->test, r) : NULL;
    if (s->owner.kind == HANDLE_CONN || ((const struct tda_test_call *)s)->conn) return true;
    for (size_t i = 0; i < n->n_hosts; i++)
        if (!url_pattern(tda_str_of(n->hosts[i]), pattern, sizeof pattern) && url_matches(pattern, origin)) return true;
    return base && !url_origin(tda_str_of(base), pattern, sizeof pattern) && strcmp(pattern, origin) == 0;
}

static bool has_secret(const struct tda_test *t, tda_str name) {
    const struct setting_rule *r = kit_rule(t, name);
    return r && r->secret && strcmp(kit_value(t, r->name, KIT_SECRET), "yes") == 0;
}

static tda_status check_declared(struct tda_test *t, tda_str name) {
    const struct setting_rule *r = kit_rule(t, name);
    if (!name.n || (r && r->secret)) return TDA_OK;
    kit_fault(t, "it names \"%.*s\" as a secret, which its note does not declare as one: add a config line of type secret",
              (int)(name.n < 60 ? name.n : 60), name.p);
    return TDA_E_INVALID;
}

/* One after the other along the chain; the last one says whether it is all optional. */
static tda_status check_auth(struct subject *s, const struct tda_auth *a) {
    tda_status status = TDA_OK;
    bool have = false, optional = false;
    for (unsigned n = 0; a && a->kind != TDA_AUTH_NONE && !status; n++) {
        if (!TDA_HAS(a, struct tda_auth, optional)) {
            kit_fault(s->test, "it opens a flow with a struct tda_auth whose size is %u: fill size in with sizeof", a->size);
            return TDA_E_INVALID;
        }
        bool chained = TDA_HAS(a, struct tda_auth, otherwise);
        status = n == AUTH_MAX ? TDA_E_INVALID : check_declared(s->test, a->secret);
        if (!status && chained) status = check_declared(s->test, a->key_id);
        have |= has_secret(s->test, a->secret);
        optional = a->optional != 0;
        a = chained ? a->otherwise : NULL;
        if (!a && !status && !have && !optional) {
            if (s->owner.kind == HANDLE_CALL) ((struct tda_test_call *)s)->missing_secret = true;
            return TDA_E_NOT_FOUND;
        }
    }
    return status;
}

/* A base_url that is no address; the daemon refuses it when the user is configured. */
static bool has_bad_address(struct tda_test *t) {
    char origin[ORIGIN_SIZE];
    const struct setting_rule *r = kit_rule(t, TDA_STR("base_url"));
    const char *base = r ? kit_setting(t, r) : NULL;
    return base && url_origin(tda_str_of(base), origin, sizeof origin);
}

static struct tda_test_conn *conn_of(struct subject *s) {
    return s->owner.kind == HANDLE_CONN ? (struct tda_test_conn *)s : ((struct tda_test_call *)s)->conn;
}

/* A connection's: to its server, with what is the host's to say. */
static tda_status check_server_target(struct subject *s, const struct tda_test_conn *c, const struct tda_flow_request *r,
                                      const char *origin) {
    char own[ORIGIN_SIZE];
    if (!c->url || url_origin(tda_str_of(c->url), own, sizeof own) || strcmp(own, origin) != 0) {
        kit_fault(s->test, "a connection asks for %s, which is not its server's origin (gets DENIED)", origin);
        return TDA_E_DENIED;
    }
    if (!r->auth || r->auth->kind == TDA_AUTH_NONE || r->auth->kind == TDA_AUTH_SERVER) return TDA_OK;
    kit_fault(s->test, "a connection's flow has an auth of kind %u (gets UNSUPPORTED): there is TDA_AUTH_SERVER", r->auth->kind);
    return TDA_E_UNSUPPORTED;
}

static tda_status check_http(struct subject *s, const struct tda_flow_request *r) {
    char origin[ORIGIN_SIZE];
    struct tda_test_conn *c = conn_of(s);
    if (!is_clean(r->url) || !is_clean(r->method) || url_origin(r->url, origin, sizeof origin)) return TDA_E_INVALID;
    for (uint32_t i = 0; i < r->n_headers; i++)
        if (!is_clean(r->headers[i].key) || !is_clean(r->headers[i].val) || !r->headers[i].key.n) return TDA_E_INVALID;
    if (c) return check_server_target(s, c, r, origin);
    if (r->idle_ms < 0 || r->total_ms < 0) return TDA_E_INVALID;
    if (may_talk_to(s, origin)) return check_auth(s, r->auth);
    if (has_bad_address(s->test)) return TDA_E_DENIED; /* no wonder */
    kit_fault(s->test, "it asks for %s, which is neither a host of its note nor base_url (gets DENIED): add a host line", origin);
    return TDA_E_DENIED;
}

static tda_status check_server(struct subject *s) {
    if (s->owner.kind == HANDLE_CONN) return TDA_OK;
    kit_fault(s->test, "it opens its server's process on a call's handle: that flow belongs to the connection");
    return TDA_E_DENIED;
}

/* ---- opening: what is kept ---- */

static tda_status keep_request(struct tda_test_flow *f, const struct tda_flow_request *r) {
    struct arena *a = &f->subject->memory;
    memcpy(&f->request, r, r->size < sizeof f->request ? r->size : sizeof f->request);
    tda_str *texts[] = {&f->request.method, &f->request.url, &f->request.body};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = arena_str(a, *texts[i]);
    tda_kv *headers = arena_alloc(a, (r->n_headers + 1) * sizeof *headers);
    for (uint32_t i = 0; headers && i < r->n_headers; i++)
        headers[i] = (tda_kv){arena_str(a, r->headers[i].key), arena_str(a, r->headers[i].val)};
    f->request.headers = headers;
    if (r->auth) {
        memcpy(&f->auth, r->auth, r->auth->size < sizeof f->auth ? r->auth->size : sizeof f->auth);
        f->auth.header = arena_str(a, f->auth.header);
        f->auth.prefix = arena_str(a, f->auth.prefix);
        f->auth.secret = arena_str(a, f->auth.secret);
        f->auth.region = arena_str(a, f->auth.region);
        f->auth.service = arena_str(a, f->auth.service);
        f->auth.key_id = arena_str(a, f->auth.key_id);
        f->auth.session = arena_str(a, f->auth.session);
        f->auth.otherwise = NULL;
        f->request.auth = &f->auth;
    }
    return headers ? TDA_OK : TDA_E_NOMEM;
}

static void record_request(struct tda_test_flow *f) {
    struct subject *s = f->subject;
    const struct tda_flow_request *r = &f->request;
    if (r->kind == TDA_FLOW_SERVER) {
        record_line(s, "open server");
        return;
    }
    record_line(s, "open");
    record_text(s, "method", r->method.p ? r->method : r->body.p ? TDA_STR("POST") : TDA_STR("GET"));
    record_text(s, "url", r->url);
    if (r->auth) record_text(s, "secret", r->auth->secret);
    for (uint32_t i = 0; i < r->n_headers; i++) {
        buf_addf(&s->transcript, " %.*s:", STR_FMT(r->headers[i].key));
        record_text(s, "", r->headers[i].val);
    }
    record_text(s, "body", r->body);
}

static uint32_t first_framing(const struct tda_flow_request *r) {
    if (r->kind == TDA_FLOW_SERVER) return TDA_FRAME_LINES;
    return r->framing == TDA_FRAME_BY_TYPE ? TDA_FRAME_NONE : r->framing;
}

tda_status flow_begin(struct subject *s, const struct tda_flow_request *r, tda_flow *ret) {
    tda_status status = r->kind == TDA_FLOW_HTTP ? check_http(s, r) : r->kind == TDA_FLOW_SERVER ? check_server(s) : TDA_E_INVALID;
    if (status) return status;
    struct tda_test_flow *f = calloc(1, sizeof *f);
    if (!f) return TDA_E_NOMEM;
    f->subject = s;
    buf_init(&f->sent, ITEM_MAX);
    status = keep_request(f, r);
    f->by_type = r->kind == TDA_FLOW_HTTP && r->framing == TDA_FRAME_BY_TYPE;
    if (!status) status = framer_new(first_framing(r), ITEM_MAX, &f->framer);
    if (!status) status = handle_new(&s->test->pl, HANDLE_FLOW, f, &f->handle);
    if (status) {
        flow_free(f);
        return status;
    }
    f->open = true;
    *s->flows_end = f;
    s->flows_end = &f->next;
    s->n_flows++;
    s->n_open++;
    record_request(f);
    *ret = f->handle;
    return TDA_OK;
}

static void close_flow(struct tda_test_flow *f) {
    if (!f->open) return;
    f->open = false;
    f->owes_writable = false;
    f->subject->n_open--;
    handle_end(&f->subject->test->pl, f->handle);
}

void flow_abort_one(struct tda_test_flow *f) {
    close_flow(f);
}

void flow_free(struct tda_test_flow *f) {
    framer_free(f->framer);
    buf_fini(&f->sent);
    free(f->line);
    free(f);
}

struct tda_test_flow *flow_find(struct subject *s, tda_flow h) {
    struct tda_test_flow *f = handle_get(h, HANDLE_FLOW);
    return f && f->subject == s ? f : NULL;
}

/* ---- events into the plugin ---- */

static tda_str lend(struct buf *b, tda_str s) {
    if (!s.p) return s;
    tda_str copy = {b->p + b->n, s.n};
    buf_add_str(b, s);
    return copy;
}

static size_t lent_size(const struct tda_flow_event *e) {
    size_t n = e->name.n + e->id.n + e->data.n + e->text.n + 1;
    for (uint32_t i = 0; i < e->n_headers; i++) n += e->headers[i].key.n + e->headers[i].val.n;
    return n;
}

static void deliver(struct tda_test_flow *f, const struct tda_flow_event *event) {
    struct subject *s = f->subject;
    struct tda_flow_event e = *event;
    tda_kv headers[HEADERS_MAX];
    struct buf lent;
    if (!f->open) return;
    if (e.kind == TDA_FLOW_END || e.kind == TDA_FLOW_FAIL) close_flow(f);
    if (e.kind != TDA_FLOW_ITEM) e.retry_ms = -1;
    e.size = sizeof e;
    e.flow = f->handle;
    buf_init(&lent, SIZE_MAX / 2);
    if (buf_reserve(&lent, lent_size(&e))) return;
    tda_str *texts[] = {&e.name, &e.id, &e.data, &e.text};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = lend(&lent, *texts[i]);
    for (uint32_t i = 0; i < e.n_headers; i++) headers[i] = (tda_kv){lend(&lent, e.headers[i].key), lend(&lent, e.headers[i].val)};
    e.headers = headers;
    if (s->owner.kind == HANDLE_CONN)
        conn_deliver((struct tda_test_conn *)s, &e);
    else
        call_deliver((struct tda_test_call *)s, &e);
    memset(lent.p, LENT_BYTE, lent.n);
    memset(headers, LENT_BYTE, sizeof headers);
    buf_fini(&lent);
}

static void deliver_and_settle(struct tda_test_flow *f, const struct tda_flow_event *e) {
    struct tda_test *t = f->subject->test;
    kit_here(t);
    deliver(f, e);
    kit_settle(t);
}

bool flows_settle(struct tda_test *t) {
    struct tda_test_conn *c;
    for (c = LIST_FIRST(&t->conns); c; c = LIST_NEXT(c, entry)) {
        struct tda_test_flow *f;
        for (f = c->subject.flows; f; f = f->next) {
            if (!f->owes_writable) continue;
            f->owes_writable = false;
            deliver(f, &(struct tda_flow_event){.kind = TDA_FLOW_WRITABLE});
            return true;
        }
    }
    return false;
}

/* ---- the test's side ---- */

static uint32_t read_headers(struct arena *a, const char *text, tda_kv *headers) {
    uint32_t n = 0;
    while (text && *text && n < HEADERS_MAX) {
        size_t line = strcspn(text, "\r\n");
        const char *colon = memchr(text, ':', line);
        if (colon) {
            char *name = arena_dup(a, (tda_str){text, (size_t)(colon - text)});
            for (char *p = name; p && *p; p++)
                if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
            const char *value = colon + 1;
            while (value < text + line && *value == ' ') value++;
            headers[n++] = (tda_kv){tda_str_of(name), {value, (size_t)(text + line - value)}};
        }
        text += line + strspn(text + line, "\r\n");
    }
    return n;
}

void tda_test_status(struct tda_test_flow *f, int32_t status, const char *headers) {
    tda_kv list[HEADERS_MAX];
    f->status = status;
    f->answered = true;
    uint32_t n = read_headers(&f->subject->memory, headers, list);
    for (uint32_t i = 0; f->by_type && i < n; i++) {
        if (!tda_str_eq(list[i].key, TDA_STR("content-type")) || strncmp(list[i].val.p, "text/event-stream", 17) != 0) continue;
        framer_free(f->framer);
        f->by_type = false;
        if (framer_new(TDA_FRAME_BY_TYPE, ITEM_MAX, &f->framer)) return;
    }
    struct tda_flow_event e = {.kind = TDA_FLOW_STATUS, .status = status, .headers = list, .n_headers = n};
    deliver_and_settle(f, &e);
}

static bool hand_on(void *arg, tda_str name, tda_str id, tda_str data) {
    struct tda_test_flow *f = arg;
    deliver(f, &(struct tda_flow_event){
                   .kind = TDA_FLOW_ITEM, .name = name, .id = id, .data = data, .retry_ms = framer_retry_ms(f->framer)});
    return f->open;
}

static bool is_framed(const struct tda_test_flow *f) {
    return f->request.kind == TDA_FLOW_SERVER || (f->status >= 200 && f->status < 300);
}

static void framing_failed(struct tda_test_flow *f, tda_status s) {
    if (s == TDA_E_CANCELLED) return;
    tda_test_fail(f, s == TDA_E_LIMIT ? TDA_C_TOO_LARGE : TDA_C_PROTOCOL,
                  s == TDA_E_PROTOCOL ? framer_why(f->framer) : "an item of the answer is too large");
}

void tda_test_bytes(struct tda_test_flow *f, tda_str bytes) {
    tda_status s = TDA_OK;
    if (!f->open || !bytes.n) return;
    kit_here(f->subject->test);
    if (is_framed(f))
        s = framer_feed(f->framer, bytes, hand_on, f);
    else
        hand_on(f, (tda_str){0}, (tda_str){0}, bytes);
    if (s) framing_failed(f, s);
    kit_settle(f->subject->test);
}

void tda_test_end(struct tda_test_flow *f) {
    if (!f->open) return;
    kit_here(f->subject->test);
    tda_status s = is_framed(f) ? framer_end(f->framer, hand_on, f) : TDA_OK;
    if (s) framing_failed(f, s);
    deliver_and_settle(f, &(struct tda_flow_event){.kind = TDA_FLOW_END, .status = f->status});
}

void tda_test_fail(struct tda_test_flow *f, uint32_t cls, const char *text) {
    deliver_and_settle(f, &(struct tda_flow_event){.kind = TDA_FLOW_FAIL, .cls = cls, .text = tda_str_of(text)});
}

void tda_test_answer(struct tda_test_flow *f, int32_t status, const char *headers, tda_str body) {
    tda_test_status(f, status, headers);
    tda_test_bytes(f, body);
    tda_test_end(f);
}

int32_t tda_test_is_open(const struct tda_test_flow *f) {
    return f->open;
}

const struct tda_flow_request *tda_test_request(const struct tda_test_flow *f) {
    return &f->request;
}

const char *tda_test_header(const struct tda_test_flow *f, const char *name) {
    for (uint32_t i = 0; i < f->request.n_headers; i++)
        if (str_equal_nocase(f->request.headers[i].key, tda_str_of(name))) return f->request.headers[i].val.p;
    return NULL;
}

/* ---- processes ---- */

const char *tda_test_next_line(struct tda_test_flow *f) {
    const char *from = f->sent.p + f->taken;
    const char *end = f->sent.n > f->taken ? memchr(from, '\n', f->sent.n - f->taken) : NULL;
    if (!end) return NULL;
    free(f->line);
    f->line = str_dup((tda_str){from, (size_t)(end - from)});
    f->taken += (size_t)(end - from) + 1;
    return f->line;
}

void tda_test_stderr(struct tda_test_flow *f, const char *line) {
    deliver_and_settle(f, &(struct tda_flow_event){.kind = TDA_FLOW_STDERR, .data = tda_str_of(line)});
}

void tda_test_exit(struct tda_test_flow *f, int32_t code) {
    f->status = code;
    tda_test_end(f);
}
