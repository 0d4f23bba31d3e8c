/* The table of methods: names, parameters, handlers. Checking, host.methods and the reference page come from it. */
#include <stdio.h>

#include "route/request.h"

static const struct param common[] = {
    {"user", PARAM_TEXT, false,
     "whose context serves the request; required in per-user mode by methods that concern a user, but for a user's token, which "
     "implies him"},
    {"deadline_ms", PARAM_NUMBER, false, "give up after this many milliseconds; at most calls.turn_timeout"},
    {"idempotency_key", PARAM_TEXT, false, "the same key and parameters again are answered with the same reply, and done once"},
    {"auth", PARAM_TEXT, false, "a token, in each request; on ipc the peer's unix user decides when there is none"},
    {NULL, 0, false, NULL},
};

static const struct param none[] = {{NULL, 0, false, NULL}};

#define PROFILE                                                                                                                    \
    {                                                                                                                              \
        "profile", PARAM_TEXT_OR_NULL, false,                                                                                      \
            "tag of the profile that serves this request; null: the context itself, not its default profile"                       \
    }
#define CONVERSATION                                                                                                               \
    {"input", PARAM_TEXT, false, "the question; or give messages. @TAG at its very start runs it under that profile"},             \
        {"messages", PARAM_LIST, false, "the conversation: [{role, content: text or [parts]}]"},                                   \
        {"system", PARAM_TEXT, false, "instructions before the conversation"},                                                     \
        {"temperature", PARAM_NUMBER, false, "sent only when given"}, {"top_p", PARAM_NUMBER, false, "sent only when given"},      \
        {"max_tokens", PARAM_NUMBER, false, "sent only when given"}, {"stop", PARAM_LIST, false, "texts that end the answer"},     \
        {"reasoning", PARAM_TEXT, false, "effort, in the vendor's word"},                                                          \
        {"extra", PARAM_OBJECT, false, "vendor's own fields, passed on as they are"}, {                                            \
        "stream", PARAM_BOOL, false, "ask the service for a stream (default true); the reply is whole either way"                  \
    }

static const struct param chat_params[] = {
    CONVERSATION,
    PROFILE,
    {"tools", PARAM_LIST, false, "tools the model may ask for: [{name, description, schema}]; the caller runs them"},
    {"tool_choice", PARAM_TEXT, false, "auto, none, any or tool:NAME"},
    {NULL, 0, false, NULL},
};
static const struct param run_params[] = {
    CONVERSATION,
    PROFILE,
    {"max_steps", PARAM_NUMBER, false, "model calls at most; calls.max_steps is the bound"},
    {"session", PARAM_TEXT, false, "id of a session: it gives the history, and keeps this turn before the reply goes out"},
    {"max_turn_tokens", PARAM_NUMBER, false, "tokens of the whole turn after which no tool is called any more"},
    {"max_cost", PARAM_NUMBER, false, "likewise its cost, where the operator gives prices"},
    {NULL, 0, false, NULL},
};
static const struct param get_params[] = {{"field", PARAM_TEXT, false, "one field; without it the whole context"},
                                          {NULL, 0, false, NULL}};
