#include "route/reference.h"

#include <stddef.h>
#include <string.h>

#define END                                                                                                                        \
    { NULL, NULL, NULL }
#define META                                                                                                                       \
    {                                                                                                                              \
        "meta", "object",                                                                                                          \
            "what served it: provider, model, mcp_server, profile, epoch of the context; attempts, usage {input, output, ..., "    \
            "known} in tokens, null when unknown; upstream_us and overhead_us"                                                     \
    }
#define ANSWER                                                                                                                     \
    {"text", "text", "the answer's text"}, {"parts", "list", "the answer whole: [{type: text, thinking, tool_call, ...}]"},        \
        {"stop", "text", "end_turn, max_tokens, stop_sequence, tool_use, refusal, ..."},                                           \
        {"stop_raw", "text", "the same in the service's own word"}, {"id", "text", "the service's id of the answer"},              \
        {"answered_by", "text", "the model, as the service names it"}, META
#define UPSTREAM                                                                                                                   \
    "credentials_refused permission model_not_found upstream_refused too_large rate_limited quota overloaded upstream_failed "     \
    "timeout unreachable protocol context_full filtered internal plugin_not_loaded unknown_provider"
#define STORE "sessions_off store_busy store_full store_failed store_timeout store_damaged too_large"
#define SESSION "unknown_profile two_profiles session_not_found session_read_only session_busy session_full quota_exceeded"
#define TOOLS                                                                                                                      \
    "no_mcp_server unknown_mcp_server mcp_unreachable mcp_parked listing_failed too_many_children too_many_connections "           \
    "authorization_required authorization_declined authorization_failed"
#define SERVER "not_offered upstream_refused upstream_failed timeout too_large protocol rate_limited " TOOLS

static const struct result_doc ping[] = {{"pong", "boolean", "true"}, END};
static const struct result_doc info[] = {
    {"name", "text", "tdad"},
    {"version", "text", "of the daemon"},
    {"abi", "text", "of its plugins"},
    {"boot", "text", "another one each time the daemon starts; idempotency keys hold as long as it stays the same"},
    {"pid", "number", "its process"},
    {"mode", "text", "per-user or shared"},
    {"loops", "number", "loop threads"},
    {"uptime_s", "number", "seconds since it began"},
    {"listeners", "list", "addresses that it listens on"},
    {"sessions", "boolean", "whether it keeps sessions"},
    END};
static const struct result_doc stats[] = {
    {"uptime_s, resident_bytes, descriptors, contexts, children", "number", "of the whole process"},
    {"latency", "object",
     "methods[], providers[] (attempts, the service's time), servers[] (tool calls): name, count, failed, mean_us, p50_us, p90_us, "
     "p99_us, max_us"},
    {"requests, tasks, stored_replies, session_store, calls, workers, authorizations, loops, front_door", "object",
     "counters of each part"},
    END};
static const struct result_doc methods[] = {
    {"methods[]", "object",
     "name, summary, user, operator, reads, params [{name, type, required, help}], results [{name, type, help}], errors [kind]"},
    {"common_params", "list", "parameters that every method takes"},
    {"errors[]", "object", "kind, help"},
    {"events[]", "object", "type, help"},
    END};
static const struct result_doc settings[] = {{"settings[]", "object", "path, value, source, default, help, variable"}, END};
static const struct result_doc context[] = {
    {"context", "object", "all fields; null where unset. `credentials` holds names, never values"},
    {"field, value", "text", "with `field`: that one; value is a text, an object or null"},
    END};
static const struct result_doc epoch[] = {{"epoch", "number", "the context's new state; grows by one with every change"}, END};
static const struct result_doc deleted[] = {{"deleted", "boolean", "true"}, END};
static const struct result_doc contexts[] = {{"mode", "text", "per-user or shared"},
                                             {"count", "number", "contexts there are"},
                                             {"contexts[]", "object", "user, idle_s, epoch, provider, model"},
                                             END};
static const struct result_doc configured[] = {
    {"status", "text", "configured, or already_configured: nothing was changed and nobody asked"},
    {"provider, model, mcp_server", "text", "as published"},
    {"tools", "number", "tools of the MCP server"},
    {"epoch", "number", "of the context"},
    META,
    END};
