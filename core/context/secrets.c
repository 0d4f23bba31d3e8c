/* The credentials of one configuration. Changed only while one draft alone holds them; a draft that inherited them clones first. */
#include <stdio.h>

#include "base/hash.h"
#include "base/redact.h"
#include "context/context_impl.h"
#include "context/secret_memory.h"

struct secret {
    char name[SECRET_NAME_MAX];
    char *value; /* secret_alloc */
    size_t n;
    bool fresh; /* set since the clone */
};

struct secrets {
    struct ref ref;
    char provider[SECRET_NAME_MAX + 1];
    char origin[ORIGIN_MAX];
    size_t n;
    struct secret items[SECRETS_MAX];
};

static size_t room_for(size_t n) {
    return n + 1;
}

void secrets_ref(struct secrets *s) {
    ref_take(&s->ref);
}

void secrets_unref(struct secrets *s) {
    if (!s || !ref_drop(&s->ref)) return;
    for (size_t i = 0; i < s->n; i++) secret_free(s->items[i].value, room_for(s->items[i].n));
    free(s);
}

bool secrets_is_shared(const struct secrets *s) {
    return atomic_load_explicit(&s->ref.n, memory_order_acquire) > 1;
}

tda_status secrets_clone(const struct secrets *from, struct secrets **ret) {
    struct secrets *s = calloc(1, sizeof *s);
    if (!s) return TDA_E_NOMEM;
    ref_init(&s->ref);
    if (from) {
        memcpy(s->provider, from->provider, sizeof s->provider);
        memcpy(s->origin, from->origin, sizeof s->origin);
    }
    for (size_t i = 0; from && i < from->n; i++) {
        tda_status status = secrets_set(s, from->items[i].name, (tda_str){from->items[i].value, from->items[i].n});
        if (status) {
            secrets_unref(s);
            return status;
        }
        s->items[i].fresh = false;
    }
    *ret = s;
    return TDA_OK;
}

static struct secret *find(const struct secrets *s, const char *name) {
    for (size_t i = 0; s && i < s->n; i++)
        if (strcmp(s->items[i].name, name) == 0) return (struct secret *)(uintptr_t)&s->items[i];
    return NULL;
}

static void remove_item(struct secrets *s, struct secret *item) {
    secret_free(item->value, room_for(item->n));
    struct secret *last = &s->items[--s->n];
    if (item != last) *item = *last;
}

tda_status secrets_set(struct secrets *s, const char *name, tda_str value) {
    struct secret *item = find(s, name);
    if (!value.p) {
        if (item) remove_item(s, item);
        return TDA_OK;
    }
    if (value.n > SECRET_MAX || strlen(name) >= SECRET_NAME_MAX) return TDA_E_LIMIT;
    if (!item && s->n == SECRETS_MAX) return TDA_E_LIMIT;
    char *copy = secret_alloc(room_for(value.n));
    if (!copy) return TDA_E_NOMEM;
    memcpy(copy, value.p, value.n);
    copy[value.n] = 0;
    if (item)
        secret_free(item->value, room_for(item->n));
    else
        item = &s->items[s->n++];
    snprintf(item->name, sizeof item->name, "%s", name);
    item->value = copy;
    item->n = value.n;
    item->fresh = true;
    return TDA_OK;
}

void secrets_keep_fresh(struct secrets *s) {
    for (size_t i = 0; i < s->n;)
        if (s->items[i].fresh)
            i++;
        else
            remove_item(s, &s->items[i]);
}

size_t secrets_count(const struct secrets *s) {
    return s ? s->n : 0;
}

void secrets_bind(struct secrets *s, const char *provider, const char *origin) {
    if (strcmp(s->provider, provider) != 0) snprintf(s->provider, sizeof s->provider, "%s", provider);
    if (strcmp(s->origin, origin) != 0) snprintf(s->origin, sizeof s->origin, "%s", origin);
}

tda_status secrets_reveal(const struct secrets *s, const char *name, tda_str *ret_value) {
    const struct secret *item = find(s, name);
    if (!item) return TDA_E_NOT_FOUND;
    *ret_value = (tda_str){item->value, item->n};
    return TDA_OK;
}

const char *secrets_provider(const struct secrets *s) {
    return s->provider;
}

const char *secrets_origin(const struct secrets *s) {
    return s->origin;
}

void secrets_names(const struct secrets *s, secrets_visit visit, void *arg) {
    for (size_t i = 0; s && i < s->n; i++) visit(arg, s->items[i].name);
}

void secrets_redact(const struct secrets *s, struct buf *text) {
    for (size_t i = 0; s && i < s->n; i++) redact(text, (tda_str){s->items[i].value, s->items[i].n});
}
