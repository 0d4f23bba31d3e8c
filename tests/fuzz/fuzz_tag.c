/* `@TAG` at the start of a text: what is found is a piece of the text, and the request without it is JSON. */
#include "base/buf.h"

#include "../../core/agent/override.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As in the text itself: the tag and the rest lie in it, and only blanks between them. */
static void check_text(tda_str text) {
    tda_str rest = {0}, tag = take_tag(text, &rest);
    if (!tag.p) return;
    if (tag.p != text.p + 1 || !tag.n || rest.p + rest.n != text.p + text.n || rest.p < tag.p + tag.n) abort();
    if (!is_empty((tda_str){tag.p + tag.n, (size_t)(rest.p - tag.p) - tag.n})) abort();
}

/* The request without the tag has the rest where the tag was. */
static void check_request(struct json params) {
    struct error e = {.retry_ms = -1};
    struct override o = {0};
    struct place p = find_place(params);
    tda_str rest;
    check_text(json_str(p.text));
    if (!take_tag(json_str(p.text), &rest).p) return;
    if (without_tag(params, &p, rest, &o, &e)) abort();
    if (!tda_str_eq(json_str(find_place(o.params).text), rest)) abort();
    override_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc *doc = NULL;
    struct error e = {.retry_ms = -1};
    char *copy = malloc(size ? size : 1); /* of its own size, so that ASan sees the end */
    if (!copy) return 0;
    memcpy(copy, data, size);
    tda_str text = {copy, size};
    check_text(text);
    if (!json_parse(text, 0, &doc, &e)) check_request(json_root(doc));
    json_free(doc);
    free(copy);
    return 0;
}
