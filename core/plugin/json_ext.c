/* "tda.json/1": core/json behind the SDK's face. Documents and writers live on the thread's scratch list and go when the callback
 * returns. */
#include "json/json.h"

#include "plugin/plugin_impl.h"

enum { WRITER_MAX = 64 << 20, SCRATCH_MAX = 100000 };

struct tda_json_writer {
    struct buf out;
    struct jw jw;
    uint64_t objects;  /* bit d: the value open at depth d is an object */
    tda_status misuse; /* the plugin used it out of order: an error for it, not an assertion for us */
};

enum scratch_kind { SCRATCH_DOC, SCRATCH_WRITER, SCRATCH_COPY };

struct scratch {
    struct scratch *next;
    enum scratch_kind kind;
    union {
        struct json_doc *doc;
        struct tda_json_writer writer;
        char copy[1];
    };
};

/* Of the callback that this thread is in: a loop's or a worker's. */
static _Thread_local struct scratch *scratch;
static _Thread_local unsigned n_scratch;

void scratch_clear(void) {
    n_scratch = 0;
    while (scratch) {
        struct scratch *s = scratch;
        scratch = s->next;
        if (s->kind == SCRATCH_DOC) json_free(s->doc);
        if (s->kind == SCRATCH_WRITER) buf_fini(&s->writer.out);
        free(s);
    }
}

/* A run may take long and parse much, so there is a bound. */
static struct scratch *scratch_new(enum scratch_kind kind, size_t extra) {
    struct scratch *s = n_scratch < SCRATCH_MAX ? calloc(1, sizeof *s + extra) : NULL;
    if (!s) return NULL;
    n_scratch++;
    s->kind = kind;
    s->next = scratch;
    scratch = s;
    return s;
}

tda_str scratch_copy(tda_str text) {
    struct scratch *s = scratch_new(SCRATCH_COPY, text.n);
    if (!s) return (tda_str){0};
    memcpy(s->copy, text.p, text.n);
    s->copy[text.n] = 0;
    return (tda_str){s->copy, text.n};
}

/* ---- reading ---- */

static tda_status parse(tda_handle h, tda_str text, tda_json *ret_root) {
    if (!owner_or_worker(h)) return TDA_E_STALE;
    struct scratch *s = scratch_new(SCRATCH_DOC, 0);
    if (!s) return TDA_E_NOMEM;
    tda_status status = json_parse(text, 0, &s->doc, NULL);
    if (status) return status;
    struct json root = json_root(s->doc);
    *ret_root = (tda_json){root.doc, root.node};
    return TDA_OK;
}

static struct json in(tda_json v) {
    return (struct json){v.doc, (uint32_t)v.node};
}

static tda_json out(struct json v) {
    return (tda_json){v.doc, v.node};
}

static uint32_t type(tda_json v) {
    return json_type(in(v));
}
static tda_json get(tda_json v, const char *path) {
    return out(json_get(in(v), path));
}
static tda_json key(tda_json v, tda_str k) {
    return out(json_key(in(v), k));
}
static tda_json first(tda_json v) {
    return out(json_first(in(v)));
}
static tda_json next(tda_json v) {
    return out(json_next(in(v)));
}
static tda_str name(tda_json v) {
    return json_name(in(v));
}
static uint64_t count(tda_json v) {
    return json_count(in(v));
}
static tda_str str(tda_json v) {
    return json_str(in(v));
}
static tda_str raw(tda_json v) {
    return json_raw(in(v));
}
static int32_t i64(tda_json v, int64_t *ret) {
    return json_i64(in(v), ret);
}
static int32_t f64(tda_json v, double *ret) {
    return json_f64(in(v), ret);
}
static int32_t boolean(tda_json v, int32_t *ret) {
    bool b;
    if (!json_bool(in(v), &b)) return 0;
    *ret = b;
    return 1;
}

/* ---- writing ---- */

