#include "agent/message.h"

#include <stdio.h>

enum { MESSAGES_MAX = 10000, PARTS_MAX = 1000, STOPS_MAX = 16 };

static tda_status out_of_memory(struct error *e) {
    return error_set(e, TDA_E_LIMIT, "request_too_large", "the request needs more memory than one request may have");
}

tda_status history_add(struct history *h, const struct tda_msg *m) {
    if (h->n == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : 8;
        const struct tda_msg **msgs = arena_alloc(h->arena, cap * sizeof *msgs);
        if (!msgs) return TDA_E_NOMEM;
        if (h->n) memcpy(msgs, h->msgs, h->n * sizeof *msgs);
        h->msgs = msgs;
        h->cap = cap;
    }
    h->msgs[h->n++] = m;
    return TDA_OK;
}

static const struct tda_msg *message_of(struct arena *arena, uint32_t role, uint32_t n, const struct tda_part *const *parts) {
    struct tda_msg *m = arena_alloc(arena, sizeof *m);
    if (m) *m = (struct tda_msg){.size = sizeof *m, .role = role, .n_parts = n, .parts = parts};
    return m;
}

tda_status history_add_text(struct history *h, uint32_t role, tda_str text) {
    struct tda_part *p = arena_alloc(h->arena, sizeof *p);
    const struct tda_part **list = arena_alloc(h->arena, sizeof *list);
    if (!p || !list) return TDA_E_NOMEM;
    *p = (struct tda_part){.size = sizeof *p, .kind = TDA_PART_TEXT, .text = arena_str(h->arena, text)};
    list[0] = p;
    const struct tda_msg *m = message_of(h->arena, role, 1, list);
    return m && p->text.p ? history_add(h, m) : TDA_E_NOMEM;
}

static const struct {
    const char *type;
    uint32_t kind;
} part_types[] = {{"text", TDA_PART_TEXT},         {"image", TDA_PART_IMAGE},       {"json", TDA_PART_JSON},
                  {"tool_use", TDA_PART_TOOL_USE}, {"thinking", TDA_PART_THINKING}, {"tool_result", TDA_PART_TOOL_RESULT}};

static uint32_t part_kind(tda_str type) {
    for (size_t i = 0; i < ARRAY_LEN(part_types); i++)
        if (tda_str_eq(type, tda_str_of(part_types[i].type))) return part_types[i].kind;
    return 0;
}

static tda_status parts_parse(const struct history *h, struct json content, const char *where, bool nested, uint32_t *ret_n,
                              const struct tda_part *const **ret_parts, struct error *e);

static tda_status tool_result_parse(const struct history *h, struct json v, const char *where, struct tda_part *p,
                                    struct error *e) {
    bool is_error = false;
    json_bool(json_key(v, TDA_STR("is_error")), &is_error);
    p->is_error = is_error;
    return parts_parse(h, json_key(v, TDA_STR("content")), where, true, &p->n_parts, &p->parts, e);
}

/* A blob is good for the provider and model that made it, and for nobody else. */
static void take_opaque(const struct history *h, struct json v, struct tda_part *p) {
    tda_str tag = json_str(json_key(v, TDA_STR("opaque_tag")));
    if (!tda_str_eq(tag, h->tag)) return;
    p->opaque_tag = tag;
    p->opaque = json_str(json_key(v, TDA_STR("opaque")));
}

static tda_status part_parse(const struct history *h, struct json v, const char *where, bool nested, struct tda_part *p,
                             struct error *e) {
    *p = (struct tda_part){.size = sizeof *p, .kind = part_kind(json_str(json_key(v, TDA_STR("type"))))};
    bool allowed = !nested || p->kind == TDA_PART_TEXT || p->kind == TDA_PART_IMAGE || p->kind == TDA_PART_JSON;
    if (!p->kind || !allowed) {
        error_set(e, TDA_E_INVALID, "invalid_message", "%s: type \"%.*s\" is not one of %s", where,
                  STR_FMT(json_str(json_key(v, TDA_STR("type")))),
                  nested ? "text, image, json" : "text, image, json, tool_use, thinking, tool_result");
        error_field(e, "%s.type", where);
        return TDA_E_INVALID;
    }
    p->text = json_str(json_key(v, TDA_STR("text")));
    p->id = json_str(json_key(v, TDA_STR("id")));
    p->name = json_str(json_key(v, TDA_STR("name")));
    p->mime = json_str(json_key(v, TDA_STR("mime")));
    p->data = json_str(json_key(v, TDA_STR("data")));
    p->url = json_str(json_key(v, TDA_STR("url")));
    take_opaque(h, v, p);
    if (p->kind == TDA_PART_TOOL_USE) p->text = json_raw(json_key(v, TDA_STR("arguments")));
    if (p->kind == TDA_PART_JSON) p->text = json_raw(json_key(v, TDA_STR("value")));
    if (p->kind == TDA_PART_TOOL_USE && !p->text.p) p->text = TDA_STR("{}");
    if (p->kind == TDA_PART_TOOL_RESULT) return tool_result_parse(h, v, where, p, e);
    bool complete = p->kind == TDA_PART_IMAGE ? (p->mime.n && p->data.n) || p->url.n : p->text.p != NULL;
    if (complete) return TDA_OK;
    error_set(e, TDA_E_INVALID, "invalid_message", "%s: a part of type %.*s lacks its content", where,
              STR_FMT(json_str(json_key(v, TDA_STR("type")))));
    error_field(e, "%s", where);
    return TDA_E_INVALID;
}

