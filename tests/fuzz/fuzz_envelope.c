/* Requests of any bytes: whatever fails has a code and a text, and its reply is JSON. */
#include "route/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct envelope env = {0};
    struct error e = {.retry_ms = -1};
    struct buf member, reply;
    int code = 0;
    if (envelope_parse((tda_str){(const char *)data, size}, &env, &code, &e)) {
        buf_init(&member, 1 << 20);
        buf_init(&reply, 1 << 20);
        envelope_error(&member, code, &e);
        envelope_write(&reply, env.id, buf_str(&member));
        if (!code || json_check(buf_str(&reply), 0, NULL)) abort();
        buf_fini(&member);
        buf_fini(&reply);
    }
    json_free(env.doc);
    return 0;
}