static const struct param set_params[] = {
    {"fields", PARAM_OBJECT, true, "any of the fields, set in one swap; null unsets"},
    {NULL, 0, false, NULL},
};
static const struct param list_params[] = {{"limit", PARAM_NUMBER, false, "at most this many"}, {NULL, 0, false, NULL}};
static const struct param configure_params[] = {
    {"provider", PARAM_TEXT, false, "name of a provider"},
    {"model", PARAM_TEXT, false, "model id"},
    {"credentials", PARAM_OBJECT, false,
     "write-only; names as the provider's plugin says; kept for this provider and address only"},
    {"base_url", PARAM_TEXT, false, "another address of the service, where the plugin allows it"},
    {"aws_region", PARAM_TEXT, false, "for Amazon"},
    {"azure_deployment_details", PARAM_OBJECT, false, "for Azure: endpoint, deployment_name, api_version"},
    {"friendli_details", PARAM_OBJECT, false, "for Friendli: token, endpoint_url, models_path"},
    {"model_provider_in_profile", PARAM_TEXT, false, "vendor inside an inference profile"},
    {"mcp_server", PARAM_OBJECT_OR_NULL, false,
     "{name} of the operator's, or {name, id, url} or {name, id, host, port, path}, with `bearer` where it wants a token that you "
     "have: write-only, for this server and address only; null: none"},
    {NULL, 0, false, NULL},
};
static const struct param put_params[] = {
    {"tag", PARAM_TEXT, true, "1 to 32 of A-Z a-z 0-9 _ -; case does not matter"},
    {"provider", PARAM_TEXT, false, "name of a provider; without one the context's is used"},
    {"model", PARAM_TEXT, false, "model id"},
    {"credentials", PARAM_OBJECT, false,
     "write-only; not given: the former ones, else the context's, for the same provider and address"},
    {"base_url", PARAM_TEXT, false, "another address of the service, where the plugin allows it"},
    {"aws_region", PARAM_TEXT, false, "for Amazon"},
    {"azure_deployment_details", PARAM_OBJECT, false, "for Azure: endpoint, deployment_name, api_version"},
    {"friendli_details", PARAM_OBJECT, false, "for Friendli: token, endpoint_url, models_path"},
    {"model_provider_in_profile", PARAM_TEXT, false, "vendor inside an inference profile"},
    {"mcp_server", PARAM_OBJECT_OR_NULL, false, "as configure takes it; null: none; not given: the context's"},
    {"tools", PARAM_LIST_OR_NULL, false, "names of the enabled tools; the core refuses all others"},
    {"prompts", PARAM_LIST_OR_NULL, false, "names of the enabled prompts"},
    {NULL, 0, false, NULL},
};
static const struct param tag_params[] = {{"tag", PARAM_TEXT, true, "the profile"}, {NULL, 0, false, NULL}};
static const struct param default_params[] = {{"tag", PARAM_TEXT_OR_NULL, true, "the profile; null: none"}, {NULL, 0, false, NULL}};
static const struct param enable_params[] = {
    {"tools", PARAM_LIST_OR_NULL, false, "names of the enabled tools; the core refuses all others; null: all are enabled"},
    {"prompts", PARAM_LIST_OR_NULL, false, "names of the enabled prompts; null: all"},
    {NULL, 0, false, NULL},
};
static const struct param profile_params[] = {PROFILE, {NULL, 0, false, NULL}};
#define OF_SESSION                                                                                                                 \
    { "session", PARAM_TEXT, false, "id of a session, whose connection it is where the server is stateful" }
static const struct param tools_params[] = {PROFILE, OF_SESSION, {NULL, 0, false, NULL}};
static const struct param call_params[] = {
    PROFILE,
    {"name", PARAM_TEXT, true, "the tool, as tools.list shows it"},
    {"arguments", PARAM_OBJECT, false, "its arguments"},
    OF_SESSION,
    {NULL, 0, false, NULL},
};
#define PAGE                                                                                                                       \
    {"limit", PARAM_NUMBER, false, "at most this many (default 200, at most 1000)"}, {                                             \
        "cursor", PARAM_TEXT, false, "as the former reply gave it: what comes next"                                                \
    }
static const struct param page_params[] = {PROFILE, PAGE, OF_SESSION, {NULL, 0, false, NULL}};
static const struct param prompt_params[] = {
    PROFILE,
    {"name", PARAM_TEXT, true, "the prompt, as prompts.list shows it"},
    {"arguments", PARAM_OBJECT, false, "its arguments, texts"},
    OF_SESSION,
    {NULL, 0, false, NULL},
};
static const struct param completion_params[] = {
    PROFILE,
    {"prompt", PARAM_TEXT, false, "a prompt's name; or template"},
    {"template", PARAM_TEXT, false, "a resource template, as resources.templates shows it"},
    {"argument", PARAM_TEXT, true, "name of the argument that is being written"},
    {"value", PARAM_TEXT, true, "its beginning"},
    {"context", PARAM_OBJECT, false, "arguments that have their value already: {name: text}"},
    OF_SESSION,
    {NULL, 0, false, NULL},
};
static const struct param uri_params[] = {
    PROFILE,
    {"uri", PARAM_TEXT, true, "the resource, as resources.list shows it or a template makes it"},
    OF_SESSION,
    {NULL, 0, false, NULL},
};
#define SERVER                                                                                                                     \
    { "server", PARAM_TEXT, false, "its name, as mcp.list shows it; without it the context's" }
