/* The store of sessions in one SQLite file (WAL). */
#ifndef SESSION_SQLITE_STORE_H
#define SESSION_SQLITE_STORE_H

#include "session/store.h"

struct sqlite_options {
    const char *path; /* made with mode 0600; its folder must be there */
    bool full;        /* synchronous=FULL: a commit is on the disk; else it outlives the process, but not a loss of power */
    struct store_limits limits;
    int64_t read_timeout_ns; /* a reading that takes longer ends with TIMEOUT */
};

/* Takes the file for this process alone, brings its schema up to date and checks it. Says in `e` what to do when it cannot: another
 * tdad has it, it is damaged, it is of a later version, it is no store. Never replaces anything. */
tda_status sqlite_store_open(const struct sqlite_options *o, struct store **ret, struct error *e);

#endif
