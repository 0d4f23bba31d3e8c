/* uthash with the process's keyed hash, so that nobody outside can choose collisions, and without its exit on a failing allocation.
 */
#ifndef BASE_HASH_TABLE_H
#define BASE_HASH_TABLE_H

#include "base/hash.h"

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_keyed((tda_str){(const char *)(keyptr), (keylen)}))
#include <uthash.h>

#endif
