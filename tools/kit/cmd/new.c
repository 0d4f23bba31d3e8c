#include "cmd.h"
int cmd_new(const struct options *o) {
    (void)o;
    return usage("not yet");
}
