#include <criterion/criterion.h>
#include <stdio.h>

#include "agent/events.h"
#include "agent/trim.h"
#include "agent/turn_limits.h"
#include "base/clock.h"

TestSuite(trim, .timeout = 20);
TestSuite(turn_limits, .timeout = 20);
TestSuite(turn_events, .timeout = 20);

/* ---- a conversation in one letter each: s system, u user, a assistant, c assistant with a call, r its result ---- */

static struct arena arena;

static const struct tda_msg *message(char letter) {
    struct tda_msg *m = arena_alloc(&arena, sizeof *m);
    struct tda_part *p = arena_alloc(&arena, sizeof *p);
    const struct tda_part **list = arena_alloc(&arena, sizeof *list);
    static char text[400];
    memset(text, letter, sizeof text);
    list[0] = p;
    *p = (struct tda_part){.size = sizeof *p,
                           .kind = letter == 'c'   ? TDA_PART_TOOL_USE
                                   : letter == 'r' ? TDA_PART_TOOL_RESULT
                                                   : TDA_PART_TEXT,
                           .text = arena_str(&arena, (tda_str){text, sizeof text})};
    *m = (struct tda_msg){.size = sizeof *m,
                          .role = letter == 's'                    ? TDA_ROLE_SYSTEM
                                  : letter == 'u' || letter == 'r' ? TDA_ROLE_USER
                                                                   : TDA_ROLE_ASSISTANT,
                          .n_parts = 1,
                          .parts = list};
    return m;
}

/* What is left of it with room for `n` messages. */
static const char *trimmed(const char *letters, int64_t n) {
    static char left[64];
    struct history h = {.arena = &arena};
    for (const char *p = letters; *p; p++) history_add(&h, message(*p));
    int64_t each = message_tokens(message('u'));
    const struct tda_msg *sent[64];
    uint32_t kept = history_trim(&h, n * each, sent);
    cr_assert(h.n == strlen(letters), "the history itself stays whole");
    for (uint32_t i = 0; i < h.n; i++) cr_assert(h.msgs[i]->parts[0]->text.p[0] == letters[i]);
    for (uint32_t i = 0; i < kept; i++) left[i] = sent[i]->parts[0]->text.p[0];
    left[kept] = 0;
    return left;
}

Test(trim, the_oldest_turns_go_then_the_oldest_calls_of_this_one) {
    static const struct {
        const char *whole;
        int64_t room;
        const char *left;
    } rows[] = {
        {"suauau", 6, "suauau"},
        {"suauau", 5, "suau"},
        {"suauau", 4, "suau"},
        {"suauau", 3, "su"},
        {"suauau", 0, "su"},
        {"ssuau", 3, "ssu"},
        {"sucrcrau", 2, "su"},     /* a turn with calls goes as a whole */
        {"sucrauau", 4, "suau"},   /* and no other with it */
        {"sucrcrcr", 6, "sucrcr"}, /* within a turn the oldest calls */
        {"sucrcrcr", 1, "sucr"},   /* the last calls stay, whatever there is room for */
        {"sua"
         "ucrcr",
         4, "sucr"},
        {"u", 0, "u"},
        {"suau"
         "crrr",
         0, "sucrrr"}, /* results in several messages stay with their call */
        {"cr"
         "au",
         1, "u"},              /* a conversation that begins in the middle */
        {"scrcr", 1, "scrcr"}, /* no question: nothing is judged */
        {"suasuau", 4, "ssu"}, /* an instruction between turns is one */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        arena_init(&arena, 16 << 20);
        cr_assert_str_eq(trimmed(rows[i].whole, rows[i].room), rows[i].left, "%s with room for %lld: %s", rows[i].whole,
                         (long long)rows[i].room, trimmed(rows[i].whole, rows[i].room));
        arena_fini(&arena);
    }
}

/* Any conversation, any room: a result always follows its call, the question and the system's messages stay. */
Test(trim, pairs_are_whole_whatever_is_cut) {
    unsigned seed = 1;
    for (int round = 0; round < 3000; round++) {
        char letters[64] = "s";
        size_t n = 1, question = 0;
        while (n < 40) {
            seed = seed * 1103515245 + 12345;
            unsigned dice = seed >> 16;
            question = n;
            letters[n++] = 'u';
            for (unsigned k = dice % 4; k; k--) {
                letters[n++] = 'c';
                letters[n++] = 'r';
            }
            if (dice % 7 == 6) break;
            letters[n++] = 'a';
        }
        if (letters[n - 1] == 'a') n--;
        letters[n] = 0;
        arena_init(&arena, 16 << 20);
        const char *left = trimmed(letters, seed % 40);
        cr_assert(left[0] == 's' && left[1] == 'u', "%s: %s", letters, left);
        cr_assert(strchr(letters + question, 'r') == NULL || strchr(left, 'r') != NULL, "%s: %s", letters, left);
        for (const char *p = left; *p; p++) cr_assert((*p == 'r') == (p > left && p[-1] == 'c'), "%s: %s", letters, left);
        arena_fini(&arena);
    }
}

