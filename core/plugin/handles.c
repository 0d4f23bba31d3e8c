/* Handles: 32 bits of generation, 8 of loop, 24 of slot. A slot belongs to one loop's thread, so looking one up takes no lock; what
 * another thread holds is stale there. */
#include "plugin/plugin_impl.h"

#include <pthread.h>

enum { SLOT_BITS = 24, SLOTS_MAX = 1 << SLOT_BITS };
#define SLOT_MASK ((uint32_t)SLOTS_MAX - 1)

static _Thread_local struct plugin_loop *here;
static _Atomic(struct plugin_loop *) loops[LOOPS_MAX];
static pthread_mutex_t going = PTHREAD_MUTEX_INITIALIZER; /* held while a loop goes, and while a thread posts to one */

struct plugin_loop *plugin_loop_here(void) {
    return here;
}

struct plugin_loop *plugin_loop_at(unsigned index) {
    return index < LOOPS_MAX ? atomic_load_explicit(&loops[index], memory_order_acquire) : NULL;
}

void plugin_loop_bind(struct plugin_loop *pl) {
    here = pl;
    atomic_store_explicit(&loops[pl->index], pl, memory_order_release);
}

void plugin_loop_unbind(struct plugin_loop *pl) {
    here = NULL;
    pthread_mutex_lock(&going);
    atomic_store_explicit(&loops[pl->index], NULL, memory_order_release);
    pthread_mutex_unlock(&going);
}

struct plugin_loop *plugin_loop_hold(unsigned index) {
    pthread_mutex_lock(&going);
    struct plugin_loop *pl = plugin_loop_at(index);
    if (!pl) pthread_mutex_unlock(&going);
    return pl;
}

void plugin_loop_let_go(void) {
    pthread_mutex_unlock(&going);
}

unsigned handle_loop(uint64_t handle) {
    return (uint32_t)handle >> SLOT_BITS;
}

static tda_status add_slot(struct plugin_loop *pl) {
    if (pl->n_slots == pl->cap_slots) {
        uint32_t cap = pl->cap_slots ? pl->cap_slots * 2 : 64;
        if (cap > SLOTS_MAX) return TDA_E_LIMIT;
        struct slot *slots = realloc(pl->slots, cap * sizeof *slots);
        if (!slots) return TDA_E_NOMEM;
        pl->slots = slots;
        pl->cap_slots = cap;
    }
    if (!pl->n_slots) pl->slots[pl->n_slots++] = (struct slot){0}; /* 0 ends the list of free ones */
    pl->slots[pl->n_slots] = (struct slot){.generation = 1, .next_free = pl->free_slot};
    pl->free_slot = pl->n_slots++;
    return TDA_OK;
}

tda_status handle_new(struct plugin_loop *pl, enum handle_kind kind, void *object, uint64_t *ret) {
    tda_status s = pl->free_slot ? TDA_OK : add_slot(pl);
    if (s) return s;
    uint32_t i = pl->free_slot;
    struct slot *slot = &pl->slots[i];
    pl->free_slot = slot->next_free;
    slot->kind = kind;
    slot->object = object;
    *ret = (uint64_t)slot->generation << 32 | (uint32_t)pl->index << SLOT_BITS | i;
    return TDA_OK;
}

static struct slot *slot_of(struct plugin_loop *pl, uint64_t handle) {
    uint32_t i = (uint32_t)handle & SLOT_MASK;
    if (!pl || handle_loop(handle) != pl->index || i == 0 || i >= pl->n_slots) return NULL;
    struct slot *slot = &pl->slots[i];
    return slot->generation == handle >> 32 && slot->kind != HANDLE_NONE ? slot : NULL;
}

void handle_end(struct plugin_loop *pl, uint64_t handle) {
    struct slot *slot = slot_of(pl, handle);
    if (!slot) return;
    *slot = (struct slot){.generation = slot->generation + 1, .next_free = pl->free_slot};
    if (!slot->generation) slot->generation = 1; /* 0 would make a handle of small numbers */
    pl->free_slot = (uint32_t)handle & SLOT_MASK;
}

void *handle_get(uint64_t handle, enum handle_kind kind) {
    struct slot *slot = slot_of(here, handle);
    if (slot && slot->kind == kind) return slot->object;
    return NULL;
}
