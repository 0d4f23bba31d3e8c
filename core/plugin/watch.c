/* Who watches a connection's resources. The connection tells; what is subscribed to is the watcher's business. [loop] */
#include "plugin/plugin_impl.h"

void conn_watch(struct conn *c, struct conn_watcher *w) {
    w->conn = c;
    LIST_INSERT_HEAD(&c->watchers, w, entry);
}

void conn_unwatch(struct conn_watcher *w) {
    if (!w->conn) return;
    LIST_REMOVE(w, entry);
    w->conn = NULL;
}

bool conn_is_watched(const struct conn *c, tda_str uri) {
    const struct conn_watcher *w = LIST_FIRST(&c->watchers);
    while (w && !tda_str_eq(w->uri, uri)) w = LIST_NEXT(w, entry);
    return w != NULL;
}

/* A server may tell of a part of what is subscribed to: "file:///a/b" for "file:///a". */
static bool concerns(tda_str watched, tda_str uri) {
    return uri.n >= watched.n && memcmp(uri.p, watched.p, watched.n) == 0;
}

void conn_tell_update(struct conn *c, tda_str uri) {
    struct conn_watcher *next;
    for (struct conn_watcher *w = LIST_FIRST(&c->watchers); w && uri.n; w = next) {
        next = LIST_NEXT(w, entry);
        if (concerns(w->uri, uri)) w->updated(w, uri);
    }
}

/* Each is taken off before it is told: it may end its work. */
void conn_tell_end(struct conn *c, const struct tda_result *why) {
    struct conn_watcher *w;
    while ((w = LIST_FIRST(&c->watchers))) {
        conn_unwatch(w);
        w->ended(w, why);
    }
}
