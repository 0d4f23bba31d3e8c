/* What every folder of the core uses: status, errors, compiler help, small sums. Layer 0, includes nothing of ours but the SDK. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tda/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define UNUSED __attribute__((unused))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NONNULL_RETURN __attribute__((returns_nonnull))
#define STR_FMT(s) (int)(s).n, (s).p ? (s).p : ""

/* free_p etc. are scope guards: `char *s GUARD(free_p) = NULL;` */
#define GUARD(fn) __attribute__((cleanup(fn)))
static inline void free_p(void *p) {
    free(*(void **)p);
}

/* From a member to the struct around it. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* What went wrong, for the one who caused it. `text` says what and where, `hint` what to do, `field` which input. A secret never
 * stands in one. All are NUL-terminated and cut to fit. */
struct error {
    tda_status status;
    char kind[32];  /* stable word for programs: "unknown_provider"; empty: derived from status */
    char field[64]; /* "params.model", "contexts.max_users"; may be empty */
    char text[320];
    char hint[192];
    char profile[33];       /* the profile under which it failed */
    char upstream_code[64]; /* the vendor's code and request id, when an upstream caused it */
    char upstream_request_id[96];
    int32_t http_status; /* 0: none */
    int64_t retry_ms;    /* -1: not worth trying again, or nobody knows when */
};

const char *status_name(tda_status status); /* "E_LIMIT" */
const char *status_text(tda_status status); /* "a limit was reached" */

/* Fill `e` (which may be NULL) and return `status`: `return error_set(e, TDA_E_LIMIT, "too_many_users", "...", n);` */
tda_status error_set(struct error *e, tda_status status, const char *kind, const char *fmt, ...) PRINTF_LIKE(4, 5);
void error_field(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_hint(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* malloc family that ends the process on a failing allocation is not here: every caller handles NULL. */
char *str_dup(tda_str s);                    /* heap copy, NUL-terminated; NULL when memory is out */
bool str_equal_nocase(tda_str a, tda_str b); /* ASCII */
bool str_has(tda_str haystack, tda_str needle);

/* The word of `words` nearest to `word`, for "did you mean", or NULL when none is near. */
const char *nearest_word(tda_str word, const char *const *words, size_t n);

/* User ids: [A-Za-z0-9][A-Za-z0-9._@:-]{0,127}, without "..". Rejected, never altered. */
bool user_id_valid(tda_str id);
/* Tags of profiles: [A-Za-z0-9][A-Za-z0-9_-]{0,31}. */
bool tag_valid(tda_str tag);

#ifdef __cplusplus
}
#endif
#endif
