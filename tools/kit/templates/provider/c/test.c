/* What the service sent once, played to the plugin: no network. */
#include <assert.h>
#include <string.h>

#include "tda/test.h"

#undef NDEBUG

int main(void) {
    struct tda_test *t = tda_test_open("./@NAME@.so");
    assert(t);
    struct tda_test_call *c = tda_test_chat(t, "model-1", "Say hello", 1);
    struct tda_test_flow *f = tda_test_flow_of(c, 0);
    assert(f && strcmp(tda_test_header(f, "content-type"), "application/json") == 0);
    assert(tda_str_eq(tda_test_request(f)->auth->secret, TDA_STR("api_key")));
    tda_test_answer(f, 200, "content-type: text/event-stream",
                    TDA_STR("data: {\"text\": \"Hel\"}\n\ndata: {\"text\": \"lo\"}\n\ndata: {\"done\": true}\n\n"));
    assert(strcmp(tda_test_text(c), "Hello") == 0);
    assert(tda_test_done(c) && tda_test_result(c)->cls == TDA_C_OK);
    return tda_test_close(t);
}
