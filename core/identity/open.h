/* From the settings to an identity. */
#ifndef IDENTITY_OPEN_H
#define IDENTITY_OPEN_H

#include "config/config.h"
#include "identity/identity.h"

/* Reads the file that identity.tokens names. DENIED "no_tokens" when the configuration has a listener other than ipc, and there is
 * no token: whoever comes there has nothing else to say who he is. Uids are borrowed from `c`. [main] */
tda_status identity_open(const struct config *c, struct identity **ret, struct error *e);

#endif
