/* The tool called as the host calls it. */
#include <assert.h>
#include <string.h>

#include "tda/test.h"

#undef NDEBUG

int main(void) {
    struct tda_test *t = tda_test_open("./@NAME@.so");
    assert(t);
    struct tda_test_conn *k = tda_test_connect(t, "server", NULL);
    assert(k && tda_test_conn_state(k) == TDA_CONN_READY);
    struct tda_test_call *c = tda_test_conn_start(k, TDA_AOP_CALL_TOOL, "add", "{\"a\": 20, \"b\": 22}");
    assert(c && tda_test_done(c) && tda_test_result(c)->cls == TDA_C_OK);
    assert(tda_str_eq(tda_test_event(c, 0)->part->text, TDA_STR("42")));
    return tda_test_close(t);
}
