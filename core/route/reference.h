/* What is written about the wire beside the table of methods: results, errors, events. method_docs.c holds it, reference.c writes
 * it as host.methods and as the page of `tdad --reference methods`. A test holds every listed method to a row here. */
#ifndef ROUTE_REFERENCE_H
#define ROUTE_REFERENCE_H

#include <stdbool.h>

struct result_doc {
    const char *name, *type, *help; /* name NULL: the end. "a.b", "a[].b" are nested. */
};

struct method_doc {
    const char *method;
    bool reads;                       /* changes nothing: may be repeated without an idempotency key */
    const struct result_doc *results; /* members of `result` */
    const char *errors;               /* its own kinds, joined by spaces; "" when there are none */
};

struct word_doc {
    const char *word, *help; /* word NULL: the end */
};

const struct method_doc *method_doc_find(const char *method); /* NULL: none */
extern const struct word_doc error_docs[];                    /* kinds */
extern const struct word_doc event_docs[];                    /* types of a task's events */

#endif