static const struct param server_params[] = {PROFILE, SERVER, {NULL, 0, false, NULL}};
static const struct param logs_params[] = {
    PROFILE,
    SERVER,
    {"lines", PARAM_NUMBER, false, "the last so many lines (default 100, at most 2000)"},
    {"after", PARAM_NUMBER, false, "of those after this number; a reply's `next`"},
    {NULL, 0, false, NULL},
};
static const struct param approve_params[] = {
    PROFILE,
    {"server", PARAM_TEXT, false, "the context's MCP server, to make sure that it is the one which is meant"},
    {"tool", PARAM_TEXT, false, "one tool; without it all that the server lists now"},
    {"digest", PARAM_TEXT, false, "of that tool, as tools.list showed it: nothing is approved that has changed since"},
    {NULL, 0, false, NULL},
};
static const struct param create_params[] = {
    {"title", PARAM_TEXT, false, "one line; without it the first question gives it"},
    {"follow", PARAM_BOOL, false,
     "true: served by the user's context of the moment; false: by the present one; default sessions.context"},
    {NULL, 0, false, NULL},
};
static const struct param session_list_params[] = {
    {"search", PARAM_TEXT, false, "what title or messages must hold; ASCII case does not matter"},
    {"sort", PARAM_TEXT, false, "updated (default) or created, newest first; or title"},
    {"limit", PARAM_NUMBER, false, "at most this many (default 50, at most 1000)"},
    {"cursor", PARAM_TEXT, false, "as the former reply gave it, with the same sort: what comes next"},
    {NULL, 0, false, NULL},
};
#define SESSION                                                                                                                    \
    { "session", PARAM_TEXT, true, "id of a session" }
static const struct param session_params[] = {SESSION, {NULL, 0, false, NULL}};
static const struct param session_get_params[] = {
    SESSION,
    {"after", PARAM_NUMBER, false, "turns after this number; a reply's `next`"},
    {"limit", PARAM_NUMBER, false, "turns at most (default 100, at most 1000)"},
    {NULL, 0, false, NULL},
};
static const struct param rename_params[] = {SESSION, {"title", PARAM_TEXT, true, "one line"}, {NULL, 0, false, NULL}};
static const struct param usage_params[] = {{"days", PARAM_NUMBER, false, "the last so many UTC days, today included (default 30)"},
                                            {NULL, 0, false, NULL}};
static const struct param backup_params[] = {
    {"path", PARAM_TEXT, true, "a new file, absolute; written with the daemon's rights, readable by it alone"},
    {NULL, 0, false, NULL},
};
#define TASK_PARAM                                                                                                                 \
    { "task", PARAM_TEXT, true, "its id, as task.submit gave it" }
static const struct param submit_params[] = {
    {"method", PARAM_TEXT, true, "agent.run, or another that takes long"},
    {"params", PARAM_OBJECT, false, "its parameters, without user"},
    {NULL, 0, false, NULL},
};
static const struct param poll_params[] = {
    TASK_PARAM,
    {"after", PARAM_NUMBER, false, "`next` of the poll before: events up to it are freed"},
    {"wait_ms", PARAM_NUMBER, false, "wait so long for something new (at most 25000; default 0: answer at once)"},
    {NULL, 0, false, NULL},
};
static const struct param task_params[] = {TASK_PARAM, {NULL, 0, false, NULL}};
static const struct param respond_params[] = {
    TASK_PARAM,
    {"request", PARAM_TEXT, true, "what is answered: the `request` of an event of type ask"},
    {"json", PARAM_OBJECT_OR_NULL, true, "the answer; null: none will come"},
    {NULL, 0, false, NULL},
};
static const struct param name_params[] = {{"name", PARAM_TEXT, true, "the job"}, {NULL, 0, false, NULL}};

static const struct param token_params[] = {
    {"user", PARAM_TEXT, false, "whose token: it acts for him, and for nobody else"},
    {"service", PARAM_BOOL, false, "or a service's token: it may name any user"},
    {"operator", PARAM_BOOL, false, "with service: may call the operator's methods, too"},
    {"label", PARAM_TEXT, false, "one line, for lists"},
    {"expires", PARAM_TEXT, false, "after how long, as 30d, 12h, 90m; default never"},
    {NULL, 0, false, NULL},
};
static const struct param id_params[] = {{"id", PARAM_TEXT, true, "of the token, as token.list shows it"}, {NULL, 0, false, NULL}};

