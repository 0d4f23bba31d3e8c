/* A YAML file as a small tree with marks. libyaml reads; here are the bounds, and what is refused: aliases (they grow without
 * bound), tags, more than one document, duplicate keys, keys that are no plain text. One thread; freed as a whole. */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "base/buf.h"

enum ynode_kind { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };

struct ynode {
    enum ynode_kind kind;
    char *key;  /* in a map; else NULL */
    char *text; /* SCALAR */
    bool quoted;
    char where[96];             /* "tda.yaml:12:3", "--set" */
    struct ynode *first, *last; /* children */
    struct ynode *next;
};

/* An empty document is an empty map. Errors go to `report`, one line each. `name` stands in the marks. */
tda_status yaml_parse(tda_str text, const char *name, struct ynode **ret_root, struct buf *report);
tda_status yaml_read_file(const char *path, struct ynode **ret_root, struct buf *report);
void ynode_free(struct ynode *n); /* with its children; NULL is fine */

const struct ynode *ynode_find(const struct ynode *map, const char *key); /* NULL: none, or no map */
size_t ynode_count(const struct ynode *n);
/* Puts `value` (given away) at "a.b.c" below `root`, in place of what is there. */
tda_status ynode_put(struct ynode *root, const char *path, struct ynode *value);
/* Moves what is in `over` into `base`: maps are joined, everything else is replaced. `over` is freed. */
tda_status ynode_merge(struct ynode *base, struct ynode *over);

#endif
