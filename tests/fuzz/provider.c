/* What a provider's service answers, to the plugin in the kit's host. The first byte says what was asked and the status, the second
 * where the answer is cut, the third what it says it is; the rest is the body. A target for each way a plugin decodes. */
#include <stdlib.h>
#include <string.h>

#include "tda/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_user(struct tda_test *t) {
    tda_test_setting(t, "region", "us-east-1");
    if (API[0]) tda_test_setting(t, "api", API);
    if (!AZURE) return;
    tda_test_setting(t, "base_url", "https://unit.openai.azure.com");
    tda_test_setting(t, "deployment", "mini");
}

static struct tda_test_call *ask(struct tda_test *t, uint32_t op, uint32_t stream) {
    struct tda_part part = {.size = sizeof part, .kind = TDA_PART_TEXT, .text = TDA_STR("Say hello")};
    const struct tda_part *parts[] = {&part};
    struct tda_msg msg = {.size = sizeof msg, .role = TDA_ROLE_USER, .n_parts = 1, .parts = parts};
    const struct tda_msg *msgs[] = {&msg};
    struct tda_request r = {.size = sizeof r, .op = op, .model = TDA_STR("anthropic.claude-x-v1:0"), .msgs = msgs, .n_msgs = 1};
    r.stream = stream;
    r.deadline_ms = 60000;
    return tda_test_start(t, &r);
}

static void answer(struct tda_test_flow *f, int32_t status, const char *headers, tda_str body, size_t cut) {
    tda_test_status(f, status, headers);
    for (size_t at = 0; at < body.n && tda_test_is_open(f); at += cut)
        tda_test_bytes(f, (tda_str){body.p + at, body.n - at < cut ? body.n - at : cut});
    if (tda_test_is_open(f)) tda_test_end(f);
}

static void play(struct tda_test *t, const uint8_t *head, tda_str body) {
    static const int32_t statuses[] = {200, 200, 400, 401, 404, 429, 500, 529};
    static const char *const headers[] = {"content-type: application/json", "content-type: text/event-stream",
                                          "content-type: application/vnd.amazon.eventstream",
                                          "content-type: application/x-ndjson\nretry-after: 3"};
    set_user(t);
    struct tda_test_call *c = ask(t, (head[0] & 3u) + 1, head[0] >> 2 & 1);
    if (!c) return;
    size_t cut = head[1] ? head[1] : body.n + 1;
    for (size_t n = 0; n < 10 && !tda_test_done(c); n++) {
        struct tda_test_flow *f = tda_test_flow_of(c, n);
        if (!f) break;
        answer(f, statuses[head[0] >> 3 & 7], headers[head[2] & 3], body, cut);
    }
    if (!tda_test_done(c)) tda_test_time_out(c);
    if (!tda_test_done(c)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3 || memchr(data, 0xDD, size)) return 0; /* the kit writes 0xDD over what it lent, and would take ours for that */
    struct tda_test *t = tda_test_open(PLUGIN);
    if (!t) abort();
    play(t, data, (tda_str){(const char *)data + 3, size - 3});
    if (tda_test_close(t)) abort();
    return 0;
}
