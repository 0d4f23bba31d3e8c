/* Keeping secrets out of texts. Every thread. */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include "base/buf.h"

/* Each occurrence of `value` becomes "[redacted]"; values under 6 bytes are left, they would hit ordinary words. The
 * beginning of one that the text ends with goes. Out of memory: the text is cut before the value. */
void redact(struct buf *text, tda_str value);

#endif