static const struct result_doc status[] = {
    {"configured", "boolean", "whether it has a provider and a model"}, {"mode", "text", "per-user or shared"},
    {"provider, model, mcp_server", "text", "null where unset"},        {"epoch", "number", "of the context"},
    {"hint", "text", "what to do, when it is not configured"},          END};
static const struct result_doc models[] = {{"models[]", "object", "id, name"}, {"provider", "text", "whose"}, META, END};
static const struct result_doc chat[] = {ANSWER, END};
static const struct result_doc run[] = {
    ANSWER,
    {"stopped_by", "text", "the limit that ended the turn before the model did: step_limit, ...; else absent"},
    {"steps[]", "object", "step, tool, server, args, is_error: the tools that were called, in order"},
    END};
static const struct result_doc tools[] = {
    {"server", "text", "name of the MCP server"},
    {"tools[]", "object",
     "name, alias (as models see it), title, description, enabled, pinned (ok, changed, new) "
     "and digest where tools are pinned, schema (JSON Schema of "
     "the arguments), output_schema, annotations "
     "{trusted: false, claims}: what the server says of it, and nothing here believes"},
    {"categories[]", "object", "name, tools: their names in groups"},
    {"categories_by", "text", "single: one group; model: as mcp.categories lets the user's model sort them"},
    META,
    END};
static const struct result_doc tool[] = {
    {"server, tool", "text", "what was called"},
    {"content[]", "object", "type text: {text}; json: {value}; others as the server sent them"},
    {"is_error", "boolean", "the tool reports an error; content says which"},
    META,
    END};
#define CURSOR                                                                                                                     \
    { "cursor", "text", "give it to the next call for what follows; absent at the end" }
static const struct result_doc approved[] = {
    {"server", "text", "name of the MCP server"}, {"approved", "list", "names of the tools"}, META, END};
static const struct result_doc prompts[] = {
    {"server", "text", "name of the MCP server"},
    {"prompts[]", "object", "name, title, description, arguments [{name, description, required}], enabled"},
    CURSOR,
    META,
    END};
static const struct result_doc prompt[] = {{"server, prompt", "text", "whose, and which"},
                                           {"description", "text", "the server's; may be absent"},
                                           {"messages[]", "object", "role, content: as the server gives them"},
                                           META,
                                           END};
static const struct result_doc completion[] = {{"server", "text", "name of the MCP server"},
                                               {"values[]", "text", "what it proposes"},
                                               {"total", "number", "how many there are, where the server says so"},
                                               {"has_more", "boolean", "there are more than these"},
                                               META,
                                               END};
static const struct result_doc resources[] = {{"server", "text", "name of the MCP server"},
                                              {"resources[]", "object", "uri, name, title, description, mime, size"},
                                              CURSOR,
                                              META,
                                              END};
static const struct result_doc templates[] = {
    {"server", "text", "name of the MCP server"},
    {"templates[]", "object", "template (a uri with {places}), name, title, description, mime"},
    CURSOR,
    META,
    END};
static const struct result_doc contents[] = {
    {"server", "text", "name of the MCP server"}, {"contents[]", "object", "uri, mime, and text or data (base64)"}, META, END};
#define SERVER_ROW                                                                                                                 \
    {"name", "text", "as users name it"}, {"own", "boolean", "the user's own, not the operator's"},                                \
        {"transport", "text", "process or url"}, {"share", "boolean", "one connection for all users"},                             \
        {"stateful", "boolean", "a connection for each session"},                                                                  \
        {"state", "text", "of his connection: none, starting, ready, closing; without one parked, or failed last time"},           \
        {"connections, processes", "number", "his, alive now; of a shared server all users'"},                                     \
        {"since", "text", "when it became ready"},                                                                                 \
        {"era, version, wire, capabilities, server", "text", "what the server said of itself, once it is ready"},                  \
        {"calls, starts, failures", "number", "of his; failures in a row"},                                                        \
        {"parked_ms", "number", "until it is tried again; absent when it is not parked"}, {                                        \
        "last_error, last_error_at", "text", "absent when there was none"                                                          \
    }
static const struct result_doc servers[] = {{"servers[]", "object", "as the members of mcp.probe, without steps"}, META, END};
static const struct result_doc probed[] = {
    {"steps[]", "object", "step (connect, tools, prompts, resources), us: microseconds, count or error"}, SERVER_ROW, META, END};
