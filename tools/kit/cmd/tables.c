/* Strange hosts: other versions, and tables cut at every field. A table lies at the very end of mapped memory, so that a look
 * beyond its end is a crash and not luck. An entry runs once in a process, so each host gets a child of its own. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd.h"

enum { DEADLINE_S = 20 };

static const struct {
    const char *name;
    size_t end;
} fields[] = {
#define FIELD(f)                                                                                                                   \
    { #f, offsetof(struct tda_host, f) }
    FIELD(abi_major),
    FIELD(abi_minor),
    FIELD(reserved),
    FIELD(log),
    FIELD(extension),
    FIELD(state),
    FIELD(emit),
    FIELD(finish),
    FIELD(wake),
    FIELD(timer),
    FIELD(ctx_get),
    FIELD(ctx_put),
    FIELD(setting),
    FIELD(object_put),
    FIELD(object_get),
    FIELD(conn_event),
    FIELD(flow_open),
    FIELD(flow_send),
    FIELD(flow_close_send),
    FIELD(flow_abort),
    FIELD(secret_get),
#undef FIELD
};

/* What the child tries; set before the fork. */
static struct attempt {
    const char *what;
    struct tda_host table;
    size_t size;
    bool must_accept;
} attempt;

static const struct tda_host *at_the_end(const struct tda_host *table, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t room = (size + 15) & ~(size_t)15; /* tables are aligned; what is between is not zero */
    memset(p, LENT_BYTE, page);
    memcpy(p + page - room, table, size);
    mprotect(p + page, page, PROT_NONE);
    mprotect(p, page, PROT_READ);
    return (const struct tda_host *)(const void *)(p + page - room);
}

static void try_host(const struct check *c, struct result *r) {
    struct error e = {.retry_ms = -1};
    struct loaded m = {0};
    struct tda_test *t;
    const struct tda_host *host = at_the_end(&attempt.table, attempt.size);
    step(r, "its entry, %s", attempt.what);
    tda_status s = host ? kit_load(c->file, host, &m, &e) : TDA_E_NOMEM;
    if (s && attempt.must_accept) found(r, FAILURE, "its entry refuses %s: take a table that is larger than yours", attempt.what);
    if (s) return;
    for (size_t i = 0; i < c->fixtures->n; i += c->fixtures->n / 4 + 1) {
        struct outcome o;
        step(r, "its entry accepted %s, and then %s", attempt.what, c->fixtures->list[i]->name);
        if (kit_open(&m, &t, &e)) return;
        play(t, &(struct plan){.fixture = c->fixtures->list[i]}, &o);
        outcome_fini(&o);
        tda_test_close(t);
    }
}

static void try_in_child(const struct check *c, struct result *r, const char *advice) {
    struct result *sub = mmap(NULL, sizeof *sub, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sub == MAP_FAILED) return;
    run_case(c, r->name, try_host, DEADLINE_S, sub);
    for (size_t i = 0; i < sub->n; i++)
        if (sub->findings[i].severity == FAILURE)
            found(r, FAILURE, "with %s: %.300s; %s", attempt.what, sub->findings[i].text, advice);
    munmap(sub, sizeof *sub);
}

void case_tables(const struct check *c, struct result *r) {
    char what[96];
    attempt = (struct attempt){.what = "a host of another major", .table = kit_host_table, .size = sizeof(struct tda_host)};
    attempt.table.abi_major = TDA_ABI_MAJOR + 1;
    try_in_child(c, r, "look at host->abi_major before anything else");
    attempt.what = "a host of a later minor";
    attempt.table = kit_host_table;
    attempt.table.abi_minor = TDA_ABI_MINOR + 1;
    try_in_child(c, r, "an entry may refuse, never crash");
    attempt.table = kit_host_table;
    for (size_t i = 0; i < ARRAY_LEN(fields) && r->n < 3; i++) {
        snprintf(what, sizeof what, "a host table that ends before host->%s", fields[i].name);
        attempt.what = what;
        attempt.size = fields[i].end;
        attempt.table.size = (uint32_t)fields[i].end;
        try_in_child(c, r,
                     "ask TDA_HAS(host, struct tda_host, FIELD) for the last field that you use, and return NULL from the entry");
    }
    step(r, "host tables");
}
