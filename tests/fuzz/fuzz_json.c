/* Strict reading: no crash, no read outside; what is taken can be written and read again with the same views. */
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct json v, struct jw *w) {
    switch (json_type(v)) {
    case TDA_JSON_OBJECT:
        jw_begin_object(w);
        for (struct json m = json_first(v); json_type(m); m = json_next(m)) {
            jw_key(w, json_name(m));
            walk(m, w);
        }
        jw_end_object(w);
        break;
    case TDA_JSON_ARRAY:
        jw_begin_array(w);
        for (struct json m = json_first(v); json_type(m); m = json_next(m)) walk(m, w);
        jw_end_array(w);
        break;
    case TDA_JSON_STRING: jw_str(w, json_str(v)); break;
    default: jw_raw(w, json_raw(v));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc *doc, *again;
    struct buf first, second;
    struct jw w;
    if (json_parse((tda_str){(const char *)data, size}, 0, &doc, NULL)) return 0;
    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    jw_init(&w, &first);
    walk(json_root(doc), &w);
    if (json_parse(buf_str(&first), 0, &again, NULL)) abort();
    jw_init(&w, &second);
    walk(json_root(again), &w);
    if (!tda_str_eq(buf_str(&first), buf_str(&second))) abort();
    json_free(doc);
    json_free(again);
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