static const struct param load_params[] = {
    {"name", PARAM_TEXT, false, "the plugin's id: NAME.so in plugins.dir, or the path that plugins.load gives for it"},
    {"file", PARAM_TEXT, false, "or its file: one that plugins.load lists, or one in plugins.dir"},
    {NULL, 0, false, NULL},
};
static const struct param models_params[] = {
    {"provider", PARAM_TEXT, false, "another provider than the context's, with no credential of the user's"},
    PROFILE,
    {NULL, 0, false, NULL},
};

static const struct method methods[] = {
    {"host.ping", "Answers at once.", METHOD_NO_USER, none, host_ping, NULL},
    {"host.info", "Version, mode, listeners, uptime.", METHOD_NO_USER, none, host_info, NULL},
    {"host.stats", "Counters of every part.", METHOD_NO_USER | METHOD_OPERATOR, none, host_stats, NULL},
    {"host.methods", "This table.", METHOD_NO_USER, none, host_methods, NULL},
    {"config.explain", "Every effective setting and where it came from.", METHOD_NO_USER | METHOD_OPERATOR, none, host_explain,
     NULL},
    {"config.reload", "Read the configuration again: checked whole, then swapped whole, or nothing changes.",
     METHOD_NO_USER | METHOD_OPERATOR, none, host_config_reload, NULL},
    {"context.get", "The fields of a context. Secrets and live objects are never in it.", 0, get_params, context_get, NULL},
    {"context.set", "Set any fields in one swap, without validation; configure validates.", METHOD_NEW_USER, set_params,
     context_set, NULL},
    {"context.delete", "Remove a context and its credentials. What runs on it finishes.", 0, none, context_delete, NULL},
    {"context.list", "The contexts there are. Touches none.", METHOD_NO_USER | METHOD_OPERATOR, list_params, context_list, NULL},
    {"configure", "Validate provider, model, credentials and MCP server, then publish them together, or change nothing.",
     METHOD_NEW_USER, configure_params, NULL, agent_configure},
    {"status", "Whether and how a user is configured. Touches nothing.", METHOD_NEW_USER, none, context_status, NULL},
    {"models.list", "The models that the provider offers.", METHOD_NEW_USER | METHOD_PROFILE, models_params, NULL, agent_models},
    {"chat.complete", "One model call.", METHOD_PROFILE, chat_params, NULL, agent_chat},
    {"agent.run", "A whole turn: model and tools until the model stops.", METHOD_PROFILE, run_params, NULL, agent_run},
    {"tools.list", "The tools of the context's MCP server.", METHOD_PROFILE, tools_params, NULL, agent_tools_list},
    {"tools.call", "Call a tool of the context's MCP server.", METHOD_PROFILE, call_params, NULL, agent_tools_call},
    {"mcp.list", "The operator's MCP servers and the user's own, and how his connections to them fare. Touches nothing.",
     METHOD_NEW_USER | METHOD_PROFILE, profile_params, NULL, agent_mcp_list},
    {"mcp.probe", "Connect to an MCP server, where the user is not connected already, and say what it is and how long that took.",
     METHOD_NEW_USER | METHOD_PROFILE, server_params, NULL, agent_mcp_probe},
    {"mcp.logs", "What was last said around the user's connections to a server: on stderr, in its protocol, by the host.",
     METHOD_NEW_USER | METHOD_PROFILE, logs_params, NULL, agent_mcp_logs},
    {"mcp.restart", "Close the user's connections to a server, and try it again though it is parked: the next use starts it.",
     METHOD_NEW_USER | METHOD_PROFILE, server_params, NULL, agent_mcp_restart},
    {"tools.enable", "Say which tools and prompts of its MCP server the context may use; a change of server enables all.", 0,
     enable_params, tools_enable, NULL},
    {"tools.approve", "Approve tools that have changed or are new, where mcp_servers.NAME.pin_tools refuses them.", METHOD_PROFILE,
     approve_params, NULL, agent_tools_approve},
    {"prompts.list", "The prompts of the context's MCP server.", METHOD_PROFILE, page_params, NULL, agent_prompts_list},
    {"prompts.get", "A prompt with its arguments filled in.", METHOD_PROFILE, prompt_params, NULL, agent_prompts_get},
    {"completions.get", "What the server proposes for an argument of a prompt or of a resource template.", METHOD_PROFILE,
     completion_params, NULL, agent_completions_get},
    {"resources.list", "The resources of the context's MCP server.", METHOD_PROFILE, page_params, NULL, agent_resources_list},
    {"resources.templates", "Its resource templates: uris with places to fill in.", METHOD_PROFILE, page_params, NULL,
     agent_resources_templates},
    {"resources.read", "What a resource holds.", METHOD_PROFILE, uri_params, NULL, agent_resources_read},
    {"resources.watch", "Subscribe to a resource: a task whose events are its updates, until task.cancel or the deadline.",
     METHOD_PROFILE, uri_params, NULL, agent_resources_watch},
    {"profile.list", "The user's profiles and the operator's, as @TAG finds them. Touches nothing.", METHOD_NEW_USER, none,
     profile_list, NULL},
    {"profile.put", "Make or replace a private profile. Nothing is asked of provider and server before it is used.",
     METHOD_NEW_USER, put_params, profile_put, NULL},
    {"profile.delete", "Remove a private profile and its credentials. What runs on it finishes.", 0, tag_params, profile_delete,
     NULL},
    {"profile.default", "The profile that serves requests which name none.", METHOD_NEW_USER, default_params, profile_default,
     NULL},
    {"session.create", "Make a session: a conversation that the host remembers.", 0, create_params, session_create, NULL},
    {"session.list", "The user's sessions; everybody's where sessions.filter_by_user is false.", 0, session_list_params,
     session_list, NULL},
    {"session.get", "A session and its turns.", 0, session_get_params, session_get, NULL},
    {"session.export", "A session as JSON lines: itself, then a line for each turn.", 0, session_get_params, session_export, NULL},
    {"session.rename", "Give a session another title.", 0, rename_params, session_rename, NULL},
    {"session.delete", "Remove a session and its turns.", 0, session_params, session_delete, NULL},
    {"usage.get", "The user's tokens by day, provider and model. What a service did not count is marked.", 0, usage_params,
     usage_get, NULL},
    {"user.delete",
     "Erase a user: what he has running, tokens, context, credentials, connections, sessions, usage, stored replies. Backups are "
     "not touched.",
     METHOD_OPERATOR, none, user_delete, NULL},
    {"store.backup", "Copy sessions and usage into a new file while the host works.", METHOD_NO_USER | METHOD_OPERATOR,
     backup_params, store_backup, NULL},
    {"task.submit", "Begin a method that takes long, and answer at once with a task to poll. It goes on when the connection ends.",
     0, submit_params, task_submit, NULL},
    {"task.poll", "State and new events of a task, and its result once it has ended. Waits for news as long as wait_ms says.",
     METHOD_OF_TASK, poll_params, NULL, task_poll},
    {"task.cancel", "Cancel a task; answered when it has ended.", METHOD_OF_TASK, task_params, NULL, task_cancel},
    {"task.respond", "Answer what a task has asked with an event of type ask.", METHOD_OF_TASK, respond_params, NULL, task_respond},
    {"task.list", "A user's tasks: those that run, and those that ended not long ago.", 0, list_params, task_list, NULL},
    {"plugin.list", "The plugins, loaded, replaced and refused, with the reason.", METHOD_NO_USER | METHOD_OPERATOR, none,
     host_plugins, NULL},
    {"plugin.load", "Load a plugin, or a new version of it: new calls go there, running ones end on the old.",
     METHOD_NO_USER | METHOD_OPERATOR, load_params, host_plugin_load, NULL},
    {"job.list", "The maintenance jobs, last result and next run.", METHOD_NO_USER | METHOD_OPERATOR, none, host_jobs, NULL},
    {"job.run", "Run a maintenance job now.", METHOD_NO_USER | METHOD_OPERATOR, name_params, host_job_run, NULL},
    {"token.create", "Make a token. Its text is in the reply and nowhere else.", METHOD_NO_USER | METHOD_OPERATOR, token_params,
     token_create, NULL},
    {"token.list", "The tokens, without their texts.", METHOD_NO_USER | METHOD_OPERATOR, none, token_list, NULL},
    {"token.revoke", "A token that is not good any more, from now on.", METHOD_NO_USER | METHOD_OPERATOR, id_params, token_revoke,
     NULL},
};

