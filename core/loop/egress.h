/* Where the daemon may connect to: a verdict on a resolved address, so that no spelling, redirect or name server gets around it. */
#ifndef LOOP_EGRESS_H
#define LOOP_EGRESS_H

#include <sys/socket.h>

#include "base/base.h"

/* In order of severity. */
enum egress_net {
    EGRESS_PUBLIC,
    EGRESS_PRIVATE,  /* this machine or its networks: for the operator's addresses, not for users' */
    EGRESS_FORBIDDEN /* link-local and the metadata services of clouds: for nobody */
};

/* Pure. An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) is judged by both, and the
 * worse counts. `ret_what` (may be NULL): words for a message, "a loopback address". */
enum egress_net egress_judge(const struct sockaddr *sa, const char **ret_what);
/* "127.0.0.1", "::1"; forbidden when it is no address. */
enum egress_net egress_judge_text(const char *ip, const char **ret_what);

/* Does the verdict let a connection through? */
bool egress_allows(enum egress_net net, bool user_given, bool private_allowed);

#endif
