/* Files that want to be plugins. */
#include "plugin/elf_audit.h"
#include "plugin/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct elf_facts facts;
    struct error e = {.retry_ms = -1};
    struct note note;
    if (elf_audit((tda_str){(const char *)data, size}, "tda_plugin_entry_v0", &facts, &e)) {
        if (!e.text[0]) abort();
        return 0;
    }
    if (note_parse(facts.note, &note, &e) == TDA_OK) note_fini(&note);
    return 0;
}
