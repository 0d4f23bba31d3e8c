/* What is written down: faults, copies of events, transcripts. */
#include <stdarg.h>
#include <stdio.h>

#include "context/context.h"
#include "kit.h"
#include "json/json.h"

/* ---- faults ---- */

static void fault_text(struct tda_test *t, const char *text) {
    pthread_mutex_lock(&t->lock);
    size_t i = 0;
    while (i < t->n_faults && strcmp(t->faults[i].text, text) != 0) i++;
    if (i < t->n_faults) {
        t->faults[i].times++;
    } else if (i < FAULTS_MAX) {
        t->faults[i] = (struct kit_fault){str_dup(tda_str_of(text)), 1};
        if (t->faults[i].text) t->n_faults++;
    }
    pthread_mutex_unlock(&t->lock);
}

void kit_fault(struct tda_test *t, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fault_text(t, text);
}

static _Atomic(const char *) elsewhere;

void kit_fault_elsewhere(const char *text) {
    atomic_store(&elsewhere, text);
}

const char *kit_fault_from_elsewhere(void) {
    return atomic_load(&elsewhere);
}

const char *tda_test_fault(const struct tda_test *t, size_t i) {
    return i < t->n_faults ? t->faults[i].text : NULL;
}

bool is_lent_memory(tda_str s) {
    static const char lent[4] = {(char)LENT_BYTE, (char)LENT_BYTE, (char)LENT_BYTE, (char)LENT_BYTE};
    return str_has(s, (tda_str){lent, sizeof lent});
}

/* ---- names ---- */

const char *class_name(uint32_t cls) {
    static const char *const names[] = {
#define NAME(name, number, text) [number] = #name,
        TDA_CLASS_MAP(NAME)
#undef NAME
    };
    return cls < ARRAY_LEN(names) ? names[cls] : "UNKNOWN";
}

const char *event_name(uint32_t kind) {
    static const char *const names[] = {"NONE",  "START", "PART_START", "TEXT",  "THINK", "ARGS",    "SIGNATURE", "PART_STOP",
                                        "USAGE", "STOP",  "ERROR",      "MODEL", "ITEM",  "CONTENT", "PROGRESS"};
    return kind < ARRAY_LEN(names) ? names[kind] : "UNKNOWN";
}

/* ---- copies ---- */

static const struct tda_part *copy_part(struct arena *a, const struct tda_part *from, unsigned depth) {
    struct tda_part *to = arena_alloc(a, sizeof *to);
    if (!to || depth > 8) return NULL;
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    tda_str *texts[] = {&to->text, &to->id, &to->name, &to->mime, &to->data, &to->url, &to->opaque_tag, &to->opaque};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = arena_str(a, *texts[i]);
    if (!to->n_parts) return to;
    const struct tda_part **parts = arena_alloc(a, to->n_parts * sizeof(const struct tda_part *));
    for (uint32_t i = 0; parts && i < to->n_parts; i++) parts[i] = copy_part(a, to->parts[i], depth + 1);
    to->parts = parts;
    return to;
}

tda_status record_copy(struct arena *a, const struct tda_event *e, struct tda_event *ret) {
    struct tda_event to = {0};
    memcpy(&to, e, e->size < sizeof to ? e->size : sizeof to);
    tda_str *texts[] = {&to.id, &to.name, &to.text, &to.raw, &to.json};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) *texts[i] = arena_str(a, *texts[i]);
    if (to.usage) {
        struct tda_usage *u = arena_alloc(a, sizeof *u);
        if (!u) return TDA_E_NOMEM;
        memcpy(u, to.usage, to.usage->size < sizeof *u ? to.usage->size : sizeof *u);
        to.usage = u;
    }
    if (to.part && !(to.part = copy_part(a, to.part, 0))) return TDA_E_NOMEM;
    *ret = to;
    return TDA_OK;
}

/* ---- transcripts ---- */

static void add_escaped(struct buf *b, tda_str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n')
            buf_add_z(b, "\\n");
        else if (c < ' ' || c == 127)
            buf_addf(b, "\\x%02x", (unsigned)c);
        else if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else
            buf_add_char(b, (char)c);
    }
}

void record_line(struct subject *s, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->last.kind = 0;
    if (s->transcript.n) buf_add_char(&s->transcript, '\n');
    buf_add_z(&s->transcript, text);
}

void record_text(struct subject *s, const char *name, tda_str text) {
    if (!text.p) return;
    buf_addf(&s->transcript, " %s=\"", name);
    add_escaped(&s->transcript, text);
    buf_add_char(&s->transcript, '"');
}

