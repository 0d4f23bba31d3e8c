/* A request that outlives its caller: every text and list in it is copied into an arena. What comes to these structs must be copied
 * here too; the assertions remind of it. */
#include "base/arena.h"
#include "plugin/plugin_impl.h"

_Static_assert(sizeof(struct tda_part) == 152 && sizeof(struct tda_msg) == 24 && sizeof(struct tda_tool) == 56 &&
                   sizeof(struct tda_request) == 152,
               "a struct of the request has grown: copy its new fields");

static bool copy_str(struct arena *a, tda_str *s) {
    if (!s->p) return true;
    *s = arena_str(a, *s);
    return s->p != NULL;
}

/* All but the parts below it. */
static bool copy_part(struct arena *a, struct tda_part *p) {
    return copy_str(a, &p->text) && copy_str(a, &p->id) && copy_str(a, &p->name) && copy_str(a, &p->mime) &&
           copy_str(a, &p->data) && copy_str(a, &p->url) && copy_str(a, &p->opaque_tag) && copy_str(a, &p->opaque);
}

/* `leaves`: parts of a TOOL_RESULT, which hold no further ones. */
static const struct tda_part *const *copy_parts(struct arena *a, uint32_t n, const struct tda_part *const *from, bool leaves) {
    const struct tda_part **list = arena_alloc(a, (n + 1) * sizeof *list);
    struct tda_part *parts = arena_alloc(a, (n + 1) * sizeof *parts);
    if (!list || !parts) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = *from[i];
        parts[i].n_parts = leaves ? 0 : from[i]->n_parts;
        parts[i].parts = NULL;
        if (!copy_part(a, &parts[i])) return NULL;
        if (parts[i].n_parts && !(parts[i].parts = copy_parts(a, parts[i].n_parts, from[i]->parts, true))) return NULL;
        list[i] = &parts[i];
    }
    return list;
}

static const struct tda_msg *const *copy_messages(struct arena *a, uint32_t n, const struct tda_msg *const *from) {
    const struct tda_msg **list = arena_alloc(a, (n + 1) * sizeof *list);
    struct tda_msg *msgs = arena_alloc(a, (n + 1) * sizeof *msgs);
    if (!list || !msgs) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        msgs[i] = *from[i];
        msgs[i].parts = copy_parts(a, from[i]->n_parts, from[i]->parts, false);
        if (!msgs[i].parts) return NULL;
        list[i] = &msgs[i];
    }
    return list;
}

static const struct tda_tool *const *copy_tools(struct arena *a, uint32_t n, const struct tda_tool *const *from) {
    const struct tda_tool **list = arena_alloc(a, (n + 1) * sizeof *list);
    struct tda_tool *tools = arena_alloc(a, (n + 1) * sizeof *tools);
    if (!list || !tools) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        tools[i] = *from[i];
        if (!copy_str(a, &tools[i].name) || !copy_str(a, &tools[i].description) || !copy_str(a, &tools[i].schema)) return NULL;
        list[i] = &tools[i];
    }
    return list;
}

static const tda_str *copy_strs(struct arena *a, uint32_t n, const tda_str *from) {
    tda_str *list = arena_alloc(a, (n + 1) * sizeof *list);
    for (uint32_t i = 0; list && i < n; i++) {
        list[i] = from[i];
        if (!copy_str(a, &list[i])) return NULL;
    }
    return list;
}

tda_status request_copy(const struct tda_request *from, struct arena *a, struct tda_request *ret) {
    struct tda_request r = *from;
    r.msgs = copy_messages(a, r.n_msgs, r.msgs);
    r.tools = copy_tools(a, r.n_tools, r.tools);
    r.stop = copy_strs(a, r.n_stop, r.stop);
    bool whole = r.msgs && r.tools && r.stop && copy_str(a, &r.model) && copy_str(a, &r.choice_name) && copy_str(a, &r.reasoning) &&
                 copy_str(a, &r.extra);
    if (!whole) return TDA_E_NOMEM;
    *ret = r;
    return TDA_OK;
}
