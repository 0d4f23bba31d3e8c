/* A provider that sends what the question says: {"url", "method", "headers", "body", "fill", "auth", "region", "framing", "ask"}.
 * With it tests see at the far end what the host lets a plugin do, whatever the plugin would like. The note's middle is given when
 * it is compiled. */
#include <stdio.h>
#include <stdlib.h>

#include "tda/plugin.h"

#ifndef NOTE_MORE
#define NOTE_MORE ""
#endif

TDA_PLUGIN_NOTE("id requester\n"
                "version 1.0.0\n"
                "provides tda.provider/1\n"
                "needs tda.json/1\n"
                "config key_id secret u - AWS access key id\n"
                "config secret_key secret u - AWS secret access key\n"
                "config session secret u - AWS session token\n"
                "config api_key secret u - bearer key\n"
                "config token secret u - bearer token\n"
                "config region text u - region\n"
                "config base_url url u - address\n" NOTE_MORE);

enum { HEADERS_MAX = 8, BODY_MAX = 8 << 20 };

static const struct tda_host *host;
static const struct tda_json_api *json;

static void emit(tda_call call, uint32_t kind, tda_str text) {
    struct tda_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.part_kind = TDA_PART_TEXT;
    event.text = text;
    event.stop = TDA_STOP_END_TURN;
    host->emit(call, &event);
}

static void say(tda_call call, const char *text) {
    emit(call, TDA_EV_TEXT, tda_str_of(text));
}

static void finish(tda_call call, uint32_t cls, tda_str text) {
    struct tda_result result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    result.cls = cls;
    result.retry_ms = -1;
    result.text = text;
    if (cls == TDA_C_OK) {
        emit(call, TDA_EV_PART_STOP, TDA_STR(""));
        emit(call, TDA_EV_STOP, TDA_STR(""));
    }
    host->finish(call, &result);
}

static tda_str text_of(tda_json question, const char *name) {
    return json->str(json->get(question, name));
}

static uint32_t read_headers(tda_json question, tda_kv *headers) {
    uint32_t n = 0;
    for (tda_json h = json->first(json->get(question, "headers")); json->type(h) && n < HEADERS_MAX; h = json->next(h)) {
        headers[n].key = json->name(h);
        headers[n++].val = json->str(h);
    }
    return n;
}

/* auth: "bearer" and "token" (a header with api_key or token), "aws", "chain" (bearer, else aws); absent: none. */
static const struct tda_auth *choose_auth(tda_json question, struct tda_auth *bearer, struct tda_auth *aws) {
    tda_str kind = text_of(question, "auth");
    memset(bearer, 0, sizeof *bearer);
    memset(aws, 0, sizeof *aws);
    bearer->size = aws->size = sizeof *bearer;
    bearer->kind = TDA_AUTH_HEADER;
    bearer->header = TDA_STR("authorization");
    bearer->prefix = TDA_STR("Bearer ");
    bearer->secret = TDA_STR("api_key");
    aws->kind = TDA_AUTH_AWS_SIGV4;
    aws->secret = TDA_STR("secret_key");
    aws->key_id = TDA_STR("key_id");
    aws->session = TDA_STR("session");
    aws->service = TDA_STR("bedrock");
    aws->region = text_of(question, "region").p ? text_of(question, "region") : TDA_STR("us-east-1");
    if (!kind.p) return NULL;
    if (tda_str_eq(kind, TDA_STR("aws"))) return aws;
    if (tda_str_eq(kind, TDA_STR("chain"))) bearer->otherwise = aws;
    if (tda_str_eq(kind, TDA_STR("token"))) bearer->secret = TDA_STR("token");
    return bearer;
}

/* "+/path" is under the host's idea of base_url. */
static tda_str choose_url(tda_call call, tda_json question, char *room, size_t size) {
    tda_str url = text_of(question, "url"), base = {NULL, 0};
    if (!url.n || url.p[0] != '+') return url;
    if (host->setting(call, TDA_STR("base_url"), &base)) base = TDA_STR("http://no-base-url");
    snprintf(room, size, "%.*s%.*s", (int)base.n, base.p, (int)url.n - 1, url.p + 1);
    return tda_str_of(room);
}

