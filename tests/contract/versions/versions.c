/* A provider that says which version of it answers, slowly: -D VERSION='"1"'. A question is answered SLOW ms after it came, by a
 * timer; "how many" at once. -D REFUSES: its instances do not open. */
#include <stdio.h>

#include "tda/plugin.h"

#if !defined(SLOW)
#define SLOW 150
#endif

TDA_PLUGIN_NOTE("id versions\n"
                "version " VERSION "\n"
                "provides tda.provider/1\n");

static const struct tda_host *host;

struct instance {
    uint32_t loop, starts, drops, made, dropped;
};

static struct instance instances[64]; /* by loop */

static void emit(tda_call call, uint32_t kind, tda_str text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.text = text;
    host->emit(call, &event);
}

static void finish(tda_call call) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.retry_ms = -1;
    host->finish(call, &result);
}

/* The user's object is this generation's own: made by version 1, it is never seen by version 2. */
static void drop_object(void *self, void *object) {
    struct instance *i = (struct instance *)self;
    (void)object;
    i->dropped++;
}

static void answer(tda_call call, struct instance *i) {
    void *object = NULL;
    if (host->object_get(call, &object) == TDA_E_NOT_FOUND && host->object_put(call, i, drop_object) == TDA_OK) i->made++;
    emit(call, TDA_EV_TEXT, object && object != i ? TDA_STR("another generation's object") : TDA_STR("version " VERSION));
    finish(call);
}

static void answer_counts(tda_call call) {
    char text[96];
    struct instance sum;
    memset(&sum, 0, sizeof sum);
    for (size_t k = 0; k < sizeof instances / sizeof instances[0]; k++) {
        sum.starts += instances[k].starts;
        sum.drops += instances[k].drops;
    }
    snprintf(text, sizeof text, "version " VERSION ": %u starts, %u drops", (unsigned)sum.starts, (unsigned)sum.drops);
    emit(call, TDA_EV_TEXT, tda_str_of(text));
    finish(call);
}

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    struct instance *i = (struct instance *)self;
    const struct tda_msg *last = request->n_msgs ? request->msgs[request->n_msgs - 1] : NULL;
    i->starts++;
    if (request->op != TDA_OP_CHAT || !last || !last->n_parts)
        finish(call);
    else if (tda_str_eq(last->parts[0]->text, TDA_STR("how many")))
        answer_counts(call);
    else
        return host->timer(call, 1, SLOW);
    return TDA_OK;
}

static void on_wake(void *self, tda_call call, uint64_t token) {
    (void)token;
    answer(call, (struct instance *)self);
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event;
}

static void drop(void *self, tda_call call) {
    (void)call;
    ((struct instance *)self)->drops++;
}

static tda_status open_instance(uint32_t loop_index, void **ret_self) {
#if defined(REFUSES)
    if (loop_index == 1) return TDA_E_LIMIT;
#endif
    instances[loop_index].loop = loop_index;
    *ret_self = &instances[loop_index];
    return TDA_OK;
}

static const struct tda_provider provider = {
    .size = sizeof provider, .open = open_instance, .start = start, .on_flow = on_flow, .on_wake = on_wake, .drop = drop};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "versions", VERSION, NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
    return &plugin;
}