static tda_status text_content(const struct history *h, struct json content, uint32_t *ret_n,
                               const struct tda_part *const **ret_parts, struct error *e) {
    struct tda_part *p = arena_alloc(h->arena, sizeof *p);
    const struct tda_part **list = arena_alloc(h->arena, sizeof *list);
    if (!p || !list) return out_of_memory(e);
    *p = (struct tda_part){.size = sizeof *p, .kind = TDA_PART_TEXT, .text = json_str(content)};
    list[0] = p;
    *ret_n = 1;
    *ret_parts = list;
    return TDA_OK;
}

static tda_status parts_parse(const struct history *h, struct json content, const char *where, bool nested, uint32_t *ret_n,
                              const struct tda_part *const **ret_parts, struct error *e) {
    if (json_type(content) == TDA_JSON_STRING) return text_content(h, content, ret_n, ret_parts, e);
    uint64_t n = json_count(content);
    if (json_type(content) != TDA_JSON_ARRAY || n == 0 || n > PARTS_MAX) {
        error_set(e, TDA_E_INVALID, "invalid_message", "%s.content must be a text or a list of 1 to %d parts", where, PARTS_MAX);
        error_field(e, "%s.content", where);
        return TDA_E_INVALID;
    }
    struct tda_part *parts = arena_alloc(h->arena, n * sizeof *parts);
    const struct tda_part **list = arena_alloc(h->arena, n * sizeof *list);
    if (!parts || !list) return out_of_memory(e);
    size_t i = 0;
    for (struct json v = json_first(content); json_type(v); v = json_next(v), i++) {
        tda_status s = part_parse(h, v, where, nested, &parts[i], e);
        if (s) return s;
        list[i] = &parts[i];
    }
    *ret_n = (uint32_t)n;
    *ret_parts = list;
    return TDA_OK;
}

tda_status history_add_json(struct history *h, struct json message, size_t index, struct error *e) {
    char where[32];
    tda_str role = json_str(json_key(message, TDA_STR("role")));
    uint32_t number = tda_str_eq(role, TDA_STR("user"))        ? TDA_ROLE_USER
                      : tda_str_eq(role, TDA_STR("assistant")) ? TDA_ROLE_ASSISTANT
                      : tda_str_eq(role, TDA_STR("system"))    ? TDA_ROLE_SYSTEM
                                                               : 0;
    snprintf(where, sizeof where, "messages.%zu", index);
    if (!number) {
        error_set(e, TDA_E_INVALID, "invalid_message", "%s.role must be one of system, user, assistant", where);
        error_field(e, "%s.role", where);
        return TDA_E_INVALID;
    }
    uint32_t n = 0;
    const struct tda_part *const *parts = NULL;
    tda_status s = parts_parse(h, json_key(message, TDA_STR("content")), where, false, &n, &parts, e);
    if (s) return s;
    const struct tda_msg *m = message_of(h->arena, number, n, parts);
    return m && !history_add(h, m) ? TDA_OK : out_of_memory(e);
}

static tda_status add_past(struct history *h, struct error *e) {
    for (uint32_t i = 0; i < h->n_past; i++)
        for (struct json m = json_first(h->past[i]); json_type(m); m = json_next(m)) {
            tda_status s = history_add_json(h, m, i, e);
            if (s) return s;
        }
    h->own = h->n;
    return TDA_OK;
}

tda_status history_from_params(struct history *h, struct json params, struct error *e) {
    tda_str system = json_str(json_key(params, TDA_STR("system")));
    struct json input = json_key(params, TDA_STR("input")), messages = json_key(params, TDA_STR("messages"));
    if ((json_type(input) != 0) == (json_type(messages) != 0)) {
        error_set(e, TDA_E_INVALID, "missing_input", "give either input (a text) or messages (a list)");
        error_field(e, "input");
        return TDA_E_INVALID;
    }
    if (system.n && history_add_text(h, TDA_ROLE_SYSTEM, system)) return out_of_memory(e);
    if (add_past(h, e)) return e->status;
    if (json_type(input)) {
        if (json_str(input).n == 0) {
            error_set(e, TDA_E_INVALID, "missing_input", "input is empty");
            error_field(e, "input");
            return TDA_E_INVALID;
        }
        return history_add_text(h, TDA_ROLE_USER, json_str(input)) ? out_of_memory(e) : TDA_OK;
    }
    if (json_count(messages) == 0 || json_count(messages) > MESSAGES_MAX) {
        error_set(e, TDA_E_INVALID, "missing_input", "messages must hold 1 to %d messages", MESSAGES_MAX);
        error_field(e, "messages");
        return TDA_E_INVALID;
    }
    size_t i = 0;
    for (struct json m = json_first(messages); json_type(m); m = json_next(m)) {
        tda_status s = history_add_json(h, m, i++, e);
        if (s) return s;
    }
    return TDA_OK;
}