static void record_usage(struct subject *s, const struct tda_usage *u) {
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {{"input", u->input},
                  {"output", u->output},
                  {"cache_read", u->cache_read},
                  {"cache_write", u->cache_write},
                  {"reasoning", u->reasoning}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i].n != TDA_UNKNOWN) buf_addf(&s->transcript, " %s=%llu", counts[i].name, (unsigned long long)counts[i].n);
}

static void record_part(struct subject *s, const struct tda_part *p) {
    buf_addf(&s->transcript, " part=%u", p->kind);
    record_text(s, "text", p->text);
    record_text(s, "mime", p->mime);
    record_text(s, "data", p->data);
    record_text(s, "url", p->url);
}

static bool is_piece(uint32_t kind) {
    return kind == TDA_EV_TEXT || kind == TDA_EV_THINK || kind == TDA_EV_ARGS || kind == TDA_EV_SIGNATURE;
}

void record_event(struct subject *s, const struct tda_event *e) {
    if (is_piece(e->kind) && s->last.kind == e->kind && s->last.index == e->index) {
        s->transcript.n--; /* the quote */
        add_escaped(&s->transcript, e->text);
        buf_add_char(&s->transcript, '"');
        return;
    }
    record_line(s, "%s", event_name(e->kind));
    buf_addf(&s->transcript, " %u", e->index);
    if (e->kind == TDA_EV_PART_START) buf_addf(&s->transcript, " part_kind=%u", e->part_kind);
    if (e->kind == TDA_EV_STOP) buf_addf(&s->transcript, " stop=%u", e->stop);
    record_text(s, "id", e->id);
    record_text(s, "name", e->name);
    record_text(s, "raw", e->raw);
    record_text(s, "json", e->json);
    if (e->usage) record_usage(s, e->usage);
    if (e->part) record_part(s, e->part);
    record_text(s, "text", e->text);
    s->last.kind = is_piece(e->kind) ? e->kind : 0;
    s->last.index = e->index;
}

/* ---- the user's configuration ---- */

static struct kit_value *find_value(struct tda_test *t, const char *name, uint32_t key) {
    for (size_t i = 0; i < t->n_values; i++)
        if (t->values[i].key == key && strcmp(t->values[i].name, name) == 0) return &t->values[i];
    return NULL;
}

static void set_value(struct tda_test *t, const char *name, uint32_t key, const char *value) {
    struct kit_value *v = find_value(t, name, key);
    if (!v && t->n_values == VALUES_MAX) return;
    if (!v) {
        v = &t->values[t->n_values++];
        *v = (struct kit_value){.name = str_dup(tda_str_of(name)), .key = key};
    }
    free(v->value);
    v->value = value ? str_dup(tda_str_of(value)) : NULL;
}

void tda_test_setting(struct tda_test *t, const char *name, const char *value) {
    set_value(t, name, 0, value);
}

void tda_test_context(struct tda_test *t, uint32_t key, const char *value) {
    set_value(t, "", key, value);
}

void tda_test_secret(struct tda_test *t, const char *name, int32_t present) {
    set_value(t, name, KIT_SECRET, present ? "yes" : "no");
}

const char *kit_value(const struct tda_test *t, const char *name, uint32_t key) {
    for (size_t i = 0; i < t->n_values; i++)
        if (t->values[i].key == key && strcmp(t->values[i].name, name) == 0) return t->values[i].value;
    return key == KIT_SECRET ? "yes" : NULL;
}

const struct setting_rule *kit_rule(const struct tda_test *t, tda_str name) {
    const struct note *n = &t->module->note;
    for (size_t i = 0; i < n->n_rules; i++)
        if (tda_str_eq(tda_str_of(n->rules[i].name), name)) return &n->rules[i];
    return NULL;
}

static const char *address_in_context(struct tda_test *t) {
    const struct note *n = &t->module->note;
    struct json_doc *doc GUARD(json_free_p) = NULL;
    const char *object = n->address_field ? kit_value(t, "", n->address_field->key) : NULL;
    if (!object || json_parse(tda_str_of(object), 0, &doc, NULL)) return NULL;
    tda_str value = json_str(json_key(json_root(doc), tda_str_of(n->address_member)));
    free(t->address);
    t->address = value.n ? str_dup(value) : NULL;
    return t->address;
}

const char *kit_setting(struct tda_test *t, const struct setting_rule *r) {
    const char *v = strcmp(r->name, "base_url") == 0 ? address_in_context(t) : NULL;
    if (!v) v = kit_value(t, r->name, 0);
    return v ? v : r->fallback;
}
