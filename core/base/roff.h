/* Our own pages as man pages. */
#ifndef BASE_ROFF_H
#define BASE_ROFF_H

#include "base/buf.h"

/* The page NAME(section) from Markdown, as far as our pages use it: headings, paragraphs, fenced blocks, lists, `code`, and tables,
 * whose first column becomes the term, the last the text, and what lies between a line of its own. Pure, every thread. */
void roff_page(const char *name, unsigned section, const char *summary, tda_str markdown, struct buf *out);

#endif
