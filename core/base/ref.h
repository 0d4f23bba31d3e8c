/* A reference count. The holder of a reference may take another on any thread; the last one to drop destroys. */
#ifndef BASE_REF_H
#define BASE_REF_H

#include <stdatomic.h>

#include "base/base.h"

struct ref {
    _Atomic uint32_t n;
};

static inline void ref_init(struct ref *r) {
    atomic_init(&r->n, 1);
}
static inline void ref_take(struct ref *r) {
    atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
}
/* True for the last one: everything that others did before their drop is visible to it. */
static inline bool ref_drop(struct ref *r) {
    return atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel) == 1;
}

#endif