static bool names_tool(const struct tda_part *p) {
    return (p->kind == TDA_PART_TOOL_USE || p->kind == TDA_PART_TOOL_RESULT) && p->name.n;
}

tda_status history_rename_tools(struct history *h, tda_str (*rename)(void *arg, tda_str name), void *arg) {
    for (uint32_t i = 0; i < h->n; i++) {
        const struct tda_msg *old = h->msgs[i];
        const struct tda_part **list = arena_alloc(h->arena, (old->n_parts + 1) * sizeof *list);
        if (!list) return TDA_E_NOMEM;
        for (uint32_t k = 0; k < old->n_parts; k++) {
            list[k] = old->parts[k];
            if (!names_tool(list[k])) continue;
            struct tda_part *p = arena_alloc(h->arena, sizeof *p);
            if (!p) return TDA_E_NOMEM;
            *p = *list[k];
            p->name = rename(arg, p->name);
            if (!p->name.p) return TDA_E_NOMEM;
            list[k] = p;
        }
        if (!(h->msgs[i] = message_of(h->arena, old->role, old->n_parts, list))) return TDA_E_NOMEM;
    }
    return TDA_OK;
}

static tda_status number_param(struct json params, const char *name, double low, double high, double *ret, uint32_t bit,
                               uint32_t *set, struct error *e) {
    struct json v = json_key(params, tda_str_of(name));
    if (!json_type(v)) return TDA_OK;
    double d = 0;
    if (!json_f64(v, &d) || d < low || d > high) {
        error_set(e, TDA_E_INVALID, "invalid_param", "%s must be a number from %g to %g", name, low, high);
        error_field(e, "%s", name);
        return TDA_E_INVALID;
    }
    *ret = d;
    *set |= bit;
    return TDA_OK;
}

static tda_status stops_param(struct tda_request *r, struct json params, struct arena *arena, struct error *e) {
    struct json stop = json_key(params, TDA_STR("stop"));
    if (!json_type(stop)) return TDA_OK;
    uint64_t n = json_count(stop);
    tda_str *list = arena_alloc(arena, (n + 1) * sizeof *list);
    if (!list) return out_of_memory(e);
    for (struct json v = json_first(stop); json_type(v) && r->n_stop < n; v = json_next(v)) list[r->n_stop++] = json_str(v);
    bool texts = true;
    for (uint32_t i = 0; i < r->n_stop; i++) texts = texts && list[i].n > 0;
    if (n > STOPS_MAX || !texts) {
        error_set(e, TDA_E_INVALID, "invalid_param", "stop must be a list of at most %d non-empty texts", STOPS_MAX);
        error_field(e, "stop");
        return TDA_E_INVALID;
    }
    r->stop = list;
    return TDA_OK;
}

static tda_status choice_param(struct tda_request *r, struct json params, struct error *e) {
    tda_str choice = json_str(json_key(params, TDA_STR("tool_choice")));
    if (!choice.p || tda_str_eq(choice, TDA_STR("auto"))) return TDA_OK;
    if (tda_str_eq(choice, TDA_STR("none"))) {
        r->tool_choice = TDA_CHOICE_NONE;
    } else if (tda_str_eq(choice, TDA_STR("any"))) {
        r->tool_choice = TDA_CHOICE_ANY;
    } else if (choice.n > 5 && memcmp(choice.p, "tool:", 5) == 0) {
        r->tool_choice = TDA_CHOICE_TOOL;
        r->choice_name = (tda_str){choice.p + 5, choice.n - 5};
    } else {
        error_set(e, TDA_E_INVALID, "invalid_param", "tool_choice must be auto, none, any or tool:NAME");
        error_field(e, "tool_choice");
        return TDA_E_INVALID;
    }
    return TDA_OK;
}

tda_status request_from_params(struct tda_request *r, struct json params, struct arena *arena, struct error *e) {
    double max_tokens = 0;
    bool stream = true;
    tda_status s = number_param(params, "temperature", 0, 10, &r->temperature, TDA_SET_TEMPERATURE, &r->set, e);
    if (!s) s = number_param(params, "top_p", 0, 1, &r->top_p, TDA_SET_TOP_P, &r->set, e);
    if (!s) s = number_param(params, "max_tokens", 1, 1e9, &max_tokens, TDA_SET_MAX_TOKENS, &r->set, e);
    if (!s) s = stops_param(r, params, arena, e);
    if (!s) s = choice_param(r, params, e);
    if (s) return s;
    json_bool(json_key(params, TDA_STR("stream")), &stream);
    r->max_tokens = (uint64_t)max_tokens;
    r->stream = stream;
    r->reasoning = json_str(json_key(params, TDA_STR("reasoning")));
    r->extra = json_raw(json_key(params, TDA_STR("extra")));
    return TDA_OK;
}