/* ---- limits ---- */

Test(turn_limits, the_first_that_is_reached_is_named) {
    static const struct {
        struct turn_limits limits;
        uint32_t steps;
        uint64_t tokens;
        double cost;
        const char *reached;
    } rows[] = {
        {{.steps = 3}, 2, 1000000, 1e9, NULL},         {{.steps = 3}, 3, 0, 0, "step_limit"},
        {{.steps = 3, .tokens = 100}, 1, 99, 0, NULL}, {{.steps = 3, .tokens = 100}, 1, 100, 0, "token_limit"},
        {{.steps = 3, .cost = 0.5}, 1, 0, 0.49, NULL}, {{.steps = 3, .cost = 0.5}, 1, 0, 0.5, "cost_limit"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct work_meta m = {.tokens = rows[i].tokens, .cost = rows[i].cost};
        const char *got = turn_limits_reached(&rows[i].limits, rows[i].steps, &m);
        cr_assert(rows[i].reached ? got && strcmp(got, rows[i].reached) == 0 : !got, "row %zu: %s", i, got ? got : "none");
    }
}

Test(turn_limits, cost_is_by_the_million_and_cached_tokens_have_their_own_price) {
    static const struct config_model price = {.input = 2, .output = 10, .cache_read = 0.5};
    double cost = -1;
    struct tda_usage u = {sizeof u, 0, 1000000, 100000, 400000, 0, 0};
    cr_assert(usage_cost(&price, &u, &cost));
    cr_assert_float_eq(cost, 0.6 * 2 + 0.4 * 0.5 + 0.1 * 10, 1e-9);
    u.cache_read = TDA_UNKNOWN;
    cr_assert(usage_cost(&price, &u, &cost));
    cr_assert_float_eq(cost, 3, 1e-9);
    u.output = TDA_UNKNOWN;
    cr_assert_not(usage_cost(&price, &u, &cost), "unknown is not zero");
}

Test(turn_limits, a_models_own_entry_counts_before_its_providers) {
    struct config_model models[] = {{.name = (char *)"Ollama", .context = 8000, .has_price = true, .input = 1},
                                    {.name = (char *)"OpenAI/gpt-5", .context = 400000},
                                    {.name = (char *)"ollama/big/one", .context = 32000}};
    struct config c = {.models = models, .n_models = ARRAY_LEN(models), .calls_max_context = 5};
    cr_assert(config_model_context(&c, TDA_STR("openai"), TDA_STR("gpt-5")) == 400000);
    cr_assert(config_model_context(&c, TDA_STR("openai"), TDA_STR("gpt-4")) == 5);
    cr_assert(config_model_context(&c, TDA_STR("OLLAMA"), TDA_STR("x")) == 8000);
    cr_assert(config_model_context(&c, TDA_STR("Ollama"), TDA_STR("big/one")) == 32000);
    cr_assert(config_model_price(&c, TDA_STR("Ollama"), TDA_STR("big/one")) == &models[0]);
    cr_assert_null(config_model_price(&c, TDA_STR("OpenAI"), TDA_STR("gpt-5")));
    cr_assert(config_model_context(&c, TDA_STR("Oll"), TDA_STR("ama")) == 5);
}

/* ---- events ---- */

static char heard[1000];

static void listen(struct work *w, tda_str json) {
    (void)w;
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%.*s", STR_FMT(json));
}

static bool piece(struct text_rest *rest, bool thinking, const char *text) {
    struct work w = {.event = listen};
    return event_text(&w, rest, thinking, tda_str_of(text));
}

Test(turn_events, a_character_in_two_pieces_is_one) {
    struct text_rest rest = {0};
    cr_assert(piece(&rest, false, "a\xf0\x9f"));
    cr_assert_not(piece(&rest, false, "\x98"), "nothing is whole yet");
    cr_assert(piece(&rest, false,
                    "\x80"
                    "b\xc3"));
    cr_assert(piece(&rest, false, "\xa9"));
    cr_assert_str_eq(heard, "{\"type\":\"text\",\"text\":\"a\"}{\"type\":\"text\",\"text\":\"\xf0\x9f\x98\x80"
                            "b\"}{\"type\":\"text\",\"text\":\"\xc3\xa9\"}");
}

Test(turn_events, text_is_clean_and_nobody_listening_costs_nothing) {
    struct text_rest rest = {0};
    struct work deaf = {0};
    cr_assert_not(event_text(&deaf, &rest, false, TDA_STR("x")));
    cr_assert_not(piece(&rest, false, "\x01\x1b"), "nothing is left of it");
    cr_assert(piece(&rest, false, "a\x1b[1m\xff"));
    piece(&rest, false, "\xc3");
    cr_assert(piece(&rest, true, "b"), "a start without its rest is left out");
    cr_assert_str_eq(heard, "{\"type\":\"text\",\"text\":\"a[1m\xef\xbf\xbd\"}{\"type\":\"thinking\",\"text\":\"b\"}");
}
