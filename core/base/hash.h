/* Keyed hashing and random bytes, on libsodium: the key is drawn at start, so nobody outside can choose collisions. Every thread,
 * after hash_init. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

#define DIGEST_SIZE 32

tda_status hash_init(void); /* once, before any thread; again is harmless */

uint64_t hash_keyed(tda_str s);                              /* SipHash-2-4: tables, pinning of users to loops */
void hash_digest(tda_str s, unsigned char out[DIGEST_SIZE]); /* BLAKE2b-256, unkeyed: "the same as before?" */
void hash_user_hex(tda_str user, char out[33]); /* stable across restarts: 16 bytes as hex, for file names (${user_hash}) */
void hash_log_user(tda_str user, char out[9]);  /* short, for log lines */

void random_bytes(void *p, size_t n);
bool equal_constant_time(const void *a, const void *b, size_t n);
void wipe(void *p, size_t n); /* not optimised away */

#endif
