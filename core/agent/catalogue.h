/* The tools of one server, as it listed them and as the model sees them. One loop's; read-only once sealed.
 *
 * The model sees tools by alias: SERVER__TOOL in the alphabet that every service takes, at most 64 long, no two equal, the same in
 * every turn; the core turns it back. What a server says of a tool beyond its name (description, annotations) decides nothing. */
#ifndef AGENT_CATALOGUE_H
#define AGENT_CATALOGUE_H

#include "base/hash.h"
#include "context/context.h"
#include "tda/message.h"

struct tool {
    char *name; /* the server's */
    char *alias;
    char *title; /* NULL: none */
    char *description;
    char *schema;                      /* JSON object */
    char *output_schema;               /* likewise; NULL: none */
    char *annotations;                 /* likewise, what the server claims; NULL: nothing */
    unsigned char digest[DIGEST_SIZE]; /* of name, description, both schemas and annotations, however they are written */
};

struct catalogue {
    uint32_t refs;
    uint64_t changes;
    char *server;
    struct tool *tools; /* in the server's order */
    size_t n, cap;
    const struct tool **by_name, **by_alias; /* of seal */
};

struct catalogue *catalogue_new(tda_str server); /* NULL: out of memory */
void catalogue_ref(struct catalogue *c);
void catalogue_unref(struct catalogue *c);                             /* NULL is fine */
bool catalogue_add(struct catalogue *c, const struct tda_event *item); /* an ITEM of LIST_TOOLS; false: out of memory */
/* After the last: a second tool of the same name goes, equal aliases are told apart. */
tda_status catalogue_seal(struct catalogue *c);
/* By alias; else by the server's name. */
const struct tool *catalogue_find(const struct catalogue *c, tda_str name_or_alias);
const struct tool *catalogue_named(const struct catalogue *c, tda_str name); /* by the server's name alone */
/* Does the snapshot let it be used? A name in a list that is another tool's alias means that other tool. */
bool catalogue_enables(const struct catalogue *c, const struct tool *tool, const struct snapshot *s);

#endif
