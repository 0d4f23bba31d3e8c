/* Answers that fit every plugin: whatever a service sends, the call ends, and how the bytes were cut changes nothing. */
#include <stdio.h>

#include "cmd.h"

#define JSON "content-type: application/json"
#define SSE "content-type: text/event-stream"

static const struct {
    const char *name;
    int32_t status;
    const char *headers, *body;
} answers[] = {
    {"empty", 200, JSON, ""},
    {"json of no known form", 200, JSON, "{\"hello\":[1,2,{\"a\":null}]}"},
    {"malformed json", 200, JSON, "{\"choices\":[{\"message\":{\"content\":\"Hel"},
    {"html", 200, "content-type: text/html", "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"},
    {"bytes that are no utf-8", 200, JSON, "\xff\xfe{\"a\":\"\xc3\x28\"}\xf0\x9f"},
    {"deep json", 200, JSON,
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
     "]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
    {"chat completion", 200, JSON,
     "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"H\xc3\xa9llo\"},"
     "\"finish_reason\":"
     "\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}"},
    {"chat completion stream", 200, SSE,
     "data: "
     "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"H\xc3\xa9\"}}]}\n\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"}}]}\r\n\r\n"
     ": a comment\n\ndata: "
     "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"},
    {"messages", 200, JSON,
     "{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\"text\":"
     "\"Hello\"}],"
     "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}"},
    {"messages stream", 200, SSE,
     "event: message_start\ndata: "
     "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"m\",\"usage\":{\"input_tokens\":3}}}\n\n"
     "event: content_block_start\ndata: "
     "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
     "event: content_block_delta\ndata: "
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
     "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
     "event: message_delta\ndata: "
     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n"
     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
    {"generate content", 200, SSE,
     "data: "
     "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\",\"index\":0}],"
     "\"usageMetadata\":{\"promptTokenCount\":3}}\r\n\r\n"},
    {"ndjson", 200, "content-type: application/x-ndjson",
     "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n\n"
     "{\"model\":\"m\",\"message\":{\"content\":\" there\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}"},
    {"converse", 200, JSON,
     "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"Hi\"}]}},\"stopReason\":\"end_turn\",\"usage\":{"
     "\"inputTokens\":3}}"},
    {"event stream frames", 200, "content-type: application/vnd.amazon.eventstream",
     "\x01\x02\x03\x04 no frames at all \xff\xff\xff\xff"},
    {"error in a stream", 200, SSE,
     "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\nevent: error\ndata: "
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
     "\"message\":\"Overloaded\"}}\n\n"},
    {"cut stream", 200, SSE, "data: {\"choices\":[{\"delta\":{\"content\":\"x"},
    {"model list", 200, JSON, "{\"object\":\"list\",\"data\":[{\"id\":\"m1\",\"object\":\"model\"},{\"id\":7},null]}"},
    {"204", 204, "", ""},
    {"redirect", 302, "location: http://169.254.169.254/", ""},
    {"400", 400, JSON, "{\"error\":{\"message\":\"bad request\",\"type\":\"invalid_request_error\",\"code\":\"x\"}}"},
    {"401", 401, JSON, "{\"error\":{\"message\":\"bad key\",\"code\":\"invalid_api_key\"}}"},
    {"403", 403, JSON, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"no\"},\"request_id\":\"r\"}"},
    {"404", 404, "content-type: text/html", "<html>not found</html>"},
    {"413", 413, JSON, "{\"message\":\"too large\"}"},
    {"429", 429, JSON "\nretry-after: 7", "{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}"},
    {"429 of an odd kind", 429, "retry-after: -99999999999999999999\nretry-after-ms: nan", "slow down"},
    {"500", 500, JSON, "{\"error\":\"internal\"}"},
    {"503 html", 503, "content-type: text/html\nretry-after: Wed, 21 Oct 2099 07:28:00 GMT", "<html>busy</html>"},
    {"529", 529, JSON, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"},
    {"status of none", 999, "", "?"},
};

static const struct {
    const char *name;
    uint32_t op;
    bool stream;
} calls[] = {{"chat, streamed", TDA_OP_CHAT, true},
             {"chat", TDA_OP_CHAT, false},
             {"validate", TDA_OP_VALIDATE, false},
             {"models", TDA_OP_MODELS, false},
             {"count", TDA_OP_COUNT, false}};

static struct fixture *add(struct fixtures *all, const char *name) {
    struct fixture *f = all->n < FIXTURES_MAX ? fixture_new(name) : NULL;
    if (f) all->list[all->n++] = f;
    return f;
}

/* A user whose configuration is plausible for any service, so that the call gets as far as its request. */
static void add_user(struct fixture *f, const struct note *n) {
    static const struct kit_value context[] = {
        {.key = TDA_CTX_AWS_REGION, .value = "us-east-1"},
        {.key = TDA_CTX_AZURE_DEPLOYMENT_DETAILS,
         .value = "{\"endpoint\":\"https://unit.openai.azure.com\",\"deployment_name\":\"d\",\"api_version\":\"2024-10-21\"}"},
        {.key = TDA_CTX_MODEL_PROVIDER_IN_PROFILE, .value = "anthropic"}};
    for (size_t i = 0; i < ARRAY_LEN(context); i++)
        f->settings[f->n_settings++] =
            (struct kit_value){str_dup(TDA_STR("")), str_dup(tda_str_of(context[i].value)), context[i].key};
    for (size_t i = 0; i < n->n_rules && f->n_settings < SETTINGS_MAX; i++)
        if (strcmp(n->rules[i].name, "base_url") == 0 && !n->rules[i].fallback && !n->n_hosts)
            f->settings[f->n_settings++] =
                (struct kit_value){.name = str_dup(TDA_STR("base_url")), .value = str_dup(TDA_STR("https://service.example.com"))};
}

/* The same answer for each flow that a call opens one after the other. */
static void add_answers(struct fixture *f, size_t i) {
    for (size_t k = 0; k < 3; k++)
        f->answers[f->n_answers++] = (struct answer){.status = answers[i].status,
                                                     .headers = str_dup(tda_str_of(answers[i].headers)),
                                                     .body = {str_dup(tda_str_of(answers[i].body)), strlen(answers[i].body)}};
}

static void add_provider(struct fixtures *all, const struct note *n) {
    char name[96];
    for (size_t k = 0; k < ARRAY_LEN(calls); k++)
        for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
            snprintf(name, sizeof name, "%s: %s", calls[k].name, answers[i].name);
            struct fixture *f = add(all, name);
            if (!f) return;
            f->op = calls[k].op;
            f->stream = calls[k].stream;
            add_answers(f, i);
            add_user(f, n);
        }
}

