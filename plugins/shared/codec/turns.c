/* A conversation as turns, and the shortest of conversations. */
#include "codec.h"

void turns_end(struct turns *t) {
    if (!t->role) return;
    json()->end_array(t->w);
    json()->end_object(t->w);
    t->role = 0;
}

void turns_part(struct turns *t, uint32_t role) {
    if (t->role == role) return;
    turns_end(t);
    t->role = role;
    json()->begin_object(t->w);
    put_str(t->w, TDA_STR("role"), tda_str_of(role == TDA_ROLE_ASSISTANT ? t->assistant : t->user));
    put_array(t->w, tda_str_of(t->parts));
}

static void each_part(const struct tda_msg *m, bool results, part_visit visit, void *arg) {
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (!results || m->parts[i]->kind == TDA_PART_TOOL_RESULT) visit(arg, m->role, m->parts[i], results);
}

void turns_each(const struct tda_request *r, part_visit visit, void *arg) {
    for (uint32_t from = 0, end; from < r->n_msgs; from = end) {
        uint32_t role = r->msgs[from]->role;
        for (end = from; end < r->n_msgs && r->msgs[end]->role == role;) end++;
        if (role == TDA_ROLE_SYSTEM) continue;
        for (uint32_t i = from; i < end; i++) each_part(r->msgs[i], true, visit, arg);
        for (uint32_t i = from; i < end; i++) each_part(r->msgs[i], false, visit, arg);
    }
}

uint32_t system_each(const struct tda_request *r, part_visit visit, void *arg) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_msgs; i++)
        for (uint32_t k = 0; r->msgs[i]->role == TDA_ROLE_SYSTEM && k < r->msgs[i]->n_parts; k++) {
            if (!part_is_text(r->msgs[i]->parts[k])) continue;
            n++;
            if (visit) visit(arg, TDA_ROLE_SYSTEM, r->msgs[i]->parts[k], false);
        }
    return n;
}

const struct tda_request *probe_request(const struct codec *c, struct probe *p, uint64_t max_tokens) {
    p->part = (struct tda_part){.size = sizeof p->part, .kind = TDA_PART_TEXT, .text = TDA_STR("Hi")};
    p->parts[0] = &p->part;
    p->msg = (struct tda_msg){.size = sizeof p->msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = p->parts};
    p->msgs[0] = &p->msg;
    p->request = (struct tda_request){.size = sizeof p->request, .op = TDA_OP_CHAT, .model = text_str(&c->model)};
    p->request.msgs = p->msgs;
    p->request.n_msgs = 1;
    p->request.set = TDA_SET_MAX_TOKENS;
    p->request.max_tokens = max_tokens;
    return &p->request;
}
