/* The client's scanner over bytes that claim to be a reply: never beyond them, never without an end; and what it finds in what is
 * JSON is what the parser finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct span found, struct json wanted) {
    tda_str raw = json_raw(wanted);
    if (found.n != raw.n || memcmp(found.p, raw.p, raw.n) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size ? size : 1), decoded[64];
    struct span key, v, root, rest;
    struct json_doc *doc = NULL;
    if (!text) return 0;
    memcpy(text, data, size);
    root = scan_value(text, size);
    for (rest = root; scan_next_member(&rest, &key, &v);) {
        scan_string(v, decoded, sizeof decoded);
        scan_number(v, 0);
        if (strlen(decoded) >= sizeof decoded) abort();
    }
    for (rest = root; scan_next(&rest, &v);) scan_string(v, decoded, 8);
    if (!json_parse((tda_str){text, size}, 0, &doc, NULL)) {
        struct json m = json_root(doc);
        compare(root, m);
        if (json_type(m) == TDA_JSON_OBJECT)
            for (rest = root, m = json_first(m); scan_next_member(&rest, &key, &v); m = json_next(m)) compare(v, m);
        else if (json_type(m) == TDA_JSON_ARRAY)
            for (rest = root, m = json_first(m); scan_next(&rest, &v); m = json_next(m)) compare(v, m);
        if (json_type(json_root(doc)) >= TDA_JSON_ARRAY && json_type(m)) abort(); /* it ended too early */
        if (json_type(json_root(doc)) == TDA_JSON_STRING) {
            tda_str whole = json_str(json_root(doc));
            size_t n = scan_string(root, decoded, sizeof decoded);
            if (n > whole.n || memcmp(decoded, whole.p, n) != 0) abort();
        }
    }
    json_free(doc);
    free(text);
    return 0;
}
