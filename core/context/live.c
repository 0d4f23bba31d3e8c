/* Boxes of live objects. Each loop has a list of its own, touched on that loop only; the last reference, dropped on any thread,
 * sends each list home. */
#include "base/base.h"
#include "context/context_impl.h"

struct entry {
    struct entry *next;
    void *owner;
    uint64_t key;
    void *object;
    live_drop drop;
};

struct live {
    struct ref ref;
    uint64_t id;
    struct poster poster;
    struct entry *lists[]; /* by loop */
};

static _Atomic uint64_t last_id;

tda_status live_new(const struct poster *p, struct live **ret) {
    struct live *box = calloc(1, sizeof *box + p->n_loops * sizeof *box->lists);
    if (!box) return TDA_E_NOMEM;
    ref_init(&box->ref);
    box->id = atomic_fetch_add(&last_id, 1) + 1;
    box->poster = *p;
    *ret = box;
    return TDA_OK;
}

uint64_t live_id(const struct live *box) {
    return box->id;
}

static struct entry **find(struct live *box, unsigned loop, const void *owner, uint64_t key) {
    struct entry **link = &box->lists[loop];
    while (*link && ((*link)->owner != owner || (*link)->key != key)) link = &(*link)->next;
    return link;
}

void *live_get(struct live *box, unsigned loop, const void *owner, uint64_t key) {
    struct entry *e = *find(box, loop, owner, key);
    return e ? e->object : NULL;
}

tda_status live_put(struct live *box, unsigned loop, void *owner, uint64_t key, void *object, live_drop drop) {
    struct entry **link = find(box, loop, owner, key);
    if (*link) return TDA_E_EXISTS;
    struct entry *e = malloc(sizeof *e);
    if (!e) return TDA_E_NOMEM;
    *e = (struct entry){NULL, owner, key, object, drop};
    *link = e;
    return TDA_OK;
}

void *live_take(struct live *box, unsigned loop, const void *owner, uint64_t key) {
    struct entry **link = find(box, loop, owner, key), *e = *link;
    if (!e) return NULL;
    void *object = e->object;
    *link = e->next;
    free(e);
    return object;
}

/* [loop] */
static void drop_list(void *arg) {
    struct entry *e = arg;
    while (e) {
        struct entry *next = e->next;
        e->drop(e->owner, e->object);
        free(e);
        e = next;
    }
}

void live_ref(struct live *box) {
    ref_take(&box->ref);
}

void live_unref(struct live *box) {
    if (!box || !ref_drop(&box->ref)) return;
    for (unsigned i = 0; i < box->poster.n_loops; i++) {
        if (!box->lists[i]) continue;
        if (box->poster.post)
            box->poster.post(box->poster.arg, i, drop_list, box->lists[i]);
        else
            drop_list(box->lists[i]);
    }
    free(box);
}
