#include "agent/title.h"

enum { QUESTION_MAX = 4096, TEXT_MAX = 4096 };

static const char wish[] = "Give the conversation that begins with the user's message a title of at most six words, in its "
                           "language. Do not answer the message. Write the title alone, without quotes.";

static void on_done(struct model_call *m, const struct error *e) {
    struct title *t = CONTAINER_OF(m, struct title, call);
    buf_init(&t->text, TEXT_MAX);
    bool good = !e && answer_text(&m->answer, &t->text) == TDA_OK && t->text.n > 0;
    model_call_fini(m);
    t->done(m->work, good ? buf_str(&t->text) : (tda_str){0});
}

/* Not inside of a character. */
static tda_str beginning(tda_str s) {
    if (s.n <= QUESTION_MAX) return s;
    s.n = QUESTION_MAX;
    while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) s.n--;
    return s;
}

void title_ask(struct title *t, struct work *w, tda_str question, void (*done)(struct work *w, tda_str said)) {
    const uint32_t roles[2] = {TDA_ROLE_SYSTEM, TDA_ROLE_USER};
    const tda_str texts[2] = {tda_str_of(wish), beginning(question)};
    *t = (struct title){.done = done};
    w->event = NULL;
    for (size_t i = 0; i < 2; i++) {
        t->parts[i] = (struct tda_part){.size = sizeof t->parts[i], .kind = TDA_PART_TEXT, .text = texts[i]};
        t->lists[i] = &t->parts[i];
        t->msgs[i] = (struct tda_msg){.size = sizeof t->msgs[i], .role = roles[i], .n_parts = 1, .parts = &t->lists[i]};
        t->msg_list[i] = &t->msgs[i];
    }
    t->call = (struct model_call){.work = w, .done = on_done};
    t->call.request = (struct tda_request){.size = sizeof t->call.request,
                                           .op = TDA_OP_CHAT,
                                           .model = snapshot_get(w->snapshot, TDA_CTX_MODEL),
                                           .msgs = t->msg_list,
                                           .n_msgs = 2};
    model_call_start(&t->call);
}

void title_cancel(struct title *t) {
    model_call_cancel(&t->call);
}

void title_fini(struct title *t) {
    buf_fini(&t->text);
}
