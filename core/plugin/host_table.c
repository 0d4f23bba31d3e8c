/* What plugins may ask of the host: each function finds the handle's owner, checks, and hands on. None calls back into a plugin. */
#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "plugin/plugin_impl.h"

enum { LOG_TEXT_MAX = 1024 };

static void host_log(tda_handle h, uint32_t level, tda_str text) {
    char hashed[9] = "";
    const char *plugin = "", *request = "";
    struct buf clean;
    bool here = plugin_loop_here() && plugin_loop_at(handle_loop(h)) == plugin_loop_here();
    struct owner *o = h && (here || blocking_call(h)) ? owner_or_worker(h) : NULL;
    enum log_level l = level >= 1 && level <= 4 ? (enum log_level)level : LOG_LEVEL_INFO;
    if (!log_enabled(l)) return;
    buf_init(&clean, LOG_TEXT_MAX * 2);
    buf_add(&clean, text.p, text.n < LOG_TEXT_MAX ? text.n : LOG_TEXT_MAX);
    if (o) {
        plugin = o->plugin->loaded.note.id;
        request = o->request_id;
        if (o->user[0]) hash_log_user(tda_str_of(o->user), hashed);
        owner_redact(o, &clean);
    }
    struct log_field fields[] = {
        LOG_Z("plugin", plugin), LOG_STR("text", buf_str(&clean)), LOG_Z("request", request), LOG_Z("user", hashed), {.key = NULL}};
    log_write(l, "plugin says", fields);
    buf_fini(&clean);
}

static const void *host_extension(tda_str id) {
    return tda_str_eq(id, TDA_STR("tda.json/1")) ? &json_table : NULL;
}

static void *host_state(tda_handle h) {
    struct owner *o = owner_or_worker(h);
    return o ? o->state : NULL;
}

static struct call *call_get(tda_call h) {
    struct owner *o = owner_get(h);
    return o && o->kind == HANDLE_CALL ? (struct call *)o : NULL;
}

static tda_status host_emit(tda_call h, const struct tda_event *event) {
    struct call *of_worker = blocking_call(h), *c = of_worker ? NULL : call_get(h);
    return of_worker ? blocking_emit(of_worker, event) : c ? call_emit(c, event) : TDA_E_STALE;
}

static tda_status host_finish(tda_call h, const struct tda_result *result) {
    struct call *of_worker = blocking_call(h), *c = of_worker ? NULL : call_get(h);
    return of_worker ? blocking_finish(of_worker, result) : c ? call_finish(c, result) : TDA_E_STALE;
}

static tda_status host_timer(tda_handle h, uint64_t token, uint32_t ms) {
    struct owner *o = owner_get(h);
    if (!o) return TDA_E_STALE;
    return token >> 63 ? TDA_E_INVALID : owner_timer(o, token, ms);
}

/* A draft is its loop's: a worker sees the snapshot that was made of it. */
static tda_str field_value(const struct owner *o, const struct ctx_field *f) {
    if (o->kind == HANDLE_CONN) return tda_str_of(((const struct conn *)o)->fields[f - ctx_fields]);
    const struct call *c = (const struct call *)o;
    return !c->blocking && c->draft ? draft_get(c->draft, f->key) : snapshot_get(o->snapshot, f->key);
}

static tda_status host_ctx_get(tda_handle h, uint32_t key, tda_str *ret_value) {
    struct owner *o = owner_or_worker(h);
    const struct ctx_field *f = ctx_field_by_key(key);
    if (!o || !f) return o ? TDA_E_NOT_FOUND : TDA_E_STALE;
    if (f->kind == CTX_LIVE) return TDA_E_DENIED;
    tda_str v = field_value(o, f);
    if (!v.p) return TDA_E_NOT_FOUND;
    tda_str copy = scratch_copy(v); /* a ctx_put in the same callback would pull the ground from under it */
    if (!copy.p) return TDA_E_NOMEM;
    *ret_value = copy;
    return TDA_OK;
}

static tda_status host_ctx_put(tda_call h, uint32_t key, tda_str value) {
    struct call *c = call_get(h);
    if (!c || c->finished) return TDA_E_STALE;
    const struct ctx_field *f = ctx_field_by_key(key);
    if (!c->draft || !f || key == TDA_CTX_PROVIDER || ctx_field_is_address(f)) return TDA_E_DENIED;
    return draft_set(c->draft, key, value, NULL);
}

static tda_status give_address(struct owner *o, tda_str *ret_value) {
    struct address a;
    if (plugins_address(o->pl->plugins, o->entry, o->snapshot, &a)) return TDA_E_NOT_FOUND;
    tda_str copy = scratch_copy(tda_str_of(a.url));
    if (!copy.p) return TDA_E_NOMEM;
    *ret_value = copy;
    return TDA_OK;
}

