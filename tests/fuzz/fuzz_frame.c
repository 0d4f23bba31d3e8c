/* Framing: the same items whatever the cut. The first byte chooses the framing, the second the cut. */
#include "framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t framings[] = {TDA_FRAME_SSE, TDA_FRAME_NDJSON, TDA_FRAME_LINES, TDA_FRAME_BY_TYPE};
    if (size < 3) return 0;
    same_in_any_cut(framings[data[0] & 3], 200, (tda_str){(const char *)data + 2, size - 2}, (size_t)data[1] % 9 + 1);
    return 0;
}