static tda_status open_flow(tda_call call, tda_json question, char *filled) {
    struct tda_auth bearer, aws;
    tda_kv headers[HEADERS_MAX];
    struct tda_flow_request r;
    char url[4096];
    int64_t framing = 0, fill = 0;
    tda_flow flow;
    memset(&r, 0, sizeof r);
    r.size = sizeof r;
    r.kind = TDA_FLOW_HTTP;
    r.url = choose_url(call, question, url, sizeof url);
    r.method = text_of(question, "method");
    r.headers = headers;
    r.n_headers = read_headers(question, headers);
    r.body = text_of(question, "body");
    if (json->i64(json->get(question, "fill"), &fill)) {
        memset(filled, 'x', (size_t)fill);
        r.body.p = filled;
        r.body.n = (size_t)fill;
    }
    json->i64(json->get(question, "framing"), &framing);
    r.framing = (uint32_t)framing;
    r.auth = choose_auth(question, &bearer, &aws);
    return host->flow_open(call, &r, &flow);
}

/* "ask": the value of a setting is the answer. */
static int answer_setting(tda_call call, tda_json question) {
    tda_str name = text_of(question, "ask"), value = {NULL, 0};
    if (!name.p) return 0;
    emit(call, TDA_EV_TEXT, host->setting(call, name, &value) ? TDA_STR("(unset)") : value);
    finish(call, TDA_C_OK, TDA_STR(""));
    return 1;
}

static void ask(tda_call call, const struct tda_request *request) {
    const struct tda_msg *msg = request->msgs[request->n_msgs - 1];
    tda_json question;
    char text[64], *filled;
    if (json->parse(call, msg->parts[0]->text, &question)) {
        finish(call, TDA_C_REQUEST, TDA_STR("the question is no JSON"));
        return;
    }
    emit(call, TDA_EV_PART_START, TDA_STR(""));
    if (answer_setting(call, question)) return;
    filled = (char *)malloc(BODY_MAX);
    tda_status s = open_flow(call, question, filled);
    free(filled);
    snprintf(text, sizeof text, "flow_open said %d", (int)s);
    if (s) finish(call, TDA_C_REQUEST, tda_str_of(text));
}

/* A model "put:ADDRESS" makes validation write that address into the candidate. */
static void validate(tda_call call, tda_str model) {
    char details[2100];
    if (model.n > 4 && memcmp(model.p, "put:", 4) == 0) {
        snprintf(details, sizeof details, "{\"endpoint_url\":\"%.*s\"}", (int)model.n - 4, model.p + 4);
        host->ctx_put(call, TDA_CTX_FRIENDLI_DETAILS, tda_str_of(details));
    }
    finish(call, TDA_C_OK, TDA_STR(""));
}

static tda_status start(void *self, tda_call call, const struct tda_request *request) {
    (void)self;
    if (request->op == TDA_OP_CHAT)
        ask(call, request);
    else if (request->op == TDA_OP_VALIDATE)
        validate(call, request->model);
    else
        finish(call, TDA_C_REQUEST, TDA_STR(""));
    return TDA_OK;
}

static void on_flow(void *self, tda_call call, const struct tda_flow_event *e) {
    char text[32];
    (void)self;
    if (e->kind == TDA_FLOW_STATUS) {
        snprintf(text, sizeof text, "%d\n", (int)e->status);
        say(call, text);
    } else if (e->kind == TDA_FLOW_ITEM) {
        if (e->name.p) {
            emit(call, TDA_EV_TEXT, e->id);
            say(call, " ");
            emit(call, TDA_EV_TEXT, e->name);
            say(call, " ");
        }
        emit(call, TDA_EV_TEXT, e->data);
        say(call, "\n");
    } else if (e->kind == TDA_FLOW_END) {
        finish(call, TDA_C_OK, TDA_STR(""));
    } else if (e->kind == TDA_FLOW_FAIL) {
        finish(call, e->cls, e->text);
    }
}

static const struct tda_provider provider = {sizeof provider, 0, 0, 0, NULL, NULL, start, on_flow, NULL, NULL, NULL, NULL};

static const void *find_interface(tda_str id) {
    return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : NULL;
}

static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "requester", "1.0.0", NULL, find_interface};

TDA_PLUGIN_ENTRY(const struct tda_host *h) {
    host = h;
    json = (const struct tda_json_api *)h->extension(TDA_STR("tda.json/1"));
    return json ? &plugin : NULL;
}