static tda_status host_setting(tda_handle h, tda_str name, tda_str *ret_value) {
    struct owner *o = owner_or_worker(h);
    char key[64];
    if (!o) return TDA_E_STALE;
    if (name.n >= sizeof key) return TDA_E_NOT_FOUND;
    snprintf(key, sizeof key, "%.*s", STR_FMT(name));
    const struct setting_rule *r = find_rule(o->plugin, key);
    if (!r) return TDA_E_NOT_FOUND;
    if (r->secret) return TDA_E_DENIED;
    if (o->entry && strcmp(key, "base_url") == 0) return give_address(o, ret_value);
    tda_str v = o->entry ? plugins_setting(o->pl->plugins, o->entry, o->snapshot, key) : tda_str_of(r->fallback);
    if (!v.p) return TDA_E_NOT_FOUND;
    *ret_value = v;
    return TDA_OK;
}

/* Of all generations of all plugins, another number each. */
static uint64_t generation_key(const struct owner *o) {
    return (uintptr_t)o->plugin;
}

static tda_status host_object_put(tda_handle h, void *object, void (*drop)(void *self, void *object)) {
    struct owner *o = owner_get(h);
    if (!o) return TDA_E_STALE;
    if (!object || !drop) return TDA_E_INVALID;
    if (o->kind == HANDLE_CALL && !((struct call *)o)->conn)
        return live_put(snapshot_live(o->snapshot, CTX_GROUP_MODEL), o->pl->index, o->self, generation_key(o), object, drop);
    struct conn *c = o->kind == HANDLE_CONN ? (struct conn *)o : ((struct call *)o)->conn;
    if (c->object) return TDA_E_EXISTS;
    c->object = object;
    c->object_drop = drop;
    return TDA_OK;
}

static tda_status host_object_get(tda_handle h, void **ret_object) {
    struct owner *o = owner_get(h);
    void *object;
    if (!o) return TDA_E_STALE;
    if (o->kind == HANDLE_CALL && !((struct call *)o)->conn)
        object = live_get(snapshot_live(o->snapshot, CTX_GROUP_MODEL), o->pl->index, o->self, generation_key(o));
    else
        object = o->kind == HANDLE_CONN ? ((struct conn *)o)->object : ((struct call *)o)->conn->object;
    if (!object) return TDA_E_NOT_FOUND;
    *ret_object = object;
    return TDA_OK;
}

static tda_status host_conn_event(tda_conn h, const struct tda_conn_event *event) {
    struct owner *o = owner_get(h);
    if (!o || o->kind != HANDLE_CONN) return TDA_E_STALE;
    if (!TDA_HAS(event, struct tda_conn_event, json)) return TDA_E_INVALID;
    return conn_take_event((struct conn *)o, event);
}

static tda_status host_flow_open(tda_handle h, const struct tda_flow_request *request, tda_flow *ret_flow) {
    struct owner *o = owner_get(h);
    if (!o) return TDA_E_STALE;
    if (!TDA_HAS(request, struct tda_flow_request, max_bytes)) return TDA_E_INVALID;
    return plugin_flow_open(o, request, ret_flow);
}

static tda_status host_flow_send(tda_handle h, tda_flow flow, tda_str bytes) {
    struct owner *o = owner_get(h);
    return o ? plugin_flow_send(o, flow, bytes) : TDA_E_STALE;
}

static tda_status host_flow_close_send(tda_handle h, tda_flow flow) {
    struct owner *o = owner_get(h);
    return o ? plugin_flow_close_send(o, flow) : TDA_E_STALE;
}

static tda_status host_flow_abort(tda_handle h, tda_flow flow) {
    struct owner *o = owner_get(h);
    return o ? plugin_flow_abort(o, flow) : TDA_E_STALE;
}

static tda_status host_secret_get(tda_call call, tda_str name, tda_str *ret_value) {
    struct call *c = blocking_call(call);
    if (!c) return owner_get(call) ? TDA_E_UNSUPPORTED : TDA_E_STALE;
    if (!plugin_may_read_secrets(config_now(c->owner.pl->plugins->config), &c->owner.plugin->loaded.note)) return TDA_E_DENIED;
    return owner_secret(&c->owner, name, ret_value);
}

const struct tda_host host_table = {
    .size = sizeof host_table,
    .abi_major = TDA_ABI_MAJOR,
    .abi_minor = TDA_ABI_MINOR,
    .log = host_log,
    .extension = host_extension,
    .state = host_state,
    .emit = host_emit,
    .finish = host_finish,
    .wake = owner_wake,
    .timer = host_timer,
    .ctx_get = host_ctx_get,
    .ctx_put = host_ctx_put,
    .setting = host_setting,
    .object_put = host_object_put,
    .object_get = host_object_get,
    .conn_event = host_conn_event,
    .flow_open = host_flow_open,
    .flow_send = host_flow_send,
    .flow_close_send = host_flow_close_send,
    .flow_abort = host_flow_abort,
    .secret_get = host_secret_get,
};
