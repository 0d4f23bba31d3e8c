/* A whole provider: reads the question with "tda.json/1" when it is JSON, answers with the model's name, uses a setting of its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tda/plugin.h"

TDA_PLUGIN_NOTE("id template\n"
                "version 1.0.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "config greeting text u hello what it begins with\n");

static const struct tda_host *host;
static const struct tda_json_api *json;

struct state {
    uint32_t events; /* host->state: zeroed for each call, gone after drop */
};

static void emit(tda_call call, uint32_t kind, tda_str text, uint32_t stop) {
    struct tda_event event;
    struct state *state = (struct state *)host->state(call);
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.part_kind = TDA_PART_TEXT;
    event.text = text;
    event.stop = stop;
    state->events++;
    host->emit(call, &event);
}

static void finish(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.cls = cls;
    result.retry_ms = -1;
    result.text = text;
    host->finish(call, &result);
}

static tda_str last_text(const struct tda_request *request) {
    const struct tda_msg *msg = request->n_msgs ? request->msgs[request->n_msgs - 1] : NULL;
    tda_str none = {NULL, 0};
    return msg && msg->n_parts && msg->parts[0]->kind == TDA_PART_TEXT ? msg->parts[0]->text : none;
}

/* The plugin's object for this user and configuration: made once, dropped by the host when the configuration is gone. */
struct memory {
    uint32_t questions;
};

static uint32_t made, dropped; /* of this process, for "how many": plugins of your own need no such thing */

static void drop_memory(void *self, void *object) {
    (void)self;
    dropped++;
    free(object);
}

static uint32_t count_question(tda_call call) {
    void *object = NULL;
    if (host->object_get(call, &object) == TDA_E_NOT_FOUND) {
        object = calloc(1, sizeof(struct memory));
        if (!object) return 0;
        if (host->object_put(call, object, drop_memory)) {
            free(object);
            return 0;
        }
        made++;
    }
    return object ? ++((struct memory *)object)->questions : 0;
}

static void answer(tda_call call, const struct tda_request *request) {
    tda_json root;
    tda_str greeting = TDA_STR(""), text = last_text(request);
    host->setting(call, TDA_STR("greeting"), &greeting);
    if (json->parse(call, text, &root) == TDA_OK && json->type(json->get(root, "say")) == TDA_JSON_STRING)
        text = json->str(json->get(root, "say"));
    emit(call, TDA_EV_PART_START, TDA_STR(""), 0);
    emit(call, TDA_EV_TEXT, greeting, 0);
    emit(call, TDA_EV_TEXT, TDA_STR(" from "), 0);
    emit(call, TDA_EV_TEXT, request->model, 0);
    emit(call, TDA_EV_TEXT, TDA_STR(": "), 0);
    if (tda_str_eq(text, TDA_STR("how many"))) {
        char numbers[64];
        unsigned asked = (unsigned)count_question(call);
        snprintf(numbers, sizeof numbers, "%u asked, %u made, %u dropped", asked, (unsigned)made, (unsigned)dropped);
        text = tda_str_of(numbers);
        emit(call, TDA_EV_TEXT, text, 0);
    } else {
        emit(call, TDA_EV_TEXT, text, 0);
    }
    emit(call, TDA_EV_PART_STOP, TDA_STR(""), 0);
    emit(call, TDA_EV_STOP, TDA_STR(""), TDA_STOP_END_TURN);
}

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    (void)self;
    if (request->op == TDA_OP_CHAT) answer(call, request);
    if (request->op == TDA_OP_CHAT || request->op == TDA_OP_VALIDATE)
        finish(call, TDA_C_OK, TDA_STR(""));
    else
        finish(call, TDA_C_REQUEST, TDA_STR("the template only answers"));
    return TDA_OK;
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *event) {
    (void)self, (void)call, (void)event; /* it opens none */
}

static const struct tda_provider provider = {
    sizeof provider, 0, sizeof(struct state), 0, NULL, NULL, start, on_flow, NULL, NULL, NULL, NULL};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "template", "1.0.0", NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
    json = (const struct tda_json_api *)h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