size_t methods_count(void) {
    return ARRAY_LEN(methods);
}

size_t method_index(const struct method *m) {
    return (size_t)(m - methods);
}

const struct method *method_next(const struct method *m) {
    m = m ? m + 1 : methods;
    return m < methods + ARRAY_LEN(methods) ? m : NULL;
}

const struct param *params_common(void) {
    return common;
}

const struct method *method_find(tda_str name) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (tda_str_eq(name, tda_str_of(methods[i].name))) return &methods[i];
    return NULL;
}

tda_status unknown_method(tda_str name, struct error *e) {
    const char *names[ARRAY_LEN(methods)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) names[n++] = methods[i].name;
    const char *near = nearest_word(name, names, n);
    struct buf shown;
    buf_init(&shown, 512);
    text_sanitise((tda_str){name.p, name.n < 64 ? name.n : 64}, &shown);
    error_set(e, TDA_E_NOT_FOUND, "unknown_method", "there is no method %.*s", STR_FMT(buf_str(&shown)));
    buf_fini(&shown);
    if (near)
        error_hint(e, "did you mean %s?", near);
    else
        error_hint(e, "host.methods lists them");
    return TDA_E_NOT_FOUND;
}

const char *param_type_name(enum param_type t) {
    static const char *const names[] = {"text", "number",         "boolean",      "object",
                                        "list", "object or null", "text or null", "list or null"};
    return names[t];
}

