#include "agent/tool_names.h"

#include <stdio.h>

#include "base/hash.h"

enum { HASH_DIGITS = 8, BUCKETS = 1024 };

static bool alias_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static void digits(tda_str name, uint32_t round, char hex[33]) {
    char text[512];
    int n = snprintf(text, sizeof text, "%u:%.*s", round, (int)(name.n < 400 ? name.n : 400), name.p ? name.p : "");
    hash_user_hex(round ? (tda_str){text, (size_t)n} : name, hex);
}

void tool_alias(tda_str server, tda_str name, uint32_t round, char *out) {
    size_t n = 0;
    tda_str pieces[] = {server, server.n ? TDA_STR("__") : TDA_STR(""), name};
    bool changed = round > 0 || pieces[0].n + pieces[1].n + name.n > TOOL_ALIAS_MAX;
    for (size_t p = 0; p < ARRAY_LEN(pieces); p++)
        for (size_t i = 0; i < pieces[p].n && n < TOOL_ALIAS_MAX; i++) {
            char c = pieces[p].p[i];
            changed = changed || !alias_char(c);
            out[n++] = alias_char(c) ? c : '_';
        }
    out[n] = 0;
    if (!changed) return;
    char hex[33];
    digits(name, round, hex);
    if (n > TOOL_ALIAS_MAX - 1 - HASH_DIGITS) n = TOOL_ALIAS_MAX - 1 - HASH_DIGITS;
    snprintf(out + n, 2 + HASH_DIGITS, "_%.*s", HASH_DIGITS, hex);
}

/* A conversation may name very many tools, so each is found by hash. */
static size_t bucket(tda_str s) {
    return hash_keyed(s) % BUCKETS;
}

static const struct tool_name *find(const struct tool_names *t, tda_str own) {
    uint32_t i = t->n ? t->by_own[bucket(own)] : 0;
    while (i && !tda_str_eq(t->list[i - 1].own, own)) i = t->list[i - 1].next_own;
    return i ? &t->list[i - 1] : NULL;
}

static const struct tool_name *find_alias(const struct tool_names *t, tda_str alias) {
    uint32_t i = t->n ? t->by_alias[bucket(alias)] : 0;
    while (i && !tda_str_eq(t->list[i - 1].alias, alias)) i = t->list[i - 1].next_alias;
    return i ? &t->list[i - 1] : NULL;
}

static bool make_room(struct tool_names *t) {
    if (!t->by_own) t->by_own = arena_alloc(t->arena, BUCKETS * sizeof *t->by_own);
    if (!t->by_alias) t->by_alias = arena_alloc(t->arena, BUCKETS * sizeof *t->by_alias);
    if (!t->by_own || !t->by_alias) return false;
    if (t->n < t->cap) return true;
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    struct tool_name *list = arena_alloc(t->arena, cap * sizeof *list);
    if (!list) return false;
    if (t->n) memcpy(list, t->list, t->n * sizeof *list);
    t->list = list;
    t->cap = cap;
    return true;
}

tda_status tool_names_add(struct tool_names *t, tda_str own, tda_str alias) {
    if (!make_room(t)) return TDA_E_NOMEM;
    uint32_t *own_head = &t->by_own[bucket(own)], *alias_head = &t->by_alias[bucket(alias)];
    t->list[t->n++] = (struct tool_name){own, alias, *own_head, *alias_head};
    *own_head = *alias_head = t->n;
    return TDA_OK;
}

bool tool_names_has(const struct tool_names *t, tda_str own) {
    return find(t, own) != NULL;
}

tda_str tool_names_alias(struct tool_names *t, tda_str name) {
    char text[TOOL_ALIAS_MAX + 1];
    const struct tool_name *known = find(t, name);
    if (!known) known = find_alias(t, name);
    if (known) return known->alias;
    tool_alias((tda_str){0}, name, 0, text);
    tda_str alias = tda_str_of(text);
    alias = tda_str_eq(alias, name) ? name : arena_str(t->arena, alias);
    return alias.p && !tool_names_add(t, name, alias) ? alias : (tda_str){0};
}

tda_str tool_names_own(const struct tool_names *t, tda_str alias) {
    const struct tool_name *known = find_alias(t, alias);
    return known ? known->own : alias;
}
