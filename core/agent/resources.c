/* resources.list, resources.templates, resources.read. */
#include "agent/server_op.h"

static void write_described(struct jw *w, struct json v) {
    put_member(w, "name", v, "name");
    put_member(w, "title", v, "title");
    put_member(w, "description", v, "description");
    put_member(w, "mime", v, "mimeType");
    put_member(w, "size", v, "size");
}

static void write_resource(struct server_op *op, struct json v) {
    put_member(&op->items_w, "uri", v, "uri");
    write_described(&op->items_w, v);
}

static void write_template(struct server_op *op, struct json v) {
    put_member(&op->items_w, "template", v, "uriTemplate");
    write_described(&op->items_w, v);
}

static void write_contents(struct server_op *op, struct json answer) {
    struct jw *w = op->work->out;
    jw_open_array(w, "contents");
    for (struct json v = json_first(json_key(answer, TDA_STR("contents"))); json_type(v); v = json_next(v)) {
        jw_begin_object(w);
        put_member(w, "uri", v, "uri");
        put_member(w, "mime", v, "mimeType");
        put_member(w, "text", v, "text");
        put_member(w, "data", v, "blob");
        jw_end_object(w);
    }
    jw_end_array(w);
}

void agent_resources_list(struct work *w) {
    server_op_begin(&(struct server_op){.work = w, .op = TDA_AOP_LIST_RESOURCES, .list = "resources", .write = write_resource});
}

void agent_resources_templates(struct work *w) {
    server_op_begin(&(struct server_op){.work = w, .op = TDA_AOP_LIST_TEMPLATES, .list = "templates", .write = write_template});
}

void agent_resources_read(struct work *w) {
    server_op_begin(&(struct server_op){
        .work = w, .op = TDA_AOP_READ_RESOURCE, .name = json_str(json_key(w->params, TDA_STR("uri"))), .write = write_contents});
}
