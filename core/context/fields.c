#include "context/context_impl.h"
#include "tda/host.h"

const struct ctx_field ctx_fields[CTX_FIELDS] = {
    {TDA_CTX_PROVIDER, "provider", CTX_TEXT, CTX_GROUP_MODEL, NULL, NULL, "name of a provider"},
    {TDA_CTX_MODEL, "model", CTX_TEXT, CTX_GROUP_MODEL, NULL, NULL, "model id, or the ARN of an inference profile"},
    {TDA_CTX_AWS_REGION, "aws_region", CTX_TEXT, CTX_GROUP_MODEL, NULL, NULL, "for Amazon only"},
    {TDA_CTX_AZURE_DEPLOYMENT_DETAILS, "azure_deployment_details", CTX_OBJECT, CTX_GROUP_MODEL,
     "endpoint|deployment_name|api_version", NULL, "{endpoint, deployment_name, api_version}"},
    {TDA_CTX_FRIENDLI_DETAILS, "friendli_details", CTX_OBJECT, CTX_GROUP_MODEL, "token|endpoint_url|models_path", "token",
     "{token, endpoint_url, models_path}; the token can be set and never read"},
    {TDA_CTX_MODEL_PROVIDER_IN_PROFILE, "model_provider_in_profile", CTX_TEXT, CTX_GROUP_MODEL, NULL, NULL,
     "vendor inside a Bedrock inference profile"},
    {TDA_CTX_MCP_SERVER_NAME, "mcp_server_name", CTX_TEXT, CTX_GROUP_TOOLS, NULL, NULL, "the MCP server that tools come from"},
    {TDA_CTX_MCP_SERVER_ID, "mcp_server_id", CTX_TEXT, CTX_GROUP_TOOLS, NULL, NULL, "its stable id"},
    {TDA_CTX_LLM_INSTANCE, "llm_instance", CTX_LIVE, CTX_GROUP_MODEL, NULL, NULL,
     "the provider's object; never leaves the process"},
    {TDA_CTX_MCP_CLIENT, "mcp_client", CTX_LIVE, CTX_GROUP_TOOLS, NULL, NULL, "the adapter's connection; never leaves the process"},
    {TDA_CTX_SERVER_CONFIGS, "server_configs", CTX_OBJECT, CTX_GROUP_TOOLS, NULL, NULL,
     "{name: {}} of the operator's servers, or {name: {url}}; never a command"},
};

size_t ctx_field_index(uint32_t key) {
    size_t i = 0;
    while (i < CTX_FIELDS && ctx_fields[i].key != key) i++;
    return i;
}

const struct ctx_field *ctx_field_by_key(uint32_t key) {
    size_t i = ctx_field_index(key);
    return i < CTX_FIELDS ? &ctx_fields[i] : NULL;
}

bool ctx_field_has(const struct ctx_field *f, tda_str member) {
    for (const char *w = f->members; w && *w;) {
        size_t n = strcspn(w, "|");
        if (tda_str_eq((tda_str){w, n}, member)) return true;
        w += n + (w[n] == '|');
    }
    return false;
}

bool ctx_field_is_address(const struct ctx_field *f) {
    return f->key == TDA_CTX_AZURE_DEPLOYMENT_DETAILS || f->key == TDA_CTX_FRIENDLI_DETAILS;
}

const struct ctx_field *ctx_field_find(tda_str name) {
    for (size_t i = 0; i < CTX_FIELDS; i++)
        if (tda_str_eq(tda_str_of(ctx_fields[i].name), name)) return &ctx_fields[i];
    return NULL;
}
