/* What C does for Go: function pointers of the host cannot be called from there. Everything passed is borrowed until the call
 * returns. */
#include <stdlib.h>

#include "tda/plugin.h"

void tda_item(tda_call call, tda_str name, tda_str description, tda_str schema);
void tda_content(tda_call call, tda_str text);
void tda_end(tda_call call, uint32_t cls, tda_str text);