static const struct result_doc said[] = {{"server", "text", "its name"},
                                         {"lines[]", "object",
                                          "n (counts from 1), at, from (stderr, server, host), text; session: whose connection "
                                          "said it, absent when it is of no single session"},
                                         {"next", "number", "give it as `after` for what follows"},
                                         META,
                                         END};
static const struct result_doc restarted[] = {{"server", "text", "its name"},
                                              {"closed", "number", "connections that were closed"},
                                              {"was_parked", "boolean", "it is parked no longer"},
                                              META,
                                              END};
static const struct result_doc watched[] = {{"server, uri", "text", "what was watched"},
                                            {"updates", "number", "events of type resource_updated"},
                                            {"ended", "text", "deadline, or connection: the server has gone"},
                                            META,
                                            END};
static const struct result_doc submitted[] = {{"task", "text", "its id"}, {"state", "text", "pending"}, END};
static const struct result_doc polled[] = {
    {"task, method", "text", "what it is"},
    {"state", "text", "pending, running, complete, error, cancelled"},
    {"events[]", "object", "n (counts from 1), type, and what the table of events says"},
    {"next", "number", "give it as `after` next time: frees the events up to it, and asks for those behind it"},
    {"dropped", "number", "events that had to go because nobody fetched them; absent when there were none"},
    {"result", "object", "state complete: what the method gives"},
    {"error", "object", "state error or cancelled: code, message, data, as in an error reply"},
    END};
static const struct result_doc cancelled[] = {{"task, method, state", "text", "as in task.poll, without its events"}, END};
static const struct result_doc reloaded[] = {
    {"changed", "list", "settings that have another value from now on"},
    {"restart", "list", "settings that have another value once the daemon is started again"},
    {"warnings", "list",
     "what was taken and will not work: plugins of plugins.load that the next start would refuse; absent: none"},
    {"note", "text", "how many"},
    END};
static const struct result_doc responded[] = {{"task", "text", "its id"}, END};
static const struct result_doc tasks[] = {{"tasks[]", "object", "task, method, state, submitted, age_ms, ended_ms; newest first"},
                                          END};
static const struct result_doc plugins[] = {
    {"plugins[]", "object", "id, version, generation, file, state, provides, hosts, calls, in_flight, connections, bugs, reason"},
    END};
static const struct result_doc loaded[] = {
    {"id, version, file", "text", "what was loaded"}, {"generation", "number", "1, then 2 for its next version"}, END};
static const struct result_doc jobs[] = {
    {"jobs[]", "object", "name, help, enabled, interval_s, runs, failures, last_result, last_note, next_run_s"}, END};
static const struct result_doc ran[] = {{"result", "text", "OK"}, {"note", "text", "what it did"}, END};

static const struct result_doc session_created[] = {
    {"session", "text", "its id"},
    {"follow", "boolean", "served by the context of the moment, not by the one of its creation"},
    END};
#define SESSION_ROW                                                                                                                \
    {"session, user, title", "text", "which it is"}, {"follow", "boolean", "served by the context of the moment"},                 \
        {"context", "object", "without follow: what it was created with"}, {"created, updated", "text", "times in UTC"},           \
        {"turns", "number", "kept turns"}, {                                                                                       \
        "usage", "object", "turns, calls, input, output, cache_read, cache_write, reasoning, unknown_calls, known"                 \
    }
static const struct result_doc sessions[] = {
    {"sessions[]", "object", "as session.get, without history"},
    {"cursor", "text", "give it to the next session.list for what follows; absent at the end"},
    END};
static const struct result_doc session[] = {
    SESSION_ROW,
    {"history[]", "object",
     "n, at, provider, model, mcp_server, profile, stop, idempotency_key, usage, calls, messages: one for each turn"},
    {"next", "number", "give it as `after` for what follows; absent at the end"},
    END};
static const struct result_doc exported[] = {
    {"session", "text", "its id"},
    {"lines", "text", "JSON lines: the session (type session), then its turns (type turn)"},
    {"next", "number", "give it as `after` for what follows; absent at the end"},
    END};
static const struct result_doc renamed[] = {{"renamed", "boolean", "true"}, END};
static const struct result_doc usage[] = {{"usage[]", "object", "day, provider, model, and the sums of session.get's usage"},
                                          {"total", "object", "the sums of all"},
                                          END};
