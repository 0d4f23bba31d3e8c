/* What C does for Go: function pointers of the host cannot be called from there. Everything passed is borrowed until the call
 * returns. */
#include <stdlib.h>

#include "tda/plugin.h"

void tda_say(tda_call call, uint32_t kind, const char *text, size_t n);
void tda_end(tda_call call, uint32_t cls, int32_t http_status);
tda_str tda_base_url(tda_call call); /* absent: unset */
int32_t tda_open(tda_call call, tda_str url, tda_str body);
tda_str tda_prompt(const struct tda_request *r);
