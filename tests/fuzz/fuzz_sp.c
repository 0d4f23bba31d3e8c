/* The front door's wire: nothing outside of what arrived is looked at, and it always gets on or asks for more. */
#include "server/sp.h"

#include "../../core/server/sp.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sp sp = {.is_ipc = size && data[0] & 1, .greeted = size && data[0] & 2, .max = 1000};
    if (size < 2) return 0;
    char *copy = malloc(size - 1); /* of its own size, so that ASan sees the end */
    if (!copy) return 0;
    memcpy(copy, data + 1, size - 1);
    tda_str rest = {copy, size - 1};
    for (;;) {
        struct sp_item item = sp_read(&sp, rest);
        if (item.kind == SP_MORE || item.kind == SP_BAD) break;
        if (item.used == 0 || item.used > rest.n) abort();
        bool inside =
            item.kind == SP_GREETING || (item.backtrace.p >= rest.p && item.backtrace.p + item.backtrace.n <= rest.p + rest.n);
        if (!inside || item.text.n > sp.max || (item.kind == SP_OVERSIZE && item.claimed <= sp.max)) abort();
        rest = (tda_str){rest.p + item.used, rest.n - item.used};
        if (item.kind == SP_OVERSIZE) break;
    }
    free(copy);
    return 0;
}