static const struct result_doc erased[] = {{"deleted", "boolean", "true"},
                                           {"context", "boolean", "there was one"},
                                           {"tokens", "number", "how many of his are revoked"},
                                           {"sessions, usage_rows", "number", "how many are gone"},
                                           END};
static const struct result_doc backup[] = {{"path", "text", "the file"}, END};
static const struct result_doc profiles[] = {
    {"profiles[]", "object",
     "tag, scope (private or operator), default, provider, model, mcp_server_name, ..., tools, prompts, credentials (names)"},
    {"default", "text", "the tag that serves requests which name none; null: the context itself"},
    END};
static const struct result_doc profile[] = {{"tag", "text", "as it is kept"}, {"epoch", "number", "of the context"}, END};
static const struct result_doc unprofiled[] = {{"deleted", "boolean", "true"}, {"epoch", "number", "of the context"}, END};
static const struct result_doc usual[] = {{"default", "text", "the tag, or null"}, {"epoch", "number", "of the context"}, END};

static const struct result_doc token[] = {
    {"token", "text", "its text: give it to whom it is for; the host does not know it any more"},
    {"id", "text", "for token.revoke; no secret"},
    {"service, operator", "boolean", "what it may"},
    {"user", "text", "whose it is; null for a service's"},
    {"label", "text", "as given"},
    {"created, expires", "text", "times in UTC; expires is null for never"},
    END};
static const struct result_doc tokens[] = {
    {"tokens[]", "object", "id, service, operator, user, label, created, expires, last_use, expired; oldest first"}, END};
static const struct result_doc revoked[] = {
    {"revoked", "boolean", "true"},
    {"tokens", "number", "how many there are still; without one, a daemon that listens on tcp, ws or tls does not start"},
    END};

static const struct method_doc docs[] = {
    {"host.ping", true, ping, ""},
    {"host.info", true, info, ""},
    {"host.stats", true, stats, ""},
    {"host.methods", true, methods, ""},
    {"config.explain", true, settings, ""},
    {"config.reload", false, reloaded, "bad_config busy"},
    {"context.get", true, context, "not_configured unknown_field live_field"},
    {"context.set", false, epoch,
     "unknown_field live_field wrong_type invalid_value command_refused unknown_provider plugin_not_loaded too_many_users "
     "not_saved"},
    {"context.delete", false, deleted, "not_configured"},
    {"context.list", true, contexts, "invalid_param"},
    {"configure", false, configured,
     "missing_provider missing_model missing_server_name missing_server_id missing_server_address missing_credential "
     "unknown_credential invalid_credential credential_too_large base_url_refused invalid_url command_refused configure_running "
     "changed_meanwhile too_many_users not_saved " TOOLS " " UPSTREAM},
    {"status", true, status, ""},
    {"models.list", true, models, "not_configured " UPSTREAM},
    {"chat.complete", false, chat,
     "not_configured missing_input invalid_message invalid_param request_too_large " SESSION " " STORE " " UPSTREAM},
    {"agent.run", false, run,
     "not_configured missing_input invalid_message invalid_param request_too_large no_price " SESSION " " STORE " " TOOLS
     " " UPSTREAM},
    {"tools.list", true, tools, "not_configured timeout " TOOLS},
    {"tools.call", false, tool,
     "not_configured unknown_tool tool_disabled tool_changed tool_unapproved missing_argument invalid_arguments timeout " TOOLS},
    {"tools.approve", false, approved,
     "not_configured invalid_param not_pinned unknown_tool tool_changed timeout too_many_pins " TOOLS " " STORE},
    {"prompts.list", true, prompts, "not_configured invalid_param " SERVER},
    {"prompts.get", true, prompt, "not_configured prompt_disabled " SERVER},
    {"completions.get", true, completion, "not_configured invalid_param prompt_disabled " SERVER},
    {"resources.list", true, resources, "not_configured invalid_param " SERVER},
    {"resources.templates", false, templates, "not_configured invalid_param " SERVER},
    {"resources.read", true, contents, "not_configured not_found " SERVER},
    {"mcp.list", true, servers, ""},
    {"mcp.probe", false, probed, "missing_param timeout " TOOLS " " UPSTREAM},
    {"mcp.logs", false, said, "missing_param invalid_param unknown_mcp_server shared_server"},
    {"mcp.restart", false, restarted, "missing_param unknown_mcp_server shared_server"},
    {"resources.watch", false, watched, "not_configured task_wanted not_found " SERVER},
    {"task.submit", false, submitted, "invalid_param not_configured too_many_tasks"},
    {"task.poll", true, polled, "invalid_param not_found denied task_lost"},
    {"task.cancel", false, cancelled, "not_found denied task_lost already_finished"},
    {"task.respond", false, responded, "not_found denied task_lost already_finished nothing_asked invalid_answer"},
    {"task.list", true, tasks, "invalid_param"},
    {"tools.enable", false, epoch, "not_configured invalid_param"},
    {"profile.list", true, profiles, ""},
    {"profile.put", false, profile,
     "invalid_param invalid_tag unknown_provider plugin_not_loaded unknown_credential invalid_credential missing_credential "
     "missing_provider "
     "unknown_mcp_server "
     "operators_profile too_many_profiles base_url_refused"},
    {"profile.delete", false, unprofiled, "unknown_profile operators_profile"},
    {"profile.default", false, usual, "unknown_profile"},
    {"session.create", false, session_created, "not_configured invalid_param too_many_sessions " STORE},
    {"session.list", true, sessions, "invalid_param " STORE},
    {"session.get", true, session, "invalid_param session_not_found " STORE},
    {"session.export", true, exported, "invalid_param session_not_found " STORE},
    {"session.rename", false, renamed, "invalid_param session_not_found session_read_only " STORE},
    {"session.delete", false, deleted, "session_not_found session_read_only session_busy " STORE},
    {"usage.get", true, usage, "invalid_param " STORE},
    {"user.delete", false, erased, "user_deleting tokens_not_saved " STORE},
    {"store.backup", false, backup, "backup_exists backup_failed " STORE},
    {"plugin.list", true, plugins, ""},
    {"plugin.load", false, loaded,
     "unreadable unsafe_file bad_path path_not_allowed same_file wrong_sha256 bad_elf bad_note wrong_abi unknown_need "
     "unknown_interface too_many_modules secrets_not_allowed dlopen refused bad_table note_differs boot_failed open_failed "
     "config_does_not_fit"},
    {"job.list", true, jobs, ""},
    {"job.run", false, ran, "unknown_job job_failed"},
    {"token.create", false, token, "invalid_param too_many_tokens tokens_off tokens_not_saved"},
    {"token.list", true, tokens, ""},
    {"token.revoke", false, revoked, "unknown_token tokens_not_saved"},
};

