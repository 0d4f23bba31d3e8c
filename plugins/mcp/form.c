/* What the user filled in, completed by what the form says of fields that he left out (SEP-1034). */
#include "call.h"

void form_put(tda_json_writer *w, tda_json content, tda_json schema) {
    tda_json properties = mcp_json->get(schema, "properties");
    mcp_json->begin_object(w);
    for (tda_json v = mcp_json->type(content) == TDA_JSON_OBJECT ? mcp_json->first(content) : (tda_json){NULL, 0};
         mcp_json->type(v); v = mcp_json->next(v)) {
        mcp_json->put_key(w, mcp_json->name(v));
        mcp_json->put_raw(w, mcp_json->raw(v));
    }
    for (tda_json p = mcp_json->first(properties); mcp_json->type(p); p = mcp_json->next(p)) {
        tda_json otherwise = mcp_json->get(p, "default");
        if (!mcp_json->type(otherwise) || mcp_json->type(mcp_json->key(content, mcp_json->name(p)))) continue;
        mcp_json->put_key(w, mcp_json->name(p));
        mcp_json->put_raw(w, mcp_json->raw(otherwise));
    }
    mcp_json->end_object(w);
}
