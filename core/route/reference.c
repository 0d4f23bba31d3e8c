/* The wire, described from the tables that drive it: for programs (host.methods) and for people who write a client in another
 * language (tdad --reference methods). */
#include "route/reference.h"

#include "route/request.h"

/* ---- host.methods ---- */

static void write_params(const struct param *list, struct jw *w) {
    jw_begin_array(w);
    for (; list->name; list++) {
        jw_begin_object(w);
        jw_put_z(w, "name", list->name);
        jw_put_z(w, "type", param_type_name(list->type));
        jw_put_bool(w, "required", list->required);
        jw_put_z(w, "help", list->help);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void write_results(const struct result_doc *r, struct jw *w) {
    jw_open_array(w, "results");
    for (; r->name; r++) {
        jw_begin_object(w);
        jw_put_z(w, "name", r->name);
        jw_put_z(w, "type", r->type);
        jw_put_z(w, "help", r->help);
        jw_end_object(w);
    }
    jw_end_array(w);
}

/* The next of the words that spaces join. */
static bool next_word(const char **at, tda_str *ret) {
    const char *p = *at + strspn(*at, " ");
    *ret = (tda_str){p, strcspn(p, " ")};
    *at = p + ret->n;
    return ret->n > 0;
}

static void write_doc(const struct method_doc *d, struct jw *w) {
    tda_str kind;
    const char *at = d->errors;
    jw_put_bool(w, "reads", d->reads);
    write_results(d->results, w);
    jw_open_array(w, "errors");
    while (next_word(&at, &kind)) jw_str(w, kind);
    jw_end_array(w);
}

static void write_words(const char *list, const char *word, const struct word_doc *d, struct jw *w) {
    jw_open_array(w, list);
    for (; d->word; d++) {
        jw_begin_object(w);
        jw_put_z(w, word, d->word);
        jw_put_z(w, "help", d->help);
        jw_end_object(w);
    }
    jw_end_array(w);
}

void methods_write(struct jw *w) {
    jw_open_array(w, "methods");
    for (const struct method *m = method_next(NULL); m; m = method_next(m)) {
        const struct method_doc *d = method_doc_find(m->name);
        jw_begin_object(w);
        jw_put_z(w, "name", m->name);
        jw_put_z(w, "summary", m->summary);
        jw_put_bool(w, "user", !(m->flags & METHOD_NO_USER));
        jw_put_bool(w, "operator", m->flags & METHOD_OPERATOR);
        jw_key(w, TDA_STR("params"));
        write_params(m->params, w);
        if (d) write_doc(d, w);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_key(w, TDA_STR("common_params"));
    write_params(params_common(), w);
    write_words("errors", "kind", error_docs, w);
    write_words("events", "type", event_docs, w);
}

/* ---- the page ---- */

static const char page_head[] =
    "# The protocol of tdad\n\n"
    "Written from the tables that the daemon itself checks requests with; `host.methods` gives the same to programs.\n\n"
    "## Connection\n\n"
    "The daemon is a REP socket of SP (nng, nanomsg), on `ipc://PATH`, `tcp://HOST:PORT`, `tls+tcp://HOST:PORT`, "
    "`ws://HOST:PORT/PATH` and `wss://`. With a library of those, a client is a REQ socket: set its resend\n"
    "time to never, and repeat by the rules of \"Once\" below. Without one, the wire is this, all numbers big-endian:\n\n"
    "1. Each side sends 8 bytes: `00 53 50 00`, then `00 30` (the client, REQ) or `00 31` (the daemon, REP), then `00 00`. Other "
    "bytes: this is no REP socket.\n"
    "2. Then messages, each way: on ipc one byte `01`; the length, 64 bits; so many bytes.\n"
    "3. A request begins with a number of 32 bits whose highest bit is set, and its reply with the same. Many may be in flight, "
    "replies come in any order.\n\n"
    "On a websocket (subprotocol `rep.sp.nanomsg.org`) there is no handshake and no length: each binary message is the number and "
    "what stands behind it.\n\n"
    "Behind that number stands one JSON object in UTF-8. A request larger than `limits.message_bytes` is answered with an "
    "error.\n\n"
    "## Requests and replies\n\n"
    "JSON-RPC 2.0, one object a message, `params` always an object:\n\n"
    "```\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"agent.run\", \"params\": {\"user\": \"alice\", \"input\": \"Which tables are "
    "there?\"}}\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {\"text\": \"...\", \"meta\": {...}}}\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": -32602, \"message\": \"...\", \"data\": {\"kind\": \"unknown_param\", "
    "\"field\": \"inptu\", \"hint\": \"did you mean input?\"}}}\n"
    "```\n\n"
    "Every request is answered, a malformed one with an error. New members may come into results, events and `data`: pass over "
    "what you do not know.\n\n"
    "## Who asks\n\n"
    "On ipc the daemon knows the peer's unix user. Everywhere else each request, `host.ping` too, carries a token in "
    "`params.auth`. A user's token acts for him alone, and implies\n"
    "`user`; a service's names the user; methods marked *for operators* want an operator. Errors: `token_required`, "
    "`token_invalid`, `token_expired`, `not_trusted`, `denied`.\n\n"
    "## Once\n\n"
    "A connection may break before the reply is there. A method marked *reads* is then simply asked again. For the others, put a "
    "fresh random `idempotency_key`\n"
    "into every call: the same key with the same parameters is answered from the one run, even while that goes on; a call with a "
    "key goes on when its connection\n"
    "breaks, one without is cancelled. Keys hold for `idempotency.keep`, and as long as `boot` of `host.info` stays the same: ask "
    "for it after each connect, and when\n"
    "it has changed do not repeat a call that may have run, but tell the caller.\n\n"
    "## Streams\n\n"
    "A method that takes long is given to `task.submit`, which answers with a task. Ask `task.poll` with `after` 0 and `wait_ms` "
    "20000, then with `after` set to the\n"
    "reply's `next`, until `state` is complete, error or cancelled: the reply that says so holds `result` or `error`, and the last "
    "events. Pass over an event whose `n` you\n"
    "have seen. A poll waits at most 25 s: when no reply has come 15 s after wait_ms, the connection is dead. `task.cancel` ends a "
    "task.\n\n"
    "| event | members |\n|---|---|\n";

static const char errors_head[] = "\n## Errors\n\n"
                                  "`code` is JSON-RPC's: -32700 no JSON, -32600 no request, -32601 no such method, -32602 a "
                                  "parameter is not acceptable, -32603 a fault inside; or one of these:\n\n"
                                  "| code | meaning |\n|---|---|\n";

static const char data_head[] =
    "\n`data` says more: `kind`, a stable word to decide by; `field`, the input at fault; `hint`, what to do; `retry_ms`, when it "
    "is worth trying again (absent: it\n"
    "is not, or nobody knows); and of an upstream's error `http_status`, `upstream_code`, `upstream_request_id`.\n\n"
    "| kind | meaning |\n|---|---|\n";

static void page_words(const struct word_doc *d, struct buf *out) {
    for (; d->word; d++) buf_addf(out, "| `%s` | %s |\n", d->word, d->help);
}

static void page_codes(struct buf *out) {
#define ROW(name, number, text)                                                                                                    \
    if ((number) != TDA_OK && (number) != TDA_E_INVALID) buf_addf(out, "| %d | %s |\n", rpc_code_of(number), text);
    TDA_STATUS_MAP(ROW)
#undef ROW
}

static void page_params(const struct param *list, struct buf *out) {
    if (list->name) buf_add_z(out, "\n| parameter | type | meaning |\n|---|---|---|\n");
    for (; list->name; list++)
        buf_addf(out, "| `%s` | %s%s | %s |\n", list->name, param_type_name(list->type), list->required ? ", required" : "",
                 list->help);
}

static void page_results(const struct result_doc *r, struct buf *out) {
    buf_add_z(out, "\n| result | type | meaning |\n|---|---|---|\n");
    for (; r->name; r++) buf_addf(out, "| `%s` | %s | %s |\n", r->name, r->type, r->help);
}

static void page_errors(const char *kinds, struct buf *out) {
    tda_str kind;
    const char *before = "\nErrors of its own: ";
    while (next_word(&kinds, &kind)) {
        buf_addf(out, "%s`%.*s`", before, STR_FMT(kind));
        before = ", ";
    }
    if (before[0] == ',') buf_add_z(out, ".\n");
}

static void page_method(const struct method *m, struct buf *out) {
    const struct method_doc *d = method_doc_find(m->name);
    buf_addf(out, "\n### %s\n\n%s%s%s%s\n", m->name, m->summary, m->flags & METHOD_NO_USER ? " Concerns no user." : "",
             d && d->reads ? " *Reads.*" : "", m->flags & METHOD_OPERATOR ? " *For operators.*" : "");
    page_params(m->params, out);
    if (!d) return;
    page_results(d->results, out);
    page_errors(d->errors, out);
}

void route_reference(struct buf *out) {
    buf_add_z(out, page_head);
    page_words(event_docs, out);
    buf_add_z(out, errors_head);
    page_codes(out);
    buf_add_z(out, data_head);
    page_words(error_docs, out);
    buf_add_z(out, "\n## Methods\n\nParameters that every method takes:\n");
    page_params(params_common(), out);
    for (const struct method *m = method_next(NULL); m; m = method_next(m)) page_method(m, out);
}
