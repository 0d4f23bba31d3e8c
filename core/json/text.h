/* UTF-8 by the byte. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <stddef.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Length of the well-formed sequence at p (1 to 4), 0 when there is none: overlong forms, surrogates and what lies beyond U+10FFFF
 * are none. Unicode, table 3-7. */
size_t utf8_sequence(const char *p, size_t n);

#endif
