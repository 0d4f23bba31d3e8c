/* host.*, config.explain, plugin.*, job.*: what concerns no user. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "loop/flow.h"
#include "loop/workers.h"
#include "oauth/oauth.h"
#include "route/request.h"

#ifndef TDA_VERSION
#define TDA_VERSION "0.1.0"
#endif

void host_ping(struct request *q) {
    jw_put_bool(&q->out, "pong", true);
    request_reply(q, NULL);
}

void host_info(struct request *q) {
    const struct router_options *o = router_options(q->router);
    char abi[16];
    snprintf(abi, sizeof abi, "%u.%u", TDA_ABI_MAJOR, TDA_ABI_MINOR);
    jw_put_z(&q->out, "name", "tdad");
    jw_put_z(&q->out, "version", TDA_VERSION);
    jw_put_z(&q->out, "abi", abi);
    jw_put_i64(&q->out, "pid", getpid());
    jw_put_z(&q->out, "boot", tasks_boot(router_tasks(q->router)));
    jw_put_z(&q->out, "mode", contexts_is_shared(o->contexts) ? "shared" : "per-user");
    jw_put_u64(&q->out, "loops", o->n_loops);
    jw_put_i64(&q->out, "uptime_s", (clock_now_ns() - router_started_ns(q->router)) / NS_PER_S);
    if (o->write_info) o->write_info(o->write_arg, &q->out);
    request_reply(q, NULL);
}

static void write_loops(const struct router_options *o, struct jw *w) {
    jw_open_array(w, "loops");
    for (unsigned i = 0; i < o->n_loops; i++) {
        struct loop_stats s;
        loop_stats(o->loops[i], &s);
        jw_begin_object(w);
        jw_put_u64(w, "flows_open", s.flows_open);
        jw_put_u64(w, "flows_total", s.flows_total);
        jw_put_u64(w, "posts", s.posts);
        jw_put_u64(w, "longest_callback_us", s.longest_callback_ns / 1000);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void write_calls(const struct router_options *o, struct jw *w) {
    struct call_stats c;
    calls_stats(o->plugins, &c);
    jw_open_object(w, "calls");
    jw_put_u64(w, "started", c.started);
    jw_put_u64(w, "finished", c.finished);
    jw_put_u64(w, "dropped", c.dropped);
    jw_put_u64(w, "stale_uses", c.stale_uses);
    jw_put_u64(w, "plugin_bugs", c.bugs);
    jw_put_u64(w, "connections_open", c.conns_open);
    jw_put_u64(w, "connections_total", c.conns_total);
    jw_end_object(w);
}

static void write_workers(const struct router_options *o, struct jw *w) {
    struct workers_stats s;
    plugins_worker_stats(o->plugins, &s);
    jw_open_object(w, "workers");
    jw_put_i64(w, "limit", config_now(o->config)->limits_workers);
    jw_put_u64(w, "threads", s.threads);
    jw_put_u64(w, "running", s.running);
    jw_put_u64(w, "waiting", s.waiting);
    jw_put_u64(w, "finished", s.finished);
    jw_put_u64(w, "refused", s.refused);
    jw_put_i64(w, "oldest_ms", s.oldest_ns / NS_PER_MS);
    jw_end_object(w);
}

static void write_authorizations(const struct router_options *o, struct jw *w) {
    struct oauth_stats s;
    plugins_oauth_stats(o->plugins, &s);
    jw_open_object(w, "authorizations");
    jw_put_u64(w, "users", s.users);
    jw_put_u64(w, "servers", s.servers);
    jw_put_u64(w, "running", s.running);
    jw_put_u64(w, "granted", s.granted);
    jw_put_u64(w, "failed", s.failed);
    jw_end_object(w);
}

static void write_requests(struct request *q) {
    struct route_stats s;
    uint64_t entries, bytes;
    router_stats(q->router, &s);
    struct task_stats tasks;
    tasks_stats(router_tasks(q->router), &tasks);
    idempotency_stats(router_idempotency(q->router), &entries, &bytes);
    jw_open_object(&q->out, "requests");
    jw_put_u64(&q->out, "total", s.requests);
    jw_put_u64(&q->out, "in_flight", s.in_flight);
    jw_put_u64(&q->out, "users_in_flight", s.users_in_flight);
    jw_put_u64(&q->out, "errors", s.errors);
    jw_put_u64(&q->out, "refused", s.refused);
    jw_put_u64(&q->out, "cancelled", s.cancelled);
    jw_end_object(&q->out);
    jw_open_object(&q->out, "tasks");
    jw_put_u64(&q->out, "running", tasks.running);
    jw_put_u64(&q->out, "ended", tasks.ended);
    jw_put_u64(&q->out, "bytes", tasks.bytes);
    jw_end_object(&q->out);
    jw_open_object(&q->out, "stored_replies");
    jw_put_u64(&q->out, "entries", entries);
    jw_put_u64(&q->out, "bytes", bytes);
    jw_end_object(&q->out);
}

static void write_meter(const struct meter *m, const char *name, struct jw *w) {
    jw_begin_object(w);
    jw_put_z(w, "name", name);
    jw_put_u64(w, "count", m->count);
    jw_put_u64(w, "failed", m->failed);
    jw_put_u64(w, "mean_us", m->count ? m->sum_us / m->count : 0);
    jw_put_u64(w, "p50_us", meter_quantile_us(m, 0.5));
    jw_put_u64(w, "p90_us", meter_quantile_us(m, 0.9));
    jw_put_u64(w, "p99_us", meter_quantile_us(m, 0.99));
    jw_put_u64(w, "max_us", m->max_us);
    jw_end_object(w);
}

static void write_meters(const struct meters *ms, const char *key, struct jw *w) {
    const struct meter *m;
    jw_open_array(w, key);
    for (size_t i = 0; (m = meters_at(ms, i)); i++)
        if (m->count) write_meter(m, m->name, w);
    jw_end_array(w);
}

static void write_latency(struct request *q) {
    const struct agent *a = router_options(q->router)->agent;
    jw_open_object(&q->out, "latency");
    jw_open_array(&q->out, "methods");
    for (const struct method *m = NULL; (m = method_next(m));) {
        const struct meter *meter = router_meter(q->router, m);
        if (meter->count) write_meter(meter, m->name, &q->out);
    }
    jw_end_array(&q->out);
    write_meters(a->providers, "providers", &q->out);
    write_meters(a->servers, "servers", &q->out);
    jw_end_object(&q->out);
}

void host_stats(struct request *q) {
    const struct router_options *o = router_options(q->router);
    jw_put_i64(&q->out, "uptime_s", (clock_now_ns() - router_started_ns(q->router)) / NS_PER_S);
    jw_put_u64(&q->out, "resident_bytes", process_resident_bytes());
    jw_put_u64(&q->out, "descriptors", process_descriptors());
    jw_put_u64(&q->out, "contexts", contexts_count(o->contexts));
    jw_put_i64(&q->out, "children", o->launcher ? launcher_children(o->launcher) : 0);
    write_requests(q);
    write_latency(q);
    write_calls(o, &q->out);
    write_workers(o, &q->out);
    write_authorizations(o, &q->out);
    write_loops(o, &q->out);
    if (o->write_stats) o->write_stats(o->write_arg, &q->out);
    request_reply(q, NULL);
}

void host_methods(struct request *q) {
    methods_write(&q->out);
    request_reply(q, NULL);
}

void host_explain(struct request *q) {
    struct buf text;
    buf_init(&text, 4 << 20);
    config_explain(router_config(q->router), true, &text);
    buf_inherit(q->out.out, &text);
    jw_put_raw(&q->out, "settings", buf_str(&text));
    buf_fini(&text);
    request_reply(q, NULL);
}

static void on_reloaded(void *arg, tda_status status, const char *note) {
    struct request *q = arg;
    const struct router_options *o = router_options(q->router);
    struct error e = {.retry_ms = -1};
    if (status) {
        error_set(&e, status, status == TDA_E_BUSY ? "busy" : "bad_config", "the configuration is not taken: %s", note);
        error_hint(&e, status == TDA_E_BUSY ? "nothing has changed: try again"
                                            : "nothing has changed; tdad --check shows all that is wrong");
        if (status == TDA_E_BUSY) e.retry_ms = 1000;
        request_reply(q, &e);
        return;
    }
    if (o->write_reload) o->write_reload(o->write_arg, &q->out);
    jw_put_z(&q->out, "note", note);
    request_reply(q, NULL);
}

void host_config_reload(struct request *q) {
    struct error e = {.retry_ms = -1};
    if (jobs_run_now(router_options(q->router)->jobs, TDA_STR("config_reload"), on_reloaded, q, &e)) request_reply(q, &e);
}

void host_plugins(struct request *q) {
    jw_key(&q->out, TDA_STR("plugins"));
    plugins_write(router_options(q->router)->plugins, &q->out);
    request_reply(q, NULL);
}

static void on_plugin_loaded(void *arg, const struct loaded_plugin *p, const struct error *e) {
    struct request *q = arg;
    if (!e) {
        jw_put_z(&q->out, "id", p->id);
        jw_put_z(&q->out, "version", p->version);
        jw_put_u64(&q->out, "generation", p->generation);
        jw_put_z(&q->out, "file", p->file);
    }
    request_reply(q, e);
}

void host_plugin_load(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct json name = request_param(q, "name"), file = request_param(q, "file");
    if ((json_type(name) != 0) == (json_type(file) != 0)) {
        error_set(&e, TDA_E_INVALID, "missing_param", "plugin.load needs either name or file");
        error_field(&e, "name");
        request_reply(q, &e);
        return;
    }
    tda_str what = json_str(json_type(name) ? name : file);
    if (plugins_load(router_options(q->router)->plugins, what, on_plugin_loaded, q, &e)) request_reply(q, &e);
}

void host_jobs(struct request *q) {
    jw_key(&q->out, TDA_STR("jobs"));
    jobs_write(router_options(q->router)->jobs, &q->out);
    request_reply(q, NULL);
}

static void on_job_done(void *arg, tda_status status, const char *note) {
    struct request *q = arg;
    struct error e;
    if (status) {
        error_set(&e, status, "job_failed", "the job failed: %s", note[0] ? note : status_text(status));
        request_reply(q, &e);
        return;
    }
    jw_put_z(&q->out, "result", "OK");
    jw_put_z(&q->out, "note", note);
    request_reply(q, NULL);
}

void host_job_run(struct request *q) {
    struct error e = {.retry_ms = -1};
    if (jobs_run_now(router_options(q->router)->jobs, json_str(request_param(q, "name")), on_job_done, q, &e)) request_reply(q, &e);
}
