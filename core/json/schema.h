/* JSON Schema: does a value keep what a schema says? [any] Pure; no memory, no network, bounded in time and depth.
 *
 * Schemas come from servers that nobody vouches for, so the answer has three values: what is not known here (`format`, `pattern`,
 * a $ref to elsewhere, another dialect, more work than STEPS) is SCHEMA_UNKNOWN and never spoils a good value. Drafts 04 to 07,
 * 2019-09 and 2020-12; without $schema the last. */
#ifndef JSON_SCHEMA_H
#define JSON_SCHEMA_H

#include "json/json.h"

enum { SCHEMA_STEPS = 1 << 20, SCHEMA_DEPTH = 128 }; /* a step: a keyword, or a look at one member or item */

enum schema_verdict { SCHEMA_VALID, SCHEMA_INVALID, SCHEMA_UNKNOWN };

/* Of SCHEMA_INVALID: which value of the instance, "rows.0.name" ("" is the whole), and what is wrong with it. Of SCHEMA_UNKNOWN:
 * what was not judged. */
struct schema_report {
    char where[160];
    char why[160];
};

enum schema_verdict schema_check(struct json schema, struct json value, struct schema_report *ret);

#endif