const struct method_doc *method_doc_find(const char *method) {
    for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++)
        if (strcmp(docs[i].method, method) == 0) return &docs[i];
    return NULL;
}

const struct word_doc event_docs[] = {
    {"start", "provider, model, profile: what the turn runs on"},
    {"text", "text: a piece of the answer, to be put behind the pieces before it"},
    {"thinking", "text: a piece of what the model thinks"},
    {"tool_call", "id, tool, server, args: a tool is called"},
    {"tool_result", "id, tool, is_error, text, cut: what it gave, shortened for display when `cut`"},
    {"progress", "id, tool, progress, total, text: how far a call is, as its server says"},
    {"tools_changed", "server, tools [{name, pinned}]: not as they were approved, and refused until tools.approve"},
    {"resource_updated", "uri: a resource that is watched has changed"},
    {"usage", "usage, cost: tokens of one model call"},
    {"retry", "attempt, wait_ms, kind: a model call failed and is tried again"},
    {"warning", "text: something was left out or cut"},
    {"ask",
     "request, kind, server, message, schema or url: the task waits for task.respond with this `request`. kind form: a form "
     "by `schema`; url: a page to visit; authorization: a page to visit, whose final address is the answer's content.redirect"},
    {"ask_over", "request: no answer to it is waited for any more"},
    {"end", "stop; kind when it ended with an error"},
    {NULL, NULL},
};

