/* The plugins that are loaded, under another configuration: the same files, other providers and settings. */
#include "plugin/plugin_impl.h"

tda_status plugins_prepare(struct plugins *ps, const struct config *c, struct registry **ret, struct buf *report) {
    struct registry *r = NULL;
    if (atomic_exchange(&ps->loading, true)) {
        buf_add_z(report, "a plugin is being loaded: try again when it is\n");
        return TDA_E_BUSY;
    }
    tda_status s = registry_new(registry_now(ps), NULL, &r);
    if (!s) s = registry_make_entries(r, c, report);
    if (!s && report->n) s = TDA_E_INVALID;
    if (!s)
        *ret = r;
    else
        plugins_discard(ps, r);
    return s;
}

void plugins_foresee(const struct config *c, struct buf *report) {
    for (char **name = c->plugins; *name; name++) {
        struct error e = {.retry_ms = -1};
        tda_status s = plugin_judge(c, *name, &e);
        if (!s) continue;
        buf_addf(report, "%s: plugins.load: the next start would refuse \"%s\": %s%s%s\n", config_plugins_from(c), *name,
                 e.text[0] ? e.text : status_text(s), e.hint[0] ? "; " : "", e.hint);
    }
}

void plugins_publish(struct plugins *ps, struct registry *r) {
    registry_publish(ps, r);
    atomic_store(&ps->loading, false);
}

void plugins_discard(struct plugins *ps, struct registry *r) {
    registry_free(r);
    atomic_store(&ps->loading, false);
}

tda_status plugins_view(const struct plugins *ps, const struct config *c, struct registry *r, struct plugins **ret) {
    struct plugins *view = calloc(1, sizeof *view);
    if (!view) return TDA_E_NOMEM;
    view->config = c;
    view->env = ps->env;
    atomic_init(&view->now, r);
    *ret = view;
    return TDA_OK;
}

void plugins_view_free(struct plugins *view) {
    free(view);
}
