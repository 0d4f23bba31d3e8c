/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_JSON_H
#define TDA_JSON_H

#include "tda/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "tda.json/1": a reader and a writer, so that a plugin needs no parser of its own.
 * host->extension(TDA_STR("tda.json/1")) gives a const struct tda_json_api *.
 *
 * Everything here is [loop] or [worker], inside a callback of handle h, and lives until that callback returns: nothing to free.
 * Reading is strict (RFC 8259, UTF-8 checked, duplicate keys refused, depth and size limited). */

enum tda_json_type {
    TDA_JSON_NONE = 0, /* absent: what a look-up that found nothing returns                                       */
    TDA_JSON_NULL = 1,
    TDA_JSON_BOOL = 2,
    TDA_JSON_NUMBER = 3,
    TDA_JSON_STRING = 4,
    TDA_JSON_ARRAY = 5,
    TDA_JSON_OBJECT = 6
};

/* A view of one value. {NULL, 0} is NONE; every function takes NONE and answers with "absent". */
typedef struct tda_json {
    const void *doc;
    uint64_t node;
} tda_json;

typedef struct tda_json_writer tda_json_writer;

struct tda_json_api {
    uint32_t size;
    uint32_t reserved;

    /* Parse one document. E_SYNTAX or E_LIMIT; then ret_root is untouched. */
    tda_status (*parse)(tda_handle h, tda_str text, tda_json *ret_root);

    uint32_t (*type)(tda_json v);
    tda_json (*get)(tda_json v, const char *path); /* "choices.0.delta.content": keys and indices joined by dots */
    tda_json (*key)(tda_json v, tda_str key);      /* one member, any key                                         */
    tda_json (*first)(tda_json v);                 /* first element of an array or member of an object           */
    tda_json (*next)(tda_json v);                  /* its next sibling                                            */
    tda_str (*name)(tda_json v);                   /* the key under which v stands in its object                  */
    uint64_t (*count)(tda_json v);
    tda_str (*str)(tda_json v);               /* a STRING's text; absent for anything else                   */
    tda_str (*raw)(tda_json v);               /* the value as it stands in the document, byte for byte       */
    int32_t (*i64)(tda_json v, int64_t *ret); /* 1 when v is an integer that fits, else 0                    */
    int32_t (*f64)(tda_json v, double *ret);
    int32_t (*boolean)(tda_json v, int32_t *ret);

    /* Write one document. Calls after a failure do nothing; text() says E_LIMIT or E_NOMEM. */
    tda_json_writer *(*writer)(tda_handle h);
    void (*begin_object)(tda_json_writer *w);
    void (*end_object)(tda_json_writer *w);
    void (*begin_array)(tda_json_writer *w);
    void (*end_array)(tda_json_writer *w);
    void (*put_key)(tda_json_writer *w, tda_str key);
    void (*put_str)(tda_json_writer *w, tda_str s); /* escaped; invalid UTF-8 becomes U+FFFD                      */
    void (*put_raw)(tda_json_writer *w, tda_str s); /* JSON text as it is                                         */
    void (*put_i64)(tda_json_writer *w, int64_t v);
    void (*put_u64)(tda_json_writer *w, uint64_t v);
    void (*put_f64)(tda_json_writer *w, double v);
    void (*put_bool)(tda_json_writer *w, int32_t v);
    void (*put_null)(tda_json_writer *w);
    tda_status (*text)(tda_json_writer *w, tda_str *ret_text);
};

#ifdef __cplusplus
}
#endif
#endif
