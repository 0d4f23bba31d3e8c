#include "plugin/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error e = {.retry_ms = -1};
    struct note note;
    if (note_parse((tda_str){(const char *)data, size}, &note, &e) == TDA_OK) {
        if (!note.id || !note.version || !note.n_provides) abort();
        note_fini(&note);
    } else if (!e.text[0]) {
        abort();
    }
    return 0;
}
