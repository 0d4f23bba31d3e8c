/* Questions that a work's server, or the host on the way to it, puts to the user: an `ask` event, and task.respond with his answer.
 * The connection knows which are open; here is who asked, so that an answer finds its way. */
#include "agent/questions.h"

#include <stdio.h>

#include "agent/events.h"

enum { QUESTIONS_MAX = 64 }; /* of one work, open or not */

struct asked {
    struct asked *next;
    uint64_t number;
    struct conn *conn; /* NULL: it is over */
};

static struct asked *find(struct work *w, uint64_t number) {
    struct asked *a = w->asked;
    while (a && (a->number != number || !a->conn)) a = a->next;
    return a;
}

static tda_status wrong(struct error *e, const char *field, const char *text) {
    error_set(e, TDA_E_INVALID, "invalid_answer", "%s", text);
    error_field(e, "%s", field);
    error_hint(e, "json is {\"action\": \"accept\", \"content\": {...}}, or {\"action\": \"decline\"} or \"cancel\"");
    return TDA_E_INVALID;
}

static tda_status check_answer(struct json answer, struct error *e) {
    tda_str action = json_str(json_key(answer, TDA_STR("action")));
    struct json content = json_key(answer, TDA_STR("content"));
    bool accepts = tda_str_eq(action, TDA_STR("accept"));
    if (!accepts && !tda_str_eq(action, TDA_STR("decline")) && !tda_str_eq(action, TDA_STR("cancel")))
        return wrong(e, "json.action", "the answer's action is none of accept, decline, cancel");
    if (json_type(content) && json_type(content) != TDA_JSON_OBJECT)
        return wrong(e, "json.content", "the answer's content is no object");
    return TDA_OK;
}

static tda_status respond(struct work *w, tda_str request, struct json answer, struct error *e) {
    char number[24];
    struct asked *a = w->asked;
    for (; a; a = a->next) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)a->number);
        if (a->conn && tda_str_eq(request, tda_str_of(number))) break;
    }
    if (!a) {
        error_set(e, TDA_E_NOT_FOUND, "nothing_asked", "this task does not ask that, or not any more");
        error_hint(e, "`request` is that of an event of type ask without a later ask_over");
        return TDA_E_NOT_FOUND;
    }
    bool none = json_type(answer) != TDA_JSON_OBJECT; /* null: none will come */
    tda_status s = none ? TDA_OK : check_answer(answer, e);
    if (!s) s = conn_answer(a->conn, a->number, none ? TDA_STR("{\"action\":\"cancel\"}") : json_raw(answer));
    return s;
}

static bool on_ask(void *arg, const struct question *q) {
    struct work *w = arg;
    struct asked *a = w->n_asked < QUESTIONS_MAX ? arena_alloc(w->arena, sizeof *a) : NULL;
    if (!a || !event_ask(w, q)) return false;
    *a = (struct asked){.next = w->asked, .number = q->number, .conn = q->conn};
    w->asked = a;
    w->n_asked++;
    w->respond = respond;
    return true;
}

static void on_over(void *arg, uint64_t number) {
    struct work *w = arg;
    struct asked *a = find(w, number);
    if (!a) return;
    a->conn = NULL;
    event_ask_over(w, number);
}

void questions_hear(struct work *w, struct call_spec *spec) {
    struct work *who = w->outer ? w->outer : w;
    if (!who->event) return;
    spec->on_ask = on_ask;
    spec->on_ask_over = on_over;
    spec->ask_arg = who;
}
