/* What of a provider's entry is the same for all calls: its hosts as patterns, and the origins of the addresses that the operator
 * or the note gives. A call would read the same URLs again and again. */
#include "plugin/plugin_impl.h"

struct entry_addresses {
    struct {
        const char *url; /* the very string, not one like it */
        char origin[ORIGIN_SIZE];
    } known[ADDRESS_SOURCES];
    size_t n_known, n_hosts;
    char hosts[][ORIGIN_SIZE];
};

/* What is no URL is not known; who asks for its origin learns why. */
static void know(struct entry_addresses *a, const char *url) {
    if (url && url_origin(tda_str_of(url), a->known[a->n_known].origin, ORIGIN_SIZE) == TDA_OK) a->known[a->n_known++].url = url;
}

static void know_addresses(struct entry_addresses *a, const struct provider_entry *p) {
    const char *urls[ADDRESS_SOURCES];
    size_t n = operator_addresses(p, urls);
    for (size_t i = 0; i < n; i++) know(a, urls[i]);
}

/* What is no pattern fits nothing: such entries and notes are refused. */
static void take_host(struct entry_addresses *a, const char *host) {
    if (url_pattern(tda_str_of(host), a->hosts[a->n_hosts], ORIGIN_SIZE) == TDA_OK) a->n_hosts++;
}

tda_status entry_make(struct provider_entry *p) {
    const struct note *n = &p->plugin->loaded.note;
    char **own = p->config ? p->config->hosts : NULL;
    size_t most = 0;
    while (own && own[most]) most++;
    if (!own) most = n->n_hosts;
    struct entry_addresses *a = calloc(1, sizeof *a + most * ORIGIN_SIZE);
    if (!a) return TDA_E_NOMEM;
    for (size_t i = 0; i < most; i++) take_host(a, own ? own[i] : n->hosts[i]);
    know_addresses(a, p);
    p->addresses = a;
    return TDA_OK;
}

void entry_fini(struct provider_entry *p) {
    free(p->addresses);
}

bool entry_has_host(const struct provider_entry *p, const char *origin, bool patterns) {
    const struct entry_addresses *a = p->addresses;
    for (size_t i = 0; i < a->n_hosts; i++)
        if ((patterns || !strchr(a->hosts[i], '*')) && url_matches(a->hosts[i], origin)) return true;
    return false;
}

tda_status entry_origin(const struct provider_entry *p, tda_str url, char out[ORIGIN_SIZE]) {
    const struct entry_addresses *a = p->addresses;
    for (size_t i = 0; i < a->n_known; i++) {
        if (a->known[i].url != url.p) continue;
        memcpy(out, a->known[i].origin, ORIGIN_SIZE);
        return TDA_OK;
    }
    return url_origin(url, out, ORIGIN_SIZE);
}
