/* Answers with something wrong in them, by a seed that is printed: each round draws a fixture, spoils it, and plays it whole and in
 * pieces. What it says must be the same, and it must say an end. */
#include <stdio.h>

#include "base/clock.h"
#include "cmd.h"

enum { SPOILT_MAX = 64 << 10, CHANGES_MAX = 6 };

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t draw(uint64_t *x, uint64_t below) {
    *x = mix(*x);
    return below ? *x % below : 0;
}

static void change(struct buf *b, uint64_t *x) {
    static const char *const words[] = {"null",
                                        "\"\"",
                                        "{}",
                                        "[",
                                        "}",
                                        "-1",
                                        "1e999",
                                        "\\u0000",
                                        "\n\n",
                                        "\r",
                                        "data: ",
                                        "event: error\n",
                                        "[DONE]",
                                        "\xff",
                                        "\xf0\x9f\x98\x80",
                                        "99999999999999999999",
                                        "\"error\":",
                                        "$id"};
    size_t at = (size_t)draw(x, b->n + 1), n = (size_t)draw(x, 24);
    if (n > b->n - at) n = b->n - at;
    switch (draw(x, 5)) {
    case 0:
        if (at < b->n) b->p[at] = (char)(b->p[at] ^ (1 << draw(x, 8)));
        break;
    case 1: /* cut out */
        memmove(b->p + at, b->p + at + n, b->n - at - n);
        b->n -= n;
        break;
    case 2: b->n = at; break;
    case 3: /* say twice */
        if (!buf_reserve(b, n)) {
            memmove(b->p + at + n, b->p + at, b->n - at);
            b->n += n;
        }
        break;
    default: {
        tda_str word = tda_str_of(words[draw(x, ARRAY_LEN(words))]);
        if (buf_reserve(b, word.n)) break;
        memmove(b->p + at + word.n, b->p + at, b->n - at);
        memcpy(b->p + at, word.p, word.n);
        b->n += word.n;
    }
    }
}

static char *spoil(tda_str s, uint64_t *x, size_t *ret_n) {
    struct buf b;
    buf_init(&b, SPOILT_MAX);
    buf_add(&b, s.p, s.n < SPOILT_MAX / 2 ? s.n : SPOILT_MAX / 2);
    buf_reserve(&b, 64);
    for (uint64_t i = draw(x, CHANGES_MAX) + 1; i; i--) change(&b, x);
    *ret_n = b.n;
    buf_add_char(&b, 0);
    return buf_take(&b, NULL);
}

static void round_of(struct tda_test *t, const struct check *c, uint64_t seed, struct result *r) {
    static const int32_t statuses[] = {200, 200, 200, 200, 400, 401, 429, 500, 529};
    uint64_t x = seed;
    struct fixture f = *c->fixtures->list[draw(&x, c->fixtures->n)];
    char *spoilt[ANSWERS_MAX + RULES_MAX];
    size_t n = 0, size;
    for (size_t i = 0; i < f.n_answers; i++) {
        spoilt[n] = spoil(f.answers[i].body, &x, &size);
        f.answers[i].body = (tda_str){spoilt[n++], size};
        f.answers[i].status = statuses[draw(&x, ARRAY_LEN(statuses))];
    }
    for (size_t i = 0; i < f.n_rules; i++) {
        if (draw(&x, 3) == 0) continue;
        spoilt[n] = spoil(tda_str_of(f.rules[i].reply), &x, &size);
        f.rules[i].reply = spoilt[n++];
    }
    struct outcome whole, pieces;
    step(r, "fuzz, %s", f.name);
    play(t, &(struct plan){.fixture = &f}, &whole);
    play(t, &(struct plan){.fixture = &f, .pieces = RANDOM, .random = x}, &pieces);
    if (strcmp(whole.transcript ? whole.transcript : "", pieces.transcript ? pieces.transcript : "") != 0)
        found(r, FAILURE, "what it says depends on how a spoilt answer was cut (%s): again with --reproduce 0x%llx", f.name,
              (unsigned long long)seed);
    if (whole.started && !whole.finished)
        found(r, FAILURE, "a call has no end: again with --reproduce 0x%llx", (unsigned long long)seed);
    if (getenv("TDA_TEST_LOG")) fprintf(stderr, "---- whole\n%s\n---- in pieces\n%s\n", whole.transcript, pieces.transcript);
    if (t->n_faults) found(r, FAILURE, "%s: again with --reproduce 0x%llx", t->faults[0].text, (unsigned long long)seed);
    outcome_fini(&whole);
    outcome_fini(&pieces);
    play(t, &(struct plan){.fixture = &f, .pieces = LINES, .stop = STOP_CANCEL, .stop_at = 1 + (unsigned)draw(&x, 9)}, &whole);
    outcome_fini(&whole);
    while (n) free(spoilt[--n]);
}

void case_fuzz(const struct check *c, struct result *r) {
    struct tda_test *t = open_instance(c, r);
    if (!t || !c->fixtures->n) return;
    uint64_t seed = c->options->seed;
    int64_t end = clock_now_ns() + (int64_t)c->options->fuzz_s * NS_PER_S;
    do {
        r->seed = seed;
        round_of(t, c, seed, r);
        r->rounds++;
        seed = mix(seed);
    } while (!c->options->reproduce && clock_now_ns() < end && !has_failed(r));
    r->seed = 0;
    close_instance(t, r, "fuzz");
}
