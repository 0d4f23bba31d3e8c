#include "agent/trim.h"

enum { TOKEN_BYTES = 4, PART_TOKENS = 4, IMAGE_TOKENS = 1500 };

static int64_t text_tokens(tda_str s) {
    return (int64_t)((s.n + TOKEN_BYTES - 1) / TOKEN_BYTES);
}

static int64_t part_tokens(const struct tda_part *p) {
    int64_t n = PART_TOKENS + text_tokens(p->text) + text_tokens(p->name) + text_tokens(p->opaque);
    return p->kind == TDA_PART_IMAGE ? n + IMAGE_TOKENS : n;
}

int64_t message_tokens(const struct tda_msg *m) {
    int64_t n = PART_TOKENS;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        const struct tda_part *p = m->parts[i];
        n += part_tokens(p);
        for (uint32_t k = 0; k < p->n_parts; k++) n += part_tokens(p->parts[k]);
    }
    return n;
}

int64_t messages_tokens(const struct tda_msg *const *msgs, uint32_t n) {
    int64_t tokens = 0;
    for (uint32_t i = 0; i < n; i++) tokens += message_tokens(msgs[i]);
    return tokens;
}

int64_t tools_tokens(const struct tda_request *r) {
    int64_t n = 0;
    for (uint32_t i = 0; i < r->n_tools; i++)
        n +=
            PART_TOKENS + text_tokens(r->tools[i]->name) + text_tokens(r->tools[i]->description) + text_tokens(r->tools[i]->schema);
    return n;
}

static bool has_part(const struct tda_msg *m, uint32_t kind) {
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (m->parts[i]->kind == kind) return true;
    return false;
}

/* A user's message that answers no tool call: a turn begins with it. */
static bool begins_turn(const struct tda_msg *m) {
    return m->role == TDA_ROLE_USER && !has_part(m, TDA_PART_TOOL_RESULT);
}

static bool is_system(const struct tda_msg *m) {
    return m->role == TDA_ROLE_SYSTEM;
}

/* Where the last turn begins; h->n: nowhere. */
static uint32_t last_turn(const struct history *h) {
    for (uint32_t i = h->n; i-- > 0;)
        if (begins_turn(h->msgs[i])) return i;
    return h->n;
}

/* The next that may go as one piece, from `at` on: [*from, *to). Before `question` that is a turn; after it, a step: what the model
 * said with what its tools answered, but never the last. */
static bool next_piece(const struct history *h, uint32_t question, uint32_t at, uint32_t *from, uint32_t *to) {
    while (at < question && is_system(h->msgs[at])) at++;
    bool older_turn = at < question;
    if (!older_turn && at <= question) at = question + 1;
    if (at >= h->n) return false;
    *from = at++;
    if (older_turn)
        while (at < question && !is_system(h->msgs[at]) && !begins_turn(h->msgs[at])) at++;
    else
        while (at < h->n && h->msgs[at]->role != TDA_ROLE_ASSISTANT) at++;
    *to = at;
    return older_turn || at < h->n;
}

uint32_t history_trim(const struct history *h, int64_t budget, const struct tda_msg **out) {
    int64_t tokens = messages_tokens(h->msgs, h->n);
    uint32_t from, to = 0, kept = 0, question = last_turn(h);
    memcpy(out, h->msgs, h->n * sizeof *out);
    while (tokens > budget && question < h->n && next_piece(h, question, to, &from, &to))
        for (uint32_t i = from; i < to; i++) {
            tokens -= message_tokens(h->msgs[i]);
            out[i] = NULL;
        }
    for (uint32_t i = 0; i < h->n; i++)
        if (out[i]) out[kept++] = out[i];
    return kept;
}
