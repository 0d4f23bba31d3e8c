/* What the ELF note .note.tda says, as text: tda/plugin.h has the grammar. Pure; meets untrusted files. */
#ifndef PLUGIN_NOTE_H
#define PLUGIN_NOTE_H

#include "plugin/plugins.h"

enum { NOTE_LIST_MAX = 16, NOTE_RULES_MAX = 32 };

struct note {
    char *text; /* everything below points into it */
    const char *id, *version;
    const char *provides[NOTE_LIST_MAX], *needs[NOTE_LIST_MAX], *hosts[NOTE_LIST_MAX];
    size_t n_provides, n_needs, n_hosts;
    struct setting_rule rules[NOTE_RULES_MAX];
    size_t n_rules;
    struct note_variable {
        size_t rule; /* its place in `rules` */
        const char *variable;
    } variables[NOTE_RULES_MAX]; /* in the note's order: the first that is set wins */
    size_t n_variables;
    const struct ctx_field *address_field; /* NULL: none */
    const char *address_member;
    bool threads, exports, static_tls;
};

/* Copies. The error says which line. */
tda_status note_parse(tda_str text, struct note *ret, struct error *e);
void note_fini(struct note *n);
bool note_provides(const struct note *n, const char *interface_id);
bool note_needs(const struct note *n, const char *what);

#endif
