/* task.submit and task.list: the part of tasks that needs no loop. */
#include <stdio.h>

#include "route/request.h"
#include "route/tasks.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 10000 };

static tda_status method_param(struct request *q, const struct method **ret, struct error *e) {
    tda_str name = json_str(request_param(q, "method"));
    const struct method *m = method_find(name);
    if (!m) {
        unknown_method(name, e);
        error_field(e, "method");
        return TDA_E_NOT_FOUND;
    }
    if (!m->start || (m->flags & METHOD_OF_TASK)) {
        error_set(e, TDA_E_INVALID, "invalid_param", "%s is no method to submit: call it", m->name);
        error_field(e, "method");
        error_hint(e, "what takes long is submitted: agent.run, chat.complete, configure, models.list, tools.list, tools.call");
        return TDA_E_INVALID;
    }
    *ret = m;
    return TDA_OK;
}

/* What belongs to the request must not be said twice. */
static tda_status check_params(struct json params, struct error *e) {
    static const char *const outside[] = {"user", "auth", "idempotency_key"};
    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        if (!json_type(json_key(params, tda_str_of(outside[i])))) continue;
        error_set(e, TDA_E_INVALID, "invalid_param", "%s belongs beside method, not into params", outside[i]);
        error_field(e, "params.%s", outside[i]);
        return TDA_E_INVALID;
    }
    return TDA_OK;
}

static tda_status submit(struct request *q, struct request **ret, struct error *e) {
    const struct method *m = NULL;
    struct json params = request_param(q, "params");
    tda_status s = method_param(q, &m, e);
    if (s) return s;
    s = check_params(params, e);
    return s ? s : request_submit(q, m, json_type(params) ? json_raw(params) : TDA_STR("{}"), ret, e);
}

void task_submit(struct request *q) {
    struct error e = {.retry_ms = -1};
    struct request *inner = NULL;
    if (submit(q, &inner, &e)) {
        request_reply(q, &e);
        return;
    }
    jw_put_z(&q->out, "task", inner->task->id);
    jw_put_z(&q->out, "state", task_state_name(TASK_PENDING));
    request_post(inner);
    request_reply(q, NULL);
}

void task_list(struct request *q) {
    struct error e = {.retry_ms = -1};
    int64_t limit = LIST_DEFAULT;
    struct json v = request_param(q, "limit");
    if (json_type(v) && (!json_i64(v, &limit) || limit < 1 || limit > LIST_MAX)) {
        error_set(&e, TDA_E_INVALID, "invalid_param", "limit must be a whole number from 1 to %d", LIST_MAX);
        error_field(&e, "limit");
        request_reply(q, &e);
        return;
    }
    tda_status s = tasks_write(router_tasks(q->router), &q->principal, q->user, (uint64_t)limit, &q->out, &e);
    request_reply(q, s ? &e : NULL);
}
