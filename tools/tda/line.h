/* A line from whoever sits at the terminal: edited with libedit, with a history that outlives the program; or from a pipe. */
#ifndef TDA_COMMAND_LINE_H
#define TDA_COMMAND_LINE_H

#include <stdbool.h>

struct line;

/* `prompt` and `words` (ended by NULL: what TAB completes at the line's begin) live as long as the line. NULL: out of memory. */
struct line *line_open(const char *prompt, const char *const *words);
/* The next line without its end, the line's until the next call; NULL at the end of input. Ctrl-C empties the line and goes on. */
const char *line_read(struct line *l);
void line_close(struct line *l);

#endif
