/* A configuration of any bytes: taken or refused with a report, nothing else. */
#include <unistd.h>

#include "config/config.h"
#include "config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ynode *root = NULL;
    struct buf report;
    buf_init(&report, 1 << 20);
    tda_status s = yaml_parse((tda_str){(const char *)data, size}, "fuzz.yaml", &root, &report);
    if (s == TDA_OK ? !root || report.n : !report.n && s != TDA_E_NOMEM) abort();
    if (!s) ynode_free(root);
    buf_fini(&report);
    return 0;
}
