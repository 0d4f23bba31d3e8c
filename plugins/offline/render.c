/* A tool's result as short text. Rows and columns, in the shapes that data tools give, become lines "a | b"; anything else is
 * quoted as it came. */
#include "offline.h"

enum { ROWS_MAX = 50, CELLS_MAX = 32 };

static const struct tda_json_api *json(void) {
    return offline_json;
}

/* A string without its quotes, anything else as it stands. */
static void cell(struct out *o, tda_json v) {
    tda_str s = json()->str(v);
    out_quote(o, s.p ? s : json()->raw(v), 200);
}

/* One row: an array's items, an object's values, or a single value. */
static void row(struct out *o, tda_json v, bool names) {
    uint32_t type = json()->type(v);
    if (type != TDA_JSON_ARRAY && type != TDA_JSON_OBJECT) {
        cell(o, v);
        return;
    }
    uint32_t n = 0;
    for (tda_json c = json()->first(v); json()->type(c) && n < CELLS_MAX; c = json()->next(c), n++) {
        if (n) out_z(o, " | ");
        if (names)
            out_str(o, json()->name(c));
        else
            cell(o, c);
    }
    if (json()->count(v) > CELLS_MAX) out_z(o, " | ...");
}

static void table(struct out *o, tda_json columns, tda_json rows) {
    tda_json first = json()->first(rows);
    uint32_t n = 0;
    if (json()->type(columns) == TDA_JSON_ARRAY) {
        out_z(o, "\n");
        row(o, columns, false);
    } else if (json()->type(first) == TDA_JSON_OBJECT) {
        out_z(o, "\n");
        row(o, first, true);
    }
    for (tda_json r = first; json()->type(r) && n < ROWS_MAX; r = json()->next(r), n++) {
        out_z(o, "\n");
        row(o, r, false);
    }
    if (json()->count(rows) == 0) out_z(o, "\n(no rows)");
    if (json()->count(rows) > ROWS_MAX) out_z(o, "\n(more rows are left out)");
}

/* True when the text is JSON that has rows: {"rows": [...], "columns"?: [...]}, or an array. */
static bool render_rows(struct out *o, tda_handle h, tda_str text) {
    tda_json root, rows;
    if (json()->parse(h, text, &root)) return false;
    rows = json()->type(root) == TDA_JSON_ARRAY ? root : json()->key(root, TDA_STR("rows"));
    if (json()->type(rows) != TDA_JSON_ARRAY) return false;
    table(o, json()->key(root, TDA_STR("columns")), rows);
    return true;
}

/* A tool that gives JSON often repeats it as text: then the JSON part is enough. */
static const struct tda_part *json_part(const struct tda_part *result) {
    for (uint32_t i = 0; i < result->n_parts; i++)
        if (result->parts[i]->kind == TDA_PART_JSON) return result->parts[i];
    return NULL;
}

static void render_body(struct call *c, struct out *body, const struct tda_part *result) {
    const struct tda_part *j = json_part(result);
    for (uint32_t i = 0; i < result->n_parts; i++) {
        const struct tda_part *p = j ? j : result->parts[i];
        if (i > 0) out_z(body, "\n");
        if (p->kind == TDA_PART_IMAGE) {
            out_z(body, "(an image)");
        } else if (!render_rows(body, c->handle, p->text)) {
            out_str(body, p->text);
        }
        if (j) break;
    }
    if (result->n_parts == 0) out_z(body, "(nothing)");
}

/* A result may come without the tool's name: the call with the same id has it. */
static tda_str tool_name(const struct tda_request *r, const struct tda_part *result) {
    if (result->name.n) return result->name;
    for (uint32_t m = 0; m < r->n_msgs; m++)
        for (uint32_t i = 0; i < r->msgs[m]->n_parts; i++) {
            const struct tda_part *p = r->msgs[m]->parts[i];
            if (p->kind == TDA_PART_TOOL_USE && p->name.n && tda_str_eq(p->id, result->id)) return p->name;
        }
    return result->id.n ? result->id : TDA_STR("(without a name)");
}

void render_results(struct call *c, const struct tda_request *r, const struct tda_msg *last) {
    struct out body;
    uint32_t n = 0;
    out_z(&c->out, OFFLINE_INTRO);
    for (uint32_t i = 0; i < last->n_parts; i++) {
        const struct tda_part *p = last->parts[i];
        if (p->kind != TDA_PART_TOOL_RESULT || n++ >= RESULTS_MAX) continue;
        out_z(&c->out, n == 1 ? " Tool " : "\nTool ");
        out_quote(&c->out, tool_name(r, p), 200);
        out_z(&c->out, p->is_error ? " reports an error: " : " says: ");
        body.n = 0;
        body.cut = false;
        render_body(c, &body, p);
        out_quote(&c->out, (tda_str){body.p, body.n}, QUOTE_MAX);
    }
    if (n > RESULTS_MAX) out_z(&c->out, "\n(more results are left out)");
}
