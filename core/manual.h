/* What tdad says of itself, from the tables that it works by: references, man pages, completions. */
#ifndef MANUAL_H
#define MANUAL_H

#include "base/buf.h"

/* The words that --reference takes, NULL-terminated. */
extern const char *const manual_words[];
/* NOT_FOUND: there is no such word. `usage` is the text of --help. */
tda_status manual_write(const char *word, const char *usage, struct buf *out);

#endif
