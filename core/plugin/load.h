/* From a name in the configuration to a plugin that has booted, in the order that ABI promises: path, file, bytes, dlopen, entry,
 * boot. [boot] */
#ifndef PLUGIN_LOAD_H
#define PLUGIN_LOAD_H

#include "plugin/note.h"

struct loaded {
    char *file; /* real path */
    struct note note;
    const struct tda_plugin *plugin;
    const struct tda_provider *provider; /* NULL: none */
    const struct tda_adapter *adapter;
};

/* The error is one sentence: which requirement, what would fix it. What dlopen has mapped stays: never unloaded. `ret->file` is set
 * as soon as it is known. */
tda_status plugin_load(const struct config *c, const char *name, const struct tda_host *host, struct loaded *ret, struct error *e);
/* The same as far as it goes without executing anything: would a start take this file? [any] */
tda_status plugin_judge(const struct config *c, const char *name, struct error *e);
void loaded_fini(struct loaded *l);

#endif