static bool type_fits(enum param_type t, uint32_t json) {
    switch (t) {
    case PARAM_TEXT: return json == TDA_JSON_STRING;
    case PARAM_NUMBER: return json == TDA_JSON_NUMBER;
    case PARAM_BOOL: return json == TDA_JSON_BOOL;
    case PARAM_OBJECT: return json == TDA_JSON_OBJECT;
    case PARAM_LIST: return json == TDA_JSON_ARRAY;
    case PARAM_TEXT_OR_NULL: return json == TDA_JSON_STRING || json == TDA_JSON_NULL;
    case PARAM_LIST_OR_NULL: return json == TDA_JSON_ARRAY || json == TDA_JSON_NULL;
    case PARAM_OBJECT_OR_NULL: return json == TDA_JSON_OBJECT || json == TDA_JSON_NULL;
    }
    return false;
}

static const struct param *param_find(const struct param *list, tda_str name) {
    for (; list->name; list++)
        if (tda_str_eq(name, tda_str_of(list->name))) return list;
    return NULL;
}

static tda_status unknown_param(const struct method *m, tda_str name, struct error *e) {
    const char *names[32];
    size_t n = 0;
    for (const struct param *p = m->params; p->name && n < ARRAY_LEN(names); p++) names[n++] = p->name;
    for (const struct param *p = common; p->name && n < ARRAY_LEN(names); p++) names[n++] = p->name;
    const char *near = nearest_word(name, names, n);
    struct buf shown;
    buf_init(&shown, 512);
    text_sanitise((tda_str){name.p, name.n < 48 ? name.n : 48}, &shown);
    error_set(e, TDA_E_INVALID, "unknown_param", "%s has no parameter \"%.*s\"", m->name, STR_FMT(buf_str(&shown)));
    error_field(e, "%.*s", STR_FMT(buf_str(&shown)));
    buf_fini(&shown);
    if (near)
        error_hint(e, "did you mean %s?", near);
    else
        error_hint(e, "host.methods lists the parameters");
    return TDA_E_INVALID;
}

static tda_status check_one(const struct method *m, struct json v, struct error *e) {
    const struct param *p = param_find(m->params, json_name(v));
    if (!p) p = param_find(common, json_name(v));
    if (!p) return unknown_param(m, json_name(v), e);
    if (type_fits(p->type, json_type(v))) return TDA_OK;
    error_set(e, TDA_E_INVALID, "wrong_type", "%s: %s must be of type %s", m->name, p->name, param_type_name(p->type));
    error_field(e, "%s", p->name);
    return TDA_E_INVALID;
}

tda_status params_check(const struct method *m, struct json params, struct error *e) {
    for (struct json v = json_first(params); json_type(v); v = json_next(v)) {
        tda_status s = check_one(m, v, e);
        if (s) return s;
    }
    for (const struct param *p = m->params; p->name; p++) {
        if (!p->required || json_type(json_key(params, tda_str_of(p->name)))) continue;
        error_set(e, TDA_E_INVALID, "missing_param", "%s needs %s: %s", m->name, p->name, p->help);
        error_field(e, "%s", p->name);
        return TDA_E_INVALID;
    }
    return TDA_OK;
}
