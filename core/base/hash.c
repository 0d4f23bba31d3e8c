#include "base/hash.h"

#include <sodium.h>
#include <stdio.h>

static unsigned char table_key[crypto_shorthash_KEYBYTES];

tda_status hash_init(void) {
    int rc = sodium_init();
    if (rc < 0) return TDA_E_INTERNAL;
    if (rc == 0) randombytes_buf(table_key, sizeof table_key);
    return TDA_OK;
}

uint64_t hash_keyed(tda_str s) {
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t h;
    crypto_shorthash(out, (const unsigned char *)s.p, s.n, table_key);
    memcpy(&h, out, sizeof h);
    return h;
}

void hash_digest(tda_str s, unsigned char out[DIGEST_SIZE]) {
    crypto_generichash(out, DIGEST_SIZE, (const unsigned char *)s.p, s.n, NULL, 0);
}

void hash_user_hex(tda_str user, char out[33]) {
    unsigned char digest[16];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)user.p, user.n, NULL, 0);
    sodium_bin2hex(out, 33, digest, sizeof digest);
}

void hash_log_user(tda_str user, char out[9]) {
    char hex[33];
    hash_user_hex(user, hex);
    memcpy(out, hex, 8);
    out[8] = 0;
}

void random_bytes(void *p, size_t n) {
    randombytes_buf(p, n);
}

bool equal_constant_time(const void *a, const void *b, size_t n) {
    return sodium_memcmp(a, b, n) == 0;
}

void wipe(void *p, size_t n) {
    sodium_memzero(p, n);
}
