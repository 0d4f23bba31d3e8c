/* What tdad says of itself, from the tables that it works by: references, man pages, completions. */
#ifndef MANUAL_H
#define MANUAL_H

#include "base/buf.h"

/* To stdout; `usage` is the text of --help. NOT_FOUND, after stderr has the words that there are: there is no such word. */
tda_status manual_print(const char *word, const char *usage);

#endif
