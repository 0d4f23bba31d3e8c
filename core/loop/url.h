/* Addresses as far as the layers above need them. Pure, every thread. */
#ifndef LOOP_URL_H
#define LOOP_URL_H

#include "base/base.h"

/* "https://host:port" in lower case, the port written out. E_INVALID: no http(s) URL, or one with a user name in it. */
tda_status url_origin(tda_str url, char *out, size_t size);

/* An origin, or one with a whole label of its host as "*", "https://runtime.*.example.com", in the same form. At least two labels
 * stand behind it: never everybody's names. E_INVALID. */
tda_status url_pattern(tda_str text, char *out, size_t size);
/* Is this origin the pattern, or is it with one label in place of "*"? Both as the functions above write them. */
bool url_matches(const char *pattern, const char *origin);

#endif
