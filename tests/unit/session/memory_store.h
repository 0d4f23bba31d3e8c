/* A second store, as simple as can be: arrays in memory, copied as a whole for a group. It says what the contract means. */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include "session/store.h"

struct store *memory_store_new(const struct store_limits *limits);

#endif
