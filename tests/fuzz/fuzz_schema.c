/* A schema, a line end, a value: judged without a crash and in bounded steps; canonical texts of a value are equal. */
#include "json/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void canonical(struct json v) {
    struct json_doc *again = NULL;
    struct buf first, second;
    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    if (json_canonical(v, &first) || json_parse(buf_str(&first), 0, &again, NULL)) abort();
    if (json_canonical(json_root(again), &second) || !tda_str_eq(buf_str(&first), buf_str(&second))) abort();
    json_free(again);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc *schema = NULL, *value = NULL;
    struct schema_report report;
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end) return 0;
    tda_str first = {(const char *)data, (size_t)(end - data)}, second = {(const char *)end + 1, size - first.n - 1};
    if (!json_parse(first, 0, &schema, NULL) && !json_parse(second, 0, &value, NULL)) {
        enum schema_verdict v = schema_check(json_root(schema), json_root(value), &report);
        if ((v == SCHEMA_VALID) != !report.why[0]) abort();
        canonical(json_root(schema));
        canonical(json_root(value));
    }
    json_free(schema);
    json_free(value);
    return 0;
}
