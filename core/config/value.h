/* One setting of the table: its row, and its value from text and to text. Pure, every thread. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/config.h"

enum value_type { VALUE_BOOL, VALUE_INT, VALUE_SIZE, VALUE_TIME, VALUE_ENUM, VALUE_TEXT, VALUE_AMOUNT };

struct setting {
    const char *path;
    enum value_type type;
    size_t offset;         /* in struct config */
    const char *fallback;  /* as written in YAML */
    const char *min, *max; /* ENUM: min = "a|b|c" */
    const char *variable;  /* of the environment */
    const char *help;
};

extern const struct setting settings[];
extern const size_t n_settings;
const struct setting *setting_find(const char *path);

/* `bare_unit`: nanoseconds of a TIME's bare number, 0 to refuse one. Writes the value into `c`. On failure `why` says what is
 * wrong and what is allowed, without the value. */
tda_status setting_parse(const struct setting *s, tda_str text, int64_t bare_unit, struct config *c, char *why, size_t why_size);
/* Digits, then a unit of the type: "16MiB". `bare_unit` as above. */
bool number_parse(enum value_type type, tda_str text, int64_t bare_unit, int64_t *ret);
bool bool_parse(tda_str text, bool *ret);
/* Digits, with a fraction or without: "2.50". */
bool amount_parse(tda_str text, double *ret);
void setting_format(const struct setting *s, const struct config *c, struct buf *out);
void time_format(int64_t ns, struct buf *out); /* "10m" */
const char *value_type_name(enum value_type type);

#endif
