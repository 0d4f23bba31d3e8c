/* Addresses as far as the layers above need them. Pure, every thread. */
#ifndef LOOP_URL_H
#define LOOP_URL_H

#include "base/base.h"

/* "https://host:port" in lower case, the port written out. E_INVALID: no http(s) URL, or one with a user name in it. */
tda_status url_origin(tda_str url, char *out, size_t size);

#endif
