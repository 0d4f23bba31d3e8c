/* What keeps sessions: a small interface, so that another store can take the place of SQLite. tests/unit/session holds any store to
 * this contract.
 *
 * All functions block and belong to core/session's threads, never to a loop. Writes come from one thread, between begin and commit;
 * reads from one other, at the same time; backup from a third. A read sees whole committed groups only, and sees what was committed
 * before it began. A write that fails leaves no trace of itself and does not end the group, unless commit fails: then nothing since
 * begin is kept. What commit has acknowledged outlives the process (and, as the store's settings say, the machine's power).
 *
 * Strings of rows are borrowed: the caller's when writing, valid during the visit when reading. Times are wall milliseconds since
 * 1970, days are UTC days since 1970. */
#ifndef SESSION_STORE_H
#define SESSION_STORE_H

#include "base/base.h"
#include "base/hash.h"

/* Tokens that were told, and how many calls did not tell: unknown is not zero. */
struct usage_sums {
    uint64_t turns, calls, unknown;
    uint64_t input, output, cache_read, cache_write, reasoning;
};

struct session_row {
    tda_str id, user, title;
    tda_str context; /* what it inherited, a JSON object; absent: it follows its user's context */
    int64_t created_ms, updated_ms;
    uint64_t turns;
    struct usage_sums usage;
};

struct turn_row {
    tda_str session, user;
    tda_str title; /* on writing: for a session that has none yet */
    uint64_t n;    /* on reading: from 1, without gaps */
    int64_t at_ms;
    tda_str provider, model, mcp_server, profile, stop; /* the labels of the snapshot that served it */
    tda_str messages;                                   /* JSON: what was asked, what was answered, and the tools between */
    tda_str calls;                                      /* JSON: the usage of each model call */
    struct usage_sums usage;
    tda_str key; /* idempotency key, absent: none; the user's keys are unique */
    unsigned char digest[DIGEST_SIZE];
    tda_str reply; /* with a key: what was answered, JSON */
};

struct usage_row {
    tda_str user, provider, model;
    int64_t day;
    struct usage_sums sums;
};

/* What a user has approved of a server's tools: the digest of each one's definition. The tool "" says that there are pins. */
struct pin_row {
    tda_str user, server, tool;
    unsigned char digest[DIGEST_SIZE];
    int64_t at_ms;
    bool first; /* on writing: does nothing where the tool "" is there already */
};

enum session_sort { SORT_UPDATED, SORT_CREATED, SORT_TITLE }; /* newest first, newest first, by alphabet */

struct session_query {
    tda_str user;   /* absent: everybody's */
    tda_str search; /* absent: all; else what stands in title or messages, ASCII case does not matter */
    enum session_sort sort;
    uint64_t limit;
    tda_str cursor; /* of the row after which to go on; absent: from the beginning */
};

/* Absent members (0, INT64_MIN) remove nothing. Each rule takes at most RETAIN_STEP sessions at once, so that writers wait for no
 * long one: again while it does. */
enum { RETAIN_STEP = 500 };
struct retention {
    int64_t sessions_before_ms; /* sessions not used since */
    uint64_t keep_per_user;     /* of each user the most recently used */
    int64_t keys_before_ms;     /* idempotency keys and replies stored before; their turns stay */
    int64_t usage_before_day;
};

struct removed {
    uint64_t sessions, keys, usage_days;
};

struct store_limits {
    uint64_t sessions_per_user, turns_per_session;
};

struct store;

typedef void (*session_visit)(void *arg, const struct session_row *row, tda_str cursor);
/* False ends the reading. */
typedef bool (*turn_visit)(void *arg, const struct turn_row *row);
typedef void (*usage_visit)(void *arg, const struct usage_row *row);
typedef void (*pin_visit)(void *arg, const struct pin_row *row);

struct store_ops {
    void (*close)(struct store *s); /* no other call runs */

    /* ---- writing ---- */
    tda_status (*begin)(struct store *s, struct error *e);
    tda_status (*commit)(struct store *s, struct error *e);
    void (*rollback)(struct store *s); /* after a failed begin or commit, or to take a group back; harmless without one */

    tda_status (*create)(struct store *s, const struct session_row *row, struct error *e); /* EXISTS, LIMIT "too_many_sessions" */
    /* The session's next turn, its usage to session and day, its key: all or nothing. NOT_FOUND: no such session of this user;
     * EXISTS: the user's key is taken; LIMIT "session_full". */
    tda_status (*append)(struct store *s, const struct turn_row *row, struct error *e);
    tda_status (*rename)(struct store *s, tda_str user, tda_str id, tda_str title, struct error *e); /* NOT_FOUND */
    tda_status (*remove)(struct store *s, tda_str user, tda_str id, struct error *e);                /* NOT_FOUND */
    tda_status (*add_usage)(struct store *s, const struct usage_row *row, struct error *e);          /* of a turn without session */
    tda_status (*pin)(struct store *s, const struct pin_row *row, struct error *e);                  /* in place of that tool's */
    tda_status (*erase)(struct store *s, tda_str user, struct removed *ret, struct error *e);
    tda_status (*retain)(struct store *s, const struct retention *r, struct removed *ret, struct error *e);

    /* ---- reading: of get and turns, `user` absent means anybody's; another's is NOT_FOUND, and has no turns ---- */
    tda_status (*list)(struct store *s, const struct session_query *q, session_visit visit, void *arg, struct error *e);
    tda_status (*get)(struct store *s, tda_str user, tda_str id, session_visit visit, void *arg, struct error *e); /* NOT_FOUND */
    /* Turns after number `after` in order; newest_first: from the last one back to it. */
    tda_status (*turns)(struct store *s, tda_str user, tda_str id, uint64_t after, bool newest_first, turn_visit visit, void *arg,
                        struct error *e);
    tda_status (*keyed)(struct store *s, tda_str user, tda_str key, turn_visit visit, void *arg, struct error *e); /* NOT_FOUND */
    tda_status (*usage)(struct store *s, tda_str user, int64_t from_day, usage_visit visit, void *arg, struct error *e);
    tda_status (*pins)(struct store *s, tda_str user, tda_str server, pin_visit visit, void *arg, struct error *e);
    /* Everybody's tokens of a day: one row a user, provider and model absent. */
    tda_status (*day)(struct store *s, int64_t day, usage_visit visit, void *arg, struct error *e);

    /* ---- aside ---- */
    tda_status (*backup)(struct store *s, const char *path, struct error *e); /* a whole copy in a new file: EXISTS */
};

/* Every implementation begins with it. */
struct store {
    const struct store_ops *ops;
};

static inline void usage_sums_add(struct usage_sums *a, const struct usage_sums *b) {
    a->turns += b->turns;
    a->calls += b->calls;
    a->unknown += b->unknown;
    a->input += b->input;
    a->output += b->output;
    a->cache_read += b->cache_read;
    a->cache_write += b->cache_write;
    a->reasoning += b->reasoning;
}

#endif
