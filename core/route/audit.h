/* The audit log: one line of JSON for each request that ended, refused ones too; who, what, for whom, how it ended; never what was
 * said.
 *
 * A line is put into a bounded queue and written by a thread of the log's own, so nobody waits for the disk. What finds no room, or
 * cannot be written, is counted, and a line {"lost":n} says so as soon as one can be. NULL is the log that is off.
 *
 * Threads: [any] unless said. Lock: the queue's, for a copy. */
#ifndef ROUTE_AUDIT_H
#define ROUTE_AUDIT_H

#include "base/base.h"

enum { AUDIT_QUEUE_BYTES = 1 << 20 };

struct audit;

/* Opens the file at the end, or makes it (mode 0600). "" gives NULL. IO. [main] */
tda_status audit_open(const char *path, struct audit **ret, struct error *e);
void audit_free(struct audit *a); /* writes what waits. [main] */

void audit_line(struct audit *a, tda_str line); /* without its newline; copied */
/* The file was moved away: lines from now on, and those that wait, go to a new one under its name. */
void audit_reopen(struct audit *a);

struct request;
/* The line of a request; `outcome` is "ok", a kind of error, or "repeated": another with its key answers
 * it. */
void audit_request(struct audit *a, const struct request *q, const char *outcome);

#endif
