/* Is this file a plugin that may be handed to dlopen? Judged from its bytes, executing nothing. Pure; meets untrusted files. */
#ifndef PLUGIN_ELF_AUDIT_H
#define PLUGIN_ELF_AUDIT_H

#include "base/base.h"

struct elf_facts {
    uint32_t abi_major, abi_minor;
    tda_str note; /* text, in the file's bytes */
};

/* Class, byte order, machine, type; every PT_LOAD inside of the file (a truncated one would kill the host with SIGBUS); the note;
 * the dynamic symbol `entry` defined. E_INVALID, with one sentence for people. */
tda_status elf_audit(tda_str file, const char *entry, struct elf_facts *ret, struct error *e);

#endif
