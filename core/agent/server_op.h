/* One question to the user's MCP server that is no call of a tool: its prompts, its resources, what completes an argument. [loop]
 *
 *   connection -> does the server offer that? -> one call of the adapter -> write -> done */
#ifndef AGENT_SERVER_OP_H
#define AGENT_SERVER_OP_H

#include "agent/toolbox.h"

struct server_op {
    /* the caller's */
    struct work *work;
    uint32_t op;                                            /* enum tda_adapter_op */
    tda_str name, args;                                     /* of the adapter's request; live as long as the work */
    const char *list;                                       /* LIST_*: the result's member; else NULL */
    void (*write)(struct server_op *op, struct json value); /* one item, an object that is open; or the whole answer */
    void *more_of;                                          /* the caller's */
    void (*starting)(struct server_op *op);                 /* before the adapter is asked; NULL: nothing */
    void (*stopping)(struct server_op *op);                 /* before the connection is let go; likewise */
    void (*answered)(struct server_op *op);                 /* in place of the end, when the adapter has done it; NULL: none */

    struct toolbox box;
    struct call *call;
    struct error fault;
    struct buf items; /* JSON, one after the other in an array */
    struct jw items_w;
    struct json_doc *answer;
    uint64_t skip, limit, seen;
    bool cancelled, too_large, more;
};

/* `wanted` is copied into the work's arena; ends with work->done. */
void server_op_begin(const struct server_op *wanted);
void server_op_end(struct server_op *op, const struct error *e); /* for `answered` */
/* A member of the server's, as it came, under a name of ours; absent: nothing. */
void put_member(struct jw *w, const char *key, struct json from, const char *name);

#endif
