/* What comes as `auth`, and how long a token is to last. */
#include "base/hash.h"
#include "identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tda_str text = {(const char *)data, size};
    unsigned char hash[TOKEN_HASH_SIZE], again[TOKEN_HASH_SIZE];
    struct token t = {.is_service = size & 1};
    int64_t span = -1;
    if (token_read(text, hash) == TDA_OK) {
        if (size != TOKEN_TEXT_SIZE - 1 || memcmp(data, "tda_", 4) != 0) abort();
        if (token_read(text, again) || !equal_constant_time(hash, again, sizeof hash)) abort();
    }
    if (token_read_expiry(text, &span, NULL) == TDA_OK && (span < 0 || span > INT64_C(3650) * 24 * 3600 * 1000)) abort();
    if (size < sizeof t.user) memcpy(t.user, data, size);
    if (size < sizeof t.label) memcpy(t.label, data, size);
    token_check(&t, NULL);
    return 0;
}
