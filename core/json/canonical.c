/* One text for all writings of the same value: members by name, no blanks, strings with the same escapes. Numbers stay as they
 * came. */
#include <string.h>

#include "json/json.h"

static int by_name(const void *a, const void *b) {
    tda_str x = json_name(*(const struct json *)a), y = json_name(*(const struct json *)b);
    int d = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return d ? d : x.n < y.n ? -1 : x.n > y.n;
}

static bool write_value(struct json v, struct jw *w);

static bool write_members(struct json object, struct jw *w) {
    size_t n = 0;
    bool ok = true;
    struct json *members = calloc(json_count(object) + 1, sizeof *members);
    if (!members) return false;
    for (struct json m = json_first(object); json_type(m); m = json_next(m)) members[n++] = m;
    qsort(members, n, sizeof *members, by_name);
    for (size_t i = 0; i < n && ok; i++) {
        jw_key(w, json_name(members[i]));
        ok = write_value(members[i], w);
    }
    free(members);
    return ok;
}

static bool write_value(struct json v, struct jw *w) {
    bool ok = true;
    switch (json_type(v)) {
    case TDA_JSON_OBJECT:
        jw_begin_object(w);
        ok = write_members(v, w);
        jw_end_object(w);
        return ok;
    case TDA_JSON_ARRAY:
        jw_begin_array(w);
        for (struct json i = json_first(v); json_type(i) && ok; i = json_next(i)) ok = write_value(i, w);
        jw_end_array(w);
        return ok;
    case TDA_JSON_STRING: jw_str(w, json_str(v)); return true;
    default: jw_raw(w, json_raw(v)); return true;
    }
}

tda_status json_canonical(struct json v, struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    return write_value(v, &w) ? out->status : TDA_E_NOMEM;
}