/* ---- servers of an adapter ---- */

#define TOOLS                                                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"tools\":[{\"name\":\"t\",\"description\":\"d\",\"inputSchema\":{\"type\":"      \
    "\"object\"}}]}}\n"
#define GREETING                                                                                                                   \
    "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},"              \
    "\"serverInfo\":{\"name\":\"s\","                                                                                              \
    "\"version\":\"1\"}}}\n"

static const struct {
    const char *name, *greeting, *list, *call;
} servers[] = {
    {"a good server", GREETING, TOOLS,
     "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n"},
    {"a server of errors", GREETING, "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32603,\"message\":\"no\"}}\n",
     "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":\"no\"}]}}\n"},
    {"a server of wrong forms", GREETING, "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"tools\":7}}\n",
     "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":[]}\n"},
    {"a server of garbage", GREETING, "not json\n\xff\xfe\n{\"jsonrpc\":\n\n[]\n" TOOLS, "{\"id\":999999}\nnull\n{\"method\":7}\n"},
    {"a server that talks on its own",
     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"hi\"}}\n" GREETING,
     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/"
     "list_changed\"}\n{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"ping\"}\n" TOOLS,
     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$id,\"message\":\"half\"}}\n"
     "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"image\",\"data\":\"AA==\",\"mimeType\":\"image/"
     "png\"}]}}\n"},
    {"a server that says nothing", "", "", ""},
    {"a server that refuses", "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":1,\"message\":\"go away\"}}\n", "", ""},
};

static void add_rule(struct fixture *f, const char *word, const char *reply) {
    f->rules[f->n_rules++] = (struct rule){str_dup(tda_str_of(word)), str_dup(tda_str_of(reply))};
}

static void add_adapter(struct fixtures *all) {
    char name[96];
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        for (uint32_t op = TDA_AOP_LIST_TOOLS; op <= TDA_AOP_COMPLETE; op++) {
            snprintf(name, sizeof name, "%s, operation %u", servers[i].name, op);
            struct fixture *f = add(all, name);
            if (!f) return;
            f->of_adapter = true;
            f->op = op;
            if (op != TDA_AOP_LIST_TOOLS) f->tool = str_dup(TDA_STR("t"));
            if (op != TDA_AOP_LIST_TOOLS) f->args = str_dup(TDA_STR("{}"));
            add_rule(f, "\"initialize\"", servers[i].greeting);
            add_rule(f, "tools/list", servers[i].list);
            add_rule(f, "tools/call", servers[i].call);
        }
}

void fixtures_generic(const struct loaded *m, struct fixtures *ret) {
    if (m->provider) add_provider(ret, &m->note);
    if (m->adapter) add_adapter(ret);
}