static tda_json_writer *writer(tda_handle h) {
    struct scratch *s = owner_or_worker(h) ? scratch_new(SCRATCH_WRITER, 0) : NULL;
    if (!s) return NULL;
    buf_init(&s->writer.out, WRITER_MAX);
    jw_init(&s->writer.jw, &s->writer.out);
    return &s->writer;
}

static bool in_object(const tda_json_writer *w) {
    return w->jw.depth && (w->objects >> w->jw.depth & 1);
}

/* May a value stand here? */
static bool value_fits(tda_json_writer *w) {
    if (!w || w->misuse) return false;
    bool fits = w->jw.depth == 0 ? w->out.n == 0 : in_object(w) == w->jw.after_key;
    if (!fits) w->misuse = TDA_E_INVALID;
    return fits;
}

static bool opens(tda_json_writer *w) {
    if (!value_fits(w)) return false;
    if (w->jw.depth + 1 < JSON_DEPTH_MAX) return true;
    w->misuse = TDA_E_LIMIT;
    return false;
}

static bool closes(tda_json_writer *w, bool object) {
    if (!w || w->misuse) return false;
    if (w->jw.depth && !w->jw.after_key && in_object(w) == object) return true;
    w->misuse = TDA_E_INVALID;
    return false;
}

static void begin_object(tda_json_writer *w) {
    if (!opens(w)) return;
    jw_begin_object(&w->jw);
    w->objects |= (uint64_t)1 << w->jw.depth;
}
static void end_object(tda_json_writer *w) {
    if (closes(w, true)) jw_end_object(&w->jw);
}
static void begin_array(tda_json_writer *w) {
    if (!opens(w)) return;
    jw_begin_array(&w->jw);
    w->objects &= ~((uint64_t)1 << w->jw.depth);
}
static void end_array(tda_json_writer *w) {
    if (closes(w, false)) jw_end_array(&w->jw);
}
static void put_key(tda_json_writer *w, tda_str k) {
    if (!w || w->misuse) return;
    if (in_object(w) && !w->jw.after_key)
        jw_key(&w->jw, k);
    else
        w->misuse = TDA_E_INVALID;
}
static void put_str(tda_json_writer *w, tda_str s) {
    if (value_fits(w)) jw_str(&w->jw, s);
}
static void put_raw(tda_json_writer *w, tda_str s) {
    if (value_fits(w)) jw_raw(&w->jw, s);
}
static void put_i64(tda_json_writer *w, int64_t v) {
    if (value_fits(w)) jw_i64(&w->jw, v);
}
static void put_u64(tda_json_writer *w, uint64_t v) {
    if (value_fits(w)) jw_u64(&w->jw, v);
}
static void put_f64(tda_json_writer *w, double v) {
    if (value_fits(w)) jw_f64(&w->jw, v);
}
static void put_bool(tda_json_writer *w, int32_t v) {
    if (value_fits(w)) jw_bool(&w->jw, v != 0);
}
static void put_null(tda_json_writer *w) {
    if (value_fits(w)) jw_null(&w->jw);
}

static tda_status text(tda_json_writer *w, tda_str *ret_text) {
    if (!w) return TDA_E_NOMEM;
    if (w->misuse) return w->misuse;
    if (w->out.status) return w->out.status;
    if (w->jw.depth || !w->out.n) return TDA_E_INVALID;
    *ret_text = buf_str(&w->out);
    return TDA_OK;
}

const struct tda_json_api json_table = {
    .size = sizeof json_table,
    .parse = parse,
    .type = type,
    .get = get,
    .key = key,
    .first = first,
    .next = next,
    .name = name,
    .count = count,
    .str = str,
    .raw = raw,
    .i64 = i64,
    .f64 = f64,
    .boolean = boolean,
    .writer = writer,
    .begin_object = begin_object,
    .end_object = end_object,
    .begin_array = begin_array,
    .end_array = end_array,
    .put_key = put_key,
    .put_str = put_str,
    .put_raw = put_raw,
    .put_i64 = put_i64,
    .put_u64 = put_u64,
    .put_f64 = put_f64,
    .put_bool = put_bool,
    .put_null = put_null,
    .text = text,
};
