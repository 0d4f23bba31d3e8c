/* Addresses in any spelling. */
#include "loop/egress.h"
#include "loop/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char origin[300], again[300], text[128];
    const char *what = NULL;
    if (size < sizeof text) {
        memcpy(text, data, size);
        text[size] = 0;
        egress_judge_text(text, &what);
        if (!what) abort();
    }
    if (url_pattern((tda_str){(const char *)data, size}, origin, sizeof origin) == TDA_OK &&
        (url_pattern(tda_str_of(origin), again, sizeof again) || strcmp(origin, again) != 0))
        abort();
    if (url_origin((tda_str){(const char *)data, size}, origin, sizeof origin)) return 0;
    if (url_origin(tda_str_of(origin), again, sizeof again) || strcmp(origin, again) != 0) abort();
    return 0;
}
