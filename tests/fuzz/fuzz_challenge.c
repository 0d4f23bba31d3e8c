/* WWW-Authenticate of any bytes: what is taken from it fits, and is what its place allows. */
#include "oauth/oauth_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct oauth_challenge c = {0}, again = {0};
    struct url_parts parts;
    char *exact = malloc(size ? size : 1); /* a read beyond the end is seen */
    if (!exact) return 0;
    memcpy(exact, data, size);
    challenge_parse((tda_str){exact, size}, &c);
    if (!scope_valid(tda_str_of(c.scope)) || !scope_valid(tda_str_of(c.error))) abort();
    if (c.resource_metadata[0] && url_split(tda_str_of(c.resource_metadata), &parts)) abort();
    if (!c.bearer && (c.scope[0] || c.error[0] || c.resource_metadata[0])) abort();
    challenge_parse((tda_str){exact, size}, &again);
    if (memcmp(&c, &again, sizeof c) != 0) abort();
    free(exact);
    return 0;
}
