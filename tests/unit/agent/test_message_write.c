/* What is written of a conversation is read back as it was: tool calls, results, thinking with its blob and tag. */
#include <criterion/criterion.h>

#include "agent/message.h"

TestSuite(message_write, .timeout = 20);

static struct history read_back(struct arena *a, tda_str text, tda_str tag, struct json_doc **doc) {
    struct history h = {.arena = a, .tag = tag};
    struct error e = {.retry_ms = -1};
    cr_assert(json_parse(text, 0, doc, &e) == TDA_OK, "%s: %.*s", e.text, STR_FMT(text));
    size_t i = 0;
    for (struct json m = json_first(json_root(*doc)); json_type(m); m = json_next(m))
        cr_assert(history_add_json(&h, m, i++, &e) == TDA_OK, "%s", e.text);
    return h;
}

static void write_all(const struct history *h, struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    jw_begin_array(&w);
    for (uint32_t i = 0; i < h->n; i++) message_write(h->msgs[i], &w);
    jw_end_array(&w);
}

static const char conversation[] =
    "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\\u00e4?\\u0000\\n\"},"
    "{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"aGk=\"},{\"type\":\"json\",\"value\":{\"a\":[1,2.50]}}]},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"hm\",\"opaque\":\"sig==\",\"opaque_tag\":\"P/M\"},"
    "{\"type\":\"text\",\"text\":\"\",\"opaque\":\"blob\",\"opaque_tag\":\"P/M\"},"
    "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"s__t\",\"arguments\":{\"x\": 1},\"opaque\":\"b2\",\"opaque_tag\":\"P/M\"},"
    "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"s__t\",\"arguments\":{}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"id\":\"c1\",\"name\":\"s__t\",\"is_error\":false,"
    "\"content\":[{\"type\":\"text\",\"text\":\"42\"},{\"type\":\"json\",\"value\":[null]}]},"
    "{\"type\":\"tool_result\",\"id\":\"c2\",\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"\"}]}]}]";

Test(message_write, what_is_written_reads_back) {
    struct arena a;
    struct buf once, twice;
    struct json_doc *first, *second;
    arena_init(&a, 1 << 20);
    buf_init(&once, 1 << 16);
    buf_init(&twice, 1 << 16);
    struct history h = read_back(&a, tda_str_of(conversation), TDA_STR("P/M"), &first);
    write_all(&h, &once);
    struct history again = read_back(&a, buf_str(&once), TDA_STR("P/M"), &second);
    write_all(&again, &twice);
    cr_assert(tda_str_eq(buf_str(&once), buf_str(&twice)));
    cr_assert_eq(again.n, 3);
    const struct tda_part *const *p = again.msgs[1]->parts;
    cr_assert(tda_str_eq(p[0]->opaque, TDA_STR("sig==")) && tda_str_eq(p[0]->opaque_tag, TDA_STR("P/M")));
    cr_assert(tda_str_eq(p[1]->opaque, TDA_STR("blob")));
    cr_assert(tda_str_eq(p[2]->text, TDA_STR("{\"x\": 1}")) && tda_str_eq(p[2]->opaque, TDA_STR("b2")), "arguments byte for byte");
    cr_assert(tda_str_eq(again.msgs[0]->parts[0]->text, (tda_str){"h\xc3\xa4?\0\n", 6}));
    cr_assert(again.msgs[2]->parts[1]->is_error && !again.msgs[2]->parts[0]->is_error);
    cr_assert_eq(again.msgs[2]->parts[0]->n_parts, 2);
    json_free(second);
    second = NULL;
    struct history other = read_back(&a, buf_str(&once), TDA_STR("Q/M"), &second);
    cr_assert_eq(other.msgs[1]->parts[0]->opaque.n, 0, "a blob is for the one who made it");
    json_free(first);
    json_free(second);
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&a);
}

Test(message_write, what_is_no_json_does_not_break_the_row) {
    struct arena a;
    struct buf out;
    struct jw w;
    arena_init(&a, 1 << 16);
    buf_init(&out, 1 << 16);
    struct tda_part bad = {
        .size = sizeof bad, .kind = TDA_PART_TOOL_USE, .id = TDA_STR("c"), .name = TDA_STR("t"), .text = TDA_STR("{\"x\": ")};
    struct tda_part result = {.size = sizeof result, .kind = TDA_PART_TOOL_RESULT, .id = TDA_STR("c")};
    const struct tda_part *parts[] = {&bad, &result};
    struct tda_msg m = {.size = sizeof m, .role = TDA_ROLE_ASSISTANT, .n_parts = 2, .parts = parts};
    jw_init(&w, &out);
    message_write(&m, &w);
    cr_assert(json_check(buf_str(&out), 0, NULL) == TDA_OK, "%.*s", STR_FMT(buf_str(&out)));
    buf_fini(&out);
    arena_fini(&a);
}