const struct word_doc error_docs[] = {
    /* any method */
    {"syntax", "the message is no JSON"},
    {"limit", "the message is nested too deeply"},
    {"invalid_request", "the message is no request: `field` says which member"},
    {"unknown_method", "there is no such method"},
    {"unknown_param", "the method has no such parameter"},
    {"missing_param", "a parameter is missing"},
    {"wrong_type", "a value is of another type"},
    {"invalid_param", "a parameter's value is not acceptable"},
    {"user_required", "each user has a context of his own here, and the request names none"},
    {"user_invalid", "no user id: [A-Za-z0-9][A-Za-z0-9._@:-]{0,127}, without \"..\""},
    {"user_busy", "this user has too many requests in flight"},
    {"not_trusted", "the unix user who is connected may not speak for users"},
    {"token_required", "a token is wanted in each request, as `auth`"},
    {"token_invalid", "there is no such token, or it was revoked"},
    {"token_expired", "the token's time is over"},
    {"busy", "too much is in flight, or waits for the same thing"},
    {"idempotency_conflict", "the key was used with other parameters"},
    {"message_too_large", "the request is larger than limits.message_bytes"},
    {"reply_too_large", "the reply would be"},
    {"request_too_large", "one request may not need so much memory"},
    {"shutting_down", "the daemon ends"},
    {"cancelled", "cancelled, or the connection of a call without a key ended"},
    {"timeout", "the deadline has passed"},
    {"out_of_memory", "out of memory"},
    /* contexts */
    {"not_configured", "this user has no provider and model: call configure"},
    {"unknown_field", "a context has no such field"},
    {"live_field", "a live object neither leaves the process nor can be set"},
    {"invalid_value", "a field's value is not acceptable"},
    {"command_refused", "a request cannot say what is run: give the name of one of the operator's servers, or a url"},
    {"too_many_users", "contexts.max_users are there"},
    {"not_saved", "the shared context could not be written"},
    {"not_read", "the shared context could not be read"},
    /* configure */
    {"missing_provider", "provider is missing"},
    {"missing_model", "model is missing"},
    {"missing_server_name", "mcp_server.name is missing"},
    {"missing_server_id", "mcp_server.id is missing"},
    {"missing_server_address", "mcp_server has neither url nor host and port, and is none of the operator's"},
    {"missing_credential", "the provider needs a credential: `field` names it"},
    {"unknown_credential", "the provider has no such credential"},
    {"invalid_credential", "a credential is empty or holds a line break"},
    {"credential_too_large", "a credential is too long"},
    {"base_url_refused", "this provider takes no address from users"},
    {"invalid_url", "no address"},
    {"unknown_provider", "there is no such provider"},
    {"plugin_not_loaded", "there is, but its plugin is not loaded"},
    {"plugin_failed", "the plugin could not begin"},
    {"configure_running", "another configure of this user runs"},
    {"changed_meanwhile", "another request changed the context meanwhile: ask again"},
    /* the model's service */
    {"credentials_refused", "the service refuses the credential"},
    {"permission", "the credential may not do this"},
    {"model_not_found", "the service has no such model"},
    {"upstream_refused", "the service refuses the request"},
    {"too_large", "the request or the answer is too large for the service"},
    {"rate_limited", "too many requests, to the service or of this user: retry_ms says when to come back"},
    {"quota", "the account behind the credential is used up"},
    {"overloaded", "the service has too much to do"},
    {"upstream_failed", "the service failed"},
    {"unreachable", "the service cannot be reached"},
    {"protocol", "what answers speaks another protocol"},
    {"context_full", "the conversation is longer than the model's context"},
    {"filtered", "the service's filter stopped it"},
    {"internal", "a fault inside the daemon or a plugin: see its log"},
    /* turns and tools */
    {"missing_input", "neither a question nor messages"},
    {"invalid_message", "a message is not in the form that is wanted"},
    {"no_price", "max_cost is given, and the operator gives no price of this model"},
    {"no_mcp_server", "the context has no MCP server"},
    {"unknown_mcp_server", "the operator has no such MCP server"},
    {"authorization_required", "the server wants the user's authorisation, and nobody can be asked: submit it as a task"},
    {"authorization_declined", "the user did not authorise, or left the question without a usable answer"},
    {"authorization_failed",
     "the server or its authorization server did not give a token, or the server refuses it: the message says at which step"},
    {"mcp_unreachable", "the MCP server cannot be reached or started"},
    {"listing_failed", "its tools could not be listed"},
    {"too_many_children", "too many MCP servers run"},
    {"too_many_connections", "too many connections to MCP servers, of this user or in all"},
    {"mcp_parked", "the MCP server failed too often in a row: retry_ms says when it is tried again"},
    {"shared_server", "the MCP server is shared by all users, and this is not for one of them"},
    {"unknown_tool", "the server has no such tool"},
    {"missing_argument", "an argument that the tool requires is missing"},
    {"invalid_arguments", "the arguments are no JSON object"},
    {"tool_changed", "the tool is not as it was when it was approved"},
    {"tool_unapproved", "the tool was not there when the others were approved"},
    {"not_pinned", "this server's tools are not pinned"},
    {"too_many_pins", "as many pinned tools as are kept in memory"},
    {"task_wanted", "the method can only be called by task.submit"},
    {"not_offered", "the MCP server has no such feature"},
    {"prompt_disabled", "the prompt is not enabled in this profile or context"},
    {"tool_disabled", "the tool is not enabled in this profile or context"},
    /* profiles and sessions */
    {"unknown_profile", "there is no such profile"},
    {"invalid_tag", "no tag: 1 to 32 of A-Z a-z 0-9 _ -"},
    {"two_profiles", "the text names one profile, and the parameter another"},
    {"operators_profile", "it is the operator's, and cannot be changed"},
    {"too_many_profiles", "as many as one user may have"},
    {"session_not_found", "there is no such session of this user"},
    {"session_exists", "there is a session with this id"},
    {"session_read_only", "it is another user's: it can be read, not written"},
    {"session_busy", "a turn of it runs"},
    {"session_full", "as many turns as a session may have"},
    {"too_many_sessions", "as many as one user may have"},
    {"sessions_off", "this host keeps no sessions"},
    {"quota_exceeded", "the user's tokens of today are used up: retry_ms says when to come back"},
    {"too_many_tasks", "as many in flight as one user may have"},
    {"user_deleting", "this user is being erased"},
    {"store_busy", "too many wait for the session store"},
    {"store_full", "the disk is full; nothing acknowledged is lost"},
    {"store_failed", "the session store failed"},
    {"store_timeout", "the session store takes too long"},
    {"store_damaged", "the session store's file is damaged"},
    {"store_in_use", "another daemon has it"},
    {"store_not_opened", "it cannot be opened"},
    {"store_too_new", "a later version wrote it"},
    {"not_a_store", "the file is another program's"},
    {"backup_exists", "the file is there; a backup replaces nothing"},
    {"backup_failed", "the backup cannot be written"},
    {"damaged", "the shared context's file is damaged"},
    {"later_version", "a later version wrote it"},
    /* tasks */
    {"not_found", "there is no such task, or its result is not kept any more; or no such resource"},
    {"denied", "it is another user's, or the operator's to do"},
    {"task_lost", "it belongs to an earlier run of the daemon, and ended with it"},
    {"already_finished", "it has ended"},
    {"nothing_asked", "it has asked nothing"},
    {"invalid_answer", "what task.respond gives is no answer: `field` says what is wrong"},
    /* plugins and jobs */
    {"unreadable", "the file cannot be read, or is no regular file"},
    {"unsafe_file", "somebody but root or the daemon's user could have written it"},
    {"bad_path", "its path is too long, or no path"},
    {"path_not_allowed", "neither in plugins.dir nor listed in plugins.load"},
    {"same_file", "this very file is loaded"},
    {"wrong_sha256", "not the file that plugins.sha256 wants"},
    {"bad_elf", "no shared object, or one that does what plugins may not"},
    {"bad_note", "its note is missing or not well-formed"},
    {"wrong_abi", "made for another version of the interface"},
    {"unknown_need", "it needs what this host does not have"},
    {"unknown_interface", "it provides what this host does not know"},
    {"too_many_modules", "too many plugins"},
    {"secrets_not_allowed", "it wants to read credentials, and plugins.allow_secrets does not name it"},
    {"dlopen", "the system's loader refuses it"},
    {"refused", "its entry refused to start"},
    {"bad_table", "its table of functions is not complete"},
    {"note_differs", "it is not what its note promises"},
    {"boot_failed", "its boot failed"},
    {"open_failed", "it cannot open an instance"},
    {"config_does_not_fit", "the configuration does not fit its schema"},
    {"workers_busy", "all workers are taken"},
    {"unknown_token", "there is no token with this id"},
    {"too_many_tokens", "limits.tokens are there"},
    {"tokens_off", "this host keeps no tokens"},
    {"tokens_not_saved", "the tokens could not be written"},
    {"unknown_job", "there is no such job"},
    {"bad_config", "the configuration cannot be used, and nothing has changed"},
    {"job_failed", "the job failed"},
    {NULL, NULL},
};
